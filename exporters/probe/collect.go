package probe

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/common/model"

	"watchkeeper/exporters"
	"watchkeeper/internal/sample"
)

// outcome is what the probe of a target found.
type outcome struct {
	*target
	result
	took time.Duration
}

// good reports whether the outcome speaks for the place that looked, too: it
// has reached the target.
func (o outcome) good() bool { return o.code == OK && o.local == nil }

// round is one collection.
type round struct {
	*Collector
	at       time.Time
	sink     exporters.Sink
	pending  []sample.Sample // to be delivered with the next batch
	held     []outcome       // wait for what the references say
	standing *standing       // nil: not known yet
	tally    map[string]*tally
}

// tally sums up the targets of a product.
type tally struct {
	targets, good int
	took          time.Duration // of the good ones
}

// Collect probes every target once. Results are delivered as they come, at most
// flushEvery after it; with references, good ones once the references have been
// reached and failures at the end, when they have been reached again. The last
// batch says that all have been looked at, or that nobody looked.
func (c *Collector) Collect(ctx context.Context, at time.Time, sink exporters.Sink) error {
	ctx, cancel := context.WithCancel(ctx)
	outcomes := make(chan outcome)
	looks := make(chan standing, 1)
	var workers sync.WaitGroup
	defer workers.Wait()
	defer cancel()
	r := &round{Collector: c, at: at, sink: sink, tally: make(map[string]*tally)}
	if len(c.references.probers) == 0 {
		r.standing = &standing{ok: true}
	} else {
		workers.Go(func() { looks <- c.references.look(ctx) })
	}
	meter := &stallMeter{last: time.Now()}
	workers.Go(func() { meter.run(ctx) })
	work := make(chan *target)
	workers.Go(func() { c.pace(ctx, work) })
	for range min(c.concurrency, len(c.targets)) {
		workers.Go(func() { probeAll(ctx, meter, work, outcomes) })
	}
	return r.run(ctx, outcomes, looks)
}

// probeAll takes targets until there are none. It gives up with ctx: a probe cut
// short by our own stop says nothing about its target.
func probeAll(ctx context.Context, meter *stallMeter, work <-chan *target, outcomes chan<- outcome) {
	for t := range work {
		probeCtx, cancel := context.WithTimeout(ctx, t.timeout)
		began := time.Now()
		before := meter.stalled(began)
		r := t.probe(probeCtx)
		cancel()
		ended := time.Now()
		r = ownFault(r, meter.stalled(ended)-before, t.timeout)
		if ctx.Err() != nil {
			return
		}
		select {
		case outcomes <- outcome{t, r, ended.Sub(began)}:
		case <-ctx.Done():
			return
		}
	}
}

func (r *round) run(ctx context.Context, outcomes <-chan outcome, looks <-chan standing) error {
	flush := time.NewTicker(flushEvery)
	defer flush.Stop()
	for got := 0; got < len(r.targets) || r.standing == nil; {
		select {
		case o := <-outcomes:
			got++
			r.take(o)
		case s := <-looks:
			if ctx.Err() != nil {
				return ctx.Err() // our own stop, no fault of the place
			}
			r.references.note(s)
			if !s.ok {
				return r.countedOut(ctx, s)
			}
			r.standing = &s
			r.release(outcome.good)
		case <-flush.C:
			if err := r.deliver(ctx); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return r.end(ctx)
}

// take accepts an outcome at once where nothing stands against it.
func (r *round) take(o outcome) {
	judged := len(r.references.probers) == 0 || r.standing != nil && o.good()
	if !judged {
		r.held = append(r.held, o)
		return
	}
	r.accept(o)
}

// release accepts the outcomes held for which accepted says so.
func (r *round) release(accepted func(outcome) bool) {
	var still []outcome
	for _, o := range r.held {
		if accepted(o) {
			r.accept(o)
		} else {
			still = append(still, o)
		}
	}
	r.held = still
}

// accept makes an outcome news about its target.
func (r *round) accept(o outcome) {
	r.note(o.target, o.result)
	if o.local != nil {
		return
	}
	t := r.tally[o.product]
	if t == nil {
		t = &tally{}
		r.tally[o.product] = t
	}
	t.targets++
	if o.code == OK {
		t.good++
		t.took += o.took
	}
	b := r.builder(o.product, o.name, "target", o.address)
	b.Add(o.metric, float64(o.code))
	if o.samples != nil {
		o.samples(b)
	}
	r.pending = append(r.pending, b.Samples()...)
}

func (r *round) builder(product, instance string, dims ...string) *exporters.Builder {
	return exporters.NewBuilder(r.at, append([]string{"customer", r.source.Customer, "product", product,
		"region", r.region, "instance", instance, "vantage", r.vantage}, dims...)...)
}

// deliver hands over what has come so far.
func (r *round) deliver(ctx context.Context) error {
	if len(r.pending) == 0 {
		return nil
	}
	err := r.sink.Append(ctx, sample.Batch{Source: r.source, Samples: r.pending})
	r.pending = nil
	return err
}

// end judges the failures and closes the check.
func (r *round) end(ctx context.Context) error {
	if len(r.held) > 0 {
		s := r.references.look(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if r.references.note(s); !s.ok {
			return r.countedOut(ctx, s)
		}
		r.release(func(outcome) bool { return true })
	}
	r.addVantage(*r.standing)
	return r.sink.Append(ctx, exporters.Looked(r.source, r.at, r.pending))
}

// countedOut closes a check at which the place was at fault. What it reached all
// the same stands; of everything else nobody has looked.
func (r *round) countedOut(ctx context.Context, s standing) error {
	r.addVantage(s)
	return r.sink.Append(ctx, sample.Batch{
		Source:    r.source,
		Samples:   r.pending,
		Ups:       []sample.Up{{T: r.at.UnixMilli(), OK: false}},
		Watermark: sample.Current,
	})
}

// addVantage adds what the place tells of itself and, unless it is counted out, sums
// up what it saw.
func (r *round) addVantage(s standing) {
	interval := model.Duration(r.interval).String()
	if n := len(r.references.probers); n > 0 {
		b := r.builder(productVantage, r.vantage, "interval", interval)
		b.Add(metricVantageOK, map[bool]float64{true: 1}[s.ok])
		b.Add(metricVantageReferencesReached, float64(s.reached))
		r.pending = append(r.pending, b.Samples()...)
	}
	if !s.ok {
		return
	}
	for product, t := range r.tally {
		b := r.builder(productVantage, r.vantage, "interval", interval, "of", product)
		b.Add(metricVantageTargets, float64(t.targets))
		b.Add(metricVantageTargetsGood, float64(t.good))
		if t.good > 0 {
			b.Add(metricVantageMeanDuration, t.took.Seconds()/float64(t.good))
		}
		r.pending = append(r.pending, b.Samples()...)
	}
}
