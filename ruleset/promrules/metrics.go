package promrules

import (
	"github.com/VictoriaMetrics/metrics"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

type runnerMetrics struct {
	evaluations    *metrics.Counter
	duration       *metrics.PrometheusHistogram
	batches        *metrics.Counter
	batchesFailed  *metrics.Counter
	samples        *metrics.Counter
	samplesRefused *metrics.Counter
	notified       *metrics.Counter
	notifyFailed   *metrics.Counter
	posts          *metrics.Counter
	postsFailed    *metrics.Counter
}

// newMetrics registers the metrics of a Runner. What the libraries count in reg
// is summed up over rule groups and Alertmanagers; a sum falls when one of them
// goes, as a counter does at a restart.
func newMetrics(set *metrics.Set, reg prometheus.Gatherer) *runnerMetrics {
	for name, family := range map[string]string{
		"watchkeeper_promrules_evaluations_missed_total":     "prometheus_rule_group_iterations_missed_total",
		"watchkeeper_promrules_rule_evaluations_total":       "prometheus_rule_evaluations_total",
		"watchkeeper_promrules_rule_evaluation_errors_total": "prometheus_rule_evaluation_failures_total",
		"watchkeeper_promrules_rules":                        "prometheus_rule_group_rules",
		"watchkeeper_promrules_alertmanager_queued_alerts":   "prometheus_notifications_queue_length",
		"watchkeeper_promrules_alertmanager_dropped_total":   "prometheus_notifications_dropped_total",
	} {
		set.GetOrCreateGauge(name, func() float64 { return sum(reg, family) })
	}
	return &runnerMetrics{
		evaluations:    set.GetOrCreateCounter("watchkeeper_promrules_evaluations_total"),
		duration:       set.GetOrCreatePrometheusHistogram("watchkeeper_promrules_evaluation_duration_seconds"),
		batches:        set.GetOrCreateCounter("watchkeeper_promrules_batches_total"),
		batchesFailed:  set.GetOrCreateCounter("watchkeeper_promrules_batches_failed_total"),
		samples:        set.GetOrCreateCounter("watchkeeper_promrules_samples_total"),
		samplesRefused: set.GetOrCreateCounter("watchkeeper_promrules_samples_refused_total"),
		notified:       set.GetOrCreateCounter("watchkeeper_promrules_alerts_notified_total"),
		notifyFailed:   set.GetOrCreateCounter("watchkeeper_promrules_alerts_notified_failed_total"),
		posts:          set.GetOrCreateCounter("watchkeeper_promrules_alertmanager_posts_total"),
		postsFailed:    set.GetOrCreateCounter("watchkeeper_promrules_alertmanager_posts_failed_total"),
	}
}

// sum adds up the counters or gauges of a metric family; 0 when there are none.
func sum(reg prometheus.Gatherer, family string) float64 {
	families, err := reg.Gather()
	if err != nil {
		return 0
	}
	var total float64
	for _, f := range families {
		if f.GetName() != family {
			continue
		}
		for _, m := range f.GetMetric() {
			if f.GetType() == dto.MetricType_COUNTER {
				total += m.GetCounter().GetValue()
			} else {
				total += m.GetGauge().GetValue()
			}
		}
	}
	return total
}
