package ruleset

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/internal/sample"
)

// Engine time never goes back: where the server's clock does, what comes is judged
// at the latest time that was named. A timeline cannot tell this, its lines are
// ordered by arrival.
func TestEngineTimeNeverGoesBack(t *testing.T) {
	w := newWorld()
	e, err := w.engine(parseOne(t, "groups: [{name: g, interval: 1m, rules: [{alert: A, expr: x > 1, consecutive: 2}]}]"))
	if err != nil {
		t.Fatal(err)
	}
	give := func(now, at time.Duration, v float64) {
		t.Helper()
		l := labels.FromStrings(model.MetricNameLabel, "x", "i", "a")
		b := sample.Batch{Source: sample.Source{Name: "test"}, Samples: []sample.Sample{{Labels: l, T: timelineStart.Add(at).UnixMilli(), V: v}}}
		if err := e.Ingest(t.Context(), w.accept(b, timelineStart.Add(now).UnixMilli()), timelineStart.Add(now)); err != nil {
			t.Fatal(err)
		}
	}
	give(time.Minute, time.Minute, 9)
	give(3*time.Minute, 3*time.Minute, 9)
	give(time.Minute, 2*time.Minute, 0) // the clock has been put back by two minutes
	if err := e.Advance(t.Context(), timelineStart.Add(2*time.Minute)); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, en := range w.entries {
		got = append(got, clock(en.At)+" "+string(en.To)+" "+en.Reason)
	}
	if d := cmp.Diff([]string{"1m pending ", "3m firing ", "3m pending amended"}, got); d != "" {
		t.Errorf("live log (-want +got):\n%s", d)
	}
}
