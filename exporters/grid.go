package exporters

import (
	"crypto/sha256"
	"encoding/binary"
	"time"

	"watchkeeper/internal/sample"
)

// firstSpread spreads the first collections after a start, so that a process
// with a thousand collectors does not run them all in its first millisecond.
const firstSpread = 2 * time.Second

// firstEdge is how far from a slot's edges the first collection stays at most. An
// eighth of a day would keep it away for hours when a process starts at that time
// of the day, and hiccups are of seconds.
const firstEdge = 15 * time.Second

// grid holds the wall-clock times at which one collector is due:
// k·interval + phase in Unix time.
//
// A rule's check stands at k·interval and looks at the slot before it. A sample
// near a slot's edge would change slots with every hiccup and leave one slot
// empty and its neighbour with two, so the phase stays an eighth of the
// interval away from both edges:
//
//	k·I      |I/8|······ phases ······|I/8|      (k+1)·I
type grid struct {
	interval time.Duration
	phase    time.Duration
	// jitter in [0, 1) delays the first collection by its share of firstSpread.
	jitter float64
}

// newGrid derives phase and jitter from the source's identity: the same after
// a restart, different between sources.
func newGrid(source sample.Source, interval time.Duration) grid {
	sum := sha256.Sum256([]byte(source.Customer + "\x00" + source.Name))
	lo := edgeOf(interval)
	hi := interval - lo
	steps := uint64((hi-lo)/time.Millisecond) + 1
	return grid{
		interval: interval,
		phase:    lo + time.Duration(binary.BigEndian.Uint64(sum[:8])%steps)*time.Millisecond,
		jitter:   float64(binary.BigEndian.Uint32(sum[8:12])) / (1 << 32),
	}
}

// after returns the first due time later than t.
func (g grid) after(t time.Time) time.Time {
	i, p, ms := g.interval.Milliseconds(), g.phase.Milliseconds(), t.UnixMilli()
	k := floorDiv(ms-p, i) + 1
	return time.UnixMilli(k*i + p).UTC()
}

// next returns the first due time later than now, and later than the last
// check's time too: a clock that was set back by a moment must not repeat that
// check. A clock set back by an interval or more starts the grid anew from
// now, since waiting for the old time to come again would leave a hole.
func (g grid) next(now, last time.Time) time.Time {
	if last.After(now) && last.Sub(now) < g.interval {
		now = last
	}
	return g.after(now)
}

// revised returns at, the time that next has given, unless the clock was set
// back meanwhile and at lies farther ahead than next ever goes.
func (g grid) revised(at, now, last time.Time) time.Time {
	if at.Sub(now) > 2*g.interval {
		return g.next(now, last)
	}
	return at
}

// first returns the time of the first check after a start at now: within
// seconds rather than up to an interval later, but an eighth of the interval, at
// most firstEdge, clear of the slot's edges; near an edge it waits for the edge to
// pass, half a minute at most. When the grid's own next time is as near, there is no
// extra check.
//
// The time is never one of the past: a value read now does not belong to an
// earlier moment, and the store may already hold that moment's sample from
// before a restart.
func (g grid) first(now time.Time) time.Time {
	spread := min(firstSpread, g.interval/8)
	jitter := time.Duration(g.jitter * float64(spread)).Truncate(time.Millisecond)
	soon := g.clearOfEdges(g.clearOfEdges(now.Add(time.Millisecond - 1).Truncate(time.Millisecond)).Add(jitter))
	if due := g.after(now); due.Sub(soon) <= spread {
		return due
	}
	return soon.UTC()
}

// clearOfEdges moves t forward, if it must, to where a first sample may lie.
func (g grid) clearOfEdges(t time.Time) time.Time {
	edge := min(edgeOf(g.interval), firstEdge)
	offset := time.Duration(t.UnixMilli()%g.interval.Milliseconds()) * time.Millisecond
	switch {
	case offset < edge:
		return t.Add(edge - offset)
	case offset > g.interval-edge:
		return t.Add(g.interval - offset + edge)
	default:
		return t
	}
}

// missed counts the due times between two checks, both exclusive.
func (g grid) missed(from, to time.Time) int {
	i, p := g.interval.Milliseconds(), g.phase.Milliseconds()
	n := floorDiv(to.UnixMilli()-1-p, i) - floorDiv(from.UnixMilli()-p, i)
	return int(max(n, 0))
}

// edgeOf is how far from a slot's edges samples stay: just over an eighth of
// the interval.
func edgeOf(interval time.Duration) time.Duration {
	return (interval / 8).Truncate(time.Millisecond) + time.Millisecond
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
