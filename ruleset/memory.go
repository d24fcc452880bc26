package ruleset

import (
	"context"
	"slices"
	"sort"
	"sync"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"
)

// Memory is a store in memory for timelines and replays. Like the product's
// store it refuses a second value for a series' timestamp.
type Memory struct {
	mu     sync.RWMutex
	series map[string]*memorySeries
}

type memorySeries struct {
	labels labels.Labels
	ref    uint64
	points []point
}

// NewMemory returns an empty store.
func NewMemory() *Memory { return &Memory{series: map[string]*memorySeries{}} }

// Append stores a sample. It says whether it was new; an equal one that is
// there already and a conflicting one are not. ref is the series' sample.Ref.
func (m *Memory) Append(l labels.Labels, t int64, v float64) (ref uint64, fresh bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := string(l.Bytes(nil))
	s := m.series[key]
	if s == nil {
		s = &memorySeries{labels: l, ref: uint64(len(m.series)) + 1}
		m.series[key] = s
	}
	i, found := slices.BinarySearchFunc(s.points, t, func(p point, t int64) int { return compareInt(p.t, t) })
	if !found {
		s.points = slices.Insert(s.points, i, point{t, v})
	}
	return s.ref, !found
}

// Querier returns a view of the samples in [mint, maxt].
func (m *Memory) Querier(mint, maxt int64) (storage.Querier, error) {
	return &memoryQuerier{m: m, mint: mint, maxt: maxt}, nil
}

type memoryQuerier struct {
	m          *Memory
	mint, maxt int64
}

// Select returns the series that match.
func (q *memoryQuerier) Select(_ context.Context, _ bool, _ *storage.SelectHints, ms ...*labels.Matcher) storage.SeriesSet {
	q.m.mu.RLock()
	defer q.m.mu.RUnlock()
	var out []storage.Series
	for _, s := range q.m.series {
		if !matchAll(ms, s.labels) {
			continue
		}
		lo := sort.Search(len(s.points), func(i int) bool { return s.points[i].t >= q.mint })
		hi := sort.Search(len(s.points), func(i int) bool { return s.points[i].t > q.maxt })
		if lo < hi {
			samples := make([]chunks.Sample, 0, hi-lo)
			for _, p := range s.points[lo:hi] {
				samples = append(samples, floatSample(p))
			}
			out = append(out, storage.NewListSeries(s.labels, samples))
		}
	}
	slices.SortFunc(out, func(a, b storage.Series) int { return labels.Compare(a.Labels(), b.Labels()) })
	return &memorySet{series: out, at: -1}
}

// LabelValues lists the values of a label.
func (q *memoryQuerier) LabelValues(_ context.Context, name string, _ *storage.LabelHints, ms ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return q.collect(ms, func(l labels.Labels, add func(string)) { add(l.Get(name)) }), nil, nil
}

// LabelNames lists the label names.
func (q *memoryQuerier) LabelNames(_ context.Context, _ *storage.LabelHints, ms ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return q.collect(ms, func(l labels.Labels, add func(string)) { l.Range(func(l labels.Label) { add(l.Name) }) }), nil, nil
}

func (q *memoryQuerier) collect(ms []*labels.Matcher, fn func(labels.Labels, func(string))) []string {
	q.m.mu.RLock()
	defer q.m.mu.RUnlock()
	seen := map[string]bool{}
	for _, s := range q.m.series {
		if matchAll(ms, s.labels) {
			fn(s.labels, func(v string) {
				if v != "" {
					seen[v] = true
				}
			})
		}
	}
	out := make([]string, 0, len(seen))
	for v := range seen {
		out = append(out, v)
	}
	slices.Sort(out)
	return out
}

// Close does nothing: the samples belong to the Memory.
func (q *memoryQuerier) Close() error { return nil }

type memorySet struct {
	series []storage.Series
	at     int
}

func (s *memorySet) Next() bool                        { s.at++; return s.at < len(s.series) }
func (s *memorySet) At() storage.Series                { return s.series[s.at] }
func (s *memorySet) Err() error                        { return nil }
func (s *memorySet) Warnings() annotations.Annotations { return nil }

// floatSample is a point as a chunk sample.
type floatSample point

func (s floatSample) T() int64                      { return s.t }
func (s floatSample) ST() int64                     { return 0 }
func (s floatSample) F() float64                    { return s.v }
func (s floatSample) H() *histogram.Histogram       { return nil }
func (s floatSample) FH() *histogram.FloatHistogram { return nil }
func (s floatSample) Type() chunkenc.ValueType      { return chunkenc.ValFloat }
func (s floatSample) Copy() chunks.Sample           { return s }
