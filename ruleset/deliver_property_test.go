package ruleset

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"pgregory.net/rapid"

	"watchkeeper/internal/property"
	"watchkeeper/internal/sample"
)

// Several sources deliver the operands of an alert, some series by two of them, and each begins, lags, cannot look
// and falls silent as it likes.

// joined are expressions whose operands several sources deliver.
var joined = []string{
	"a > 5 unless on (i) b", "a > 5 unless on (i) (b > 5)", "a > 5 and on (i) b < 5", "a > 5 and b", "a > 5 or b > 5", "a > b", "a + b > 9", "a - b offset 2m > 5",
	"a offset 2m > 5 unless b", "a > 5 and b < 5 unless c > 5", "(a > 5 or b > 5) unless on (i) c", "a + b > 9 or c > 5", "g > on (i) group_left () a", "g > 5 unless on (i) b",
	"sum by (i) (g) > 9", "sum by (i) (g) > 9 unless on (i) b", "count by (i) (g > 5) > 1 or a > 5", "max_over_time(a[3m]) > 5 unless b > 5", "absent(a)",
	"abs(a) > 5", "abs(a) > 5 unless on (i) b", "abs(a) > 5 or b > 5", "abs(a + b) > 9", "abs(g) > 5 and on (i) a", "sum by (i) (abs(g)) > 9", "abs(a offset 2m) > 5 unless b",
}

// drawJoined draws rules over operands of several sources, with lateness each of its own.
func drawJoined(t *rapid.T, breach bool) (groups []Group, text string) {
	missing := []string{"hold", "hold", "reset"}
	if breach {
		missing = append(missing, "breach")
	}
	for n := range rapid.IntRange(1, 3).Draw(t, "rules") {
		lateness := rapid.SampledFrom([]int{1, 2, 5, 10}).Draw(t, "lateness")
		rule := fmt.Sprintf("groups: [{name: g%d, interval: 1m, rules: [{alert: A, expr: '%s', consecutive: %d, missing: %s, max_gap: %d, lateness: %dm, missing_after: %ds, resolve_after: %d, no_data_after: %d}]}]",
			n, rapid.SampledFrom(joined).Draw(t, "expr"), rapid.IntRange(1, 2).Draw(t, "consecutive"), rapid.SampledFrom(missing).Draw(t, "missing"),
			rapid.IntRange(0, 2).Draw(t, "max_gap"), lateness, rapid.SampledFrom([]int{0, 60, lateness * 60}).Draw(t, "missing_after"), rapid.IntRange(1, 2).Draw(t, "resolve_after"),
			rapid.IntRange(1, 3).Draw(t, "no_data_after"))
		groups = append(groups, parseOne(t, rule)...)
		text += rule + "\n"
	}
	return groups, text
}

// comingMinutes is for how long sources send.
const comingMinutes = 24

// comer is a source of those tests.
type comer struct {
	name    string
	shift   int64 // ms within the minute at which its batches come, for no other source the same
	lag     int64 // ms of its watermark; 0 for one that declares none, at first
	looks   int   // of four of its own checks; -1 for one that tells nothing
	history bool  // its first batch begins a fill-in
	begins  int   // minute
}

// coming builds the batches of such sources.
type coming struct {
	t     *rapid.T
	gap   int64 // ms of silence after half the minutes
	byKey map[string]*parcel
}

// when is the time of a minute.
func (c *coming) when(minute int) int64 {
	at := timelineStart.UnixMilli() + int64(minute)*60_000
	if minute > comingMinutes/2 {
		at += c.gap
	}
	return at
}

// put gives something that is of a time to the batch with which it comes.
func (c *coming) put(src *comer, minute int, add func(*sample.Batch)) {
	if rapid.IntRange(0, 3).Draw(c.t, "late") == 0 {
		minute += rapid.IntRange(1, 12).Draw(c.t, "minutes late")
	}
	minute = max(minute, src.begins)
	key := fmt.Sprint(src.name, minute)
	p := c.byKey[key]
	if p == nil {
		p = &parcel{at: c.when(minute) + src.shift, batch: sample.Batch{Source: sample.Source{Name: src.name}}}
		c.byKey[key] = p
	}
	add(&p.batch)
}

// drawComing draws what several sources deliver for the rules; some may be silent for so long.
func drawComing(t *rapid.T, rules string, gap time.Duration) []parcel {
	c := coming{t: t, gap: gap.Milliseconds(), byKey: map[string]*parcel{}}
	var sources []*comer
	for n := range rapid.IntRange(2, 4).Draw(t, "sources") {
		sources = append(sources, &comer{
			name: fmt.Sprint("src-", n), shift: int64(n)*1000 + 7,
			lag:     60_000 * int64(rapid.SampledFrom([]int{0, 0, 1, 5, 15, 15}).Draw(t, "lag")),
			looks:   rapid.SampledFrom([]int{-1, -1, 0, 1, 4}).Draw(t, "looks"),
			history: gap == 0 && rapid.IntRange(0, 7).Draw(t, "history") == 0, // one of a day keeps from the incident what stands
			begins:  rapid.SampledFrom([]int{0, 0, 0, 4, 9, 15}).Draw(t, "begins"),
		})
	}
	for _, metric := range []string{"a", "b", "c", "g1", "g2"} {
		if !strings.Contains(rules, metric[:1]+" ") && !strings.Contains(rules, metric[:1]+")") && !strings.Contains(rules, metric[:1]+"[") && !strings.Contains(rules, metric[:1]+"'") {
			continue
		}
		l := labels.FromStrings(model.MetricNameLabel, metric[:1], "i", "x")
		if metric[0] == 'g' {
			l = labels.FromStrings(model.MetricNameLabel, "g", "i", "x", "p", metric[1:])
		}
		c.drawDelivered(sources, l)
	}
	for _, src := range sources {
		for m := src.begins; src.looks >= 0 && m <= comingMinutes; m++ {
			up := sample.Up{T: c.when(m) - 10_000, OK: rapid.IntRange(1, 4).Draw(t, "looks now") <= src.looks}
			c.put(src, m, func(b *sample.Batch) { b.Ups = append(b.Ups, up) })
		}
	}
	return c.parcels(sources)
}

// drawDelivered draws who delivers a series, and when.
func (c *coming) drawDelivered(sources []*comer, l labels.Labels) {
	for range rapid.SampledFrom([]int{1, 1, 2, 2, 3}).Draw(c.t, "deliverers") {
		src := rapid.SampledFrom(sources).Draw(c.t, "by")
		from := max(src.begins, rapid.SampledFrom([]int{0, 0, 2, 6, 10, 14}).Draw(c.t, "from")) - rapid.SampledFrom([]int{0, 0, 0, 4, 9}).Draw(c.t, "brings the last")
		to := min(comingMinutes, from+rapid.SampledFrom([]int{1, 5, 10, comingMinutes, comingMinutes}).Draw(c.t, "for"))
		for m := from; m <= to; m++ {
			if rapid.IntRange(0, 3).Draw(c.t, "lost") == 0 {
				continue
			}
			smp := sample.Sample{Labels: l, T: c.when(m) - int64(rapid.IntRange(0, 5).Draw(c.t, "age"))*10_000 - src.shift, V: rapid.SampledFrom([]float64{1, 9, 9}).Draw(c.t, "value")}
			c.put(src, m, func(b *sample.Batch) { b.Samples = append(b.Samples, smp) })
		}
	}
}

// parcels are the batches in the order in which they come, with watermarks. In the end all sources
// are current, so that all settles.
func (c *coming) parcels(sources []*comer) (out []parcel) {
	for _, key := range slices.Sorted(maps.Keys(c.byKey)) {
		out = append(out, *c.byKey[key])
	}
	sortParcels(out)
	for _, src := range sources {
		began, fills := false, src.history
		for i := range out {
			b := &out[i].batch
			if b.Source.Name != src.name {
				continue
			}
			fills = fills && (!began || rapid.IntRange(0, 2).Draw(c.t, "fills in") > 0)
			b.FillIn, began = fills, true
			switch rapid.IntRange(0, 9).Draw(c.t, "watermark") {
			case 0:
				src.lag = 60_000 * int64(rapid.SampledFrom([]int{0, 1, 4, 12}).Draw(c.t, "another lag"))
				if src.lag == 0 {
					b.Watermark = sample.Current
				}
			case 1, 2:
				continue
			}
			if src.lag > 0 {
				b.Watermark = out[i].at - src.lag
			}
		}
		if began {
			out = append(out, parcel{at: c.when(comingMinutes+16) + src.shift, batch: sample.Batch{Source: sample.Source{Name: src.name}, Watermark: sample.Current}})
		}
	}
	sortParcels(out)
	return out
}

// playOn is play until a time, in long steps while nothing comes for hours.
func playOn(t *rapid.T, w *world, groups []Group, ps []parcel, deaths map[int]death, until int64) {
	e, err := w.engine(groups)
	if err != nil {
		t.Fatal(err)
	}
	now := timelineStart.UnixMilli() - 60_000
	advance := func(to int64) {
		for now < to {
			if err := e.Advance(noContext, time.UnixMilli(now)); err != nil {
				t.Fatal(err)
			}
			now += min(20*60_000, max(30_000, (to-now)/2/30_000*30_000))
		}
	}
	for i, p := range ps {
		advance(p.at)
		err := w.deliver(e, p.batch, p.at, deaths[i])
		if errors.Is(err, errDead) {
			if e, err = w.engine(groups); err != nil {
				t.Fatal(err)
			}
			at := p.at
			if deaths[i] < deathStored {
				at-- // the start must not be what settles a check before the batch of that millisecond comes
			}
			if err := e.Recover(noContext, time.UnixMilli(at), w.alerts()); err != nil {
				t.Fatal(err)
			}
			err = w.deliver(e, p.batch, p.at, deathNever)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	advance(until)
}

// knowsAll says whether all that stood in the time that the starts read began in it: a run and an alert from before
// are known by their incident alone.
func knowsAll(w *world, ps []parcel, deaths map[int]death) bool {
	settled := slices.DeleteFunc(slices.Clone(w.entries), func(en Entry) bool { return en.Log != LogSettled })
	slices.SortStableFunc(settled, CompareSettled)
	for i := range deaths {
		edge, stood := ps[i].at-time.Duration(DefaultConfig().RecoverWindow).Milliseconds(), map[string]State{}
		for _, en := range settled {
			if en.Check < edge {
				stood[fmt.Sprint(en.Rule.ID(), en.Identity)] = en.To
			}
		}
		for _, s := range stood {
			if s.Open() || s == StatePending {
				return false
			}
		}
	}
	return true
}

// replayed is the settled log that an engine makes of what a world has stored.
func replayed(t interface{ Fatal(...any) }, w *world, groups []Group, at int64) []string {
	again := newWorld()
	again.store, again.records = w.store, slices.Clone(w.records)
	cfg := DefaultConfig()
	cfg.RecoverWindow = model.Duration(200 * time.Hour) // all of it
	e, err := New(cfg, groups, again.store, again, again, metrics.NewSet(), discard())
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Recover(noContext, time.UnixMilli(at), nil); err != nil {
		t.Fatal(err)
	}
	return settledLines(again)
}

// leftBy are the alerts that a log leaves.
func leftBy(w *world, log Log) map[string]State {
	out := map[string]State{}
	entries := slices.DeleteFunc(slices.Clone(w.entries), func(en Entry) bool { return en.Log != log })
	if log == LogSettled {
		slices.SortStableFunc(entries, CompareSettled)
	}
	for _, en := range entries {
		key := fmt.Sprint(en.Rule.ID(), en.Identity)
		if out[key] = en.To; !en.To.Open() { // of a run that has not fired a start does not know that it was told
			delete(out, key)
		}
	}
	return out
}

// storyOf tells what comes, each batch in a line.
func storyOf(ps []parcel) (out string) {
	clock := func(ms int64) string {
		return (time.Duration(ms-timelineStart.UnixMilli()) * time.Millisecond).String()
	}
	for i, p := range ps {
		out += fmt.Sprintf("%d: %s %s", i, clock(p.at), p.batch.Source.Name)
		switch {
		case p.batch.Watermark == sample.Current:
			out += " current"
		case p.batch.Watermark != 0:
			out += " watermark " + clock(p.batch.Watermark)
		}
		if p.batch.FillIn {
			out += " fills in"
		}
		for _, s := range p.batch.Samples {
			out += fmt.Sprintf(", %s at %s %v", s.Labels, clock(s.T), s.V)
		}
		for _, u := range p.batch.Ups {
			out += fmt.Sprintf(", up %s %v", clock(u.T), u.OK)
		}
		out += "\n"
	}
	return out
}

// Whatever sources come, deliver what others do, lag, catch up and fall silent: the settled log is
// the same whenever the process dies and in a replay, and the live log ends as it does.
func TestSourcesThatCome(t *testing.T) {
	lines := 0
	property.Check(t, func(rt *rapid.T) {
		groups, rules := drawJoined(rt, true)
		ps := drawComing(rt, rules, 0)
		if len(ps) == 0 {
			return
		}
		lines += sameWhenever(rt, groups, rules, ps, timelineStart.UnixMilli()+70*60_000)
	})
	t.Logf("%d lines", lines)
}

// sameWhenever says how many lines the settled log has, which must be the same whatever happens.
func sameWhenever(t *rapid.T, groups []Group, rules string, ps []parcel, until int64) int {
	lives, dies, deaths := newWorld(), newWorld(), drawDeaths(t, ps, 1, 5)
	playOn(t, lives, groups, ps, nil, until)
	playOn(t, dies, groups, ps, deaths, until)
	want := settledLines(lives)
	story := func() string { return rules + storyOf(ps) }
	if diff := cmp.Diff(strings.Join(want, "\n"), strings.Join(replayed(t, lives, groups, until), "\n")); diff != "" {
		t.Fatalf("%s\nsettled log (-server +replay):\n%s", story(), diff)
	}
	if !knowsAll(lives, ps, deaths) {
		return len(want)
	}
	if diff := cmp.Diff(strings.Join(want, "\n"), strings.Join(settledLines(dies), "\n")); diff != "" {
		t.Fatalf("%s\ndeaths %v, settled log (-without crash +with):\n%s", story(), deaths, diff)
	}
	for name, w := range map[string]*world{"without crash": lives, "with": dies} {
		if diff := cmp.Diff(leftBy(w, LogSettled), leftBy(w, LogLive)); diff != "" {
			t.Fatalf("%s\ndeaths %v, what stands in the end %s (-settled +live):\n%s", story(), deaths, name, diff)
		}
	}
	return len(want)
}

// So it is where all are silent for hours, some for longer than a watermark is waited for and a start reads.
func TestSourcesThatComeBack(t *testing.T) {
	lines := 0
	property.Check(t, func(rt *rapid.T) {
		groups, rules := drawJoined(rt, false)
		gap := time.Duration(rapid.SampledFrom([]int{3, 20, 25, 30, 40}).Draw(rt, "hours of silence")) * time.Hour
		ps := drawComing(rt, rules, gap)
		if len(ps) == 0 {
			return
		}
		lines += sameWhenever(rt, groups, rules, ps, timelineStart.Add(gap).UnixMilli()+70*60_000)
	})
	t.Logf("%d lines", lines)
}
