package aliyun

import (
	"time"

	"watchkeeper/internal/sample"
)

// lateLooks says how far each poll of a metric looks back for points that came
// late. Reading the whole overlap again every minute would be most of what a fast
// metric costs; so of the polls of every stretch of late_interval one looks back
// the whole overlap, from where the last such look ended, and the others the short one:
//
//	|<-- overlap -->|<-- late_interval -->|
//	 whole look      ▏ ▏ ▏ ▏ ▏            ▏ next whole look
//
// A point that is published within the overlap after its minute is read in any
// case: at the next poll when it is later by less than short_overlap, else at the
// next whole look. Polls that are no more frequent than late_interval are all whole.
type lateLooks struct {
	whole, short, every time.Duration
	between             time.Duration // from one whole look to the next, at most, beyond an interval
	phase               time.Duration // of whole looks, so that not all metrics have theirs at once
	done                time.Time     // end of the newest whole look; zero before the first
}

func newLateLooks(cfg AccountConfig, interval time.Duration, source sample.Source) lateLooks {
	every := cfg.lateInterval(interval)
	l := lateLooks{
		whole: time.Duration(cfg.Overlap), short: cfg.shortOverlap(), every: every,
		phase: time.Duration(fraction(source) * float64(every)).Truncate(time.Minute),
	}
	if every > interval {
		l.between = every
	}
	return l
}

// start is where a poll of (from, end] begins to read, and whether that makes it a
// whole look.
func (l *lateLooks) start(from, end time.Time) (start time.Time, whole bool) {
	if from.After(end) {
		from = end
	}
	if !l.done.IsZero() && l.stretch(end) <= l.stretch(l.done) {
		return from.Add(-l.short), false
	}
	// Without a look of this run the last one is less than that before from.
	since := from.Add(-l.between)
	if l.done.After(since) {
		since = l.done
	}
	if since.After(from) {
		since = from
	}
	return since.Add(-l.whole), true
}

// stretch numbers the stretches of late_interval.
func (l *lateLooks) stretch(t time.Time) int64 {
	return (t.UnixMilli() - l.phase.Milliseconds()) / l.every.Milliseconds()
}

// lateInterval is from one whole look to the next of metrics with an interval:
// every poll is one when the short overlap is the whole one.
func (a AccountConfig) lateInterval(interval time.Duration) time.Duration {
	if a.ShortOverlap >= a.Overlap {
		return interval
	}
	return time.Duration(a.LateInterval)
}

// shortOverlap is at most the overlap.
func (a AccountConfig) shortOverlap() time.Duration {
	return time.Duration(min(a.ShortOverlap, a.Overlap))
}
