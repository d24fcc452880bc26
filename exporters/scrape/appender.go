package scrape

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/scrape"
	"github.com/prometheus/prometheus/storage"

	"watchkeeper/internal/sample"
)

// health is the family name under which the scrape manager appends the result
// of a scrape; the byte behind up is its mark for samples that are its own and
// not the target's.
const health = "up\xff"

// appender takes one scrape and delivers it as one batch.
type appender struct {
	ctx     context.Context // of the scrape pool; an appender lives for one scrape
	job     *job
	scraped *scrape.Target
	target  *target
	id      labels.Labels // of the target: product, region, instance

	samples []sample.Sample
	in      []*series // those of samples, in the same order
	stale   []*series // marked stale by the scrape manager
	staleT  int64
	lost    []*series // marked stale with this scrape

	told  bool // the result of the scrape was appended
	up    float64
	upT   int64
	ended bool // the target is no longer scraped
}

// Append implements storage.AppenderV2.
func (a *appender) Append(ref storage.SeriesRef, l labels.Labels, _, t int64, v float64, h *histogram.Histogram, fh *histogram.FloatHistogram, opts storage.AOptions) (storage.SeriesRef, error) {
	if h != nil || fh != nil {
		a.job.figures.dropped[droppedHistogram].Inc()
		return 0, nil
	}
	if strings.HasPrefix(l.Get(model.MetricNameLabel), reservedNames) {
		a.job.figures.dropped[droppedReserved].Inc()
		return 0, nil
	}
	a.target.mu.Lock()
	defer a.target.mu.Unlock()
	s := a.target.of(ref, l, a.job.ref)
	if opts.RejectOutOfOrder && t <= s.last {
		return s.ref, storage.ErrOutOfOrderSample
	}
	stale := value.IsStaleNaN(v)
	if opts.MetricFamilyName == health {
		a.told, a.up, a.upT, a.ended = true, v, t, stale
	}
	if stale {
		a.staleT = t
		if s.last != 0 {
			a.stale = append(a.stale, s)
		} else if s.in == nil { // never delivered: there is nothing to end
			a.target.drop(s)
		}
		return s.ref, nil
	}
	if s.in == a && s.inT == t {
		if s.inV != math.Float64bits(v) {
			return s.ref, storage.ErrDuplicateSampleForTimestamp
		}
		return s.ref, nil
	}
	s.in, s.inT, s.inV = a, t, math.Float64bits(v)
	a.samples = append(a.samples, sample.Sample{Labels: s.labels, T: t, V: v})
	a.in = append(a.in, s)
	return s.ref, nil
}

// Rollback implements storage.AppenderTransaction.
func (a *appender) Rollback() error {
	t := a.target
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range a.in {
		if s.in == a {
			s.in = nil
		}
		// A target whose every scrape fails with new series must not grow.
		if s.last == 0 && s.in == nil {
			t.drop(s)
		}
	}
	a.samples, a.in, a.stale, a.told = nil, nil, nil, false
	return nil
}

// Commit delivers the scrape. An error means that nothing of it was taken; it
// is counted here and logged by the scrape manager.
func (a *appender) Commit() error {
	b := a.batch(time.Now())
	a.report()
	if len(b.Samples)+len(b.Ups)+len(b.Ends) == 0 {
		return nil
	}
	a.job.figures.commits.Inc()
	// No lock is held meanwhile: the store may wait for the disk.
	if err := a.job.sink.Append(a.ctx, b); err != nil {
		a.job.figures.unkept.Inc()
		if a.ended {
			a.job.forget(a.target.source) // Manager.Gone tells of it from now on
		}
		return fmt.Errorf("deliver %d samples of %s: %w", len(b.Samples), a.target.source.Name, err)
	}
	a.settle(len(b.Ends))
	return nil
}

// batch makes what is delivered.
func (a *appender) batch(now time.Time) sample.Batch {
	t := a.target
	t.mu.Lock()
	defer t.mu.Unlock()
	b := sample.Batch{Source: t.source}
	if a.ended {
		for _, s := range t.series {
			if s.last != 0 && s.last < a.staleT {
				b.Ends = append(b.Ends, sample.End{Labels: s.labels, T: now.UnixMilli(), Reason: ReasonGone})
			}
		}
		// Nothing more will come: everything that will is there.
		b.Ups, b.Watermark = []sample.Up{{T: now.UnixMilli(), OK: true}}, sample.Current
		return b
	}
	for _, s := range a.stale {
		s.held = true
	}
	switch {
	case !a.told: // of a loop that another has replaced
		a.lost = a.stale
	case a.up == 1:
		a.translate()
		for _, s := range t.series {
			if (s.held || s.alias && s.last != 0) && s.in != a {
				a.lost = append(a.lost, s)
			}
		}
		b.Ups, b.Watermark = []sample.Up{{T: a.upT, OK: true}}, sample.Current
	default:
		// The samples are those about the scrape. The stale markers mean that
		// nobody could look, not that the series ended.
		b.Ups = []sample.Up{{T: a.upT}}
	}
	b.Samples = a.samples
	at := max(a.upT, a.staleT)
	for _, s := range a.lost {
		b.Samples = append(b.Samples, sample.Sample{Labels: s.labels, T: at, V: math.Float64frombits(value.StaleNaN)})
	}
	return b
}

// translate adds the contract's metrics to a good scrape of a target that asks
// for them. The caller holds the target's lock.
func (a *appender) translate() {
	v := a.job.aliases.products[a.id.Get(productLabel)]
	if v == nil {
		return
	}
	t := a.target
	t.past.add(v, a.samples, a.upT)
	samples, err := a.job.aliases.translate(a.ctx, v, t.past, a.id, a.upT)
	for _, x := range samples {
		s := t.of(0, x.Labels, a.job.ref)
		if s.in == a {
			if err == nil {
				err = fmt.Errorf("two values for %s", s.labels)
			}
			continue
		}
		s.alias, s.in, s.inT = true, a, x.T
		a.samples = append(a.samples, sample.Sample{Labels: s.labels, T: x.T, V: x.V})
		a.in = append(a.in, s)
	}
	a.job.figures.aliases.Inc()
	if err != nil {
		a.job.figures.garbled.Inc()
		if !t.garbled {
			a.job.log.Warn("metrics of the contract cannot be computed from a scrape", "source", t.source.Name, "err", err)
		}
	}
	t.garbled = err != nil
}

// settle remembers what was delivered.
func (a *appender) settle(ends int) {
	t := a.target
	t.mu.Lock()
	defer t.mu.Unlock()
	good := a.told && a.up == 1
	if good {
		t.good++
	}
	for _, s := range a.in {
		s.last, s.in = max(s.last, s.inT), nil
		if good {
			s.scrape, s.held = t.good, false
		}
	}
	for _, s := range a.lost {
		t.drop(s)
	}
	for _, s := range t.series {
		if a.ended && s.last < a.staleT || good && s.scrape != 0 && t.good-s.scrape > forgetAfter {
			t.drop(s)
		}
	}
	if !a.ended {
		return
	}
	if len(t.series) == 0 {
		a.job.forget(t.source)
	}
	a.job.figures.ended.Inc()
	a.job.log.Info("target removed: its series end", "source", t.source.Name, "series", ends)
}

// report counts the scrape and logs the first failure of a row.
func (a *appender) report() {
	if !a.told || a.ended {
		return
	}
	a.job.figures.scrapes.Inc()
	t := a.target
	t.mu.Lock()
	was := t.failing
	t.failing = a.up != 1
	t.mu.Unlock()
	if a.up == 1 {
		if was {
			a.job.log.Info("scrape works again", "source", t.source.Name)
		}
		return
	}
	err := a.scraped.LastError()
	reason := failureReason(err)
	a.job.figures.failures[reason].Inc()
	if !was { // the scrape manager tells of each at level debug
		a.job.log.Warn("scrape failed", "source", t.source.Name, "reason", reason, "err", err)
	}
}
