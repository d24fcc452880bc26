package exporters

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/google/go-cmp/cmp"

	"watchkeeper/internal/sample"
)

// stubCollector delivers an up-sample, unless its function decides otherwise.
type stubCollector struct {
	source sample.Source
	f      func(ctx context.Context, at time.Time) error

	mu  sync.Mutex
	ats []time.Time // when it was called for
}

func stub(name string, f func(ctx context.Context, at time.Time) error) *stubCollector {
	return &stubCollector{source: sample.Source{Customer: "acme", Name: name}, f: f}
}

func (c *stubCollector) Source() sample.Source { return c.source }

func (c *stubCollector) Collect(ctx context.Context, at time.Time, sink Sink) error {
	c.mu.Lock()
	c.ats = append(c.ats, at)
	c.mu.Unlock()
	if c.f != nil {
		if err := c.f(ctx, at); err != nil {
			return err
		}
	}
	return sink.Append(ctx, sample.Batch{Source: c.source, Ups: []sample.Up{{T: at.UnixMilli(), OK: true}}})
}

func (c *stubCollector) calls() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.ats)
}

// memorySink keeps the up-samples per source.
type memorySink struct {
	mu  sync.Mutex
	ups map[string][]sample.Up
	err error
}

func (s *memorySink) Append(_ context.Context, b sample.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	if s.ups == nil {
		s.ups = make(map[string][]sample.Up)
	}
	s.ups[b.Source.Name] = append(s.ups[b.Source.Name], b.Ups...)
	return nil
}

func (s *memorySink) setErr(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// oks returns the source's up-samples as a string of 1 and 0.
func (s *memorySink) oks(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var b strings.Builder
	for _, u := range s.ups[name] {
		fmt.Fprint(&b, map[bool]int{true: 1}[u.OK])
	}
	return b.String()
}

// world is a running scheduler inside a synctest bubble.
type world struct {
	*Scheduler
	sink *memorySink
	set  *metrics.Set
	logs *bytes.Buffer
	stop func()
}

func runWorld(t *testing.T, jobs ...Job) *world {
	t.Helper()
	w := &world{sink: &memorySink{}, set: metrics.NewSet(), logs: &bytes.Buffer{}}
	w.Scheduler = NewScheduler(w.sink, w.set, slog.New(slog.NewTextHandler(w.logs, nil)))
	w.apply(t, jobs...)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(w.stop)
	return w
}

func (w *world) apply(t *testing.T, jobs ...Job) {
	t.Helper()
	if err := w.Apply(jobs); err != nil {
		t.Fatalf("Apply: %v", err)
	}
}

func (w *world) counter(name string) uint64 { return w.set.GetOrCreateCounter(name).Get() }

func (w *world) expectCounter(t *testing.T, name string, want uint64) {
	t.Helper()
	if got := w.counter(name); got != want {
		t.Errorf("%s = %d, want %d", name, got, want)
	}
}

// sleepToSlot sleeps to the middle of the edge zone before the n-th minute from
// now, where no check is due.
func sleepToSlot(n int) {
	now := time.Now()
	time.Sleep(now.Truncate(time.Minute).Add(time.Duration(n)*time.Minute - time.Second).Sub(now))
	synctest.Wait()
}

func minutely(c Collector) Job {
	return Job{Kind: "stub", Collector: c, Interval: time.Minute, Revision: "1"}
}

func TestEveryMinuteOnTheGrid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := stub("a", nil)
		w := runWorld(t, minutely(c))
		sleepToSlot(5)
		g := newGrid(c.source, time.Minute)
		start := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
		want := []time.Time{g.first(start)}
		for m := range 5 {
			if due := start.Add(time.Duration(m)*time.Minute + g.phase); due.After(want[0]) {
				want = append(want, due)
			}
		}
		if diff := cmp.Diff(want, c.ats); diff != "" {
			t.Errorf("checks (-want +got):\n%s", diff)
		}
		w.expectCounter(t, `watchkeeper_exporters_collections_total{collector="stub"}`, uint64(len(want)))
		w.expectCounter(t, `watchkeeper_exporters_collection_failures_total{collector="stub",reason="error"}`, 0)
		last := w.set.GetOrCreateGauge(`watchkeeper_exporters_last_success_timestamp_seconds{collector="stub"}`, nil).Get()
		if want := float64(want[len(want)-1].UnixMilli()) / 1000; last != want {
			t.Errorf("last success at %v, want %v", last, want)
		}
	})
}

func TestSlowCollectorDelaysNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := stub("slow", func(ctx context.Context, _ time.Time) error {
			time.Sleep(29 * time.Second)
			return nil
		})
		var late []time.Duration
		quick := stub("quick", func(_ context.Context, at time.Time) error {
			late = append(late, time.Since(at))
			return nil
		})
		runWorld(t, minutely(slow), minutely(quick))
		sleepToSlot(10)
		for _, d := range late {
			if d != 0 {
				t.Errorf("check came %s late", d)
			}
		}
		if quick.calls() < 10 || slow.calls() < 9 {
			t.Errorf("quick ran %d times and slow %d, want once a minute", quick.calls(), slow.calls())
		}
	})
}

func TestOverrunSkipsChecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := stub("a", func(ctx context.Context, _ time.Time) error {
			select {
			case <-ctx.Done():
			case <-time.After(150 * time.Second):
			}
			return ctx.Err()
		})
		job := minutely(c)
		job.Timeout = 4 * time.Minute
		w := runWorld(t, job)
		time.Sleep(30 * time.Minute)
		synctest.Wait()
		for i := 2; i < len(c.ats); i++ { // the first may be off the grid
			if d := c.ats[i].Sub(c.ats[i-1]); d != 3*time.Minute {
				t.Errorf("%s between two checks, want 3m", d)
			}
		}
		skipped := w.counter(`watchkeeper_exporters_checks_skipped_total{collector="stub",reason="overrun"}`)
		due := c.ats[len(c.ats)-1].Sub(c.ats[1])/time.Minute + 1 // from the first one on the grid
		for at := c.ats[1].Add(-time.Minute); at.After(c.ats[0]); at = at.Add(-time.Minute) {
			due++
		}
		if ran := len(c.ats) - 1; int(skipped) != int(due)-ran {
			t.Errorf("%d of %d due checks skipped and %d run", skipped, due, ran)
		}
		w.expectCounter(t, `watchkeeper_exporters_checks_skipped_total{collector="stub",reason="late"}`, 0)
	})
}

func TestTimeoutIsAFailedCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := stub("a", func(ctx context.Context, _ time.Time) error {
			<-ctx.Done()
			return ctx.Err()
		})
		job := minutely(c)
		job.Timeout = 5 * time.Second
		w := runWorld(t, job)
		sleepToSlot(3)
		if got, want := w.sink.oks("a"), strings.Repeat("0", c.calls()); got != want {
			t.Errorf("up-samples %q, want %q", got, want)
		}
		w.expectCounter(t, `watchkeeper_exporters_collection_failures_total{collector="stub",reason="timeout"}`, uint64(c.calls()))
	})
}

func TestHungCollectorIsAbandonedAndNotCalledAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		c := stub("a", func(context.Context, time.Time) error { <-release; return nil })
		w := runWorld(t, minutely(c))
		sleepToSlot(4)
		if c.calls() != 1 {
			t.Fatalf("called %d times while the first call hangs, want 1", c.calls())
		}
		hung := strings.Count(w.sink.oks("a"), "0")
		if hung < 4 || w.sink.oks("a") != strings.Repeat("0", hung) {
			t.Errorf("up-samples %q, want a 0 for each check", w.sink.oks("a"))
		}
		w.expectCounter(t, `watchkeeper_exporters_collection_failures_total{collector="stub",reason="hung"}`, 1)
		w.expectCounter(t, `watchkeeper_exporters_checks_skipped_total{collector="stub",reason="hung"}`, uint64(hung-1))

		close(release) // its late delivery is refused
		sleepToSlot(3)
		if got := w.sink.oks("a"); !strings.HasPrefix(got, strings.Repeat("0", hung)+"1") || strings.Contains(got[hung:], "0") {
			t.Errorf("up-samples after the release %q, want %d times 0 and then 1", got, hung)
		}
		if ones, want := strings.Count(w.sink.oks("a"), "1"), c.calls()-1; ones != want {
			t.Errorf("%d up-samples of 1, want %d: the abandoned call's own is refused", ones, want)
		}
		if !strings.Contains(w.logs.String(), "abandoned collection returned") {
			t.Errorf("log does not say that the collection returned:\n%s", w.logs)
		}
	})
}

func TestHungCollectorDoesNotHoldUpStopOrReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		w := runWorld(t, minutely(stub("a", func(context.Context, time.Time) error { <-release; return nil })))
		sleepToSlot(1)
		began := time.Now()
		w.apply(t)
		w.stop()
		if d := time.Since(began); d > 2*maxGrace {
			t.Errorf("stopping took %s", d)
		}
		if err := w.Apply(nil); !errors.Is(err, ErrStopped) {
			t.Errorf("Apply after the end: %v, want ErrStopped", err)
		}
	})
}

func TestPanicIsCountedAndNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := stub("a", func(context.Context, time.Time) error { panic("index out of range") })
		w := runWorld(t, minutely(c), minutely(stub("b", nil)))
		sleepToSlot(3)
		w.expectCounter(t, `watchkeeper_exporters_collection_failures_total{collector="stub",reason="panic"}`, uint64(c.calls()))
		if strings.Contains(w.sink.oks("a"), "1") || strings.Contains(w.sink.oks("b"), "0") {
			t.Errorf("up-samples: a %q, b %q", w.sink.oks("a"), w.sink.oks("b"))
		}
		for _, want := range []string{"level=ERROR", "source=a", "index out of range", "scheduler_test.go"} {
			if !strings.Contains(w.logs.String(), want) {
				t.Errorf("log lacks %q", want)
			}
		}
	})
}

// A collector that has said itself that it looked, and then failed, is believed.
func TestUpSampleIsNotWrittenTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &partialCollector{source: sample.Source{Customer: "acme", Name: "a"}}
		w := runWorld(t, minutely(c))
		sleepToSlot(3)
		if got := w.sink.oks("a"); got == "" || strings.Contains(got, "0") {
			t.Errorf("up-samples %q, want ones", got)
		}
		if w.counter(`watchkeeper_exporters_collection_failures_total{collector="stub",reason="error"}`) == 0 {
			t.Error("failure not counted")
		}
	})
}

// What it has said of another source says nothing about its own.
func TestUpSampleOfAnotherSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &partialCollector{source: sample.Source{Customer: "acme", Name: "a"}, speaksFor: "b"}
		w := runWorld(t, minutely(c))
		sleepToSlot(3)
		if got := w.sink.oks("a"); got == "" || strings.Contains(got, "1") {
			t.Errorf("up-samples %q, want zeros", got)
		}
	})
}

// partialCollector delivers an up-sample, for another source if it is told so,
// and fails.
type partialCollector struct {
	source    sample.Source
	speaksFor string
}

func (c *partialCollector) Source() sample.Source { return c.source }

func (c *partialCollector) Collect(ctx context.Context, at time.Time, sink Sink) error {
	source := c.source
	if c.speaksFor != "" {
		source.Name = c.speaksFor
	}
	up := sample.Batch{Source: source, Ups: []sample.Up{{T: at.UnixMilli(), OK: true}}}
	return errors.Join(sink.Append(ctx, up), errors.New("page 2: connection reset"))
}

func TestRefusalOfTheSinkIsNotTheSourcesFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := stub("a", nil)
		w := runWorld(t, minutely(c))
		w.sink.setErr(errors.New("disk full"))
		sleepToSlot(2)
		w.expectCounter(t, `watchkeeper_exporters_collection_failures_total{collector="stub",reason="sink"}`, uint64(c.calls()))
		w.sink.setErr(nil)
		sleepToSlot(2)
		if got := w.sink.oks("a"); got == "" || strings.Contains(got, "0") {
			t.Errorf("up-samples %q, want ones", got)
		}
	})
}

func TestReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept, removed, changed := stub("kept", nil), stub("removed", nil), stub("changed", nil)
		w := runWorld(t, minutely(kept), minutely(removed), minutely(changed))
		sleepToSlot(3)
		before := removed.calls()

		idle := stub("kept", nil) // a reload builds new collectors
		successor, added := stub("changed", nil), stub("added", nil)
		next := minutely(successor)
		next.Revision = "2"
		w.apply(t, minutely(idle), next, minutely(added))
		changedBefore := changed.calls()
		sleepToSlot(4)

		if idle.calls() != 0 {
			t.Error("an unchanged job was replaced")
		}
		for i := 2; i < len(kept.ats); i++ {
			if d := kept.ats[i].Sub(kept.ats[i-1]); d != time.Minute {
				t.Errorf("kept job's checks are %s apart, want 1m", d)
			}
		}
		if removed.calls() != before || changed.calls() != changedBefore {
			t.Error("a removed or replaced collector ran on")
		}
		if successor.calls() == 0 || added.calls() == 0 {
			t.Errorf("successor ran %d times, added %d, want more", successor.calls(), added.calls())
		}
	})
}

func TestReloadWaitsForWhatItStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ended time.Time
		c := stub("a", func(ctx context.Context, _ time.Time) error {
			<-ctx.Done()
			time.Sleep(time.Second)
			ended = time.Now()
			return ctx.Err()
		})
		w := runWorld(t, minutely(c))
		time.Sleep(time.Until(newGrid(c.source, time.Minute).first(time.Now())) + time.Second)
		synctest.Wait()
		w.apply(t)
		if ended.IsZero() {
			t.Error("Apply returned before the removed collector had")
		}
		if got := w.sink.oks("a"); got != "" {
			t.Errorf("a stopped collection left up-samples %q", got)
		}
		w.expectCounter(t, `watchkeeper_exporters_collections_total{collector="stub"}`, 0)
	})
}

func TestBadJobsChangeNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := stub("a", nil)
		w := runWorld(t, minutely(c))
		f := func(want string, jobs ...Job) {
			t.Helper()
			if err := w.Apply(jobs); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("Apply: %v, want %q", err, want)
			}
		}
		f(`jobs[1]: source "b" of customer "acme" is there twice`, minutely(stub("b", nil)), minutely(stub("b", nil)))
		f(`jobs[0]: interval 500ms: want whole milliseconds, at least 1s`, Job{Kind: "stub", Collector: c, Interval: time.Second / 2})
		f(`jobs[0]: kind "Acme Inc": want`, Job{Kind: "Acme Inc", Collector: c, Interval: time.Minute})
		f(`jobs[0]: no collector`, Job{Kind: "stub", Interval: time.Minute})
		f(`jobs[0]: timeout -1s: negative`, Job{Kind: "stub", Collector: c, Interval: time.Minute, Timeout: -time.Second})
		f(`jobs[0]: no revision`, Job{Kind: "stub", Collector: c, Interval: time.Minute})
		f(`both must be set`, minutely(stub("", nil)))
		sleepToSlot(3)
		if c.calls() < 3 {
			t.Errorf("the running job was called %d times, want once a minute", c.calls())
		}
	})
}

func TestDefaultTimeout(t *testing.T) {
	f := func(interval, want time.Duration) {
		t.Helper()
		if got := DefaultTimeout(interval); got != want {
			t.Errorf("DefaultTimeout(%s) = %s, want %s", interval, got, want)
		}
	}
	f(10*time.Second, 8*time.Second)
	f(time.Minute, 30*time.Second)
	f(time.Hour, 30*time.Second)
}

// A clock set forward makes checks late. What is read then is not filed under
// the time at which it was due.
func TestLateCheckIsSkipped(t *testing.T) {
	set := metrics.NewSet()
	c := stub("a", nil)
	l := &loop{
		job:    minutely(c),
		source: c.source,
		grid:   newGrid(c.source, time.Minute),
		sink:   &memorySink{},
		log:    slog.New(slog.DiscardHandler),
		m:      newKindMetrics(set, "stub"),
	}
	at := l.grid.after(time.Unix(1_700_000_000, 0))
	f := func(late time.Duration, calls int, skipped uint64) {
		t.Helper()
		l.check(t.Context(), at, at.Add(late))
		l.last, at = at, at.Add(time.Minute)
		got := set.GetOrCreateCounter(`watchkeeper_exporters_checks_skipped_total{collector="stub",reason="late"}`).Get()
		if c.calls() != calls || got != skipped {
			t.Errorf("%s late: %d calls and %d skipped in all, want %d and %d", late, c.calls(), got, calls, skipped)
		}
	}
	f(0, 1, 0)
	f(7500*time.Millisecond, 2, 0)
	f(7501*time.Millisecond, 2, 1)
	at = at.Add(3 * time.Minute) // the clock went on; the checks between are as late
	f(0, 3, 4)
}

// A failure that a collector has told of itself is counted and judged as any
// other, and not told again; one that it has not told of is.
func TestReportedFailureIsNotToldAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		checks := 0
		c := stub("a", func(context.Context, time.Time) error {
			checks++
			switch {
			case checks <= 2:
				return fmt.Errorf("list: %w", Reported(errors.New("key refused")))
			case checks == 4:
				return errors.New("no answer")
			}
			return nil
		})
		w := runWorld(t, minutely(c))
		sleepToSlot(5)
		w.expectCounter(t, `watchkeeper_exporters_collection_failures_total{collector="stub",reason="error"}`, 3)
		if got := w.sink.oks("a"); !strings.HasPrefix(got, "00") {
			t.Errorf("up-samples %q", got)
		}
		logs := w.logs.String()
		if strings.Contains(logs, "key refused") || strings.Count(logs, "level=WARN") != 1 || !strings.Contains(logs, "no answer") || strings.Count(logs, "works again") != 1 {
			t.Errorf("log:\n%s", logs)
		}
	})
}
