package events

import (
	"context"

	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/exporters"
	"watchkeeper/internal/sample"
)

// book remembers the series that a collector has delivered, to end those that
// are gone.
type book struct {
	series map[string]entry // by the labels' text
}

type entry struct {
	labels labels.Labels
	at     int64 // newest sample
	absent int   // checks in a row without a sample
}

// deliver appends a batch of gauges with its end marks. Of each series that the
// batch has no sample of, gone tells whether and why it has ended; absent counts
// this check too. Counts go with the batch and are not remembered: their series
// have no next sample to wait for. The book changes only when the sink has all.
func (b *book) deliver(ctx context.Context, sink exporters.Sink, batch sample.Batch, counts []sample.Sample, gone func(ls labels.Labels, absent int) (reason string, ended bool)) error {
	next := make(map[string]entry, len(batch.Samples))
	for _, s := range batch.Samples {
		next[s.Labels.String()] = entry{labels: s.Labels, at: s.T}
	}
	for key, e := range b.series {
		if _, ok := next[key]; ok {
			continue
		}
		e.absent++
		if reason, ended := gone(e.labels, e.absent); ended {
			batch.Ends = append(batch.Ends, sample.End{Labels: e.labels, T: e.at, Reason: reason})
			continue
		}
		next[key] = e
	}
	batch.Samples = append(counts, batch.Samples...)
	if err := sink.Append(ctx, batch); err != nil {
		return err
	}
	b.series = next
	return nil
}
