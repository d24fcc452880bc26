package promrules

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/metadata"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"

	"watchkeeper/internal/sample"
)

// customerLabel names the tenant on every series.
const customerLabel = "customer"

// Refusals says which samples of a batch were not taken for good.
type Refusals struct {
	Total int    // samples refused
	First string // the first of them and why, for the log; empty when none was
}

// Appender is the way into the store. When Append returns without an error,
// queries see the batch; an error means that nothing of it was taken.
type Appender interface {
	Append(ctx context.Context, b sample.Batch) (Refusals, error)
}

var errNotFloats = errors.New("only float samples are stored")

// appendable lets the rules package write through an Appender. It implements
// storage.Appendable; the second generation of that interface is not taken by
// the rules package yet.
type appendable struct {
	to       Appender
	customer string // of samples without the label customer
	newest   *newest
	metrics  *runnerMetrics
	log      *slog.Logger
}

// Appender implements storage.Appendable.
func (a *appendable) Appender(ctx context.Context) storage.Appender {
	_, group := groupOf(ctx)
	return &transaction{ctx: ctx, parent: a, group: group}
}

// groupOf tells file and name of the rule group that is evaluated under ctx.
func groupOf(ctx context.Context) (file, group string) {
	origin, _ := ctx.Value(promql.QueryOrigin{}).(map[string]any)
	g, _ := origin["ruleGroup"].(map[string]string)
	return g["file"], g["name"]
}

// transaction collects what one evaluation of one rule yields. It belongs to
// one goroutine. The context is the evaluation's: storage.Appender has none.
type transaction struct {
	ctx     context.Context
	parent  *appendable
	group   string
	samples []sample.Sample
}

// Append implements storage.Appender.
func (x *transaction) Append(_ storage.SeriesRef, l labels.Labels, t int64, v float64) (storage.SeriesRef, error) {
	s := sample.Sample{Labels: l, T: t, V: v}
	if err := x.parent.newest.check(s); err != nil {
		return 0, err
	}
	x.samples = append(x.samples, s)
	return 0, nil
}

// Commit delivers the samples: one batch per customer.
func (x *transaction) Commit() error {
	byCustomer := map[string][]sample.Sample{}
	for _, s := range x.samples {
		customer := s.Labels.Get(customerLabel)
		if customer == "" {
			customer = x.parent.customer
		}
		byCustomer[customer] = append(byCustomer[customer], s)
	}
	x.samples = nil
	var errs []error
	for _, customer := range slices.Sorted(maps.Keys(byCustomer)) {
		if err := x.parent.deliver(x.ctx, sample.Source{Customer: customer, Name: "rules/" + x.group}, byCustomer[customer]); err != nil {
			errs = append(errs, fmt.Errorf("customer %q: %w", customer, err))
		}
	}
	return errors.Join(errs...)
}

func (a *appendable) deliver(ctx context.Context, src sample.Source, samples []sample.Sample) error {
	if err := ctx.Err(); err != nil {
		return err // the run is over: what comes next may be closed already
	}
	last := samples[0].T
	for _, s := range samples {
		last = max(last, s.T)
	}
	a.metrics.batches.Inc()
	refused, err := a.to.Append(ctx, sample.Batch{
		Source: src, Samples: samples,
		Ups:       []sample.Up{{T: last, OK: true}}, // the rule looked
		Watermark: sample.Current,
	})
	if err != nil {
		a.metrics.batchesFailed.Inc()
		return err
	}
	a.newest.note(samples)
	a.metrics.samples.Add(len(samples))
	if refused.Total > 0 {
		// Not an error of the commit: the other samples are stored, and the rules
		// package must know them to mark them stale one day.
		a.metrics.samplesRefused.Add(refused.Total)
		a.log.Warn("samples of a rule were refused", "source", src.Name, "customer", src.Customer,
			"count", refused.Total, "first", refused.First)
	}
	return nil
}

// Rollback implements storage.Appender.
func (x *transaction) Rollback() error {
	x.samples = nil
	return nil
}

// SetOptions implements storage.Appender. Samples that are out of order are
// discarded whatever the options say: rules never mean to write into the past.
func (x *transaction) SetOptions(*storage.AppendOptions) {}

// AppendHistogram implements storage.Appender.
func (x *transaction) AppendHistogram(storage.SeriesRef, labels.Labels, int64, *histogram.Histogram, *histogram.FloatHistogram) (storage.SeriesRef, error) {
	return 0, errNotFloats
}

// AppendHistogramSTZeroSample implements storage.Appender.
func (x *transaction) AppendHistogramSTZeroSample(storage.SeriesRef, labels.Labels, int64, int64, *histogram.Histogram, *histogram.FloatHistogram) (storage.SeriesRef, error) {
	return 0, errNotFloats
}

// AppendSTZeroSample implements storage.Appender.
func (x *transaction) AppendSTZeroSample(storage.SeriesRef, labels.Labels, int64, int64) (storage.SeriesRef, error) {
	return 0, errNotFloats
}

// AppendExemplar implements storage.Appender.
func (x *transaction) AppendExemplar(storage.SeriesRef, labels.Labels, exemplar.Exemplar) (storage.SeriesRef, error) {
	return 0, errNotFloats
}

// UpdateMetadata implements storage.Appender.
func (x *transaction) UpdateMetadata(storage.SeriesRef, labels.Labels, metadata.Metadata) (storage.SeriesRef, error) {
	return 0, errNotFloats
}
