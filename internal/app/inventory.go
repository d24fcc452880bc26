package app

import (
	"context"
	"time"

	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"watchkeeper/internal/sample"
)

// recall implements inventory.RecallFunc.
func (a *App) recall(ctx context.Context, metric, customer, product, region string, since time.Time) ([]sample.Sample, error) {
	if a.store == nil {
		return nil, nil // an exporter keeps nothing
	}
	return Memory{a.store, a.now}.Recall(ctx, metric, customer, product, region, since)
}

// newest implements aliyun.NewestFunc.
func (a *App) newest(ctx context.Context, src sample.Source, since time.Time) (time.Time, error) {
	if a.store == nil {
		return time.Time{}, nil // an exporter keeps nothing, and is never resumed
	}
	return Memory{a.store, a.now}.Newest(ctx, src, since)
}

// newestOf returns the newest sample of a series; false when it has none or has ended.
func newestOf(series storage.Series) (sample.Sample, bool, error) {
	it := series.Iterator(nil)
	var s sample.Sample
	found := false
	for it.Next() == chunkenc.ValFloat {
		s.T, s.V = it.At()
		found = !value.IsStaleNaN(s.V)
	}
	s.Labels = series.Labels().Copy() // a store's index may own the text
	return s, found, it.Err()
}
