package ruleset

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"pgregory.net/rapid"

	"watchkeeper/internal/property"
	"watchkeeper/internal/sample"
)

// liveLines writes the live log down, identity by identity: which of them comes first
// is nobody's business.
func liveLines(entries []Entry) []string {
	entries = slices.Clone(entries)
	slices.SortStableFunc(entries, func(a, b Entry) int { return labels.Compare(a.Identity, b.Identity) })
	var out []string
	for _, en := range entries {
		if en.Log == LogLive {
			out = append(out, fmt.Sprintf("%d check %d %s %s->%s run %d %q", en.At, en.Check, en.Identity, en.From, en.To, en.Run, en.Reason))
		}
	}
	return out
}

// A batch is judged as a whole: what its later samples say of a check corrects
// nothing that was said, also where an alert stands and its samples are only counted.
func TestABatchCorrectsNothingOfItself(t *testing.T) {
	w := newWorld()
	e, err := w.engine(parseOne(t, "groups: [{name: g, interval: 1m, rules: [{alert: A, expr: x > 5, consecutive: 2}]}]"))
	if err != nil {
		t.Fatal(err)
	}
	l := labels.FromStrings(model.MetricNameLabel, "x", "i", "a")
	send := func(now time.Time, points ...point) {
		t.Helper()
		b := sample.Batch{Source: sample.Source{Name: "s"}}
		for _, p := range points {
			b.Samples = append(b.Samples, sample.Sample{Labels: l, T: timelineStart.UnixMilli() + p.t, V: p.v})
		}
		if err := e.Ingest(t.Context(), w.accept(b, now.UnixMilli()), now); err != nil {
			t.Fatal(err)
		}
	}
	for m := int64(1); m <= 4; m++ {
		send(timelineStart.Add(time.Duration(m)*time.Minute), point{m*60_000 - 100, 9})
	}
	told := len(w.entries)
	send(timelineStart.Add(8*time.Minute), point{5*60_000 - 100, 9}, point{6*60_000 - 100, 9}, point{7*60_000 - 100, 9}, point{5*60_000 - 50, 1})
	start := timelineStart.UnixMilli()
	want := []string{
		fmt.Sprintf("%d check %d {i=\"a\"} firing->resolved run 4 \"\"", start+8*60_000, start+5*60_000),
		fmt.Sprintf("%d check %d {i=\"a\"} inactive->pending run 1 \"\"", start+8*60_000, start+6*60_000),
		fmt.Sprintf("%d check %d {i=\"a\"} pending->firing run 2 \"\"", start+8*60_000, start+7*60_000),
	}
	if diff := cmp.Diff(want, liveLines(w.entries[told:])); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// drawOneStanding draws a rule of one comparison and samples that mostly breach, so that
// alerts stand.
func drawOneStanding(t *rapid.T) scenario {
	s := scenario{ups: map[string][]sample.Up{}}
	s.rule = fmt.Sprintf(`groups: [{name: g, interval: 1m, rules: [{alert: A, expr: 'a > 5', consecutive: %d, missing: %s, max_gap: %d, lateness: 30m, missing_after: %ds, resolve_after: %d, no_data_after: %d}]}]`,
		rapid.IntRange(1, 3).Draw(t, "consecutive"), rapid.SampledFrom([]string{"hold", "reset"}).Draw(t, "missing"), rapid.IntRange(0, 2).Draw(t, "max_gap"),
		rapid.SampledFrom([]int{0, 30, 60}).Draw(t, "missing_after"), rapid.IntRange(1, 2).Draw(t, "resolve_after"), rapid.IntRange(1, 4).Draw(t, "no_data_after"))
	for k := range int64(scenarioChecks) {
		for range rapid.SampledFrom([]int{0, 1, 1, 1, 1, 2}).Draw(t, "samples in slot") {
			ts := timelineStart.UnixMilli() + k*60_000 - rapid.Int64Range(0, 59_999).Draw(t, "age")
			if slices.ContainsFunc(s.samples, func(o sample.Sample) bool { return o.T == ts }) {
				continue
			}
			l := labels.FromStrings(model.MetricNameLabel, "a", "i", "x")
			s.samples = append(s.samples, sample.Sample{Labels: l, T: ts, V: rapid.SampledFrom([]float64{9, 9, 9, 9, 1}).Draw(t, "value")})
		}
	}
	return s
}

// Nor does the order within a batch matter to either log.
func TestOrderWithinABatchDoesNotMatter(t *testing.T) {
	property.Check(t, func(rt *rapid.T) {
		var s scenario
		if rapid.Bool().Draw(rt, "alerts stand") {
			s = drawOneStanding(rt)
		} else {
			s = drawScenario(rt)
		}
		groups := parseOne(rt, s.rule)
		ps := drawParcels(rt, s)
		settled, live := settledLog(t, groups, ps, nil)
		for i := range ps {
			slices.SortStableFunc(ps[i].batch.Samples, func(a, b sample.Sample) int { return compareInt(a.T, b.T) })
		}
		inOrder, liveInOrder := settledLog(t, groups, ps, nil)
		if diff := cmp.Diff(inOrder, settled); diff != "" {
			rt.Fatalf("%s\n%s\nsettled log (-in order +in any):\n%s", s.rule, s, diff)
		}
		if diff := cmp.Diff(liveLines(liveInOrder), liveLines(live)); diff != "" {
			rt.Fatalf("%s\n%s\nlive log (-in order +in any):\n%s", s.rule, s, diff)
		}
	})
}

// What was said in one batch is corrected when time alone shows that it was wrong.
func TestTimeCorrectsWhatABatchSaid(t *testing.T) {
	w := newWorld()
	e, err := w.engine(parseOne(t, "groups: [{name: g, interval: 1m, rules: [{alert: A, expr: x > 5, consecutive: 3, max_gap: 0, missing_after: 2m}]}]"))
	if err != nil {
		t.Fatal(err)
	}
	start := timelineStart.UnixMilli()
	for _, m := range []int64{1, 3} {
		if err := e.Ingest(t.Context(), w.accept(batchOf("x", start+m*60_000, "a"), start+m*60_000), time.UnixMilli(start+m*60_000)); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Advance(t.Context(), time.UnixMilli(start+4*60_000)); err != nil {
		t.Fatal(err)
	}
	line := func(at, check int64, change, reason string) string {
		return fmt.Sprintf("%d check %d {i=\"a\"} %s %q", start+at*60_000, start+check*60_000, change, reason)
	}
	want := []string{
		line(1, 1, "inactive->pending run 1", ""),
		line(4, 2, "pending->inactive run 1", "amended"),
		line(4, 3, "inactive->pending run 1", "amended"),
	}
	if diff := cmp.Diff(want, liveLines(w.entries)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
