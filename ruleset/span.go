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
	pre  [4][]point  // backing of the common case
	pre1 [4][][]point
}

// readSpan reads the operands of the checks lo to hi.
func (e *Engine) readSpan(ctx context.Context, in *instance, lo, hi int64) (*span, error) {
	return loadSpan(ctx, e.store, &e.scratch, in, lo, hi)
}

func loadSpan(ctx context.Context, store storage.Queryable, s *span, in *instance, lo, hi int64) (*span, error) {
	r := in.rs.rule
	s.in, s.pts = in, s.pre1[:0]
	used := s.pre[:0]
	for i, j := range in.joins {
		l := r.prog.leaves[i]
		from := len(used)
		for _, ser := range j.series {
			from, to := r.timeOf(lo)-l.offset-l.lookback, r.timeOf(hi)-l.offset
			if _, there := latest(ser.tail, from, to); there && lo == hi && len(in.rs.late) == 0 {
				used = append(used, ser.tail) // the only point that counts is in memory
				continue
			}
			pts, err := pointsOf(ctx, store, ser, from, to)
			if err != nil {
				return nil, err
			}
			used = append(used, pts)
		}
		s.pts = append(s.pts, used[from:len(used):len(used)])
	}
	return s, nil
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
		through, late := rs.late[lateKey{s.in.joins[leafIndex].series[n], pts[i].t}]
		if !late || through < k {
			return pts[i], true
		}
	}
	return point{}, false
}

// operands fills ops with what each leaf has at check k.
func (s *span) operands(k int64, ops []operand) []operand {
	ops = ops[:len(s.pts)]
	for i := range s.pts {
		o := operand{v: math.NaN()}
		for n := range s.pts[i] {
			p, there := s.point(i, n, k)
			if !there || isStale(p.v) {
				continue
			}
			if o.there && !s.in.rs.rule.prog.leaves[i].many {
				o.clash = true
			}
			o = better(o, p.v)
		}
		ops[i] = o
	}
	return ops
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
	return s.endedNode(s.in.rs.rule.prog.root, k)
}

func (s *span) endedNode(n *node, k int64) string {
	switch n.kind {
	case kindLeaf:
		return s.endedLeaf(n.leaf, k)
	case kindNumber:
		return ""
	case kindNeg, kindAnd, kindUnless:
		return s.endedNode(n.l, k)
	case kindOr:
		l, r := s.endedNode(n.l, k), s.endedNode(n.r, k)
		switch {
		case l != "" && (r != "" || !s.begun(n.r, k)):
			return l
		case r != "" && !s.begun(n.l, k):
			return r
		}
		return ""
	}
	if why := s.endedNode(n.l, k); why != "" {
		return why
	}
	return s.endedNode(n.r, k)
}

// begun says whether an operand of n has had a sample by check k.
func (s *span) begun(n *node, k int64) bool {
	switch n.kind {
	case kindLeaf:
		hi := s.in.rs.rule.timeOf(k) - s.in.rs.rule.prog.leaves[n.leaf].offset
		return slices.ContainsFunc(s.in.joins[n.leaf].series, func(ser *series) bool { return ser.first <= hi })
	case kindNumber:
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
	rs := s.in.rs
	l := rs.rule.prog.leaves[i]
	hi := rs.rule.timeOf(k) - l.offset
	lo := hi - rs.rule.Interval.Milliseconds()
	if !l.carrier || len(s.pts[i]) == 0 {
		return ""
	}
	why := ""
	for n, ser := range s.in.joins[i].series {
		p, there := s.point(i, n, k)
		why = endWithin(ser, lo, hi, p, there)
		if why == "" && there && isStale(p.v) && p.t > lo && ser.observed(lo+l.offset, hi+l.offset) {
			why = reasonStale
		}
		if why == "" {
			return ""
		}
	}
	return why
}

const reasonStale = "stale marker"

// endWithin returns the reason of an end mark in (lo, hi] after the point p.
func endWithin(ser *series, lo, hi int64, p point, there bool) string {
	ends := ser.ends()
	for i := len(ends) - 1; i >= 0; i-- {
		if m := ends[i]; m.t > lo && m.t <= hi && m.t >= ser.first && (!there || p.t <= m.t) {
			return m.reason
		}
	}
	return ""
}
