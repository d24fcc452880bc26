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

// hidden is a store without the samples that came too late to be judged and without
// the stale markers that it writes behind end marks, as promql.Engine must see it.
type hidden struct {
	storage.Queryable
	series map[uint64][]hiddenSeries // by hash of the labels
}

type hiddenSeries struct {
	labels labels.Labels
	times  []int64 // ascending
	ended  *series // that has end marks
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

// without hides the late samples that do not count for check k, and what marks ends.
func (rs *ruleState) without(store storage.Queryable, k int64) storage.Queryable {
	h := hidden{Queryable: store, series: map[uint64][]hiddenSeries{}}
	for key, through := range rs.late {
		if through >= k {
			s := h.of(key.series.labels)
			n, _ := slices.BinarySearch(s.times, key.t)
			s.times = slices.Insert(s.times, n, key.t)
		}
	}
	for ser := range rs.ends.seen {
		if ser.isMarked() {
			h.of(ser.labels).ended = ser
		}
	}
	if len(h.series) == 0 {
		return store
	}
	return h
}

// of finds or makes what is hidden of a series.
func (h hidden) of(l labels.Labels) *hiddenSeries {
	list := h.series[l.Hash()]
	i := slices.IndexFunc(list, func(s hiddenSeries) bool { return labels.Equal(s.labels, l) })
	if i < 0 {
		i = len(list)
		list = append(list, hiddenSeries{labels: l})
		h.series[l.Hash()] = list
	}
	return &list[i]
}

func (s *hiddenSeries) hides(p point) bool {
	_, late := slices.BinarySearch(s.times, p.t)
	return late || s.ended != nil && s.ended.marksEnd(p)
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
	for _, hs := range s.h.series[ser.Labels().Hash()] {
		if labels.Equal(hs.labels, ser.Labels()) {
			return s.without(ser, &hs)
		}
	}
	return ser
}

// Err tells of what At could not read, too.
func (s *hidingSet) Err() error { return cmp.Or(s.SeriesSet.Err(), s.err) }

func (s *hidingSet) without(ser storage.Series, hs *hiddenSeries) storage.Series {
	var kept []chunks.Sample
	it := ser.Iterator(nil)
	for vt := it.Next(); vt != chunkenc.ValNone; vt = it.Next() {
		if vt != chunkenc.ValFloat {
			continue
		}
		t, v := it.At()
		if !hs.hides(point{t, v}) {
			kept = append(kept, floatSample{t, v})
		}
	}
	if err := it.Err(); err != nil {
		s.err = fmt.Errorf("read series %s: %w", ser.Labels(), err)
	}
	return storage.NewListSeries(ser.Labels(), kept)
}
