// Package server holds what all collectors of middleware share: a Collector
// that reads one server instance within its time-out, the settings that name
// it, connections with bounded answers, and failures that say in one word what
// went wrong and never show a credential.
//
// Connections live for one check: at one check a minute a fresh one costs
// nothing, it notices a server that takes no more clients, and a collector that
// a reload has replaced leaves nothing open.
package server

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"time"
	"unicode/utf8"

	"github.com/VictoriaMetrics/metrics"
	"github.com/prometheus/common/model"

	"watchkeeper/exporters"
	"watchkeeper/internal/sample"
)

// Limits and defaults of every server's settings.
const (
	defaultInterval = time.Minute
	defaultTimeout  = 10 * time.Second
	maxNameBytes    = 128
	// defaultMaxSeries bounds what one server may deliver at one check, so that a
	// server with a million queues does not fill the store.
	defaultMaxSeries = 5_000
)

// Settings are what the configuration of every server has.
type Settings struct {
	// Name identifies the server; the label `instance` of its series. Unique
	// among the customer's servers of one product; it must not change while the
	// server lives. Required.
	Name string `yaml:"name"`
	// Interval between two checks. Default 1m, the contract's.
	Interval model.Duration `yaml:"interval"`
	// Timeout of one check; at most four fifths of the interval and 30s.
	// Default 10s, or as much as that allows.
	Timeout model.Duration `yaml:"timeout"`
}

// Validate names the first value that cannot be used.
func (s Settings) Validate() error {
	switch {
	case s.Name == "":
		return fmt.Errorf("name: must not be empty")
	case len(s.Name) > maxNameBytes || !utf8.ValidString(s.Name):
		return fmt.Errorf("name: must be UTF-8 of at most %d bytes", maxNameBytes)
	case s.interval() < exporters.MinInterval:
		return fmt.Errorf("interval: %s is shorter than %s", s.Interval, exporters.MinInterval)
	case s.Timeout < 0 || s.timeout() > exporters.DefaultTimeout(s.interval()):
		return fmt.Errorf("timeout: %s is not between 0s and %s, the most with interval %s", s.Timeout,
			model.Duration(exporters.DefaultTimeout(s.interval())), model.Duration(s.interval()))
	}
	return nil
}

// InstanceName is the value of the label `instance`.
func (s Settings) InstanceName() string { return s.Name }

func (s Settings) interval() time.Duration {
	if s.Interval == 0 {
		return defaultInterval
	}
	return time.Duration(s.Interval)
}

func (s Settings) timeout() time.Duration {
	if s.Timeout == 0 {
		return min(defaultTimeout, exporters.DefaultTimeout(s.interval()))
	}
	return time.Duration(s.Timeout)
}

// Reader reads one server. An error says that the server could not be read at
// all; what only a part of it lacks goes to Reading.Miss.
type Reader interface {
	Read(ctx context.Context, r *Reading) error
}

// Collector reads one server instance; it implements exporters.Collector.
type Collector struct {
	source   sample.Source
	product  Product
	settings Settings
	reader   Reader
	secrets  []Secret
	set      *metrics.Set
	log      *slog.Logger
	missed   map[string]bool // the parts that the check before missed
}

// Product says how a sort of server is called.
type Product struct {
	// Kind names the sort of collector in jobs, sources and metrics ("phpfpm").
	Kind string
	// Label is the series' label `product` ("php").
	Label string
	// MaxSeries bounds what one server may deliver at one check; 0 means 5,000.
	MaxSeries int
}

func (p Product) maxSeries() int {
	if p.MaxSeries == 0 {
		return defaultMaxSeries
	}
	return p.MaxSeries
}

// New returns the collector of one server. secrets are taken out of every error
// that the reader returns.
func New(customer string, p Product, s Settings, reader Reader, secrets []Secret, set *metrics.Set, log *slog.Logger) *Collector {
	c := &Collector{
		source:   sample.Source{Customer: customer, Name: p.Kind + "/" + s.Name},
		product:  p,
		settings: s,
		reader:   reader,
		secrets:  secrets,
		set:      set,
		log:      log.With("customer", customer, "product", p.Label, "instance", s.Name),
		missed:   make(map[string]bool),
	}
	c.reads()
	for _, reason := range Reasons {
		c.failures(reason)
	}
	return c
}

// Source is "<kind>/<instance>".
func (c *Collector) Source() sample.Source { return c.source }

// Kind names the sort of collector in a scheduler's job.
func (c *Collector) Kind() string { return c.product.Kind }

// Interval is how often the collector is to be called.
func (c *Collector) Interval() time.Duration { return c.settings.interval() }

// Collect reads the server once and delivers one batch. The error is a *Failure.
func (c *Collector) Collect(ctx context.Context, at time.Time, sink exporters.Sink) error {
	readCtx, cancel := context.WithTimeout(ctx, c.settings.timeout())
	defer cancel()
	r := &Reading{
		At:        at,
		maxSeries: c.product.maxSeries(),
		Builder:   exporters.NewBuilder(at, "customer", c.source.Customer, "product", c.product.Label, "instance", c.settings.Name),
	}
	c.reads().Inc()
	if err := c.reader.Read(readCtx, r); err != nil {
		if ctx.Err() != nil {
			return ctx.Err() // our own stop, nobody's failure
		}
		f := failureOf(err, readCtx.Err()).without(c.secrets)
		c.failures(f.Reason).Inc()
		return f
	}
	c.note(r)
	batch := exporters.Looked(c.source, at, r.Builder.Samples())
	batch.Ends = r.ends
	return sink.Append(ctx, batch)
}

// note counts the parts that were missed and logs those that were not before.
func (c *Collector) note(r *Reading) {
	missed := make(map[string]bool)
	for _, m := range r.misses {
		missed[m.part] = true
		c.set.GetOrCreateCounter(fmt.Sprintf(`watchkeeper_middleware_part_failures_total{kind=%q,part=%q}`, c.product.Kind, m.part)).Inc()
		if !c.missed[m.part] {
			f := failureOf(m.err, nil).without(c.secrets)
			c.log.Warn("part of a server not read", "part", m.part, "reason", f.Reason, "err", f.Err)
		}
	}
	c.missed = missed
}

func (c *Collector) reads() *metrics.Counter {
	return c.set.GetOrCreateCounter(fmt.Sprintf(`watchkeeper_middleware_reads_total{kind=%q}`, c.product.Kind))
}

func (c *Collector) failures(reason string) *metrics.Counter {
	return c.set.GetOrCreateCounter(fmt.Sprintf(`watchkeeper_middleware_read_failures_total{kind=%q,reason=%q}`, c.product.Kind, reason))
}

// Reading takes what one check finds.
type Reading struct {
	// At is the check's time, which is the samples' timestamp.
	At time.Time

	*exporters.Builder
	maxSeries int
	misses    []miss
	ends      []sample.End
}

type miss struct {
	part string
	err  error
}

// Add adds one sample. What is not a number is left out: a gap is honest, a NaN
// is not. So is what exceeds the limit of series; the part "series" is then missed.
func (r *Reading) Add(metric string, value float64, dims ...string) {
	if math.IsNaN(value) || math.IsInf(value, 0) {
		return
	}
	if n := len(r.Samples()); n >= r.maxSeries {
		if len(r.misses) == 0 || r.misses[len(r.misses)-1].part != "series" {
			r.Miss("series", Failed(ReasonTooLarge, "more than %d series; the rest is left out", r.maxSeries))
		}
		return
	}
	r.Builder.Add(metric, value, dims...)
}

// Miss notes a part that could not be read while others could. part is from a
// closed set of the reader's.
func (r *Reading) Miss(part string, err error) {
	r.misses = append(r.misses, miss{part, err})
}

// Missed returns the error of a part that this check missed, nil if it did not.
func (r *Reading) Missed(part string) error {
	for _, m := range r.misses {
		if m.part == part {
			return m.err
		}
	}
	return nil
}

// End says that the given samples' series ended for a reason after their timestamp.
func (r *Reading) End(last []sample.Sample, reason string) {
	for _, s := range last {
		r.ends = append(r.ends, sample.End{Labels: s.Labels, T: s.T, Reason: reason})
	}
}
