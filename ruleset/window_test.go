package ruleset

import (
	"fmt"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"

	"watchkeeper/internal/sample"
)

// countingStore counts how often it is asked.
type countingStore struct {
	*Memory
	asked int
}

func (s *countingStore) Querier(mint, maxt int64) (storage.Querier, error) {
	s.asked++
	return s.Memory.Querier(mint, maxt)
}

// A window is computed from memory while samples come in order, however dense they
// are, and what is kept for it is bounded.
func TestWindowsReadMemory(t *testing.T) {
	for _, c := range []struct {
		step  time.Duration
		kept  int
		reads bool
	}{
		{time.Minute, 16, false},
		{10 * time.Second, 80, false}, // 10m of window and two checks of room: 72 and some
		{time.Second, maxTailPoints, true},
	} {
		t.Run(c.step.String(), func(t *testing.T) {
			store := &countingStore{Memory: NewMemory()}
			w := newWorld()
			w.store = store.Memory
			groups := parseOne(t, "groups: [{name: g, interval: 1m, rules: [{alert: A, expr: 'increase(a[10m]) > 1e9', consecutive: 1}]}]")
			e, err := New(DefaultConfig(), groups, store, w, w, metrics.NewSet(), discard())
			if err != nil {
				t.Fatal(err)
			}
			l := labels.FromStrings(model.MetricNameLabel, "a", "i", "x")
			for now := timelineStart; now.Before(timelineStart.Add(30 * time.Minute)); now = now.Add(c.step) {
				b := sample.Batch{Source: sample.Source{Name: "s"}, Samples: []sample.Sample{{Labels: l, T: now.UnixMilli(), V: 1}}}
				if err := e.Ingest(t.Context(), w.accept(b, now.UnixMilli()), now); err != nil {
					t.Fatal(err)
				}
			}
			if n := len(e.series.get(l).tail); n > c.kept {
				t.Errorf("%d points are kept, want at most %d", n, c.kept)
			}
			if (store.asked > 0) != c.reads {
				t.Errorf("the store was read %d times", store.asked)
			}
		})
	}
}

// A group may be of any size: judging it is linear in its members.
func TestLargeGroup(t *testing.T) {
	w := newWorld()
	groups := parseOne(t, "groups: [{name: g, interval: 1m, rules: [{alert: A, expr: 'count by (i) (a > 5) >= 300', consecutive: 2, resolve_after: 1}]}]")
	e, err := w.engine(groups)
	if err != nil {
		t.Fatal(err)
	}
	for round, failing := range []int{0, 299, 300, 301, 300, 299} {
		now := timelineStart.Add(time.Duration(round) * time.Minute)
		b := sample.Batch{Source: sample.Source{Name: "s"}}
		for i := range 500 {
			v := 0.0
			if i < failing {
				v = 9
			}
			l := labels.FromStrings(model.MetricNameLabel, "a", "i", "x", "p", fmt.Sprint(i))
			b.Samples = append(b.Samples, sample.Sample{Labels: l, T: now.UnixMilli(), V: v})
		}
		if err := e.Ingest(t.Context(), w.accept(b, now.UnixMilli()), now); err != nil {
			t.Fatal(err)
		}
		want := round == 3 || round == 4
		if as := e.Alerts(); (len(as) == 1 && as[0].State == StateFiring) != want {
			t.Errorf("minute %d, %d of 500 fail: %v, want firing %v", round, failing, as, want)
		}
	}
}
