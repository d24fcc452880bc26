package ruleset

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"pgregory.net/rapid"

	"watchkeeper/internal/property"
)

// damagedStore cannot read series that have a label, as long as it is damaged.
type damagedStore struct {
	storage.Queryable
	name, value string
	damaged     bool
	failed      int
}

func (s *damagedStore) Querier(mint, maxt int64) (storage.Querier, error) {
	q, err := s.Queryable.Querier(mint, maxt)
	return damagedQuerier{q, s}, err
}

type damagedQuerier struct {
	storage.Querier
	s *damagedStore
}

func (q damagedQuerier) Select(ctx context.Context, sorted bool, hints *storage.SelectHints, ms ...*labels.Matcher) storage.SeriesSet {
	for _, m := range ms {
		if q.s.damaged && m.Name == q.s.name && m.Type == labels.MatchEqual && m.Value == q.s.value {
			q.s.failed++
			return storage.ErrSeriesSet(errors.New("damaged block"))
		}
	}
	return q.Querier.Select(ctx, sorted, hints, ms...)
}

// What cannot be read holds up nobody else, is tried again, and is judged as ever once it
// can be read.
func TestADamagedSeriesHoldsUpNobody(t *testing.T) {
	w := newWorld()
	store := &damagedStore{Queryable: w.store, name: "i", value: "a"}
	groups := parseOne(t, "groups: [{name: g, interval: 1m, rules: [{alert: A, expr: x > 1000, consecutive: 1, lateness: 2h}]}]")
	set := metrics.NewSet()
	e, err := New(DefaultConfig(), groups, store, w, w, set, discard())
	if err != nil {
		t.Fatal(err)
	}
	now := timelineStart
	give := func(v float64, at time.Time, ids ...string) {
		t.Helper()
		b := batchOf("x", at.UnixMilli(), ids...)
		for i := range b.Samples {
			b.Samples[i].V = v
		}
		if err := e.Ingest(t.Context(), w.accept(b, now.UnixMilli()), now); err != nil {
			t.Fatal(err)
		}
	}
	told := func() (out []string) {
		for _, en := range w.entries {
			if en.Log == LogLive {
				out = append(out, fmt.Sprint(en.Identity.Get("i"), " ", en.To))
			}
		}
		return out
	}
	for range 60 {
		now = now.Add(time.Minute)
		if now.Sub(timelineStart) != 10*time.Minute {
			give(1, now, "a", "b")
		}
	}
	store.damaged = true
	give(2000, timelineStart.Add(10*time.Minute), "a") // late: what followed has to be read
	if store.failed == 0 {
		t.Fatal("nothing was read: this test shows nothing")
	}
	for range 5 {
		now = now.Add(time.Minute)
		give(2000, now, "b")
		give(1, now, "a")
	}
	if diff := cmp.Diff([]string{"b firing"}, told()); diff != "" {
		t.Errorf("while it is damaged (-want +got):\n%s", diff)
	}
	if n := e.m.aside.Load(); n != 1 || e.m.judgingFailures.Get() < 5 {
		t.Errorf("%d identities are counted as unread, and %d failures", n, e.m.judgingFailures.Get())
	}
	store.damaged = false
	now = now.Add(time.Minute)
	if err := e.Advance(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"b firing", "a firing", "a resolved"}, told()); diff != "" {
		t.Errorf("once it can be read (-want +got):\n%s", diff)
	}
	if n := e.m.aside.Load(); n != 0 {
		t.Errorf("%d identities are counted as unread", n)
	}
}

// An evaluated rule that cannot be evaluated holds up no other rule, and nothing is
// decided of it meanwhile.
func TestARuleThatCannotBeEvaluatedHoldsUpNoOther(t *testing.T) {
	w := newWorld()
	store := &damagedStore{Queryable: w.store, name: "__name__", value: "y"}
	groups := parseOne(t, `groups: [{name: g, interval: 1m, rules: [
  {alert: Eval, expr: "sqrt(y) > 30", consecutive: 1, missing: breach, missing_after: 0s}, {alert: Stream, expr: x > 1000, consecutive: 1}]}]`)
	e, err := New(DefaultConfig(), groups, store, w, w, metrics.NewSet(), discard())
	if err != nil {
		t.Fatal(err)
	}
	if m, _ := groups[0].Rules[0].Mode(); m == ModeStreaming {
		t.Fatal("the first rule streams")
	}
	now := timelineStart.Add(-10 * time.Second)
	minute := func(x, y float64) {
		t.Helper()
		now = now.Add(time.Minute)
		for metric, v := range map[string]float64{"x": x, "y": y} {
			b := batchOf(metric, now.UnixMilli(), "a")
			b.Samples[0].V = v
			if err := e.Ingest(t.Context(), w.accept(b, now.UnixMilli()), now); err != nil {
				t.Fatal(err)
			}
		}
		if err := e.Advance(t.Context(), now.Add(20*time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	minute(1, 1)
	minute(1, 1)
	store.damaged = true
	minute(2000, 1)
	minute(1, 2000)
	minute(1, 1)
	told := func() (out []string) {
		for _, en := range w.entries {
			if en.Log == LogLive {
				out = append(out, fmt.Sprintf("%s %s %d", en.Rule.Alert, en.To, (en.Check-timelineStart.UnixMilli())/60_000))
			}
		}
		return out
	}
	if diff := cmp.Diff([]string{"Stream firing 3", "Stream resolved 4"}, told()); diff != "" {
		t.Errorf("while it is damaged (-want +got):\n%s", diff)
	}
	store.damaged = false
	minute(1, 1)
	if diff := cmp.Diff([]string{"Stream firing 3", "Stream resolved 4", "Eval firing 4", "Eval resolved 5"}, told()); diff != "" {
		t.Errorf("once it can be read (-want +got):\n%s", diff)
	}
}

// Whatever cannot be read for a while, the settled log is the same in the end.
func TestReadsThatFailLoseNothing(t *testing.T) {
	failed := 0
	property.Check(t, func(rt *rapid.T) {
		s := drawScenario(rt)
		groups := parseOne(rt, s.rule)
		ps := drawParcels(rt, s)
		from := rapid.Int64Range(0, 40).Draw(rt, "damaged from")
		to := from + rapid.Int64Range(1, 40).Draw(rt, "damaged for")
		store := &damagedStore{name: "i", value: "x"}
		play := func(damages bool) (lines []string) {
			w := newWorld()
			store.Queryable, store.damaged = w.store, false
			e, err := New(DefaultConfig(), groups, store, w, w, metrics.NewSet(), discard())
			if err != nil {
				t.Fatal(err)
			}
			now := timelineStart.UnixMilli() - 60_000
			advance := func(until int64) {
				for ; now < until; now += 30_000 {
					minute := (now - timelineStart.UnixMilli()) / 60_000
					store.damaged = damages && minute >= from && minute < to
					if err := e.Advance(t.Context(), time.UnixMilli(now)); err != nil {
						t.Fatal(err)
					}
				}
			}
			for _, p := range ps {
				advance(p.at)
				if err := e.Ingest(t.Context(), w.accept(p.batch, p.at), time.UnixMilli(p.at)); err != nil {
					t.Fatal(err)
				}
			}
			advance(timelineStart.UnixMilli() + 90*60_000)
			var settled []Entry
			for _, en := range w.entries {
				if en.Log == LogSettled {
					settled = append(settled, en)
				}
			}
			slices.SortStableFunc(settled, CompareSettled)
			for _, en := range settled {
				lines = append(lines, fmt.Sprint(en))
			}
			return lines
		}
		want := play(false)
		store.failed = 0
		got := play(true)
		failed += min(1, store.failed)
		if diff := cmp.Diff(want, got); diff != "" {
			rt.Fatalf("%s\n%s\nsettled log (-readable +damaged):\n%s", s.rule, s, diff)
		}
	})
	t.Logf("reads failed in %d", failed)
}
