package app

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"watchkeeper/internal/sample"
	"watchkeeper/internal/storage"
)

// resumeWindow is how far back a collector's last look is searched: as far as
// the store takes samples by default.
const resumeWindow = 24 * time.Hour

// Memory tells collectors of the Alibaba Cloud what the store holds of their
// earlier runs.
type Memory struct {
	Store *storage.Store
	Now   func() time.Time
}

// Newest implements aliyun.NewestFunc.
func (m Memory) Newest(ctx context.Context, src sample.Source, since time.Time) (time.Time, error) {
	mine, names := map[uint64]bool{}, map[string]bool{}
	for _, l := range m.Store.SeriesOf(src) {
		mine[l.Hash()], names[l.Get(model.MetricNameLabel)] = true, true
	}
	q, err := m.Store.Querier(since.UnixMilli(), m.Now().UnixMilli())
	if err != nil {
		return time.Time{}, err
	}
	defer q.Close()
	newest := int64(math.MinInt64)
	for name := range names {
		set := q.Select(ctx, false, nil,
			labels.MustNewMatcher(labels.MatchEqual, model.MetricNameLabel, name), labels.MustNewMatcher(labels.MatchEqual, "customer", src.Customer))
		for set.Next() {
			if !mine[set.At().Labels().Hash()] {
				continue
			}
			s, ok, err := newestOf(set.At())
			if err != nil {
				return time.Time{}, fmt.Errorf("series %s: %w", set.At().Labels(), err)
			}
			if ok {
				newest = max(newest, s.T)
			}
		}
		if err := set.Err(); err != nil {
			return time.Time{}, err
		}
	}
	if newest == math.MinInt64 {
		return time.Time{}, nil
	}
	return time.UnixMilli(newest).UTC(), nil
}

// Resume implements aliyun.ResumeFunc: the newest up-sample of a source.
func (m Memory) Resume(ctx context.Context, src sample.Source) (time.Time, bool, error) {
	now := m.Now()
	q, err := m.Store.Querier(now.Add(-resumeWindow).UnixMilli(), now.UnixMilli())
	if err != nil {
		return time.Time{}, false, err
	}
	defer q.Close()
	set := q.Select(ctx, false, nil,
		labels.MustNewMatcher(labels.MatchEqual, model.MetricNameLabel, sample.UpMetric),
		labels.MustNewMatcher(labels.MatchEqual, "customer", src.Customer),
		labels.MustNewMatcher(labels.MatchEqual, "source", src.Name))
	newest := int64(math.MinInt64)
	for set.Next() {
		it := set.At().Iterator(nil)
		for it.Next() == chunkenc.ValFloat {
			if t, v := it.At(); v == 1 {
				newest = max(newest, t)
			}
		}
		if err := it.Err(); err != nil {
			return time.Time{}, false, err
		}
	}
	if err := set.Err(); err != nil {
		return time.Time{}, false, err
	}
	if newest == math.MinInt64 {
		return time.Time{}, false, nil
	}
	return time.UnixMilli(newest).UTC(), true, nil
}

// Recall implements inventory.RecallFunc: the newest sample of each series of a
// metric of a customer's product in a region.
func (m Memory) Recall(ctx context.Context, metric, customer, product, region string, since time.Time) ([]sample.Sample, error) {
	q, err := m.Store.Querier(since.UnixMilli(), m.Now().UnixMilli())
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
