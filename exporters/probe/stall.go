package probe

import (
	"context"
	"errors"
	"sync"
	"time"
)

// tickEvery is how often a collection looks whether this process gets to run.
const tickEvery = 50 * time.Millisecond

// errStalled says that a time-out was this process's own.
var errStalled = errors.New("this process did not get to run for half of the probe's time (machine overloaded?)")

// stallMeter measures for how long this process did not get to run: by how much
// ticks come late. An overloaded or paused machine would otherwise see its own
// slowness in every target.
type stallMeter struct {
	mu    sync.Mutex
	last  time.Time
	total time.Duration
}

// run ticks until ctx ends.
func (m *stallMeter) run(ctx context.Context) {
	ticker := time.NewTicker(tickEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			m.tick(time.Now())
		case <-ctx.Done():
			return
		}
	}
}

func (m *stallMeter) tick(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.total += late(now.Sub(m.last))
	m.last = now
}

// stalled is the time lost so far, that since the last tick included.
func (m *stallMeter) stalled(now time.Time) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.total + late(now.Sub(m.last))
}

// late is what of the time since the last tick is more than usual jitter.
func late(since time.Duration) time.Duration {
	if since <= 2*tickEvery {
		return 0
	}
	return since - tickEvery
}

// ownFault turns a time-out into a failure of this place where the process did
// not get to run for half of the probe's time.
func ownFault(r result, stalled, timeout time.Duration) result {
	if r.code == Timeout && r.local == nil && stalled >= timeout/2 {
		return result{local: errStalled}
	}
	return r
}
