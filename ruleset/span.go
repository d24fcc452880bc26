package ruleset

import (
	"context"
	"math"
	"slices"

	"github.com/prometheus/prometheus/storage"
)

// span holds the points that the checks of one instance need.
type span struct {
	in   *instance
	pts  [][][]point // by leaf, by series of the leaf's join
	flat [][]point   // their backing
	win  windowScratch
}

// readSpan reads the operands of the checks lo to hi.
func (e *Engine) readSpan(ctx context.Context, in *instance, lo, hi int64) (*span, error) {
	return loadSpan(ctx, e.store, &e.scratch, in, lo, hi)
}

func loadSpan(ctx context.Context, store storage.Queryable, s *span, in *instance, lo, hi int64) (*span, error) {
	r := in.rs.rule
	s.in, s.pts, s.flat = in, s.pts[:0], s.flat[:0]
	for i, j := range in.joins {
		l := r.prog.leaves[i]
		first := len(s.flat)
		from, to := r.timeOf(lo)-l.offset-l.lookback, r.timeOf(hi)-l.offset
		newest := l.window == nil && len(in.rs.late) == 0 && (lo == hi || l.lookback == r.Interval.Milliseconds())
		firstSlot := r.timeOf(lo) - l.offset
		if l.gathers() && mayEnd(j.series, from, to) {
			from = min(from, to-(hi-lo+groupMemory)*r.Interval.Milliseconds())
			newest = false
		}
		if far := to - (hi-lo+groupMemory)*r.Interval.Milliseconds(); in.rs.begins && mayEnd(j.series, far, to) {
			from, newest = min(from, far), false
		}
		for _, ser := range j.series {
			if newest { // of each slot the latest point counts, so those before the first slot's do not, but a sample before a stale marker voids an end mark
				if p, there := latest(ser.tail, from, firstSlot); there && (!isStale(p.v) || lo == hi && len(ser.ends()) == 0) {
					s.flat = append(s.flat, ser.tail)
					continue
				}
			}
			since := from
			if in.rs.beganLate(ser, lo) { // when it began for these checks is to be looked for
				since = min(from, ser.first-1)
			}
			pts, err := pointsOf(ctx, store, ser, since, to)
			if err == nil && in.rs.begins && ser.hasEnded() && ser.newest > firstSlot && !sampledBy(pts, firstSlot) {
				pts, err = pointsOf(ctx, store, ser, min(since, firstSlot-in.rs.memory), to)
			}
			if err != nil {
				return nil, err
			}
			s.flat = append(s.flat, pts)
		}
		s.pts = append(s.pts, s.flat[first:len(s.flat):len(s.flat)])
	}
	return s, nil
}

// mayEnd says whether one of the series may have ended in (lo, hi].
func mayEnd(list []*series, lo, hi int64) bool {
	return slices.ContainsFunc(list, func(ser *series) bool {
		return ser.rare != nil && ser.rare.stale > lo || slices.ContainsFunc(ser.ends(), func(m endMark) bool { return m.t > lo && m.t <= hi })
	})
}

// point returns the latest point in the slot of check k of a leaf's n-th series.
func (s *span) point(leafIndex, n int, k int64) (point, bool) {
	rs := s.in.rs
	l := rs.rule.prog.leaves[leafIndex]
	hi := rs.rule.timeOf(k) - l.offset
	pts := s.pts[leafIndex][n]
	if len(rs.late) == 0 {
		return latest(pts, hi-l.lookback, hi)
	}
	for i := upTo(pts, hi) - 1; i >= 0 && pts[i].t > hi-l.lookback; i-- {
		if s.counts(leafIndex, n, pts[i].t, k) {
			return pts[i], true
		}
	}
	return point{}, false
}

// counts says whether a point came in time for check k.
func (s *span) counts(leafIndex, n int, t, k int64) bool {
	through, late := s.in.rs.late[lateKey{s.in.joins[leafIndex].series[n], t}]
	return !late || through < k
}

// value returns what a leaf's n-th series has at check k.
func (s *span) value(leafIndex, n int, k int64) (float64, bool) {
	l := s.in.rs.rule.prog.leaves[leafIndex]
	if l.window != nil {
		return s.windowValue(l, leafIndex, n, k)
	}
	p, there := s.point(leafIndex, n, k)
	if !there || isStale(p.v) || s.gone(l, leafIndex, n, k) {
		return 0, false
	}
	return p.v, true
}

// windowValue computes a range function over the window of check k.
func (s *span) windowValue(l *leaf, leafIndex, n int, k int64) (float64, bool) {
	ts := s.in.rs.rule.timeOf(k)
	pts := s.points(l, leafIndex, n, k, l.lookback)
	s.win.reset()
	for _, p := range pts {
		if !isStale(p.v) && (len(s.in.rs.late) == 0 || s.counts(leafIndex, n, p.t, k)) {
			s.win.add(p)
		}
	}
	if s.win.empty() || s.gone(l, leafIndex, n, k) {
		return 0, false
	}
	return l.window.value(&s.win, ts)
}

// points are those within back before the end of the slot of check k, late ones
// and stale markers included.
func (s *span) points(l *leaf, leafIndex, n int, k, back int64) []point {
	hi := s.in.rs.rule.timeOf(k) - l.offset
	pts := s.pts[leafIndex][n]
	pts = pts[:upTo(pts, hi)]
	return pts[upTo(pts, hi-back):]
}

// gone says whether a series ended before the slot of check k and has had no
// sample since. What a look-back still sees of it does not count.
func (s *span) gone(l *leaf, leafIndex, n int, k int64) bool {
	if l.lookback <= s.in.rs.rule.Interval.Milliseconds() {
		return false // its slot has what it has
	}
	ended, _ := s.endedBefore(l, leafIndex, n, k, l.lookback)
	return ended
}

// endedBefore says whether a series ended before the slot of check k and has had
// no sample since, as far as the points within back tell; known is false when
// there is no sample among them.
func (s *span) endedBefore(l *leaf, leafIndex, n int, k, back int64) (ended, known bool) {
	r := s.in.rs.rule
	ser := s.in.joins[leafIndex].series[n]
	pts := s.points(l, leafIndex, n, k, back)
	for i := len(pts) - 1; i >= 0; i-- {
		p := pts[i]
		switch {
		case len(s.in.rs.late) > 0 && !s.counts(leafIndex, n, p.t, k):
		case isStale(p.v):
			slot := r.checkOf(p.t + l.offset)
			ended = ended || slot < k && ser.observed(s.in.rs, slot)
		default:
			marked := func(m endMark) bool { return m.t >= p.t && r.checkOf(m.t+l.offset) < k }
			return ended || slices.ContainsFunc(ser.ends(), marked), true
		}
	}
	return ended, false
}

// operands fills ops with what each leaf has at check k.
func (s *span) operands(k int64, ops []operand) []operand {
	ops = ops[:len(s.pts)]
	for i, l := range s.in.rs.rule.prog.leaves {
		if l.group != nil {
			ops[i] = s.groupOperand(l.group, i, k)
			continue
		}
		o := operand{v: math.NaN()}
		for n := range s.pts[i] {
			v, there := s.value(i, n, k)
			if !there {
				continue
			}
			if o.there && !l.many {
				o.clash = true
			}
			o = better(o, v)
		}
		ops[i] = o
	}
	if r := s.in.rs.rule; r.prog.clock {
		ops = append(ops, operand{v: float64(r.timeOf(k)) / 1000, there: true})
	}
	return ops
}

func (s *span) groupOperand(g *group, leafIndex int, k int64) operand {
	t := g.tally()
	for n := range s.pts[leafIndex] {
		if v, there := s.value(leafIndex, n, k); there {
			t.add(v)
		}
	}
	return t.operand()
}

// better adds another series' value to an operand of many: which one is
// shown does not matter, but a number is there where a NaN is not.
func better(o operand, v float64) operand {
	if !o.there || math.IsNaN(o.v) {
		o.v = v
	}
	o.there = true
	return o
}

// ended returns why the identity ended at check k, empty if it did not.
func (s *span) ended(k int64) string {
	return s.endedNode(s.in.rs.rule.prog.root, k, false)
}

// over says whether the identity ended before the slot of check k and has had no
// sample since, where its operands are groups.
func (s *span) over(k int64) bool {
	return s.endedNode(s.in.rs.rule.prog.root, k, true) != ""
}

func (s *span) endedNode(n *node, k int64, before bool) string {
	switch n.kind {
	case kindLeaf:
		if before {
			return s.overLeaf(n.leaf, k)
		}
		return s.endedLeaf(n.leaf, k)
	case kindNumber, kindTime:
		return ""
	case kindNeg, kindAnd, kindUnless:
		return s.endedNode(n.l, k, before)
	case kindOr:
		l, r := s.endedNode(n.l, k, before), s.endedNode(n.r, k, before)
		switch {
		case l != "" && (r != "" || !s.begun(n.r, k)):
			return l
		case r != "" && !s.begun(n.l, k):
			return r
		}
		return ""
	}
	if why := s.endedNode(n.l, k, before); why != "" {
		return why
	}
	return s.endedNode(n.r, k, before)
}

// begun says whether an operand of n has had a sample by check k and is not forgotten.
func (s *span) begun(n *node, k int64) bool {
	switch n.kind {
	case kindLeaf:
		hi := s.in.rs.rule.timeOf(k) - s.in.rs.rule.prog.leaves[n.leaf].offset
		for i, ser := range s.in.joins[n.leaf].series {
			if ser.newest > hi-s.in.rs.memory && s.hadBegun(n.leaf, i, hi, k) {
				return true
			}
		}
		return false
	case kindNumber, kindTime:
		return false
	case kindNeg:
		return s.begun(n.l, k)
	}
	return s.begun(n.l, k) || s.begun(n.r, k)
}

// endedLeaf returns why all series of a carrier ended within its own slot of
// check k: by an end mark with no sample after it, or by a stale marker while the
// source was seen up.
func (s *span) endedLeaf(i int, k int64) string {
	l := s.in.rs.rule.prog.leaves[i]
	if !l.carrier || len(s.pts[i]) == 0 {
		return ""
	}
	if l.gathers() {
		return s.endedGroup(l, i, k)
	}
	why := ""
	for n := range s.in.joins[i].series {
		if why = s.endIn(l, i, n, k); why == "" {
			return ""
		}
	}
	return why
}

// endIn returns why a leaf's n-th series ended in the slot of check k.
func (s *span) endIn(l *leaf, leafIndex, n int, k int64) string {
	r := s.in.rs.rule
	hi := r.timeOf(k) - l.offset
	lo := hi - r.Interval.Milliseconds()
	ser := s.in.joins[leafIndex].series[n]
	p, there := s.point(leafIndex, n, k)
	stale := there && isStale(p.v)
	last := p.t
	if stale && len(ser.ends()) > 0 {
		last, there = s.lastSample(l, leafIndex, n, k)
	}
	ends := ser.ends()
	for i := len(ends) - 1; i >= 0; i-- { // an end mark with no sample after it
		if m := ends[i]; m.t > lo && m.t <= hi && (!there || last <= m.t) && s.hadBegun(leafIndex, n, m.t, k) {
			return m.reason
		}
	}
	if stale && p.t > lo && ser.observed(s.in.rs, k) {
		return reasonStale
	}
	return ""
}

// lastSample returns the time of the newest sample in the look-back of check k.
// A stale marker is none.
func (s *span) lastSample(l *leaf, leafIndex, n int, k int64) (t int64, there bool) {
	pts := s.points(l, leafIndex, n, k, l.lookback)
	for i := len(pts) - 1; i >= 0; i-- {
		if !isStale(pts[i].v) && s.counts(leafIndex, n, pts[i].t, k) {
			return pts[i].t, true
		}
	}
	return 0, false
}

// endedGroup returns why the last member of a group ended in the slot of check k.
// One that has been silent for groupMemory checks no longer counts.
func (s *span) endedGroup(l *leaf, i int, k int64) string {
	back := s.memory(l)
	why := ""
	for n := range s.in.joins[i].series {
		if reason := s.endIn(l, i, n, k); reason != "" {
			why = reason
			continue
		}
		if ended, known := s.endedBefore(l, i, n, k, back); known && !ended {
			return ""
		}
	}
	return why
}

// overLeaf returns why all series of a carrier that count ended before the slot of
// check k; a later sample has begun none of them anew.
func (s *span) overLeaf(i int, k int64) string {
	l := s.in.rs.rule.prog.leaves[i]
	if !l.carrier {
		return ""
	}
	why := ""
	for n := range s.in.joins[i].series {
		ended, known := s.endedBefore(l, i, n, k, s.memory(l))
		if known && !ended {
			return ""
		}
		if ended || !known && s.in.rs.begins && s.endedLongBefore(l, i, n, k) {
			why = reasonOver
		}
	}
	return why
}

// memory is for how long, in ms, a member of a group counts that is silent.
func (s *span) memory(l *leaf) int64 {
	return max(min(groupMemory*s.in.rs.rule.Interval.Milliseconds(), s.in.rs.memory), l.lookback)
}

const (
	reasonStale = "stale marker"
	reasonOver  = "over"
)

// hadBegun says whether a leaf's n-th series had begun by t, as far as check k knows: of a
// sample that came too late it does not.
func (s *span) hadBegun(leafIndex, n int, t, k int64) bool {
	ser := s.in.joins[leafIndex].series[n]
	if ser.first > t || !s.in.rs.beganLate(ser, k) {
		return ser.first <= t
	}
	return slices.ContainsFunc(s.pts[leafIndex][n], func(p point) bool { return p.t <= t && s.counts(leafIndex, n, p.t, k) })
}
