package app

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"watchkeeper/internal/sample"
)

// recall implements inventory.RecallFunc: the newest sample of each series of a
// metric of a customer's product in a region.
func (a *App) recall(ctx context.Context, metric, customer, product, region string, since time.Time) ([]sample.Sample, error) {
	if a.store == nil {
		return nil, nil // an exporter keeps nothing
	}
	q, err := a.store.Querier(since.UnixMilli(), a.now().UnixMilli())
	if err != nil {
		return nil, err
	}
	defer q.Close()
	var matchers []*labels.Matcher
	for name, want := range map[string]string{model.MetricNameLabel: metric, "customer": customer, "product": product, "region": region} {
		matchers = append(matchers, labels.MustNewMatcher(labels.MatchEqual, name, want))
	}
	set := q.Select(ctx, false, nil, matchers...)
	var out []sample.Sample
	for set.Next() {
		s, ok, err := newestOf(set.At())
		if err != nil {
			return nil, fmt.Errorf("series %s: %w", set.At().Labels(), err)
		}
		if ok {
			out = append(out, s)
		}
	}
	return out, set.Err()
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
