// Package probe looks at targets from outside, as their users do: does a port
// accept connections, does a URL answer as expected, does an address answer
// ping. Each probe yields a code, 0 when all is good and one per cause
// otherwise, and timings.
//
// A target that fails is a successful look: the code is the news. What is wrong
// with the place that looks (no more sockets, no permission) is never held
// against a target: such a probe yields no sample and is counted and logged.
//
// The targets of one customer, vantage point and interval are one source. Their
// probes run at the same time, each with its own time-out, and so many at once
// that the set ends in time even when every target hangs; so none is left
// unobserved for another's sake, and a vantage point that falls silent is one
// silent source instead of hundreds.
package probe

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/prometheus/common/model"

	"watchkeeper/exporters"
	"watchkeeper/internal/sample"
)

// Kind names this sort of collector in a scheduler's job.
const Kind = "probe"

// flushEvery is how long the result of a quick probe waits for the slow ones.
const flushEvery = time.Second

// result is what one probe found.
type result struct {
	code    Code
	err     error                    // why the code is not OK; without credentials
	local   error                    // the probe could not be made, by no fault of the target
	samples func(*exporters.Builder) // adds what was measured besides the code
}

// prober probes one target. ctx carries the probe's time-out.
type prober interface {
	probe(ctx context.Context) result
}

// target is a prober with its identity and what is counted of it.
type target struct {
	prober
	name, product, address string
	metric                 string // of the code
	timeout                time.Duration
	probes, localFailures  *metrics.Counter
	failures               map[Code]*metrics.Counter
	last                   Code // result of the probe before, to log changes only
	lastLocal              bool
}

// Collector probes the targets of one interval.
type Collector struct {
	source      sample.Source
	vantage     string
	interval    time.Duration
	concurrency int
	targets     []*target
	log         *slog.Logger
}

// New returns a collector for each interval among the configuration's targets,
// shortest first.
func New(customer string, cfg Config, set *metrics.Set, log *slog.Logger) ([]*Collector, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	var collectors []*Collector
	for interval, targets := range byInterval(cfg.Targets) {
		c := &Collector{
			source:      sample.Source{Customer: customer, Name: fmt.Sprintf("probe/%s/%s", cfg.Vantage, model.Duration(interval))},
			vantage:     cfg.Vantage,
			interval:    interval,
			concurrency: concurrency(interval, targets),
			log:         log,
		}
		for _, t := range targets {
			built, err := newTarget(t, set)
			if err != nil {
				return nil, fmt.Errorf("target %q: %w", t.Name, err)
			}
			c.targets = append(c.targets, built)
		}
		collectors = append(collectors, c)
	}
	slices.SortFunc(collectors, func(a, b *Collector) int { return cmp.Compare(a.interval, b.interval) })
	return collectors, nil
}

func newTarget(t Target, set *metrics.Set) (*target, error) {
	built := &target{name: t.Name, timeout: t.timeout(), failures: make(map[Code]*metrics.Counter)}
	var kind string
	switch {
	case t.URL != "":
		kind, built.product, built.address, built.metric = "http", productWebsite, t.URL.String(), metricHTTPCode
		p, err := newHTTPProber(t)
		if err != nil {
			return nil, err
		}
		built.prober = p
	case t.TCP != "":
		kind, built.product, built.address, built.metric = "tcp", productPort, t.TCP, metricTCPCode
		built.prober = tcpProber{address: t.TCP}
	default:
		kind, built.product, built.address, built.metric = "icmp", productPing, t.ICMP, metricICMPCode
		built.prober = icmpProber{host: t.ICMP}
	}
	built.probes = set.GetOrCreateCounter(fmt.Sprintf(`watchkeeper_probe_probes_total{kind=%q}`, kind))
	built.localFailures = set.GetOrCreateCounter(fmt.Sprintf(`watchkeeper_probe_local_failures_total{kind=%q}`, kind))
	for code := DNSFailed; code <= ProtocolError; code++ {
		built.failures[code] = set.GetOrCreateCounter(fmt.Sprintf(`watchkeeper_probe_failures_total{kind=%q,code=%q}`, kind, code))
	}
	return built, nil
}

// Source is "probe/<vantage>/<interval>".
func (c *Collector) Source() sample.Source { return c.source }

// Interval is how often the collector is to be called.
func (c *Collector) Interval() time.Duration { return c.interval }

// Collect probes every target once. Results are delivered as they come, at most
// flushEvery after it; the last batch says that all have been looked at.
func (c *Collector) Collect(ctx context.Context, at time.Time, sink exporters.Sink) error {
	ctx, cancel := context.WithCancel(ctx)
	results := make(chan []sample.Sample)
	var workers sync.WaitGroup
	defer workers.Wait()
	defer cancel()
	work := make(chan *target, len(c.targets))
	for _, t := range c.targets {
		work <- t
	}
	close(work)
	for range min(c.concurrency, len(c.targets)) {
		workers.Go(func() { c.probeAll(ctx, at, work, results) })
	}
	return c.deliver(ctx, at, sink, results)
}

// probeAll takes targets until there are none. It gives up with ctx: a probe cut
// short by our own stop says nothing about its target.
func (c *Collector) probeAll(ctx context.Context, at time.Time, work <-chan *target, results chan<- []sample.Sample) {
	for t := range work {
		probeCtx, cancel := context.WithTimeout(ctx, t.timeout)
		r := t.probe(probeCtx)
		cancel()
		if ctx.Err() != nil {
			return
		}
		c.note(t, r)
		select {
		case results <- c.samples(t, r, at):
		case <-ctx.Done():
			return
		}
	}
}

func (c *Collector) deliver(ctx context.Context, at time.Time, sink exporters.Sink, results <-chan []sample.Sample) error {
	flush := time.NewTicker(flushEvery)
	defer flush.Stop()
	var pending []sample.Sample
	for got := 0; got < len(c.targets); {
		select {
		case s := <-results:
			got++
			pending = append(pending, s...)
		case <-flush.C:
			if len(pending) == 0 {
				continue
			}
			if err := sink.Append(ctx, sample.Batch{Source: c.source, Samples: pending}); err != nil {
				return err
			}
			pending = nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return sink.Append(ctx, exporters.Looked(c.source, at, pending))
}

func (c *Collector) samples(t *target, r result, at time.Time) []sample.Sample {
	if r.local != nil {
		return nil
	}
	b := exporters.NewBuilder(at, "customer", c.source.Customer, "product", t.product,
		"instance", t.name, "target", t.address, "vantage", c.vantage)
	b.Add(t.metric, float64(r.code))
	if r.samples != nil {
		r.samples(b)
	}
	return b.Samples()
}

// note counts a result and logs it when it is news.
func (c *Collector) note(t *target, r result) {
	t.probes.Inc()
	log := c.log.With("customer", c.source.Customer, "target", t.name, "vantage", c.vantage)
	if r.local != nil {
		t.localFailures.Inc()
		if !t.lastLocal {
			log.Warn("probe could not be made", "err", r.local)
		}
		t.lastLocal = true
		return
	}
	t.lastLocal = false
	if r.code != OK {
		t.failures[r.code].Inc()
	}
	switch {
	case r.code == t.last:
	case r.code == OK:
		log.Info("probe succeeds again")
	default:
		log.Info("probe fails", "code", r.code.String(), "err", r.err)
	}
	t.last = r.code
}
