package ruleset

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"pgregory.net/rapid"

	"watchkeeper/internal/property"
	"watchkeeper/internal/sample"
)

// damagedStore cannot read series that have a label (any where there is no name) in a
// stretch of time, both ends included (hi 0: at all times), as long as it is damaged.
type damagedStore struct {
	storage.Queryable
	name, value string
	lo, hi      int64
	damaged     bool
	failed      int
}

func (s *damagedStore) Querier(mint, maxt int64) (storage.Querier, error) {
	q, err := s.Queryable.Querier(mint, maxt)
	return damagedQuerier{q, s, s.damaged && (s.hi == 0 || mint <= s.hi && maxt >= s.lo)}, err
}

type damagedQuerier struct {
	storage.Querier
	s       *damagedStore
	damaged bool
}

func (q damagedQuerier) Select(ctx context.Context, sorted bool, hints *storage.SelectHints, ms ...*labels.Matcher) storage.SeriesSet {
	if q.damaged && (q.s.name == "" || slices.ContainsFunc(ms, func(m *labels.Matcher) bool {
		return m.Name == q.s.name && m.Type == labels.MatchEqual && m.Value == q.s.value
	})) {
		q.s.failed++
		return storage.ErrSeriesSet(errors.New("damaged block"))
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
		store := &damagedStore{}
		if rapid.Bool().Draw(rt, "a series") {
			store.name, store.value = "i", "x"
		} else {
			store.lo = timelineStart.UnixMilli() + rapid.Int64Range(0, 40*60_000).Draw(rt, "stretch from")
			store.hi = store.lo + rapid.Int64Range(1, 10*60_000).Draw(rt, "stretch")
		}
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

// unreadStory is an engine with one rule over a store of which the minutes 10 and 11
// cannot be read from minute 60 on, when a sample of minute 10 comes for one of its two
// series.
type unreadStory struct {
	t      *testing.T
	w      *world
	store  *damagedStore
	groups []Group
	e      *Engine
	now    time.Time
}

func newUnreadStory(t *testing.T, fields string, damaged bool) *unreadStory {
	t.Helper()
	s := &unreadStory{t: t, w: newWorld(), now: timelineStart}
	s.store = &damagedStore{
		Queryable: s.w.store, name: model.MetricNameLabel, value: "x",
		lo: timelineStart.Add(10 * time.Minute).UnixMilli(), hi: timelineStart.Add(11 * time.Minute).UnixMilli(),
	}
	s.groups = parseOne(t, "groups: [{name: g, interval: 1m, rules: [{alert: A, consecutive: 1, lateness: 2h, "+fields+"}]}]")
	s.start()
	for range 60 {
		s.now = s.now.Add(time.Minute)
		if s.minute() != 10 {
			s.give(1, s.now, "a", "b")
		}
	}
	s.store.damaged = damaged
	s.give(2000, timelineStart.Add(10*time.Minute), "a")
	if damaged && s.store.failed == 0 {
		t.Fatal("nothing was read: this test shows nothing")
	}
	return s
}

func (s *unreadStory) start() {
	s.t.Helper()
	var err error
	if s.e, err = New(DefaultConfig(), s.groups, s.store, s.w, s.w, metrics.NewSet(), discard()); err != nil {
		s.t.Fatal(err)
	}
}

func (s *unreadStory) minute() int { return int(s.now.Sub(timelineStart) / time.Minute) }

// give delivers a value of some series; their source tells that it looks.
func (s *unreadStory) give(v float64, at time.Time, ids ...string) {
	s.t.Helper()
	b := batchOf("x", at.UnixMilli(), ids...)
	for i := range b.Samples {
		b.Samples[i].V = v
	}
	if at.Equal(s.now) {
		b.Ups = []sample.Up{{T: at.UnixMilli(), OK: true}}
	}
	if err := s.e.Ingest(s.t.Context(), s.w.accept(b, s.now.UnixMilli()), s.now); err != nil {
		s.t.Fatal(err)
	}
}

// told lists what a log says, from an entry on.
func (s *unreadStory) told(log Log, from int) (out []string) {
	for _, en := range s.w.entries[from:] {
		if en.Log == log {
			out = append(out, fmt.Sprintf("%d %s %s %s", (en.Check-timelineStart.UnixMilli())/60_000, en.Identity.Get("i"), en.To, en.Reason))
		}
	}
	return out
}

// What happens now is told at once while old samples cannot be read. The settled log
// waits for them for an hour and then goes on without them, in order.
func TestAnUnreadableStretchHoldsUpNoAlert(t *testing.T) {
	for expr, waiting := range map[string]int{"x > 1000": 1, "sqrt(x) > 30": 2} {
		t.Run(expr, func(t *testing.T) {
			s := newUnreadStory(t, "expr: "+expr, true)
			unread := func(want int) {
				t.Helper()
				if n := s.e.m.aside.Load(); int(n) != want {
					t.Errorf("minute %d: %d identities are counted as unread, want %d", s.minute(), n, want)
				}
				if diff := cmp.Diff(want, s.e.Unread()[""]); diff != "" {
					t.Errorf("minute %d: of the customer (-want +got):\n%s", s.minute(), diff)
				}
			}
			unread(waiting)
			s.now = s.now.Add(time.Minute)
			s.give(2000, s.now, "a", "b")
			if diff := cmp.Diff([]string{"61 a firing ", "61 b firing "}, s.told(LogLive, 0)); diff != "" {
				t.Errorf("the next minute (-want +got):\n%s", diff)
			}
			for s.minute() < 119 {
				s.now = s.now.Add(time.Minute)
				s.give(2000, s.now, "a", "b")
			}
			unread(waiting)
			s.now = s.now.Add(time.Minute)
			s.give(1, s.now, "a", "b")
			unread(0)
			if n := s.e.m.givenUp.Get(); n == 0 {
				t.Error("no check is counted as given up")
			}
			for s.minute() < 76*60 {
				s.now = s.now.Add(time.Minute)
				s.give(1, s.now, "a", "b")
			}
			want := []string{"61 a firing ", "61 b firing ", "120 a resolved ", "120 b resolved "}
			if diff := cmp.Diff(want, s.told(LogLive, 0)); diff != "" {
				t.Errorf("the live log (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(want, s.told(LogSettled, 0)); diff != "" {
				t.Errorf("the settled log (-want +got):\n%s", diff)
			}
			n := len(s.w.entries)
			s.start()
			if err := s.e.Recover(t.Context(), s.now, s.w.alerts()); err != nil {
				t.Fatalf("the stretch is older than what a start reads: %v", err)
			}
			if got := s.told(LogLive, n); got != nil {
				t.Errorf("told again: %q", got)
			}
		})
	}
}

// A start that needs what cannot be read refuses, and says why.
func TestAStartThatCannotReadRefuses(t *testing.T) {
	s := newUnreadStory(t, "expr: x > 1000", true)
	s.start()
	if err := s.e.Recover(t.Context(), s.now, nil); err == nil || !strings.Contains(err.Error(), "damaged block") {
		t.Errorf("it says %v", err)
	}
}

// Checks that cannot be read are unobserved: they breach under no setting, and they have
// no part in the silence that makes no-data. All others are judged as if nothing were
// damaged, whether it can be read again some day or not.
func TestChecksThatCannotBeReadAreUnobserved(t *testing.T) {
	for _, fields := range []string{
		"expr: x > 1000", "expr: x > 1000, missing: breach", "expr: x > 1000, missing_after: 2h",
		"expr: sqrt(x) > 30", "expr: sqrt(x) > 30, missing: breach", "expr: sqrt(x) > 30, missing_after: 2h",
	} {
		t.Run(fields, func(t *testing.T) {
			settled := func(damaged bool) []string {
				s := newUnreadStory(t, fields, damaged)
				for s.minute() < 28*60 {
					s.now = s.now.Add(time.Minute)
					switch m := s.minute(); {
					case m > 120 && m < 140: // it looks and finds nothing
						s.give(0, s.now)
					case m < 200:
						s.give(2000, s.now, "a")
					default:
						s.give(1, s.now, "a")
					}
				}
				s.store.damaged = false
				for range 400 {
					s.now = s.now.Add(time.Minute)
					s.give(1, s.now, "a")
				}
				return s.told(LogSettled, 0)
			}
			want := slices.DeleteFunc(settled(false), func(line string) bool { return strings.HasPrefix(line, "10 a ") || strings.HasPrefix(line, "11 a ") })
			if diff := cmp.Diff(want, settled(true)); diff != "" {
				t.Errorf("the settled log (-readable +damaged):\n%s", diff)
			}
		})
	}
}

// What was judged from samples stands when these cannot be read any more.
func TestAnAlertStandsWhoseSamplesCannotBeReadAnyMore(t *testing.T) {
	for expr, reason := range map[string]string{"x > 1000": "nan", "sqrt(x) > 30": ""} {
		s := &unreadStory{t: t, w: newWorld(), now: timelineStart}
		s.store = &damagedStore{
			Queryable: s.w.store, lo: timelineStart.Add(10 * time.Minute).UnixMilli(), hi: timelineStart.Add(11 * time.Minute).UnixMilli(),
		}
		s.groups = parseOne(t, "groups: [{name: g, interval: 1m, rules: [{alert: A, consecutive: 2, lateness: 2h, expr: "+expr+"}]}]")
		s.start()
		for range 60 {
			s.now = s.now.Add(time.Minute)
			switch s.minute() {
			case 1, 2, 3, 4, 5, 6, 7, 8:
				s.give(1, s.now, "a")
			case 10, 11:
				s.give(2000, s.now, "a")
			default:
				s.give(math.NaN(), s.now, "a")
			}
		}
		s.store.damaged = true
		s.give(1, timelineStart.Add(9*time.Minute), "a")
		s.give(1, timelineStart.Add(11*time.Minute-time.Second), "a")
		for range 180 {
			s.now = s.now.Add(time.Minute)
			s.give(math.NaN(), s.now, "a")
		}
		if s.store.failed == 0 {
			t.Errorf("%s: nothing was read: this test shows nothing", expr)
		}
		want := []string{"10 a pending ", "11 a firing ", "16 a no_data " + reason}
		if diff := cmp.Diff(want, s.told(LogLive, 0)); diff != "" {
			t.Errorf("%s: the live log (-want +got):\n%s", expr, diff)
		}
		if diff := cmp.Diff(want, s.told(LogSettled, 0)); diff != "" {
			t.Errorf("%s: the settled log (-want +got):\n%s", expr, diff)
		}
	}
}

// However much cannot be read for ever, nothing waits for longer than giveUpAfter.
func TestNothingWaitsForEver(t *testing.T) {
	failed, gave := 0, 0
	property.Check(t, func(rt *rapid.T) {
		s := drawScenario(rt)
		ps := drawParcels(rt, s)
		from := rapid.Int64Range(0, 40).Draw(rt, "damaged from") * 60_000
		w := newWorld()
		store := &damagedStore{Queryable: w.store}
		if rapid.Bool().Draw(rt, "a stretch") {
			store.lo = timelineStart.UnixMilli() + rapid.Int64Range(0, 40*60_000).Draw(rt, "stretch from")
			store.hi = store.lo + rapid.Int64Range(1, 10*60_000).Draw(rt, "stretch")
		}
		e, err := New(DefaultConfig(), parseOne(rt, s.rule), store, w, w, metrics.NewSet(), discard())
		if err != nil {
			t.Fatal(err)
		}
		now := timelineStart.UnixMilli() - 60_000
		advance := func(until int64) {
			for ; now < until; now += 30_000 {
				store.damaged = now >= timelineStart.UnixMilli()+from
				if err := e.Advance(t.Context(), time.UnixMilli(now)); err != nil {
					t.Fatal(err)
				}
				for _, in := range e.rules[0].all {
					waited := in.settledThrough(now-giveUpAfter.Milliseconds()-60_000, e.forceAfter())
					if in.first <= waited && in.settledCheck < waited-settleLag {
						rt.Fatalf("%s\n%s\nminute %d: %s has settled up to %d checks before %v", s.rule, s,
							(now-timelineStart.UnixMilli())/60_000, in.id, waited-in.settledCheck, in.rs.rule.timeOf(waited))
					}
				}
			}
		}
		for _, p := range ps {
			advance(p.at)
			if err := e.Ingest(t.Context(), w.accept(p.batch, p.at), time.UnixMilli(p.at)); err != nil {
				t.Fatal(err)
			}
		}
		advance(timelineStart.UnixMilli() + 6*60*60_000)
		failed, gave = failed+min(1, store.failed), gave+min(1, int(e.m.givenUp.Get()))
	})
	t.Logf("reads failed in %d, checks were given up in %d", failed, gave)
}

// Checks between two stretches that cannot be read keep what was judged of them.
func TestWhatLiesBetweenUnreadableStretchesStands(t *testing.T) {
	for _, expr := range []string{"x > 1000", "max_over_time(x[1m]) > 1000", "sqrt(x) > 30"} {
		settled := func(damaged bool) []string {
			s := &unreadStory{t: t, w: newWorld(), now: timelineStart}
			s.store = &damagedStore{
				Queryable: s.w.store, lo: timelineStart.Add(10 * time.Minute).UnixMilli(), hi: timelineStart.Add(51 * time.Minute).UnixMilli(),
			}
			s.groups = parseOne(t, "groups: [{name: g, interval: 1m, rules: [{alert: A, consecutive: 1, lateness: 4h, max_gap: 30, expr: '"+expr+"'}]}]")
			s.start()
			for range 100 {
				s.now = s.now.Add(time.Minute)
				switch m := s.minute(); {
				case m == 10 || m == 50:
				case m > 14 && m < 41: // it looks and finds nothing
					s.give(0, s.now)
				case m > 13 && m < 45:
					s.give(2000, s.now, "a")
				default:
					s.give(1, s.now, "a")
				}
			}
			s.store.damaged = damaged
			s.give(1, timelineStart.Add(10*time.Minute), "a")
			s.give(1, timelineStart.Add(50*time.Minute), "a")
			if damaged && s.store.failed == 0 {
				t.Fatal("nothing was read: this test shows nothing")
			}
			for range 5 * 60 {
				s.now = s.now.Add(time.Minute)
				s.give(1, s.now, "a")
			}
			return s.told(LogSettled, 0)
		}
		if diff := cmp.Diff(settled(false), settled(true)); diff != "" {
			t.Errorf("%s: the settled log (-readable +damaged):\n%s", expr, diff)
		}
	}
}
