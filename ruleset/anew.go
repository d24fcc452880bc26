package ruleset

import (
	"context"
	"slices"
)

// What has ended begins anew with the next sample of that which ended. The verdicts do
// not tell: the right side of "and" alone makes a check good, and one side of a
// comparison alone, or a NaN, gives none. It matters where a missing check is a breach:
// something that was deleted must not fire. One selector that ended has no verdict
// without a sample of its own; the others are asked here.

// asksEnds says whether the rule's checks have to be asked what began anew.
func (r *Rule) asksEnds() bool {
	return r.prog != nil && r.Missing == MissingBreach
}

// hasEnded says whether the series has an end, now or once.
func (s *series) hasEnded() bool {
	return s.rare != nil && (len(s.rare.ends) > 0 || s.rare.stale > noStale)
}

// mayHaveEnded says whether an operand of an identity of which it is asked has an end,
// so that what one check has may matter to all after it.
func (in *instance) mayHaveEnded() bool {
	return in.rs.begins && slices.ContainsFunc(in.joins, func(j *join) bool { return slices.ContainsFunc(j.series, (*series).hasEnded) })
}

// begins returns what check k, which has the verdict, is marked with if an identity that
// has ended begins anew with it though its verdict does not say so, or does not though
// it does.
func (s *span) begins(k int64, v Verdict) cell {
	switch {
	case v == VerdictBreach || v == VerdictOpen:
		return 0
	case v == VerdictMissing && !s.in.rs.begins && s.in.rs.rule.prog.plain: // a NaN
		return cellBegun
	case !s.in.mayHaveEnded():
		return 0
	}
	over := s.over(k)
	if in := s.in; k == in.first && !in.anySettled() && in.settled.phase == phaseInactive && in.settled.gone != over {
		in.settled.gone, in.stale = over, true // it had ended before what is known of it
	}
	switch {
	case v == VerdictGood && over:
		return cellOver
	case v != VerdictGood && !over && s.sampled(k):
		return cellBegun
	}
	return 0
}

// beginner returns what begins says of checks between lo and hi that are missing.
func (e *Engine) beginner(ctx context.Context, in *instance, lo, hi int64) (func(k int64) cell, error) {
	if in.joins == nil || !in.mayHaveEnded() {
		return func(int64) cell { return 0 }, nil
	}
	var own span // the engine's is in use
	if _, err := loadSpan(ctx, e.store, &own, in, lo, hi); err != nil {
		return nil, err
	}
	return func(k int64) cell { return own.begins(k, VerdictMissing) }, nil
}

// sampled says whether something that gives the identity its labels has a sample in the
// slot of check k.
func (s *span) sampled(k int64) bool {
	r := s.in.rs.rule
	for i, l := range r.prog.leaves {
		for n := range s.pts[i] {
			inSlot := func(p point) bool { return !isStale(p.v) && s.counts(i, n, p.t, k) }
			if l.carrier && slices.ContainsFunc(s.points(l, i, n, k, r.Interval.Milliseconds()), inSlot) {
				return true
			}
		}
	}
	return false
}

// sampledBy says whether there is a sample not after t.
func sampledBy(pts []point, t int64) bool {
	return slices.ContainsFunc(pts, func(p point) bool { return p.t <= t && !isStale(p.v) })
}

// endedLongBefore says whether a series that has no sample in what was read ended before
// the slot of check k, by what is known of its newest.
func (s *span) endedLongBefore(l *leaf, leafIndex, n int, k int64) bool {
	r := s.in.rs.rule
	ser := s.in.joins[leafIndex].series[n]
	if !ser.hasEnded() || ser.newest > r.timeOf(k)-l.offset {
		return false
	}
	last := ser.newest
	if last == ser.rare.stale {
		if slot := r.checkOf(last + l.offset); slot < k && ser.observed(s.in.rs, slot) {
			return true
		}
		last = max(ser.valued, ser.valuedOld)
	}
	return slices.ContainsFunc(ser.ends(), func(m endMark) bool { return m.t >= last && r.checkOf(m.t+l.offset) < k })
}
