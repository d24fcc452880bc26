package probe

import (
	"cmp"
	"context"
	"crypto/sha256"
	"math"
	"slices"
	"time"
)

const (
	// maxCollection is how long a collection may take at most; four fifths of
	// the interval if that is less.
	maxCollection = 48 * time.Second
	// maxSpread is over how long the starts of a large set's probes are spread
	// at most; a quarter of the interval if that is less.
	maxSpread = 15 * time.Second
	// maxReferenceTimeout bounds one look at the reference targets; a twentieth
	// of the interval if that is less.
	maxReferenceTimeout = 3 * time.Second
)

// collectionTimeout is the time-out of one collection.
func collectionTimeout(interval time.Duration) time.Duration {
	return min(interval/5*4, maxCollection)
}

// spread is over how long the starts of n probes are spread, so that a large set
// is no burst: for the network, for servers with many sites, and for this
// process, whose own slowness would look like theirs. A small set starts at once.
func spread(interval time.Duration, n int) time.Duration {
	if n <= minConcurrency {
		return 0
	}
	return min(interval/4, maxSpread)
}

func referenceTimeout(interval time.Duration) time.Duration {
	return min(interval/20, maxReferenceTimeout)
}

// concurrency is how many probes of a set run at once by default.
func concurrency(interval time.Duration, targets []Target) int {
	return max(leastConcurrency(interval, targets), min(minConcurrency, len(targets)))
}

// leastConcurrency is how many probes of a set must run at once so that the
// collection ends in time even when every single target hangs until its
// time-out. Either of two is enough: n workers that always take the next target
// end within sum/n + longest after the last start; and where starts are spread,
// as many as can start within the longest time-out never queue.
func leastConcurrency(interval time.Duration, targets []Target) int {
	var sum, longest time.Duration
	for _, t := range targets {
		sum += t.timeout()
		longest = max(longest, t.timeout())
	}
	// A tenth is kept for what is not probing.
	starts := spread(interval, len(targets))
	budget := collectionTimeout(interval)*9/10 - longest - starts - referenceTimeout(interval)
	need := int(math.Ceil(sum.Seconds() / budget.Seconds()))
	if starts > 0 {
		need = min(need, int(math.Ceil(float64(len(targets))*longest.Seconds()/starts.Seconds()))+1)
	}
	return need
}

// inOrder sorts targets so that each keeps its place, and with it its phase,
// whatever the order of the configuration, and that neighbours in the
// configuration (sites of one server) do not start together.
func inOrder(targets []*target) {
	slices.SortFunc(targets, func(a, b *target) int {
		x, y := sha256.Sum256([]byte(a.name)), sha256.Sum256([]byte(b.name))
		return cmp.Or(slices.Compare(x[:], y[:]), cmp.Compare(a.name, b.name))
	})
}

// pace hands the targets to workers, each at its own phase after the start.
func (c *Collector) pace(ctx context.Context, work chan<- *target) {
	defer close(work)
	began := time.Now()
	step := spread(c.interval, len(c.targets)) / time.Duration(max(len(c.targets), 1))
	timer := time.NewTimer(0)
	defer timer.Stop()
	for i, t := range c.targets {
		if wait := time.Duration(i)*step - time.Since(began); wait > 0 {
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-ctx.Done():
				return
			}
		}
		select {
		case work <- t:
		case <-ctx.Done():
			return
		}
	}
}
