package ruleset

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"

	"github.com/VictoriaMetrics/metrics"

	"watchkeeper/internal/sample"
)

// countedStore counts how often it is read.
type countedStore struct {
	storage.Queryable
	reads int
}

func (s *countedStore) Querier(mint, maxt int64) (storage.Querier, error) {
	s.reads++
	return s.Queryable.Querier(mint, maxt)
}

// An alert whose samples come in order carries all that it rests on, and asks the
// store for none of it.
func TestEvidenceOfSamplesInOrderIsInMemory(t *testing.T) {
	w := newWorld()
	store := &countedStore{Queryable: w.store}
	var got []string
	sink := sinkFunc(func(es []Entry) error {
		for _, en := range es {
			if en.Log != LogLive {
				continue
			}
			line := fmt.Sprintf("%s %s %v:", time.UnixMilli(en.Check).Sub(timelineStart), en.To, en.Value)
			for _, ev := range en.Samples {
				line += fmt.Sprintf(" %s=%v", time.UnixMilli(ev.T).Sub(timelineStart), ev.V)
			}
			got = append(got, line)
		}
		return nil
	})
	groups := parseOne(t, "groups: [{name: g, interval: 1m, rules: [{alert: A, expr: x >= 90, consecutive: 3}]}]")
	e, err := New(DefaultConfig(), groups, store, w, sink, metrics.NewSet(), discard())
	if err != nil {
		t.Fatal(err)
	}
	values := [][2]float64{{50, 50}, {50, 95}, {50, 96}, {99, 97}, {98, 98}, {99, 99}, {91, 92}, {93, 94}, {50, 51}, {50, 52}}
	for i, v := range values { // two samples in each slot
		for n, x := range v {
			at := timelineStart.Add(time.Duration(i)*time.Minute + time.Duration(n+1)*20*time.Second)
			b := sample.Batch{Source: sample.Source{Name: "test"}, Watermark: sample.Current}
			b.Samples = []sample.Sample{{Labels: labels.FromStrings(model.MetricNameLabel, "x", "i", "a"), T: at.UnixMilli(), V: x}}
			if err := e.Ingest(t.Context(), w.accept(b, at.UnixMilli()), at); err != nil {
				t.Fatal(err)
			}
		}
		if err := e.Advance(t.Context(), timelineStart.Add(time.Duration(i+1)*time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{
		"2m0s pending 95:",
		"4m0s firing 97: 1m40s=95 2m40s=96 3m40s=97",
		"9m0s resolved 51: 7m40s=94 8m40s=51",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	if store.reads > 0 {
		t.Errorf("the store was read %d times", store.reads)
	}
}
