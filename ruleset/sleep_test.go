package ruleset

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"pgregory.net/rapid"

	"watchkeeper/internal/journal"
	"watchkeeper/internal/property"
	"watchkeeper/internal/sample"
)

// leafExprs are rules whose identities sleep.
var leafExprs = []string{
	"a > 5", "a >= 5", "5 > a", "a != 5", "a == 9", "-a <= -9", "a / 2 > 4", `a{i="x"} > 5`, "a > bool 5 == 1", "5 * 1 <= a", "3 / a > 1",
}

// joinExprs are rules whose identities doze.
var joinExprs = []string{
	"a > 5 and b > 5", "a > 5 or b > 5", "a > 5 unless b > 5", "a / b > 1", "a - b != 0", "a + b + c > 10", "a * on(i) b > 9",
	"(a > bool 5) + (b > bool 5) > 1", "a > 5 and b", "(a or b) > 5", "-a < b", "(a > 5 unless b > 5) or c > 5",
	"a + b + time() % 420 / 60 > 12", "a > time() % 420 / 60 and b > 5",
	"a - a offset 2m > 0", "a > b offset 90s", "a offset -1m > b", "a > 5 and a offset 1m > 5 and b", "g - on (i) group_left () a > 1", "a < on (i) group_right () g",
	"g > 5 unless on (i) a", "a + b != NaN", "g > 5 and on (i) a", "g + on (i) group_left () (a - b) > 9",
}

// drawLeaf makes a scenario of one series a in which most samples are good,
// some come after their check has settled, and a source may be filling in.
func drawLeaf(t *rapid.T) scenario { return drawQuiet(t, leafExprs, "a") }

// drawJoin makes the same of series that are joined.
func drawJoin(t *rapid.T) scenario {
	return drawQuiet(t, joinExprs, "a", "b", "c", "g", "g1", "g2", "g3")
}

func drawQuiet(t *rapid.T, exprs []string, metrics ...string) scenario {
	s := drawScenario(t)
	quiet := rapid.Bool().Draw(t, "mostly good")
	other := func(l labels.Labels) bool { return !slices.Contains(metrics, l.Get(model.MetricNameLabel)) }
	s.samples = slices.DeleteFunc(s.samples, func(x sample.Sample) bool { return other(x.Labels) })
	for i := range s.samples {
		if quiet && rapid.IntRange(0, 4).Draw(t, "stays good") > 0 {
			s.samples[i].V = 0
		}
	}
	s.ends = slices.DeleteFunc(s.ends, func(x sample.End) bool { return other(x.Labels) })
	maps.DeleteFunc(s.ups, func(source string, _ []sample.Up) bool { return !slices.Contains(metrics, source) })
	i, j := strings.Index(s.rule, "expr: '")+len("expr: '"), strings.Index(s.rule, "', consecutive")
	s.rule = s.rule[:i] + rapid.SampledFrom(exprs).Draw(t, "leaf") + s.rule[j:]
	if strings.Contains(s.rule, "missing_after: 300s") {
		return s
	}
	s.rule = strings.Replace(s.rule, "lateness: 30m", rapid.SampledFrom([]string{"lateness: 30m", "lateness: 3m"}).Draw(t, "lateness"), 1)
	return s
}

// playAll delivers parcels and returns everything that is said of them.
func playAll(t *testing.T, groups []Group, ps []parcel, wide bool, reload int) (lines []string, w *world, e *Engine) {
	ctx := context.Background()
	w = newWorld()
	e, err := w.engine(groups)
	if err != nil {
		t.Fatal(err)
	}
	e.wide = wide
	now := timelineStart.UnixMilli() - 60_000
	advance := func(to int64) {
		for ; now < to; now += 30_000 {
			if err := e.Advance(ctx, time.UnixMilli(now)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i, p := range ps {
		advance(p.at)
		if i == reload {
			if err := e.Reload(ctx, groups, time.UnixMilli(p.at)); err != nil {
				t.Fatal(err)
			}
		}
		if err := e.Ingest(ctx, w.accept(p.batch, p.at), time.UnixMilli(p.at)); err != nil {
			t.Fatal(err)
		}
	}
	advance(timelineStart.UnixMilli() + 75*60_000)
	for _, en := range w.entries {
		lines = append(lines, fmt.Sprintf("%d %d %s", en.At, en.Check, en))
	}
	slices.Sort(lines) // who of two identities comes first in a step does not matter
	return lines, w, e
}

// An engine whose identities sleep says what one says that keeps them all, in
// both logs, and when nothing is left to tell all of them sleep.
func TestSleepersSayTheSame(t *testing.T) {
	t.Run("one selector", func(t *testing.T) { sleepersSayTheSame(t, drawLeaf) })
	t.Run("several", func(t *testing.T) { sleepersSayTheSame(t, drawJoin) })
}

func sleepersSayTheSame(t *testing.T, draw func(*rapid.T) scenario) {
	property.Check(t, func(rt *rapid.T) {
		s := draw(rt)
		groups := parseOne(rt, s.rule)
		ps := drawParcels(rt, s)
		if len(ps) == 0 {
			return
		}
		reload := rapid.IntRange(-1, len(ps)-1).Draw(rt, "reload at")
		want, wideWorld, _ := playAll(t, groups, ps, true, reload)
		got, w, e := playAll(t, groups, ps, false, reload)
		if diff := cmp.Diff(want, got); diff != "" {
			rt.Fatalf("%s\n%s\nlogs (-all kept +sleeping):\n%s", s.rule, s, diff)
		}
		if diff := cmp.Diff(journalLines(wideWorld), journalLines(w)); diff != "" {
			rt.Fatalf("%s\n%s\njournal (-all kept +sleeping):\n%s", s.rule, s, diff)
		}
		standing := len(e.Alerts())
		awake := slices.DeleteFunc(slices.Clone(e.rules[0].all), func(in *instance) bool {
			// An operand that never came cannot doze; an end may matter to checks to come.
			return in.dirtyLo <= in.dirtyHi || slices.ContainsFunc(in.joins, func(j *join) bool { return len(j.series) == 0 })
		})
		if n := len(awake); (e.rules[0].sleeps || e.rules[0].dozes) && standing == 0 && n > 0 {
			rt.Fatalf("%s\n%s\n%d identities are awake for nothing", s.rule, s, n)
		}
	})
}

func journalLines(w *world) []string {
	var out []string
	for _, r := range w.records {
		if r.Kind == journal.KindEnd && r.V != 0 {
			continue // when an end took effect that came too late: no alert, no matter
		}
		out = append(out, fmt.Sprintf("%s %s %d %d %v %s", r.Kind, r.Labels, r.T, r.Arrive, r.V, r.Reason))
	}
	slices.Sort(out)
	return out
}

// The settled log of sleepers is what the definition says, wherever the engine dies.
func TestSleepersEqualDefinition(t *testing.T) {
	property.Check(t, func(rt *rapid.T) {
		s := drawLeaf(rt)
		if !strings.Contains(s.rule, "lateness: 30m") || strings.Contains(s.rule, "-a <=") || strings.Contains(s.rule, "bool") || strings.Contains(s.rule, "* 1") {
			return // nothing comes late, in forms that the reference reads
		}
		groups := parseOne(rt, s.rule)
		r := groups[0].Rules[0]
		ref := newReference(t, r)
		ref.all, ref.ends, ref.ups, ref.source = s.samples, s.ends, s.ups, sourceName
		for _, smp := range s.samples {
			ref.store.Append(smp.Labels, smp.T, smp.V)
		}
		ps := drawParcels(rt, s)
		if len(ps) == 0 {
			return
		}
		want := ref.log(lastScenarioCheck(r))
		got, _ := settledLog(t, groups, ps, drawDeaths(rt, ps, 0, 2))
		if diff := cmp.Diff(want, got); diff != "" {
			rt.Fatalf("%s\n%s\nsettled log (-definition +engine):\n%s", s.rule, s, diff)
		}
	})
}

// Identities are counted once, asleep or awake, whatever a reload does to their rules.
func TestReloadCountsIdentities(t *testing.T) {
	w := newWorld()
	rules := func(threshold, removed string) []Group {
		return parseOne(t, `groups: [{name: g, interval: 1m, rules: [{alert: A, expr: x > `+threshold+`, consecutive: 1}, {alert: B, expr: x > 1, consecutive: 2}`+removed+`]}]`)
	}
	e, err := w.engine(rules("90", ", {alert: C, expr: x < 0, consecutive: 1}"))
	if err != nil {
		t.Fatal(err)
	}
	now := timelineStart
	send := func(v float64) {
		now = now.Add(time.Minute)
		b := batchOf("x", now.UnixMilli(), "a", "b", "c")
		b.Samples[0].V, b.Samples[1].V, b.Samples[2].V = v, 0, 0
		if err := e.Ingest(t.Context(), w.accept(b, now.UnixMilli()), now); err != nil {
			t.Fatal(err)
		}
	}
	count := func(want int) {
		t.Helper()
		for _, r := range e.Rules() {
			if r.Series != 3 {
				t.Errorf("rule %s watches %d identities, want 3", r.Rule.Alert, r.Series)
			}
		}
		if n := e.customers[""]; n != want {
			t.Errorf("%d identities of the customer, want %d", n, want)
		}
	}
	send(95)
	send(95)
	count(9)
	if err := e.Reload(t.Context(), rules("80", ""), now); err != nil { // A edited, B kept, C removed
		t.Fatal(err)
	}
	count(6)
	send(85)
	send(0)
	count(6)
	var told []string
	for _, en := range w.entries {
		if en.Log == LogLive && en.Rule.Alert == "A" {
			told = append(told, fmt.Sprint(en.From, " ", en.To))
		}
	}
	if diff := cmp.Diff([]string{"inactive firing", "firing resolved"}, told); diff != "" {
		t.Errorf("A (-want +got):\n%s", diff)
	}
}

// Which samples came with a batch is of that batch: a judging in between, by time alone,
// must not have the next one take its own for samples that were there before.
func TestWhatIsFreshIsOfTheBatch(t *testing.T) {
	start := timelineStart.UnixMilli()
	groups := parseOne(t, `groups: [{name: g, interval: 1m, rules: [{alert: A, expr: 'c offset 1m > -c', consecutive: 2, max_gap: 0, no_data_after: 1}]}]`)
	var ps []parcel
	for _, x := range []struct{ arrives, t int64 }{{900, 720}, {930, 780}, {990, 840}, {1080, 900}, {1140, 960}} {
		b := batchOf("c", start+x.t*1000, "x")
		b.Samples[0].V = 1
		ps = append(ps, parcel{at: start + x.arrives*1000, batch: b})
	}
	_, live := settledLog(t, groups, ps, nil)
	fired := false
	for _, en := range live {
		if en.Log == LogLive && en.To == StateFiring {
			fired = true
			if en.Reason != "" {
				t.Errorf("firing at check %d says %q", en.Check, en.Reason)
			}
		}
	}
	if !fired {
		t.Error("it did not fire")
	}
}

// A check that lost its verdict to a late sample has none that another one could amend:
// of who was awake and of who was not alike.
func TestRaisedAnewAfterItWasTakenBack(t *testing.T) {
	groups := parseOne(t, "groups: [{name: g, interval: 1m, rules: [{alert: A, expr: '(a > 5 unless b > 5) or c > 5', consecutive: 3}]}]")
	p := func(at int64, metric string, v float64) parcel {
		l := labels.FromStrings(model.MetricNameLabel, metric, "i", "x")
		at += timelineStart.UnixMilli()
		return parcel{at: at, batch: sample.Batch{Source: sample.Source{Name: metric}, Samples: []sample.Sample{{Labels: l, T: at - 25, V: v}}}}
	}
	ps := []parcel{
		p(60_000, "c", 0), p(60_000, "b", 0), p(60_000, "a", 0), p(300_000, "a", 0), p(360_000, "a", 9), p(360_000, "b", 9), p(360_000, "c", 9),
	}
	for _, wide := range []bool{true, false} {
		_, w, _ := playAll(t, groups, ps, wide, -1)
		var got []string
		for _, en := range w.entries {
			if en.Log == LogLive && en.At == timelineStart.UnixMilli()+360_000 {
				got = append(got, fmt.Sprint(en.To, " ", en.Reason))
			}
		}
		if diff := cmp.Diff([]string{"pending ", "inactive amended", "pending "}, got); diff != "" {
			t.Errorf("kept awake: %t (-want +got):\n%s", wide, diff)
		}
	}
}
