package ruleset

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"watchkeeper/internal/journal"
	"watchkeeper/internal/property"
	"watchkeeper/internal/sample"
)

var errDead = errors.New("the process is dead")

// mortal is the world of an engine whose process dies at one of the moments at which
// others see something of it. From then on nothing of the engine comes through.
type mortal struct {
	*world
	mu    sync.Mutex
	left  int  // moments to live; below 0 it lives for ever
	takes bool // the last entries that it hands over are taken
	dead  bool
}

// moment says whether the process is dead.
func (m *mortal) moment() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.passes()
}

func (m *mortal) passes() bool {
	if m.left == 0 {
		m.dead = true
	}
	m.left--
	return m.dead
}

func (m *mortal) Log(ctx context.Context, entries []Entry) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if alive := !m.dead; m.passes() {
		if alive && m.takes {
			_ = m.world.Log(ctx, entries)
		}
		return errDead
	}
	return m.world.Log(ctx, entries)
}

func (m *mortal) Record(ctx context.Context, rs ...journal.Record) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead {
		return errDead
	}
	return m.world.Record(ctx, rs...)
}

// stepping plays parcels, some of them within steps.
type stepping struct {
	t      *testing.T
	w      *world
	m      *mortal
	e      *Engine
	groups []Group
	ps     []parcel
	next   int
	due    int64
	comes  func() bool
}

// start begins an engine that lives for so many moments.
func (s *stepping) start(left int, takes bool) {
	s.m = &mortal{world: s.w, left: left, takes: takes}
	e, err := New(DefaultConfig(), s.groups, s.w.store, s.m, s.m, metrics.NewSet(), discard())
	if err != nil {
		s.t.Fatal(err)
	}
	e.looksAtOnce = 1
	m := s.m
	e.giveWay = func() {
		for !m.moment() && s.next < len(s.ps) && s.ps[s.next].at <= s.due && s.comes() {
			e.mu.Unlock()
			s.deliver()
			e.mu.Lock()
		}
	}
	s.e = e
}

// deliver gives the next parcel to the store and the engine.
func (s *stepping) deliver() {
	p := s.ps[s.next]
	s.next++
	now := time.UnixMilli(p.at)
	if !s.e.MayBeLate(p.batch, now) {
		s.check(s.e.Ingest(s.t.Context(), s.w.accept(p.batch, p.at), now))
		return
	}
	stored := false
	s.check(s.e.IngestOld(s.t.Context(), p.batch.Source, now, func(foresee Foresee) (sample.Batch, error) {
		records, err := foresee(s.w.fresh(p.batch, p.at))
		if err != nil || s.m.moment() {
			return sample.Batch{}, errors.Join(err, errDead)
		}
		if s.w.records = append(s.w.records, records...); s.m.moment() {
			return sample.Batch{}, errDead
		}
		stored = true
		return s.w.accept(p.batch, p.at), nil
	}))
	if !stored {
		s.next-- // nobody was answered: it comes again
	}
}

func (s *stepping) check(err error) {
	if err != nil && !errors.Is(err, errDead) {
		s.t.Fatal(err)
	}
}

// play lets time pass; it says whether the process died.
func (s *stepping) play(exact bool) (died bool) {
	const every = 30_000
	for now := timelineStart.UnixMilli() - 60_000; now < timelineStart.UnixMilli()+60*60_000; now += every {
		if s.due = now + every; exact {
			s.due = now
		}
		s.check(s.e.Advance(s.t.Context(), time.UnixMilli(now)))
		for s.next < len(s.ps) && s.ps[s.next].at <= s.due && !s.m.moment() {
			s.deliver()
		}
		if s.m.moment() {
			died = true
			s.start(-1, false)
			at := now
			if s.next > 0 { // a batch within the step may have had it later
				at = max(at, s.ps[s.next-1].at)
			}
			if err := s.e.Recover(s.t.Context(), time.UnixMilli(at), s.w.alerts()); err != nil {
				s.t.Fatal(err)
			}
			for s.next < len(s.ps) && s.ps[s.next].at <= s.due {
				s.deliver()
			}
		}
	}
	return died
}

// settled lists the lines of the settled log in their order.
func (s *stepping) settled() (lines []string) {
	r := s.groups[0].Rules[0]
	var settled []Entry
	for _, en := range s.w.entries {
		if en.Log == LogSettled && r.lastCheck(en.Check) <= lastScenarioCheck(r) {
			settled = append(settled, en)
		}
	}
	slices.SortStableFunc(settled, CompareSettled)
	for _, en := range settled {
		v := en.Value
		if en.To != StateFiring && en.To != StatePending {
			v = math.NaN()
		}
		lines = append(lines, fmt.Sprintf("%d %s %s->%s value=%v", r.lastCheck(en.Check), en.Identity, en.From, en.To, v))
	}
	return lines
}

// The process dies in the middle of a step, where batches have come in between or what
// it has judged is handed over, before or after it was taken: the settled log is the
// same, and the live log goes on where it was.
func TestCrashWithinAStep(t *testing.T) {
	deaths, within := 0, 0
	property.Check(t, func(rt *rapid.T) {
		s := drawScenario(rt)
		groups := parseOne(rt, s.rule)
		ps := drawSamplesLate(rt, &s, drawLateUps(rt, &s, drawParcels(rt, s)), false)
		exact := rapid.Bool().Draw(rt, "at the step's time")
		never := stepping{t: t, w: newWorld(), groups: groups, ps: ps, comes: func() bool { return false }}
		never.start(-1, false)
		never.play(exact)

		dies := stepping{t: t, w: newWorld(), groups: groups, ps: ps, comes: func() bool {
			comes := rapid.Bool().Draw(rt, "a batch comes")
			if comes {
				within++
			}
			return comes
		}}
		dies.start(rapid.IntRange(0, 400).Draw(rt, "moments to live"), rapid.Bool().Draw(rt, "the last entries are taken"))
		if dies.play(exact) {
			deaths++
		}
		if diff := cmp.Diff(never.settled(), dies.settled()); diff != "" {
			rt.Fatalf("%s\n%s\nsettled log (-without crash +with):\n%s", s.rule, s, diff)
		}
		standing := map[string]State{}
		for _, en := range dies.w.entries {
			if en.Log != LogLive {
				continue
			}
			key := en.Identity.String()
			if !en.From.Open() {
				en.From = StateInactive // a run that has not fired may be told again
			}
			if was, ok := standing[key]; ok && was != en.From || !ok && en.From != StateInactive {
				rt.Fatalf("%s\n%s\nlive log goes on from %q after %q: %s", s.rule, s, en.From, was, en)
			}
			standing[key] = en.To
			if !en.To.Open() {
				standing[key] = StateInactive
			}
		}
	})
	t.Logf("%d deaths, %d batches within steps", deaths, within)
}
