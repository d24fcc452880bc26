package ruleset

import (
	"sync/atomic"

	"github.com/VictoriaMetrics/metrics"
)

// engineMetrics are the engine's own metrics.
type engineMetrics struct {
	batches, batchFailures   *metrics.Counter
	samples, lateSamples     *metrics.Counter
	lateUnlisted             *metrics.Counter
	entries, sinkFailures    *metrics.Counter
	refusedRule, refusedCust *metrics.Counter
	newIdentities, forgotten *metrics.Counter
	evaluations              *metrics.Counter
	evaluationFailures       *metrics.Counter
	judgingFailures          *metrics.Counter
	givenUp                  *metrics.Counter
	aside                    atomic.Int64 // identities of which samples could not be read
}

func newEngineMetrics(set *metrics.Set, e *Engine) *engineMetrics {
	set.GetOrCreateGauge("watchkeeper_ruleset_queued_entries", func() float64 {
		return float64(e.out.len())
	})
	m := &engineMetrics{
		batches:            set.GetOrCreateCounter("watchkeeper_ruleset_batches_total"),
		batchFailures:      set.GetOrCreateCounter("watchkeeper_ruleset_batch_failures_total"),
		samples:            set.GetOrCreateCounter("watchkeeper_ruleset_samples_total"),
		lateSamples:        set.GetOrCreateCounter("watchkeeper_ruleset_late_samples_total"),
		lateUnlisted:       set.GetOrCreateCounter("watchkeeper_ruleset_late_samples_unlisted_total"),
		entries:            set.GetOrCreateCounter("watchkeeper_ruleset_log_entries_total"),
		sinkFailures:       set.GetOrCreateCounter("watchkeeper_ruleset_sink_failures_total"),
		newIdentities:      set.GetOrCreateCounter("watchkeeper_ruleset_identities_total"),
		forgotten:          set.GetOrCreateCounter("watchkeeper_ruleset_identities_forgotten_total"),
		refusedRule:        set.GetOrCreateCounter(`watchkeeper_ruleset_identities_refused_total{limit="rule"}`),
		refusedCust:        set.GetOrCreateCounter(`watchkeeper_ruleset_identities_refused_total{limit="customer"}`),
		evaluations:        set.GetOrCreateCounter("watchkeeper_ruleset_evaluations_total"),
		evaluationFailures: set.GetOrCreateCounter("watchkeeper_ruleset_evaluation_failures_total"),
		judgingFailures:    set.GetOrCreateCounter("watchkeeper_ruleset_judging_failures_total"),
		givenUp:            set.GetOrCreateCounter("watchkeeper_ruleset_checks_given_up_total"),
	}
	set.GetOrCreateGauge("watchkeeper_ruleset_identities_unread", func() float64 { return float64(m.aside.Load()) })
	return m
}
