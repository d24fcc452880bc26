// Package probe looks at targets from outside, as their users do: does a port
// accept connections and answer, does a URL or a whole sequence of requests
// answer as expected, does a name server, does an address answer ping. Each
// probe yields a code, 0 when all is good and one per cause otherwise, and
// timings.
//
// A target that fails is a successful look: the code is the news. What is wrong
// with the place that looks (no more sockets, no permission, a machine so busy
// that this process hardly ran) is never held against a target: such a probe
// yields no sample and is counted and logged.
//
// A place that cannot reach its own reference targets is counted out: its check
// is one at which nobody looked. A failure counts only when the references were
// reached before and after it.
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
	region      string
	interval    time.Duration
	concurrency int
	references  *references
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
		c, err := newCollector(customer, cfg, interval, targets, set, log)
		if err != nil {
			return nil, err
		}
		collectors = append(collectors, c)
	}
	slices.SortFunc(collectors, func(a, b *Collector) int { return cmp.Compare(a.interval, b.interval) })
	return collectors, nil
}

func newCollector(customer string, cfg Config, interval time.Duration, targets []Target, set *metrics.Set, log *slog.Logger) (*Collector, error) {
	c := &Collector{
		source:      sample.Source{Customer: customer, Name: fmt.Sprintf("probe/%s/%s", cfg.Vantage, model.Duration(interval))},
		vantage:     cfg.Vantage,
		region:      cfg.Region,
		interval:    interval,
		concurrency: concurrency(interval, targets),
		log:         log.With("customer", customer, "vantage", cfg.Vantage),
	}
	if cfg.MaxConcurrency > 0 {
		c.concurrency = cfg.MaxConcurrency
	}
	var err error
	if c.references, err = newReferences(cfg.ReferenceTargets, interval, set, c.log); err != nil {
		return nil, err
	}
	counters := make(map[string]*target)
	for _, t := range targets {
		built, err := newTarget(t, set, counters)
		if err != nil {
			return nil, fmt.Errorf("target %q: %w", t.Name, err)
		}
		c.targets = append(c.targets, built)
	}
	inOrder(c.targets)
	return c, nil
}

// newTarget builds a target; counters holds one of each kind that has its
// counters already.
func newTarget(t Target, set *metrics.Set, counters map[string]*target) (built *target, err error) {
	built = &target{name: t.Name, timeout: t.timeout()}
	var kind string
	switch {
	case t.URL != "":
		kind, built.product, built.address, built.metric = "http", productWebsite, t.URL.String(), metricHTTPCode
		built.prober, err = newHTTPProber(t)
	case len(t.Script) > 0:
		kind, built.product, built.address, built.metric = "script", productWebsite, t.Script[0].URL.String(), metricHTTPCode
		built.prober, err = newScriptProber(t)
	case t.TCP != "":
		kind, built.product, built.address, built.metric = "tcp", productPort, t.TCP, metricTCPCode
		built.prober, err = newPortProber(t)
	case t.UDP != "":
		kind, built.product, built.address, built.metric = "udp", productUDP, t.UDP, metricUDPCode
		built.prober, err = newPortProber(t)
	case t.DNS != nil:
		kind, built.product, built.address, built.metric = "dns", productDNS, t.DNS.String(), metricDNSCode
		built.prober, err = newDNSProber(*t.DNS)
	default:
		kind, built.product, built.address, built.metric = "icmp", productPing, t.ICMP, metricICMPCode
		built.prober = icmpProber{host: t.ICMP}
	}
	if err != nil {
		return nil, err
	}
	if counters[kind] == nil {
		counters[kind] = built
		built.count(kind, set)
	}
	same := counters[kind]
	built.probes, built.localFailures, built.failures = same.probes, same.localFailures, same.failures
	return built, nil
}

// count makes the counters of a kind.
func (t *target) count(kind string, set *metrics.Set) {
	t.probes = set.GetOrCreateCounter(fmt.Sprintf(`watchkeeper_probe_probes_total{kind=%q}`, kind))
	t.localFailures = set.GetOrCreateCounter(fmt.Sprintf(`watchkeeper_probe_local_failures_total{kind=%q}`, kind))
	t.failures = make(map[Code]*metrics.Counter)
	for code := OK + 1; code <= lastCode; code++ {
		t.failures[code] = set.GetOrCreateCounter(fmt.Sprintf(`watchkeeper_probe_failures_total{kind=%q,code=%q}`, kind, code))
	}
}

// Source is "probe/<vantage>/<interval>".
func (c *Collector) Source() sample.Source { return c.source }

// Interval is how often the collector is to be called.
func (c *Collector) Interval() time.Duration { return c.interval }

// Timeout is the time-out that a collection needs when every target hangs.
func (c *Collector) Timeout() time.Duration { return collectionTimeout(c.interval) }

// note counts a result and logs it when it is news.
func (c *Collector) note(t *target, r result) {
	t.probes.Inc()
	if r.local != nil {
		t.localFailures.Inc()
		if !t.lastLocal {
			c.log.Warn("probe could not be made", "target", t.name, "err", r.local)
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
		c.log.Info("probe succeeds again", "target", t.name)
	default:
		c.log.Info("probe fails", "target", t.name, "code", r.code.String(), "err", r.err)
	}
	t.last = r.code
}
