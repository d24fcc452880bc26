package promrules

import (
	"math"
	"sync"

	"github.com/prometheus/prometheus/storage"

	"watchkeeper/internal/sample"
)

// Series that no rule wrote for keepNewest are forgotten; looked for once per
// sweepNewest. Both in ms of sample time.
const (
	keepNewest  = 2 * 60 * 60 * 1000
	sweepNewest = 10 * 60 * 1000
)

// newest knows the last sample of each series that rules wrote. Prometheus
// discards what a rule yields out of order, even where the store would take it:
// the stale marker of a rule that moved to another rule group must not land
// between the samples that its new group wrote meanwhile.
type newest struct {
	mu     sync.Mutex
	series map[string]point // by the labels' bytes
	max    int64            // newest T of all
	swept  int64            // max at the last sweep
}

type point struct {
	t int64
	v float64
}

func newNewest() *newest { return &newest{series: map[string]point{}} }

// check refuses what is older than the newest sample of its series, and another
// value for its time.
func (n *newest) check(s sample.Sample) error {
	var buf [1024]byte
	n.mu.Lock()
	defer n.mu.Unlock()
	last, ok := n.series[string(s.Labels.Bytes(buf[:0]))]
	switch {
	case !ok || s.T > last.t:
		return nil
	case s.T < last.t:
		return storage.ErrOutOfOrderSample
	case math.Float64bits(s.V) != math.Float64bits(last.v):
		return storage.ErrDuplicateSampleForTimestamp
	}
	return nil
}

// note keeps what was stored.
func (n *newest) note(samples []sample.Sample) {
	var buf [1024]byte
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, s := range samples {
		key := s.Labels.Bytes(buf[:0])
		if last, ok := n.series[string(key)]; !ok || s.T >= last.t {
			n.series[string(key)] = point{s.T, s.V}
		}
		n.max = max(n.max, s.T)
	}
	if n.max-n.swept < sweepNewest {
		return
	}
	n.swept = n.max
	for key, last := range n.series {
		if last.t < n.max-keepNewest {
			delete(n.series, key)
		}
	}
}
