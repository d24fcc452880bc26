package storage

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"

	"watchkeeper/internal/sample"
)

// series is what the store remembers of one series, so that a sample in order
// costs no look at the TSDB.
type series struct {
	labels   labels.Labels
	id       uint64 // sample.Ref of its samples
	customer string
	reserved bool // the name is one of the store's own

	swept atomic.Bool            // no longer in the index
	after atomic.Pointer[series] // which came after it last: senders repeat their order

	// Guarded by Store.mu.
	ref    storage.SeriesRef // of the TSDB's head; 0 or outdated is harmless
	known  bool              // newest and bits are true
	newest int64             // nothing is stored behind this time, Unix ms
	bits   uint64            // the value at newest; meaningless when nothing is there
	filled bool              // a sample is stored at newest
	seen   int64             // lower bound of newest while not known; for the sweep
	endT   int64             // T of the last end mark in the journal

	// Guarded by index.mu.
	sources []int32 // who delivers it, in the order of first delivery
}

// index holds every known series.
type index struct {
	mu     sync.RWMutex
	byHash map[uint64][]*series
	n      int
	lastID uint64
}

func newIndex() *index { return &index{byHash: make(map[uint64][]*series)} }

func (x *index) len() int {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.n
}

func (x *index) get(hash uint64, l labels.Labels) *series {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.find(hash, l)
}

// getAfter is get where s, nil at the beginning, came just before: a look-up by hash is
// most of what a sample in order costs.
func (x *index) getAfter(s *series, l labels.Labels) *series {
	if s == nil {
		return x.get(l.Hash(), l)
	}
	if next := s.after.Load(); next != nil && !next.swept.Load() && labels.Equal(next.labels, l) {
		return next
	}
	next := x.get(l.Hash(), l)
	if next != nil {
		s.after.Store(next)
	}
	return next
}

func (x *index) find(hash uint64, l labels.Labels) *series {
	for _, s := range x.byHash[hash] {
		if labels.Equal(s.labels, l) {
			return s
		}
	}
	return nil
}

// getOrCreate returns nil when the series is new and there are limit already.
func (x *index) getOrCreate(hash uint64, l labels.Labels, limit int) *series {
	if s := x.get(hash, l); s != nil {
		return s
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if s := x.find(hash, l); s != nil {
		return s
	}
	if x.n >= limit {
		return nil
	}
	s := newSeries(l)
	x.lastID++
	s.id = x.lastID
	x.byHash[hash] = append(x.byHash[hash], s)
	x.n++
	return s
}

func newSeries(l labels.Labels) *series {
	l = l.Copy() // the sender's may point into its request
	return &series{
		labels:   l,
		customer: l.Get(CustomerLabel),
		reserved: reserved(l.Get(model.MetricNameLabel)),
	}
}

func (x *index) sourceOf(l labels.Labels) (int32, bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	s := x.find(l.Hash(), l)
	if s == nil || len(s.sources) == 0 {
		return 0, false
	}
	return s.sources[len(s.sources)-1], true
}

// seriesOf lists the series whose present source is src.
func (x *index) seriesOf(src int32) []labels.Labels {
	x.mu.RLock()
	defer x.mu.RUnlock()
	var out []labels.Labels
	for _, ss := range x.byHash {
		for _, s := range ss {
			if n := len(s.sources); n > 0 && s.sources[n-1] == src {
				out = append(out, s.labels)
			}
		}
	}
	return out
}

func (x *index) delivers(s *series, src int32) bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return slices.Contains(s.sources, src)
}

func (x *index) sourcesOf(s *series) []int32 {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return slices.Clone(s.sources)
}

// addSource adds a source that delivers s, once. The order is the journal's, so
// that a restart changes nothing.
func (x *index) addSource(s *series, src int32) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !slices.Contains(s.sources, src) {
		s.sources = append(s.sources, src)
	}
}

// remove forgets series. The caller holds Store.mu.
func (x *index) remove(list []*series) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, s := range list {
		h := s.labels.Hash()
		kept := slices.DeleteFunc(x.byHash[h], func(o *series) bool { return o == s })
		x.n -= len(x.byHash[h]) - len(kept)
		if x.byHash[h] = kept; len(kept) == 0 {
			delete(x.byHash, h)
		}
		s.swept.Store(true)
		s.after.Store(nil)
	}
}

// sweep forgets the series without a sample since before. The caller holds
// Store.mu.
func (x *index) sweep(before int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for h, ss := range x.byHash {
		kept := slices.DeleteFunc(ss, func(s *series) bool {
			old := max(s.newest, s.seen) < before
			if old {
				s.swept.Store(true)
				s.after.Store(nil)
			}
			return old
		})
		x.n -= len(ss) - len(kept)
		if len(kept) == 0 {
			delete(x.byHash, h)
			continue
		}
		x.byHash[h] = kept
	}
}

// source is what the store remembers of one source.
type source struct {
	id  int32
	src sample.Source

	// Guarded by Store.mu.
	up, mark    *series // its facts, nil until first needed
	contacted   bool    // its contact is in the journal
	fillInEnded bool    // so is the end of its fill-in
	heard       int64   // arrival of its last batch since the start, Unix ms
	watermark   int64   // last written, Unix ms
	watermarkAt int64   // when that was, Unix ms
}

// sources numbers the sources. Their count is bounded by configuration:
// listeners, tokens and collectors name them, senders do not.
type sources struct {
	mu  sync.RWMutex
	ids map[sample.Source]*source
	all []*source

	perCustomer, refused map[string]int // of ids; by admit since the start
}

func newSources() *sources {
	return &sources{ids: make(map[sample.Source]*source), perCustomer: map[string]int{}, refused: map[string]int{}}
}

func (x *sources) of(src sample.Source) *source {
	x.mu.RLock()
	s := x.ids[src]
	x.mu.RUnlock()
	if s != nil {
		return s
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if s := x.ids[src]; s != nil {
		return s
	}
	s = &source{id: int32(len(x.all)), src: src}
	x.ids[src] = s
	x.perCustomer[src.Customer]++
	x.all = append(x.all, s)
	return s
}

func (x *sources) get(id int32) sample.Source {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if s := x.all[id]; s != nil {
		return s.src
	}
	return sample.Source{} // nothing is left of it
}

// known is of without making one.
func (x *sources) known(src sample.Source) *source {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.ids[src]
}

// remove forgets a source; its number stays. The caller holds Store.mu.
func (x *sources) remove(s *source) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.ids, s.src)
	x.perCustomer[s.src.Customer]--
	x.all[s.id] = nil
	s.contacted, s.fillInEnded = false, false // to a batch that has it already
}

// lookup returns the number of a source that is known.
func (x *sources) lookup(src sample.Source) (int32, bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	s := x.ids[src]
	if s == nil {
		return 0, false
	}
	return s.id, true
}
