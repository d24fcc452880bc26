package storage

import (
	"errors"
	"fmt"

	"github.com/VictoriaMetrics/metrics"
	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/internal/sample"
)

// Errors of Append. Nothing of the batch was taken for judging; sending
// the same again later helps with the first two, never with the third.
var (
	// ErrDiskFull says that there is too little free space to take samples.
	ErrDiskFull = errors.New("storage: disk full")
	// ErrFailed says that a write to disk failed. When it was the TSDB's log the
	// store takes nothing until it is opened again, since later writes behind a
	// broken one could be lost; part of the batch may then turn out to be stored.
	ErrFailed = errors.New("storage: write failed")
	// ErrNoSource says that the batch does not name its source: a mistake of
	// the caller.
	ErrNoSource = errors.New("storage: batch without customer or source name")
)

// ErrReadOnly and ErrClosed say that the store takes nothing at all.
var (
	ErrReadOnly = errors.New("storage: opened read-only")
	ErrClosed   = errors.New("storage: closed")
)

// Reason says why a sample was refused: a closed set, also a metric's label.
type Reason string

// Reasons of refusal. None goes away by sending the same sample again at once.
const (
	ReasonFuture    Reason = "too far in the future"
	ReasonConflict  Reason = "conflicting duplicate"
	ReasonTooOld    Reason = "too old"
	ReasonLabels    Reason = "bad labels"
	ReasonCustomer  Reason = "customer of another"
	ReasonReserved  Reason = "reserved metric name"
	ReasonSeries    Reason = "too many series"
	ReasonForeign   Reason = "end of a series that the source never delivered"
	ReasonWatermark Reason = "watermark ahead of the clock"
	ReasonEnds      Reason = "too many end marks of the customer today"
)

var reasonMetric = map[Reason]string{
	ReasonFuture:    "future",
	ReasonConflict:  "conflicting_duplicate",
	ReasonTooOld:    "too_old",
	ReasonLabels:    "labels",
	ReasonCustomer:  "customer",
	ReasonReserved:  "reserved_name",
	ReasonSeries:    "series_limit",
	ReasonForeign:   "foreign_end",
	ReasonWatermark: "watermark",
	ReasonEnds:      "end_limit",
}

// maxRefused bounds Result.Refused.
const maxRefused = 100

// Refusal names one sample, up-sample or end mark that was not taken.
type Refusal struct {
	Labels labels.Labels
	T      int64 // Unix ms
	V      float64
	Reason Reason
	Detail string // what exactly, for people; may be empty
}

func (r Refusal) String() string {
	s := fmt.Sprintf("%s at %d: %s", r.Labels, r.T, r.Reason)
	if r.Detail != "" {
		s += ": " + r.Detail
	}
	return s
}

// Result says what became of a batch.
type Result struct {
	// Accepted is exactly what the store took, for the rule engine: samples with
	// their final labels in order of time, without duplicates, and the facts.
	Accepted sample.Batch
	// Refused holds the first refusals, at most 100; RefusedTotal counts all, and
	// RefusedEnds the end marks among them.
	Refused      []Refusal
	RefusedTotal int
	RefusedEnds  int
	// Duplicates counts the samples that were stored before with the same value.
	Duplicates int
}

func (r *Result) refuse(m *storeMetrics, f Refusal) {
	r.RefusedTotal++
	m.refused[f.Reason].Inc()
	if len(r.Refused) < maxRefused {
		r.Refused = append(r.Refused, f)
	}
}

func (r *Result) refuseEnd(m *storeMetrics, f Refusal) {
	r.RefusedEnds++
	r.refuse(m, f)
}

type storeMetrics struct {
	batches       *metrics.Counter
	batchesFailed *metrics.Counter
	appended      *metrics.Counter
	duplicates    *metrics.Counter
	lookups       *metrics.Counter
	refused       map[Reason]*metrics.Counter
	sources       *metrics.Counter
	duration      *metrics.PrometheusHistogram
}

func newStoreMetrics(set *metrics.Set) storeMetrics {
	m := storeMetrics{
		batches:       set.GetOrCreateCounter("watchkeeper_storage_batches_total"),
		batchesFailed: set.GetOrCreateCounter("watchkeeper_storage_batches_failed_total"),
		appended:      set.GetOrCreateCounter("watchkeeper_storage_samples_appended_total"),
		duplicates:    set.GetOrCreateCounter("watchkeeper_storage_samples_duplicate_total"),
		lookups:       set.GetOrCreateCounter("watchkeeper_storage_history_lookups_total"),
		refused:       make(map[Reason]*metrics.Counter),
		sources:       set.GetOrCreateCounter("watchkeeper_storage_sources_refused_total"),
		duration:      set.GetOrCreatePrometheusHistogram("watchkeeper_storage_append_duration_seconds"),
	}
	for r, name := range reasonMetric {
		m.refused[r] = set.GetOrCreateCounter(fmt.Sprintf("watchkeeper_storage_samples_refused_total{reason=%q}", name))
	}
	return m
}

func (s *Store) registerGauges(set *metrics.Set) {
	set.GetOrCreateGauge("watchkeeper_storage_sources", func() float64 { return float64(s.sources.len()) })
	set.GetOrCreateGauge("watchkeeper_storage_series", func() float64 { return float64(s.index.len()) })
	set.GetOrCreateGauge("watchkeeper_storage_head_series", func() float64 { return float64(s.db.Head().NumSeries()) })
	set.GetOrCreateGauge("watchkeeper_storage_blocks", func() float64 { return float64(len(s.db.Blocks())) })
}
