package storage

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// spaceEvery is how often the free space is asked for. In that time no server
// writes as much as MinFreeBytes.
const spaceEvery = time.Second

// spaceGuard refuses batches while the disk is nearly full. The write-ahead log
// must not meet a full disk: a record broken off half-way makes the records
// behind it unreadable, and a series that was not logged makes its later
// samples meaningless.
type spaceGuard struct {
	free    func() (int64, error) // free bytes for this user
	min     int64
	checked atomic.Int64 // when, Unix ns
	last    atomic.Int64 // free bytes then
}

func newSpaceGuard(dir string, min int64) *spaceGuard {
	return &spaceGuard{min: min, free: func() (int64, error) { return freeBytes(dir) }}
}

func (g *spaceGuard) check() error {
	if g.min == 0 {
		return nil
	}
	now := time.Now().UnixNano()
	if then := g.checked.Load(); then == 0 || now < then || now-then >= int64(spaceEvery) {
		free, err := g.free()
		if err != nil {
			return fmt.Errorf("%w: ask for free space: %w", ErrFailed, err)
		}
		g.last.Store(free)
		g.checked.Store(now)
	}
	if free := g.last.Load(); free < g.min {
		return fmt.Errorf("%w: %d bytes free, %d are kept", ErrDiskFull, free, g.min)
	}
	return nil
}

// secureLate makes sure that out-of-order samples just committed survive. The
// TSDB logs them to a log of their own, after the fact, and only reports a
// failure in a metric. Then the samples are in memory alone; writing them out
// as a block makes up for it. The caller holds mu.
func (s *Store) secureLate() error {
	if !s.wbl.failedSince() {
		return nil
	}
	if err := s.db.CompactOOOHead(context.Background()); err != nil {
		s.broken = fmt.Errorf("%w: out-of-order samples: %w; free space and restart", ErrFailed, err)
		s.logger.Error("out-of-order log failed, nothing more is taken until a restart", "err", err)
		return s.broken
	}
	return nil
}

// wblFailures is the TSDB's counter of failed writes of out-of-order samples.
const wblFailures = "prometheus_tsdb_out_of_order_wbl_writes_failed_total"

// wblWatch is the registry of the TSDB's metrics with an eye on one of them.
type wblWatch struct {
	prometheus.Registerer
	counter prometheus.Collector
	seen    float64
}

// Register implements prometheus.Registerer.
func (w *wblWatch) Register(c prometheus.Collector) error {
	w.watch(c)
	return w.Registerer.Register(c)
}

// MustRegister implements prometheus.Registerer.
func (w *wblWatch) MustRegister(cs ...prometheus.Collector) {
	for _, c := range cs {
		w.watch(c)
	}
	w.Registerer.MustRegister(cs...)
}

func (w *wblWatch) watch(c prometheus.Collector) {
	descs := make(chan *prometheus.Desc, 1)
	go func() { c.Describe(descs); close(descs) }()
	for d := range descs {
		if strings.Contains(d.String(), `"`+wblFailures+`"`) {
			w.counter = c
		}
	}
}

// failedSince says whether a write failed since it was asked last.
func (w *wblWatch) failedSince() bool {
	if w.counter == nil {
		return false
	}
	ch := make(chan prometheus.Metric, 1)
	w.counter.Collect(ch)
	var m dto.Metric
	if err := (<-ch).Write(&m); err != nil {
		return true
	}
	v := m.GetCounter().GetValue()
	failed := v > w.seen
	w.seen = v
	return failed
}
