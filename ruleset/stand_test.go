package ruleset

import (
	"fmt"
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

// drawStanding makes a scenario of long runs of breaches, one sample a check, with
// now and then something else, under several rules that read the same series.
func drawStanding(t *rapid.T) scenario {
	const checks = 40
	s := scenario{ups: map[string][]sample.Up{}}
	exprs := append(slices.Clone(leafExprs), "a > 8", "a > 20", "a == 9", "a > 5 and a < 20")
	rules := ""
	for i := range rapid.IntRange(1, 3).Draw(t, "rules") {
		rules += fmt.Sprintf("{alert: A%d, expr: '%s', consecutive: %d, missing: %s, max_gap: %d, lateness: %s, missing_after: %ds, resolve_after: %d, no_data_after: %d}, ",
			i, rapid.SampledFrom(exprs).Draw(t, "expr"), rapid.IntRange(1, 3).Draw(t, "consecutive"),
			rapid.SampledFrom([]string{"hold", "hold", "reset", "breach"}).Draw(t, "missing"), rapid.IntRange(0, 2).Draw(t, "max_gap"),
			rapid.SampledFrom([]string{"30m", "3m"}).Draw(t, "lateness"), rapid.SampledFrom([]int{0, 30, 60}).Draw(t, "missing_after"),
			rapid.IntRange(1, 3).Draw(t, "resolve_after"), rapid.IntRange(1, 4).Draw(t, "no_data_after"))
	}
	s.rule = "groups: [{name: g, interval: 1m, rules: [" + rules + "]}]"
	start := timelineStart.UnixMilli()
	odd := rapid.SampledFrom([]int{3, 10, 40}).Draw(t, "odd one in")
	oddly := func() bool { return rapid.IntRange(1, odd).Draw(t, "odd") == 1 }
	for _, i := range []string{"x", "y"} {
		l := labels.FromStrings(model.MetricNameLabel, "a", "i", i)
		age := rapid.SampledFrom([]int64{0, 1, 30_000, 59_999}).Draw(t, "age")
		for k := range int64(checks) {
			x := sample.Sample{Labels: l, T: start + k*60_000 - age, V: 9 + float64(k%3)/10}
			if oddly() {
				x.V = rapid.SampledFrom([]float64{0, 0, 30, 9}).Draw(t, "value")
			}
			if !oddly() {
				s.samples = append(s.samples, x)
			}
			if again := x.T - 20_000; oddly() && again > x.T-age {
				s.samples = append(s.samples, sample.Sample{Labels: l, T: again, V: x.V})
			}
		}
		if oddly() {
			s.ends = append(s.ends, sample.End{Labels: l, T: start + rapid.Int64Range(0, checks*60_000).Draw(t, "end at"), Reason: "deleted"})
		}
	}
	if rapid.Bool().Draw(t, "sends ups") {
		for k := range int64(checks) {
			s.ups["a"] = append(s.ups["a"], sample.Up{T: start + k*60_000, OK: !oddly()})
		}
	}
	return s
}

// An engine that only counts the breaches of an alert that stands says what one says
// that judges each of them, in both logs.
func TestStandingAlertsSayTheSame(t *testing.T) {
	property.Check(t, func(rt *rapid.T) {
		s := drawStanding(rt)
		groups := parseOne(rt, s.rule)
		ps := drawParcels(rt, s)
		reload := rapid.IntRange(-len(ps), len(ps)-1).Draw(rt, "reload at")
		want, _, _ := playAll(t, groups, ps, true, reload)
		got, _, _ := playAll(t, groups, ps, false, reload)
		if diff := cmp.Diff(want, got); diff != "" {
			rt.Fatalf("%s\n%s\nlogs (-each judged +counted):\n%s", s.rule, s, diff)
		}
	})
}

// What has been counted is in the alert's run, in its settled state and behind what
// comes next.
func TestStandingIsCounted(t *testing.T) {
	w := newWorld()
	e, err := w.engine(parseOne(t, `groups: [{name: g, interval: 1m, rules: [{alert: A, expr: x > 90, consecutive: 3}]}]`))
	if err != nil {
		t.Fatal(err)
	}
	now := timelineStart
	send := func(v float64) {
		t.Helper()
		now = now.Add(time.Minute)
		b := batchOf("x", now.UnixMilli(), "a")
		b.Samples[0].V = v
		if err := e.Ingest(t.Context(), w.accept(b, now.UnixMilli()), now); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 90 {
		send(91 + float64(i))
	}
	if in := e.rules[0].all[0]; in.behind < 20 {
		t.Errorf("%d breaches are counted only", in.behind)
	}
	if a := e.Alerts()[0]; a.Run != 90 || a.Value != 180 || a.State != StateFiring {
		t.Errorf("%s with %d breaches, the last %v; want firing, 90, 180", a.State, a.Run, a.Value)
	}
	for i := range 300 {
		send(200 + float64(i))
	}
	send(1)
	last := w.entries[len(w.entries)-1]
	if last.To != StateResolved || last.Run != 390 || len(last.Samples) == 0 {
		t.Errorf("told last: %s with %d samples; want resolved, run 390", last, len(last.Samples))
	}
	if v := last.Samples[len(last.Samples)-2].V; v != 499 {
		t.Errorf("the sample before the last is %v, want 499", v)
	}
}

// A breach of an alert that stands may be late for another rule, whose identity
// sleeps: it is listed.
func TestStandingListsWhatIsLateForAnother(t *testing.T) {
	w := newWorld()
	e, err := w.engine(parseOne(t, `groups: [{name: g, interval: 1m, rules: [{alert: A, expr: x > 90, consecutive: 1, missing_after: 10m}, {alert: B, expr: x < 0, consecutive: 1, lateness: 2m}]}]`))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []struct{ of, at time.Duration }{{1, 1}, {2, 2}, {3, 3}, {4, 9}} {
		now := timelineStart.Add(m.at * time.Minute)
		b := batchOf("x", timelineStart.Add(m.of*time.Minute).UnixMilli(), "a")
		if err := e.Ingest(t.Context(), w.accept(b, now.UnixMilli()), now); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.ContainsFunc(w.records, func(r journal.Record) bool { return r.Kind == journal.KindLate && strings.HasPrefix(r.Reason, "g/B") }) {
		t.Error("the sample of 4m, late for B, is not in the journal")
	}
}

// A breach of an alert that stands counts once its check has come, not before.
func TestStandingWaitsForTheCheck(t *testing.T) {
	w := newWorld()
	e, err := w.engine(parseOne(t, `groups: [{name: g, interval: 1m, rules: [{alert: A, expr: x > 90, consecutive: 1}]}]`))
	if err != nil {
		t.Fatal(err)
	}
	now := timelineStart
	send := func(v float64) {
		t.Helper()
		b := batchOf("x", now.UnixMilli(), "a")
		b.Samples[0].V = v
		if err := e.Ingest(t.Context(), w.accept(b, now.UnixMilli()), now); err != nil {
			t.Fatal(err)
		}
	}
	for range 5 {
		send(95)
		now = now.Add(time.Minute)
	}
	now = now.Add(-30 * time.Second)
	send(96)
	if a := e.Alerts()[0]; a.Run != 5 || a.Value != 95 {
		t.Errorf("before the check: %d breaches, the last %v; want 5, 95", a.Run, a.Value)
	}
	now = now.Add(30 * time.Second)
	if err := e.Advance(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	if a := e.Alerts()[0]; a.Run != 6 || a.Value != 96 {
		t.Errorf("at the check: %d breaches, the last %v; want 6, 96", a.Run, a.Value)
	}
}
