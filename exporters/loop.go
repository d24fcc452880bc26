package exporters

import (
	"context"
	"log/slog"
	"time"

	"watchkeeper/internal/sample"
)

const (
	// maxSleep bounds one sleep, so that a step of the wall clock, which timers
	// do not see, is noticed within it.
	maxSleep = 10 * time.Second
	// maxGrace is how long after its time-out, or after a stop, a collection may
	// take to return before it is abandoned; a tenth of the interval if that is less.
	maxGrace = 2 * time.Second
	// upTimeout bounds the writing of the up-sample of a failed check.
	upTimeout = 5 * time.Second
)

// loop calls one collector at its times, one collection after another.
type loop struct {
	job    Job
	source sample.Source
	grid   grid
	sink   Sink
	log    *slog.Logger
	m      *kindMetrics

	cancel context.CancelFunc // ends run
	done   chan struct{}      // closed when run has ended

	lastSuccess unixMilli
	outcome     lastCheck

	// The rest belongs to the goroutine of run.
	last time.Time   // time of the last check; zero before the first
	skip string      // why due times since last, if any, were passed over
	hung *collection // abandoned and not returned yet
	told bool        // of the failure of the last collection, by this loop
}

func (l *loop) run(ctx context.Context) {
	defer close(l.done)
	at := l.grid.first(wallClock())
	for {
		now, ok := l.sleepUntil(ctx, &at)
		if !ok {
			return
		}
		l.check(ctx, at, now)
		l.last = at
		at = l.grid.next(wallClock(), at)
	}
}

// sleepUntil waits until *at by the wall clock and returns the time it woke. A
// clock set back moves *at to the grid's next time by the new clock.
func (l *loop) sleepUntil(ctx context.Context, at *time.Time) (now time.Time, ok bool) {
	for {
		now = wallClock()
		*at = l.grid.revised(*at, now, l.last)
		wait := at.Sub(now)
		if wait <= 0 {
			return now, ctx.Err() == nil
		}
		timer := time.NewTimer(min(wait, maxSleep))
		select {
		case <-ctx.Done():
			timer.Stop()
			return now, false
		case <-timer.C:
		}
	}
}

// check runs the collection of one check, or says why it cannot.
func (l *loop) check(ctx context.Context, at, now time.Time) {
	if !l.last.IsZero() {
		l.m.skipped[l.skip].Add(l.grid.missed(l.last, at))
	}
	if l.stillHung() {
		l.m.skipped[skippedHung].Inc()
		l.outcome.set(at, 0, errHung)
		l.appendDown(ctx, at)
		return
	}
	// What is read this late would be filed under a time at which nobody looked.
	if now.Sub(at) > l.grid.interval/8 {
		l.skip = skippedLate
		l.m.skipped[skippedLate].Inc()
		return
	}
	l.skip = skippedOverrun
	l.collect(ctx, at)
}

func (l *loop) collect(ctx context.Context, at time.Time) {
	runCtx, cancel := context.WithTimeout(ctx, l.job.timeout())
	defer cancel()
	started := time.Now()
	run := collect(runCtx, l.job.Collector, l.source, at, l.sink)
	returned := l.wait(runCtx, run)
	looked, sinkErr := run.finish()
	if ctx.Err() != nil {
		return // stopped, which is nobody's failure
	}
	took := time.Since(started)
	l.m.collections.Inc()
	l.m.duration.Update(took.Seconds())
	switch {
	case !returned:
		l.hung = run
		l.outcome.set(at, took, errHung)
		l.failed(failureHung, "abandoned after its time-out", nil)
	case run.err != nil:
		l.outcome.set(at, took, run.err)
		l.failed(failureOf(run.err, sinkErr, runCtx.Err()), "failed", run.err)
	default:
		l.outcome.set(at, took, nil)
		l.succeeded(at)
		return
	}
	if !looked {
		l.appendDown(ctx, at)
	}
}

// wait waits for the collection's end, its time-out and a moment of grace, and
// reports whether it returned.
func (l *loop) wait(runCtx context.Context, run *collection) bool {
	select {
	case <-run.done:
		return true
	case <-runCtx.Done():
	}
	grace := time.NewTimer(min(maxGrace, l.grid.interval/10))
	defer grace.Stop()
	select {
	case <-run.done:
		return true
	case <-grace.C:
		return false
	}
}

// stillHung reports whether an abandoned collection has not returned yet; until
// it has, the collector must not be called again.
func (l *loop) stillHung() bool {
	if l.hung == nil {
		return false
	}
	select {
	case <-l.hung.done:
		l.log.Info("abandoned collection returned")
		l.hung = nil
		return false
	default:
		return true
	}
}

// appendDown records that the source was to be read at `at` and was not.
func (l *loop) appendDown(ctx context.Context, at time.Time) {
	ctx, cancel := context.WithTimeout(ctx, upTimeout)
	defer cancel()
	err := l.sink.Append(ctx, sample.Batch{Source: l.source, Ups: []sample.Up{{T: at.UnixMilli(), OK: false}}})
	if err != nil {
		l.log.Warn("up-sample of a failed check lost", "err", err)
	}
}

func (l *loop) succeeded(at time.Time) {
	l.lastSuccess.set(at)
	if l.told {
		l.log.Info("collection works again")
	}
	l.told = false
}

// failed counts a failure and logs the first of a row loudly, unless the
// collector has told of it.
func (l *loop) failed(reason, how string, err error) {
	l.m.failures[reason].Inc()
	level := slog.LevelWarn
	if l.told || isReported(err) {
		level = slog.LevelDebug
	}
	attrs := []any{"reason", reason, "how", how}
	if err != nil {
		attrs = append(attrs, "err", err)
	}
	if p, ok := err.(*panicError); ok {
		level = slog.LevelError // a bug: somebody must act
		attrs = append(attrs, "stack", string(p.stack))
	}
	l.log.Log(context.Background(), level, "collection failed", attrs...)
	l.told = l.told || level > slog.LevelDebug
}

// wallClock is the time of day without the monotonic reading, which would hide
// steps of the clock.
func wallClock() time.Time { return time.Now().Round(0) }
