package exporters

import (
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"
)

// Reasons of the failures counter.
const (
	failureError   = "error"   // the collector could not read its source
	failureTimeout = "timeout" // the collection reached its time-out
	failureHung    = "hung"    // the collector went on after its time-out and was abandoned
	failurePanic   = "panic"   // the collector panicked
	failureSink    = "sink"    // the source was read, the store refused
)

var failureReasons = []string{failureError, failureTimeout, failureHung, failurePanic, failureSink}

// Reasons of the skipped counter.
const (
	skippedOverrun = "overrun" // the check before was still running
	skippedHung    = "hung"    // an abandoned collection had not returned yet
	skippedLate    = "late"    // the process or its clock came too late for the check
)

var skipReasons = []string{skippedOverrun, skippedHung, skippedLate}

var durationBuckets = []float64{.005, .01, .05, .1, .25, .5, 1, 2.5, 5, 10, 20, 30, 60}

// kindMetrics are the figures of all jobs of one kind.
type kindMetrics struct {
	collections *metrics.Counter
	failures    map[string]*metrics.Counter
	skipped     map[string]*metrics.Counter
	duration    *metrics.PrometheusHistogram

	mu   sync.Mutex
	jobs map[*loop]struct{} // the running jobs, for oldestSuccess
}

func newKindMetrics(set *metrics.Set, kind string) *kindMetrics {
	m := &kindMetrics{
		collections: set.GetOrCreateCounter(fmt.Sprintf(`watchkeeper_exporters_collections_total{collector=%q}`, kind)),
		duration: set.GetOrCreatePrometheusHistogramExt(
			fmt.Sprintf(`watchkeeper_exporters_collection_duration_seconds{collector=%q}`, kind), durationBuckets),
		failures: make(map[string]*metrics.Counter),
		skipped:  make(map[string]*metrics.Counter),
		jobs:     make(map[*loop]struct{}),
	}
	for _, r := range failureReasons {
		m.failures[r] = set.GetOrCreateCounter(
			fmt.Sprintf(`watchkeeper_exporters_collection_failures_total{collector=%q,reason=%q}`, kind, r))
	}
	for _, r := range skipReasons {
		m.skipped[r] = set.GetOrCreateCounter(
			fmt.Sprintf(`watchkeeper_exporters_checks_skipped_total{collector=%q,reason=%q}`, kind, r))
	}
	set.GetOrCreateGauge(fmt.Sprintf(`watchkeeper_exporters_last_success_timestamp_seconds{collector=%q}`, kind), m.oldestSuccess)
	set.GetOrCreateGauge(fmt.Sprintf(`watchkeeper_exporters_jobs{collector=%q}`, kind), m.running)
	return m
}

// oldestSuccess is the last success of the job of this kind whose last success
// is longest ago, so that one dead source shows among many: Unix seconds, 0
// while one has never succeeded, NaN without jobs. Which source it is tells
// watchkeeper_source_up.
func (m *kindMetrics) oldestSuccess() float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	oldest := math.NaN()
	for l := range m.jobs {
		if t := float64(l.lastSuccess.Load()) / 1000; math.IsNaN(oldest) || t < oldest {
			oldest = t
		}
	}
	return oldest
}

func (m *kindMetrics) running() float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return float64(len(m.jobs))
}

func (m *kindMetrics) add(l *loop) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.jobs[l] = struct{}{}
}

func (m *kindMetrics) remove(l *loop) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.jobs, l)
}

// unixMilli is a time that one goroutine sets and others read.
type unixMilli struct{ atomic.Int64 }

func (u *unixMilli) set(t time.Time) { u.Store(t.UnixMilli()) }
