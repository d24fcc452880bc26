// Package heartbeat is a dead man's switch for jobs: a job reports when it is
// done, and its absence is the alarm. Backups, cron jobs and the like call
// /heartbeat/NAME; whoever does not call within the declared interval and grace
// is late.
//
// A report of a failure does not count as a success: the job is late when its
// last success is too old. A heartbeat that never came is counted from the first
// check of its declaration. What is known survives restarts; time during which
// nobody could take reports counts like any other.
package heartbeat

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"time"

	"watchkeeper/exporters"
	"watchkeeper/internal/sample"
)

// Kind names this sort of collector in a scheduler's job.
const Kind = "heartbeat"

// Metrics of a heartbeat; all carry the label `heartbeat`.
const (
	metricAgeSeconds      = "heartbeat_age_seconds" // since the last success, or the declaration
	metricLate            = "heartbeat_late"        // 1: later than interval and grace
	metricFailed          = "heartbeat_failed"      // 1: the last report told of a failure
	metricSuccessSeconds  = "heartbeat_last_success_timestamp_seconds"
	metricBeatsTotal      = "heartbeat_beats_total" // status: ok, fail
	metricExitCode        = "heartbeat_exit_code"
	metricDurationSeconds = "heartbeat_duration_seconds"
)

// ReasonRemoved ends the series of a heartbeat that is no longer declared.
const ReasonRemoved = "removed from configuration"

// Collector delivers the state of one customer's heartbeats.
type Collector struct {
	source   sample.Source
	jobs     []Job
	registry *Registry
	log      *slog.Logger
}

// New returns the collector of a customer's declared heartbeats.
func New(customer string, cfg Config, registry *Registry, log *slog.Logger) (*Collector, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Collector{source: sample.Source{Customer: customer, Name: Kind + "/jobs"}, jobs: cfg.Jobs, registry: registry, log: log}, nil
}

// Source is "heartbeat/jobs".
func (c *Collector) Source() sample.Source { return c.source }

// Collect judges every heartbeat at `at`.
func (c *Collector) Collect(ctx context.Context, at time.Time, sink exporters.Sink) error {
	declared, gone, err := c.registry.check(c.source.Customer, c.jobs, at)
	if err != nil {
		return err
	}
	var samples []sample.Sample
	for _, j := range c.jobs {
		samples = append(samples, c.series(at, j, declared[j.Name])...)
	}
	batch := exporters.Looked(c.source, at, samples)
	for _, name := range slices.Sorted(maps.Keys(gone)) {
		h := gone[name]
		h.Exit, h.Seconds, h.Success = new(int), new(float64), 1 // series that there may have been
		for _, s := range c.series(at, Job{Name: name, Instance: h.Instance}, h) {
			batch.Ends = append(batch.Ends, sample.End{Labels: s.Labels, T: s.T, Reason: ReasonRemoved})
		}
	}
	if err := sink.Append(ctx, batch); err != nil {
		return err
	}
	if len(gone) == 0 {
		return nil
	}
	return c.registry.forget(c.source.Customer, gone)
}

// series are the samples of one heartbeat.
func (c *Collector) series(at time.Time, j Job, h history) []sample.Sample {
	b := exporters.NewBuilder(at, "customer", c.source.Customer, "product", Kind, "instance", j.instance(), "heartbeat", j.Name)
	since := max(h.Declared, h.Success)
	if h.Success > 0 {
		since = h.Success
		b.Add(metricSuccessSeconds, float64(h.Success)/1000)
	}
	age := max(0, at.Sub(time.UnixMilli(since)))
	b.Add(metricAgeSeconds, age.Seconds())
	b.Add(metricLate, flag(age > time.Duration(j.Interval)+time.Duration(j.Grace)))
	b.Add(metricFailed, flag(h.Failed))
	b.Add(metricBeatsTotal, float64(h.OKs), "status", statusOK)
	b.Add(metricBeatsTotal, float64(h.Failures), "status", statusFail)
	if h.Exit != nil {
		b.Add(metricExitCode, float64(*h.Exit))
	}
	if h.Seconds != nil {
		b.Add(metricDurationSeconds, *h.Seconds)
	}
	return b.Samples()
}

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
