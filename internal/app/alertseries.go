package app

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"watchkeeper/internal/sample"
	"watchkeeper/ruleset"
)

// alertSeries keeps Prometheus's series ALERTS for the rule engine's alerts, so
// that dashboards and PromQL see them: 1 while pending or firing (no-data shows
// as alertstate "no_data"), a stale marker when the alert is gone.
type alertSeries struct {
	deliver func(context.Context, sample.Batch) error
	written map[string]alertSample // what stands in the store, by labels
	last    time.Time              // of the last full write
	version int                    // of the alerts in written
}

type alertSample struct {
	customer string
	labels   labels.Labels
}

// alertSource names the source of ALERTS within a customer.
const alertSource = "rules/alerts"

// rewriteAfter is how often an unchanged alert is written again, well within
// the look-back of queries.
const rewriteAfter = time.Minute

// follow writes the engine's alerts when they have changed or are due again.
func (s *alertSeries) follow(ctx context.Context, e *ruleset.Engine, now time.Time) error {
	if now.Sub(s.last) < rewriteAfter && e.Version() == s.version {
		return nil
	}
	alerts, version := e.Standing()
	if err := s.write(ctx, alerts, now); err != nil {
		return err
	}
	s.version = version
	return nil
}

// write brings the series up to date at now: changes at once, the rest once a minute.
func (s *alertSeries) write(ctx context.Context, alerts []ruleset.Alert, now time.Time) error {
	present := make(map[string]alertSample, len(alerts))
	for _, a := range alerts {
		if x, ok := alertSampleOf(a); ok {
			present[x.labels.String()] = x
		}
	}
	all := now.Sub(s.last) >= rewriteAfter
	batches := map[string]*sample.Batch{}
	add := func(x alertSample, v float64) {
		b := batches[x.customer]
		if b == nil {
			b = &sample.Batch{
				Source: sample.Source{Customer: x.customer, Name: alertSource}, Watermark: sample.Current,
				Ups: []sample.Up{{T: now.UnixMilli(), OK: true}},
			}
			batches[x.customer] = b
		}
		b.Samples = append(b.Samples, sample.Sample{Labels: x.labels, T: now.UnixMilli(), V: v})
	}
	for key, x := range present {
		if _, there := s.written[key]; all || !there {
			add(x, 1)
		}
	}
	for key, x := range s.written {
		if _, there := present[key]; !there {
			add(x, math.Float64frombits(value.StaleNaN))
		}
	}
	for customer, b := range batches {
		if err := s.deliver(ctx, *b); err != nil {
			return fmt.Errorf("series ALERTS of %s: %w", customer, err)
		}
	}
	if all {
		s.last = now
	}
	s.written = present
	return nil
}

func alertSampleOf(a ruleset.Alert) (alertSample, bool) {
	state := string(a.State)
	if state == string(ruleset.StateInactive) {
		return alertSample{}, false
	}
	b := labels.NewBuilder(a.Labels)
	b.Set(model.MetricNameLabel, "ALERTS")
	b.Set("alertstate", state)
	customer := a.Labels.Get("customer")
	return alertSample{customer, b.Labels()}, customer != ""
}
