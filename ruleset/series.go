package ruleset

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sort"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"watchkeeper/internal/sample"
)

// tailPoints is how many of a series' newest points are kept in memory; older
// ones are read from the store. Where a window reads more, it is as many as it
// reads, up to maxTailPoints.
const (
	tailPoints    = 16
	maxTailPoints = 512
	// maxEnds is how many end marks of a series are known at once.
	maxEnds = 1024
)

type point struct {
	t int64
	v float64
}

// endMark says that a series ended after t. told is what its source said; t is
// later where the checks up to told had settled.
type endMark struct {
	t      int64
	told   int64
	reason string
}

// series is one watched series and who reads it.
type series struct {
	*hot

	// What a breach of an alert that stands looks at.
	awake   uint64 // of sleep's rules: those whose identity is awake
	refused uint64 // of sleep's rules: those that a limit keeps out
	feeds   []feed
	first   int64 // earliest sample known
	floor   int64
	rare    *rare
	tail    []point // ascending; holds every point newer than floor while the series is read

	evals  []evalFeed
	labels labels.Labels
	chain  *series // another one with the same hash
	ref    uint64  // sample.Ref of its samples; 0 while unknown
	came   int64   // engine time of the first delivery; goneSeries once it was taken from the index
}

// hot is all that a good sample of a sleeping series touches, one cache line. Those of the store's series lie side by side in the order of their
// numbers, which is the order in which senders repeat them.
type hot struct {
	of        *series // whose it is; nil in a place that is free
	sleep     *sleepers
	source    *source // who delivered it first
	newest    int64
	valued    int64 // newest sample with a value, and
	valuedOld int64 // the newest of the batches before
	batch     uint32
	marks     marks
	leaves    uint16 // of the identity that is alone and dozes: a bit for each that the series is the operand of
	alone     *alone // the only one that a sample in order matters to; nil when there are others or something else happened
}

// marks say what a sample of a series may have to do beside pass by.
type marks uint16

const (
	markWaiting marks = 1 << iota // refused is not empty
	markShared                    // there are others who deliver it
	markRead                      // its points are kept in memory for those who read it
	markFed                       // there are feeds or evals; those may doze
)

func (h *hot) has(m marks) bool { return h.marks&m != 0 }

func (h *hot) mark(m marks, on bool) {
	if on {
		h.marks |= m
	} else {
		h.marks &^= m
	}
}

// rare is what few series have.
type rare struct {
	others []deliverer // who else delivers it
	ends   []endMark   // ascending
	void   []int64     // what the sources told of ends without effect, ascending
	stale  int64       // newest stale marker while the series is read
	span   int64       // ms that the widest window looks back
}

// noStale is rare.stale where there is none.
const noStale = math.MinInt64 / 2

// own returns the series' rare, made if need be.
func (s *series) own() *rare {
	if s.rare == nil {
		s.rare = &rare{stale: noStale}
	}
	return s.rare
}

func (s *series) others() []deliverer {
	if s.rare == nil {
		return nil
	}
	return s.rare.others
}

func (s *series) ends() []endMark {
	if s.rare == nil {
		return nil
	}
	return s.rare.ends
}

// isRead notes that an instance or an evaluated rule reads the series from now
// on. What went by before is in the store alone.
func (s *series) isRead() {
	s.mark(markFed, true)
	if !s.has(markRead) {
		s.setRead(true)
		s.floor = max(s.floor, s.newest)
	}
}

func (s *series) setRead(read bool) {
	if s.has(markRead) != read && s.source != nil {
		s.eachSource(func(src *source) { src.changed = true })
	}
	s.mark(markRead, read)
}

// readFrom has the series keep its points from its newest on.
func (s *series) readFrom(newest point) {
	s.isRead()
	s.floor = newest.t - 1
	s.tail = append(s.tail, newest)
}

// unread drops the points in memory when all that read the series sleep or doze.
// The store has them.
func (s *series) unread() {
	awake := func(f feed) bool { return len(f.join.insts) > 0 || len(f.join.dozes) == 0 }
	s.mark(markFed, len(s.feeds)+len(s.evals) > 0)
	if s.setRead(len(s.evals) > 0 || slices.ContainsFunc(s.feeds, awake)); !s.has(markRead) {
		s.tail = nil
	}
}

func newSeries(l labels.Labels, floor int64) *series {
	s := &series{labels: l, floor: floor, first: math.MaxInt64}
	s.hot = &hot{of: s, newest: math.MinInt64, valued: math.MinInt64 / 2, valuedOld: math.MinInt64 / 2}
	return s
}

// add keeps a point in the tail if it is new enough.
func (s *series) add(p point) {
	s.first, s.newest = min(s.first, p.t), max(s.newest, p.t)
	if isStale(p.v) {
		s.own().stale = max(s.own().stale, p.t)
		s.noteEnded()
	}
	if p.t <= s.floor {
		return
	}
	i := len(s.tail)
	for i > 0 && s.tail[i-1].t >= p.t {
		i--
	}
	if i < len(s.tail) && s.tail[i].t == p.t {
		return
	}
	if len(s.tail) >= tailPoints && !s.mayGrow() {
		if i == 0 {
			s.floor = p.t
			return
		}
		s.floor = s.tail[0].t
		copy(s.tail, s.tail[1:i])
		s.tail[i-1] = p
		return
	}
	s.tail = slices.Insert(s.tail, i, p)
}

// mayGrow says whether a window needs more points than are kept.
func (s *series) mayGrow() bool {
	return s.rare != nil && len(s.tail) < maxTailPoints && s.tail[0].t > s.newest-s.rare.span
}

// addEnd keeps an end mark; it says whether the mark is new. One that takes
// effect later than it was known to replaces the other. Of those before keepFrom,
// which nothing judges again, the newest are kept.
func (s *series) addEnd(m endMark, keepFrom int64) bool {
	if s.isVoid(m.told) {
		return false
	}
	ends := s.ends()
	if i := slices.IndexFunc(ends, func(e endMark) bool { return e.told == m.told }); i >= 0 {
		if ends[i].t >= m.t {
			return false
		}
		ends = slices.Delete(ends, i, i+1)
	}
	i, _ := slices.BinarySearchFunc(ends, m.t, func(e endMark, t int64) int { return compareInt(e.t, t) })
	ends = slices.Insert(ends, i, m)
	drop := max(0, len(ends)-maxEnds)
	for len(ends)-drop > tailPoints && ends[drop].t < keepFrom {
		drop++
	}
	s.own().ends = slices.Delete(ends, 0, drop)
	s.noteEnded()
	return true
}

// addVoid keeps that an end mark has no effect. The store has a stale marker behind it
// as behind any, which ends nothing either.
func (s *series) addVoid(told, keepFrom int64) {
	r := s.own()
	r.ends = slices.DeleteFunc(r.ends, func(e endMark) bool { return e.told == told })
	i, there := slices.BinarySearch(r.void, told)
	if there {
		return
	}
	r.void = slices.Insert(r.void, i, told)
	drop := max(0, len(r.void)-maxEnds)
	for len(r.void)-drop > tailPoints && r.void[drop] < keepFrom {
		drop++
	}
	r.void = slices.Delete(r.void, 0, drop)
	s.noteEnded()
}

// isVoid says whether the end mark for told is known to have no effect.
func (s *series) isVoid(told int64) bool {
	if s.rare == nil {
		return false
	}
	_, there := slices.BinarySearch(s.rare.void, told)
	return there
}

// knowsEnd says whether the end mark for told was taken before.
func (s *series) knowsEnd(told int64) bool {
	return s.isVoid(told) || slices.ContainsFunc(s.ends(), func(m endMark) bool { return m.told == told })
}

// sampledAfter says whether a sample after t has come. A stale marker is none.
func (s *series) sampledAfter(t int64) bool {
	if s.newest <= t {
		return false
	}
	return max(s.valued, s.valuedOld) > t || s.newest <= s.floor ||
		slices.ContainsFunc(s.tail, func(p point) bool { return p.t > t && !isStale(p.v) })
}

// isMarked says whether the store may have stale markers of the series that mark ends.
func (s *series) isMarked() bool {
	return s.rare != nil && len(s.rare.ends)+len(s.rare.void) > 0
}

// marksEnd says whether a stored point is the stale marker that the store
// writes 1 ms behind an end mark. It is no sample.
func (s *series) marksEnd(p point) bool {
	return isStale(p.v) && (s.isVoid(p.t-1) || slices.ContainsFunc(s.ends(), func(e endMark) bool { return e.told+1 == p.t }))
}

// eachSource calls fn for everyone who delivers the series.
func (s *series) eachSource(fn func(*source)) {
	fn(s.source)
	for _, o := range s.others() {
		fn(o.src)
	}
}

// deliveredBy says whether src is known to deliver the series.
func (s *series) deliveredBy(src *source) bool {
	return s.source == src || slices.ContainsFunc(s.others(), func(o deliverer) bool { return o.src == src })
}

// bound is the event time up to which the series is complete: one of those who
// deliver it is enough.
func (s *series) bound(of func(*source) int64) int64 {
	b := of(s.source)
	for _, o := range s.others() {
		b = max(b, of(o.src))
	}
	return b
}

// inFillIn says whether all who deliver the series are filling in.
func (s *series) inFillIn() bool {
	return s.source.fillIn && !slices.ContainsFunc(s.others(), func(o deliverer) bool { return !o.src.fillIn })
}

func compareInt(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// upTo returns how many of the points are not after hi.
func upTo(pts []point, hi int64) int {
	n := len(pts)
	if n > 2*tailPoints {
		return sort.Search(n, func(i int) bool { return pts[i].t > hi })
	}
	for n > 0 && pts[n-1].t > hi {
		n--
	}
	return n
}

// latest returns the newest point of pts in (lo, hi].
func latest(pts []point, lo, hi int64) (point, bool) {
	n := upTo(pts, hi)
	if n == 0 || pts[n-1].t <= lo {
		return point{}, false
	}
	return pts[n-1], true
}

func isStale(v float64) bool { return value.IsStaleNaN(v) }

// source is one deliverer and what judging knows of it.
type source struct {
	id        sample.Source
	contact   int64
	watermark int64 // as declared; 0 before any
	reached   int64 // what its watermark has been at least; it may declare less
	fillIn    bool
	filled    int64   // when its fill-in ended, its contact where there was none; 0 before
	forced    int64   // latest forced bound recorded
	firstUp   int64   // 0 before any
	nextUps   []int64 // those that came after it, ascending, where it came too late for some check
	firstLate bool    // the last of these did, too
	lastUp    int64   // of those that say that it could not look, too
	ups       []int64
	series    []*series
	reading   []*series // of series, as readers last found them
	changed   bool      // reading is out of date
	thinned   bool      // some of series are gone
}

// readers lists the source's series that somebody awake reads.
func (s *source) readers() []*series {
	if s.changed {
		s.reading, s.changed = s.reading[:0], false
		for _, ser := range s.series {
			if ser.has(markRead) {
				s.reading = append(s.reading, ser)
			}
		}
	}
	return s.reading
}

// bound is the event time up to which the source's checks settle at now: its
// watermark, or what force makes of it. A source that has never declared a
// watermark is taken to deliver currently.
func (s *source) bound(now, forceAfter int64) int64 {
	b := now
	switch {
	case s.fillIn && now-s.contact < forceAfter:
		return math.MinInt64 / 2
	case s.fillIn:
		return now - forceAfter
	case s.watermark != 0 && s.watermark != sample.Current:
		b = max(min(s.watermark, now), s.reached)
	}
	return max(b, now-forceAfter)
}

// declare takes a watermark that a batch brings; before is engine time before it. What has
// settled stays settled, though the source says less than before.
func (s *source) declare(watermark, before int64) {
	if s.filled != 0 && s.filled <= before {
		was := before
		if s.watermark != 0 && s.watermark != sample.Current {
			was = min(s.watermark, before)
		}
		s.reached = max(s.reached, was)
	}
	s.watermark = watermark
}

// addUp keeps an up-sample. Checks whose slot ends within [u.T, until] may be
// seen differently because of it; until is below u.T when it is no news. late says that it
// came too late for some check.
func (s *source) addUp(u sample.Up, late bool) (until int64) {
	until = u.T
	s.lastUp = max(s.lastUp, u.T)
	if s.firstUp == 0 || u.T < s.firstUp {
		// Before its first up-sample a source counts as looking.
		if until = s.firstUp; until == 0 {
			until = math.MaxInt64
		}
		s.noteFirst(u.T, late)
	} else if s.mayBeFirst(u.T) {
		s.noteFirst(u.T, late)
	}
	if n := len(s.ups); u.OK && n > 0 && s.ups[n-1] < u.T {
		s.ups = append(s.ups, u.T)
	} else if i, found := slices.BinarySearch(s.ups, u.T); u.OK && !found {
		s.ups = slices.Insert(s.ups, i, u.T)
	} else if until == u.T {
		return u.T - 1
	}
	return until
}

func (s *source) forgetUps(before int64) {
	i, _ := slices.BinarySearch(s.ups, before)
	if i > 1024 {
		s.ups = slices.Delete(s.ups, 0, i)
	}
	if i, _ := slices.BinarySearch(s.nextUps, before); i > 1024 {
		s.nextUps = slices.Delete(s.nextUps, 0, i-1) // the last of them tells of the checks since
	}
}

// pointsOf returns the series' points in (lo, hi], from memory where it holds
// them all, else from the store. The slice is the series' own: read only.
func pointsOf(ctx context.Context, store storage.Queryable, s *series, lo, hi int64) ([]point, error) {
	if lo >= s.floor {
		return s.tail, nil
	}
	var out []point
	err := readSeries(ctx, store, lo+1, hi, exactMatchers(s.labels), func(l labels.Labels, p point) {
		if labels.Equal(l, s.labels) && !s.marksEnd(p) {
			out = append(out, p)
		}
	})
	if err != nil {
		return nil, err
	}
	// What this engine was just handed may be newer than what the store shows.
	if n := len(out); n == 0 || len(s.tail) > 0 && s.tail[len(s.tail)-1].t > out[n-1].t {
		for _, p := range s.tail {
			if p.t > lo && p.t <= hi && (n == 0 || p.t > out[n-1].t) {
				out = append(out, p)
			}
		}
	}
	return out, nil
}

func exactMatchers(l labels.Labels) []*labels.Matcher {
	var ms []*labels.Matcher
	l.Range(func(l labels.Label) {
		ms = append(ms, labels.MustNewMatcher(labels.MatchEqual, l.Name, l.Value))
	})
	return ms
}

// readSeries calls fn for every float point in [mint, maxt] of the series that match.
func readSeries(ctx context.Context, store storage.Queryable, mint, maxt int64, ms []*labels.Matcher, fn func(labels.Labels, point)) error {
	q, err := store.Querier(mint, maxt)
	if err != nil {
		return fmt.Errorf("open querier: %w", err)
	}
	defer q.Close()
	set := q.Select(ctx, true, &storage.SelectHints{Start: mint, End: maxt}, ms...)
	var it chunkenc.Iterator
	for set.Next() {
		s := set.At()
		l := s.Labels()
		it = s.Iterator(it)
		for vt := it.Next(); vt != chunkenc.ValNone; vt = it.Next() {
			if vt != chunkenc.ValFloat {
				continue
			}
			if t, v := it.At(); t >= mint && t <= maxt {
				fn(l, point{t, v})
			}
		}
		if err := it.Err(); err != nil {
			return fmt.Errorf("read series %s: %w", l, err)
		}
	}
	if err := set.Err(); err != nil {
		return fmt.Errorf("select series: %w", err)
	}
	return nil
}
