package alertrouter

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/prometheus/alertmanager/silence"

	"watchkeeper/alertrouter/incident"
)

// routerMetrics are the router's own metrics.
type routerMetrics struct {
	set            *metrics.Set
	events         *metrics.Counter
	eventsInvalid  *metrics.Counter
	handleFailures *metrics.Counter
	roundFailures  *metrics.Counter
	detection      *metrics.PrometheusHistogram
	latency        *metrics.PrometheusHistogram

	changes       atomic.Int64 // as of the sender's last round
	notifications atomic.Int64
	oldestDue     atomic.Int64 // Unix ms; 0: none
}

// latencyBuckets reach from a local delivery to a receiver that was down for hours, in seconds.
var latencyBuckets = []float64{.05, .25, 1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600, 4 * 3600}

func newMetrics(set *metrics.Set, silences *silence.Silences) *routerMetrics {
	m := &routerMetrics{
		set:            set,
		events:         set.NewCounter(`watchkeeper_alertrouter_events_total`),
		eventsInvalid:  set.NewCounter(`watchkeeper_alertrouter_events_invalid_total`),
		handleFailures: set.NewCounter(`watchkeeper_alertrouter_handle_failures_total`),
		roundFailures:  set.NewCounter(`watchkeeper_alertrouter_sender_round_failures_total`),
		detection:      set.NewPrometheusHistogramExt(`watchkeeper_alertrouter_detection_latency_seconds`, latencyBuckets),
		latency:        set.NewPrometheusHistogramExt(`watchkeeper_alertrouter_notification_latency_seconds`, latencyBuckets),
	}
	set.NewGauge(`watchkeeper_alertrouter_outbox_changes`, func() float64 { return float64(m.changes.Load()) })
	set.NewGauge(`watchkeeper_alertrouter_outbox_notifications`, func() float64 { return float64(m.notifications.Load()) })
	set.NewGauge(`watchkeeper_alertrouter_outbox_oldest_due_age_seconds`, func() float64 {
		due := m.oldestDue.Load()
		if due == 0 {
			return 0
		}
		return max(0, time.Since(time.UnixMilli(due)).Seconds())
	})
	set.NewGauge(`watchkeeper_alertrouter_silences_active`, func() float64 {
		n, err := silences.CountState(context.Background(), silence.SilenceStateActive)
		if err != nil {
			return -1
		}
		return float64(n)
	})
	return m
}

// change counts a change of an incident by its kind.
func (m *routerMetrics) change(t incident.EntryType) {
	m.set.GetOrCreateCounter(fmt.Sprintf(`watchkeeper_alertrouter_incident_changes_total{change=%q}`, string(t))).Inc()
}

// attempt counts an attempt to deliver by the receiver's kind.
func (m *routerMetrics) attempt(kind string, n incident.Notification, a incident.Attempt) {
	count := func(name string) {
		m.set.GetOrCreateCounter(fmt.Sprintf(`watchkeeper_alertrouter_notification_%s_total{kind=%q}`, name, kind)).Inc()
	}
	count("attempts")
	switch a.Outcome {
	case incident.OutcomeAccepted:
		m.latency.Update(a.At.Sub(n.QueuedAt).Seconds())
	case incident.OutcomeRetry:
		count("attempt_failures")
	case incident.OutcomeFailed:
		count("attempt_failures")
		count("given_up")
	}
}

// queue publishes the state of the outbox.
func (m *routerMetrics) queue(q incident.Queue) {
	m.changes.Store(int64(q.Changes))
	m.notifications.Store(int64(q.Notifications))
	m.oldestDue.Store(0)
	if !q.OldestDue.IsZero() {
		m.oldestDue.Store(q.OldestDue.UnixMilli())
	}
}
