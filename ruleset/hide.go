package ruleset

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
)

// hidden is a store without the samples that came too late to be judged, as
// promql.Engine must see it.
type hidden struct {
	storage.Queryable
	times map[uint64][]hiddenSeries // by hash of the labels
}

type hiddenSeries struct {
	labels labels.Labels
	times  []int64 // ascending
}

// parts cuts the checks lo to hi where a late sample of the rule begins to
// count, and calls fn with each part and the store as its checks see it.
func (rs *ruleState) parts(store storage.Queryable, lo, hi int64, fn func(q storage.Queryable, lo, hi int64) error) error {
	var cuts []int64
	for _, through := range rs.late {
		if through >= lo && through < hi && !slices.Contains(cuts, through) {
			cuts = append(cuts, through)
		}
	}
	slices.Sort(cuts)
	for _, end := range append(cuts, hi) {
		if err := fn(rs.without(store, lo), lo, end); err != nil {
			return err
		}
		lo = end + 1
	}
	return nil
}

// without hides the late samples that do not count for check k.
func (rs *ruleState) without(store storage.Queryable, k int64) storage.Queryable {
	h := hidden{Queryable: store, times: map[uint64][]hiddenSeries{}}
	for key, through := range rs.late {
		if through >= k {
			h.add(key.series.labels, key.t)
		}
	}
	if len(h.times) == 0 {
		return store
	}
	return h
}

func (h hidden) add(l labels.Labels, t int64) {
	list := h.times[l.Hash()]
	i := slices.IndexFunc(list, func(s hiddenSeries) bool { return labels.Equal(s.labels, l) })
	if i < 0 {
		i = len(list)
		list = append(list, hiddenSeries{labels: l})
	}
	n, _ := slices.BinarySearch(list[i].times, t)
	list[i].times = slices.Insert(list[i].times, n, t)
	h.times[l.Hash()] = list
}

// Querier returns a view without the hidden samples.
func (h hidden) Querier(mint, maxt int64) (storage.Querier, error) {
	q, err := h.Queryable.Querier(mint, maxt)
	if err != nil {
		return nil, err
	}
	return hidingQuerier{q, h}, nil
}

type hidingQuerier struct {
	storage.Querier
	h hidden
}

// Select returns the series that match.
func (q hidingQuerier) Select(ctx context.Context, sorted bool, hints *storage.SelectHints, ms ...*labels.Matcher) storage.SeriesSet {
	return &hidingSet{SeriesSet: q.Querier.Select(ctx, sorted, hints, ms...), h: q.h}
}

type hidingSet struct {
	storage.SeriesSet
	h   hidden
	err error
}

// At returns the series, without what is hidden of it.
func (s *hidingSet) At() storage.Series {
	ser := s.SeriesSet.At()
	for _, hs := range s.h.times[ser.Labels().Hash()] {
		if labels.Equal(hs.labels, ser.Labels()) {
			return s.without(ser, hs.times)
		}
	}
	return ser
}

// Err tells of what At could not read, too.
func (s *hidingSet) Err() error { return cmp.Or(s.SeriesSet.Err(), s.err) }

func (s *hidingSet) without(ser storage.Series, times []int64) storage.Series {
	var kept []chunks.Sample
	it := ser.Iterator(nil)
	for vt := it.Next(); vt != chunkenc.ValNone; vt = it.Next() {
		if vt != chunkenc.ValFloat {
			continue
		}
		t, v := it.At()
		if _, hide := slices.BinarySearch(times, t); !hide {
			kept = append(kept, floatSample{t, v})
		}
	}
	if err := it.Err(); err != nil {
		s.err = fmt.Errorf("read series %s: %w", ser.Labels(), err)
	}
	return storage.NewListSeries(ser.Labels(), kept)
}
