package ruleset

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/storage"
	"pgregory.net/rapid"

	"watchkeeper/internal/property"
	"watchkeeper/internal/sample"
)

// hookedStore calls a function when it is read.
type hookedStore struct {
	storage.Queryable
	read func()
}

func (s *hookedStore) Querier(mint, maxt int64) (storage.Querier, error) {
	if s.read != nil {
		s.read()
	}
	return s.Queryable.Querier(mint, maxt)
}

// A batch that comes while a thousand alerts are judged is judged in between: what it
// makes fire is told before all but a few of them.
func TestABatchGetsInDuringAStep(t *testing.T) {
	const n = 1000
	w := newWorld()
	hooked := &hookedStore{Queryable: w.store}
	// The evaluated rule has the store read at each check, before the others are judged.
	groups := parseOne(t, `groups: [{name: g, interval: 1m, rules: [
  {alert: Many, expr: x > 1, consecutive: 1}, {alert: One, expr: y > 1, consecutive: 1}, {alert: Read, expr: absent(z), consecutive: 1}]}]`)
	e, err := New(DefaultConfig(), groups, hooked, w, w, metrics.NewSet(), discard())
	if err != nil {
		t.Fatal(err)
	}
	many, one := batchOf("x", 0), batchOf("y", 0, "a")
	many.Source.Name, one.Source.Name = "many", "one"
	for i := range n {
		many.Samples = append(many.Samples, batchOf("x", 0, fmt.Sprint(i)).Samples...)
	}
	accept := func(b sample.Batch, v float64, at time.Time) sample.Batch {
		b.Samples = slices.Clone(b.Samples)
		for i := range b.Samples {
			b.Samples[i].T, b.Samples[i].V = at.UnixMilli(), v
		}
		b.Watermark = sample.Current
		return w.accept(b, at.UnixMilli())
	}
	start := timelineStart
	for i, v := range []float64{9, 0} { // x fires, and is good by the next check; y is good
		if err := e.Advance(t.Context(), start.Add(time.Duration(i)*time.Minute)); err != nil {
			t.Fatal(err)
		}
		at := start.Add(time.Duration(i)*time.Minute + time.Second)
		for _, b := range []sample.Batch{accept(many, v, at), accept(one, 0, at)} {
			if err := e.Ingest(t.Context(), b, at); err != nil {
				t.Fatal(err)
			}
		}
	}
	before := len(w.entries)
	end := start.Add(2 * time.Minute)
	var wg sync.WaitGroup
	hooked.read = func() { // within the step: the batch waits for the lock
		hooked.read = nil
		b := accept(one, 9, end.Add(-time.Second))
		wg.Go(func() {
			if err := e.Ingest(t.Context(), b, end); err != nil {
				t.Error(err)
			}
		})
		for e.mu.next.TryLock() {
			e.mu.next.Unlock()
			time.Sleep(time.Millisecond)
		}
	}
	if err := e.Advance(t.Context(), end); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	if err := e.flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	told := w.entries[before:]
	resolved := 0
	for _, en := range told {
		if en.Rule.Alert == "Many" && en.To == StateResolved {
			resolved++
		}
	}
	if resolved != n {
		t.Fatalf("%d alerts were resolved, want %d", resolved, n)
	}
	i := slices.IndexFunc(told, func(en Entry) bool { return en.Rule.Alert == "One" })
	if i < 0 || told[i].To != StateFiring || i > n/10 {
		t.Errorf("of %d entries the one of the batch is number %d", len(told), i)
	}
}

// Whatever batches come in between the instances that a step judges, both logs say of
// each identity what they say when the batches come after the step.
func TestBatchesWithinAStep(t *testing.T) {
	within := 0
	property.Check(t, func(rt *rapid.T) {
		s := drawScenario(rt)
		groups := parseOne(rt, s.rule)
		ps := drawParcels(rt, s)
		exact := rapid.Bool().Draw(rt, "at the step's time")
		wantSettled, wantLive := logsWithin(t, groups, ps, exact, func() bool { return false })
		in := 0
		settled, live := logsWithin(t, groups, ps, exact, func() bool {
			comes := rapid.Bool().Draw(rt, "a batch comes")
			if comes {
				in++
			}
			return comes
		})
		if diff := cmp.Diff(wantSettled, settled); diff != "" {
			rt.Fatalf("%s\n%s\n%d batches within steps: settled log (-after +within):\n%s", s.rule, s, in, diff)
		}
		if diff := cmp.Diff(wantLive, live); diff != "" {
			rt.Fatalf("%s\n%s\n%d batches within steps: live log (-after +within):\n%s", s.rule, s, in, diff)
		}
		within += in
	})
	if within == 0 && !t.Failed() {
		t.Error("no batch came within a step: this test shows nothing")
	}
}

// logsWithin plays parcels, the next one within a step wherever comes says so, and
// returns the lines of each identity. A parcel's last step is the one at its time
// (exact), or the one before.
func logsWithin(t *testing.T, groups []Group, ps []parcel, exact bool, comes func() bool) (settled, live map[string][]string) {
	ctx := context.Background()
	w := newWorld()
	e, err := w.engine(groups)
	if err != nil {
		t.Fatal(err)
	}
	e.looksAtOnce = 1 // there are few instances
	next := 0
	deliver := func() {
		p := ps[next]
		next++
		if err := e.Ingest(ctx, w.accept(p.batch, p.at), time.UnixMilli(p.at)); err != nil {
			t.Fatal(err)
		}
	}
	const every = 30_000
	for now := timelineStart.UnixMilli() - 60_000; now < timelineStart.UnixMilli()+60*60_000; now += every {
		due := now + every
		if exact {
			due = now
		}
		e.giveWay = func() {
			for next < len(ps) && ps[next].at <= due && comes() {
				e.mu.Unlock()
				deliver()
				e.mu.Lock()
			}
		}
		if err := e.Advance(ctx, time.UnixMilli(now)); err != nil {
			t.Fatal(err)
		}
		e.giveWay = func() {}
		for next < len(ps) && ps[next].at <= due {
			deliver()
		}
	}
	settled, live = map[string][]string{}, map[string][]string{}
	for _, en := range w.entries {
		to := live
		if en.Log == LogSettled {
			to = settled
		}
		en.ID = ""
		line := fmt.Sprint(en, en.Labels, en.Annotations, en.Samples)
		to[en.Identity.String()] = append(to[en.Identity.String()], line)
	}
	return settled, live
}

// An instance that goes to sleep while a step is at its rule takes none of those from
// the step that it has not looked at yet.
func TestWhatAStepHasNotLookedAtStays(t *testing.T) {
	property.Check(t, func(rt *rapid.T) {
		rs := &ruleState{}
		for i := range rapid.IntRange(1, 8).Draw(rt, "instances") {
			rs.all = append(rs.all, &instance{rs: rs, pos: i})
		}
		rs.looked = rapid.IntRange(0, len(rs.all)).Draw(rt, "looked at")
		seen := slices.Clone(rs.all[:rs.looked])
		for len(rs.all) > 0 {
			gone := rs.all[rapid.IntRange(0, len(rs.all)-1).Draw(rt, "goes to sleep")]
			rs.removeFromAll(gone)
			for i, in := range rs.all {
				if in == gone || in.pos != i {
					rt.Fatalf("what thinks it is at %d is at %d", in.pos, i)
				}
				if slices.Contains(seen, in) != (i < rs.looked) {
					rt.Fatalf("at %d, looked %d: on the wrong side", i, rs.looked)
				}
			}
		}
	})
}
