package ruleset

import (
	"errors"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/prometheus/prometheus/storage"
)

// failingStore cannot be read once it has been read so often.
type failingStore struct {
	storage.Queryable
	reads, most int
}

func (s *failingStore) Querier(mint, maxt int64) (storage.Querier, error) {
	if s.reads++; s.reads > s.most {
		return nil, errors.New("disk")
	}
	return s.Queryable.Querier(mint, maxt)
}

// A reload that fails, wherever the store lets it down, changes nothing: what comes
// afterwards tells nothing of the rules that were to come.
func TestFailedReloadTellsNothing(t *testing.T) {
	const always = 1 << 30
	w := newWorld()
	store := &failingStore{Queryable: w.store, most: always}
	old := parseOne(t, "groups: [{name: g, interval: 1m, rules: [{alert: A, expr: x > 1000, consecutive: 1}]}]")
	next := parseOne(t, `groups: [{name: g, interval: 1m, rules: [
  {alert: A, expr: x > 1000, consecutive: 1}, {alert: B, expr: x > 1, consecutive: 1}, {alert: C, expr: "sum_over_time(x[60m]) > 1", consecutive: 1}]}]`)
	e, err := New(DefaultConfig(), old, store, w, w, metrics.NewSet(), discard())
	if err != nil {
		t.Fatal(err)
	}
	var now time.Time
	for m := range 100 {
		now = timelineStart.Add(time.Duration(m) * time.Minute)
		if err := e.Ingest(t.Context(), w.accept(batchOf("x", now.UnixMilli(), "a", "b"), now.UnixMilli()), now); err != nil {
			t.Fatal(err)
		}
	}
	failed := 0
	for at := 0; ; at++ {
		store.reads, store.most = 0, at
		err := e.Reload(t.Context(), next, now)
		store.most = always
		if err == nil {
			break
		}
		failed++
		before := len(w.entries)
		if err := e.Advance(t.Context(), now); err != nil {
			t.Fatal(err)
		}
		for _, en := range w.entries[before:] {
			t.Errorf("failed at read %d: %s %s %s %s -> %s", at, en.Log, en.Rule.Alert, en.Identity, en.From, en.To)
		}
	}
	if failed < 5 {
		t.Errorf("the reload failed %d times, want it to read the store more often", failed)
	}
}

// At a check an alert is judged once, not again with each batch that comes in between.
func TestRipeOncePerCheck(t *testing.T) {
	const n = 300
	w := newWorld()
	groups := parseOne(t, `groups: [{name: g, interval: 1m, rules: [
  {alert: Many, expr: x > 1000, consecutive: 1, missing: breach, missing_after: 30s}, {alert: One, expr: y > 1000, consecutive: 1}]}]`)
	e, err := New(DefaultConfig(), groups, w.store, w, w, metrics.NewSet(), discard())
	if err != nil {
		t.Fatal(err)
	}
	ids := make([]string, n)
	for i := range ids {
		ids[i] = string(rune('a' + i))
	}
	give := func(metric string, at time.Time, ids ...string) {
		b := batchOf(metric, at.UnixMilli(), ids...)
		b.Source.Name = metric
		for i := range b.Samples {
			b.Samples[i].V = 1
		}
		if err := e.Ingest(t.Context(), w.accept(b, at.UnixMilli()), at); err != nil {
			t.Fatal(err)
		}
	}
	at := timelineStart.Add(-10 * time.Second)
	for range 5 {
		at = at.Add(time.Minute)
		give("x", at, ids...)
		give("y", at, "a")
		for _, later := range []time.Duration{10 * time.Second, 45 * time.Second} {
			if err := e.Advance(t.Context(), at.Add(later)); err != nil {
				t.Fatal(err)
			}
		}
	}
	between := 0
	e.giveWay = func() {
		if between++; between > 1 {
			return
		}
		ripe := len(e.rules[0].ripe)
		if ripe == 0 {
			t.Error("nobody is ripe again: this test shows nothing")
		}
		e.mu.Unlock()
		give("y", at.Add(70*time.Second), "a")
		e.mu.Lock()
		if left := len(e.rules[0].ripe); left < ripe {
			t.Errorf("a batch within the step had %d of %d ripe alerts judged", ripe-left, ripe)
		}
	}
	if err := e.Advance(t.Context(), at.Add(70*time.Second)); err != nil {
		t.Fatal(err)
	}
	if between == 0 {
		t.Error("the step never gave way")
	}
}
