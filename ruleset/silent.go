package ruleset

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// An operand that falls silent while others go on is one for two force_after more. Its
// source is asked whether it looked, and its watermark is waited for; then it is not
// there, whether the process has died since or not.

// looked says whether the source of each operand without a sample at a check looked.
func (e *Engine) looked(ctx context.Context, in *instance, span *span, k int64) (bool, error) {
	r := in.rs.rule
	some, blind := false, false
	for i, j := range in.joins {
		t := r.timeOf(k) - r.prog.leaves[i].offset
		for n, s := range j.series {
			if _, there := span.value(i, n, k); there {
				some = true
				continue
			}
			observed := s.observed(in.rs, k)
			if observed && some {
				continue
			}
			counts, err := e.counts(ctx, in.rs, s, k, t)
			if err != nil || counts && !observed {
				return false, err
			}
			some = some || counts
			blind = blind || !observed && (counts || s.first <= t && !in.rs.beganLate(s, k))
		}
	}
	return some || !blind, nil // where all are silent, all are asked
}

// beganLate says whether a series' first sample came too late for check k.
func (rs *ruleState) beganLate(s *series, k int64) bool {
	return s.first != math.MaxInt64 && rs.lateFor(s, point{t: s.first}) >= k
}

// counts says whether a series that has no value at check k is an operand of it: it had
// a sample in the two force_after up to t, the end of its slot, which did not come too late.
func (e *Engine) counts(ctx context.Context, rs *ruleState, s *series, k, t int64) (bool, error) {
	from := t - 2*e.forceAfter()
	switch {
	case s.first > t || s.newest <= from:
		return false, nil
	case rs.beganLate(s, k):
		pts, err := pointsOf(ctx, e.store, s, from, t)
		inTime := func(p point) bool { return p.t > from && p.t <= t && rs.lateFor(s, p) < k }
		return slices.ContainsFunc(pts, inTime), err
	case s.newest <= t || s.first > from:
		return true, nil
	case len(s.tail) > 0 && s.tail[0].t <= t:
		p, _ := latest(s.tail, math.MinInt64, t)
		return p.t > from, nil
	}
	pts, err := pointsOf(ctx, e.store, s, from, t) // it has come back since
	if err != nil {
		return false, err
	}
	_, there := latest(pts, from, t)
	return there, nil
}

// boundOf is the event time up to which all operands that are there at now are complete,
// never above now. Where all are silent they are waited for.
func (rs *ruleState) boundOf(joins []*join, now int64, of func(*source) int64) int64 {
	there, all, some := now, now, false
	first := noOpening
	for _, j := range joins {
		for _, s := range j.series {
			b := s.bound(of)
			if b < now {
				if first == noOpening {
					first = rs.openingOf(joins)
				}
				b = first.holdsBack(b, s.came)
			}
			all = min(all, b)
			if s.newest > now-rs.memory || s.newest == math.MinInt64 {
				there, some = min(there, b), true
			}
		}
	}
	if some {
		return there
	}
	return all
}

// recallOperands takes up the series whose latest samples are older than those that state
// is rebuilt from, as long as they count: of rules that ask for what is not there.
func (e *Engine) recallOperands(ctx context.Context, states []*ruleState, p *past, from int64, ms ...*labels.Matcher) error {
	var asking []*ruleState
	for _, rs := range states {
		if !rs.sleeps {
			asking = append(asking, rs)
		}
	}
	q, err := e.store.Querier(from-2*e.forceAfter(), from-1)
	if err != nil {
		return fmt.Errorf("open querier: %w", err)
	}
	defer q.Close()
	for _, metric := range metricsOf(asking) {
		if err := e.recallOperandsOf(ctx, q, metric, states, p, from, ms); err != nil {
			return fmt.Errorf("silent series of %s: %w", metric, err)
		}
	}
	return nil
}

// recallOperandsOf does it for a metric. Only of the series that are silent the samples
// are read.
func (e *Engine) recallOperandsOf(ctx context.Context, q storage.Querier, metric string, states []*ruleState, p *past, from int64, ms []*labels.Matcher) error {
	states = e.readersOf(metric, states)
	hints := &storage.SelectHints{Start: from - 2*e.forceAfter(), End: from - 1}
	set := q.Select(ctx, false, hints, append(slices.Clone(ms), labels.MustNewMatcher(labels.MatchEqual, model.MetricNameLabel, metric))...)
	var it chunkenc.Iterator
	for set.Next() {
		l := set.At().Labels()
		if ser := e.series.get(l); ser != nil && ser.first >= from && ser.first != math.MaxInt64 { // it has come back
			ser.first = p.firstBefore(l, from)
		}
		fresh := e.unbound(states, l)
		if len(fresh) == 0 {
			continue
		}
		it = set.At().Iterator(it)
		newest, err := p.newestSample(it, l, from)
		if err != nil {
			return err
		}
		if newest.t == math.MinInt64 {
			continue
		}
		ser, _ := e.rebuildSeries(l, fresh, p, from)
		ser.first, ser.newest = min(ser.first, p.firstBefore(l, newest.t+1)), max(ser.newest, newest.t)
		if isStale(newest.v) {
			ser.own().stale = max(ser.own().stale, newest.t)
			ser.noteEnded()
		}
	}
	return set.Err()
}

// readersOf lists the rules of states that read a metric.
func (e *Engine) readersOf(metric string, states []*ruleState) []*ruleState {
	return slices.DeleteFunc(slices.Clone(e.byMetric[metric]), func(rs *ruleState) bool { return !slices.Contains(states, rs) })
}

// unbound lists the rules that read a series and do not have it yet.
func (e *Engine) unbound(states []*ruleState, l labels.Labels) []*ruleState {
	ser := e.series.get(l)
	var out []*ruleState
	for _, rs := range states {
		if rs.readsSeries(l) && (ser == nil || !ser.isBound(rs)) {
			out = append(out, rs)
		}
	}
	return out
}

// isBound says whether the rule reads the series.
func (s *series) isBound(rs *ruleState) bool {
	return slices.ContainsFunc(s.feeds, func(f feed) bool { return f.rs == rs }) ||
		slices.ContainsFunc(s.evals, func(f evalFeed) bool { return f.rs == rs }) ||
		s.sleep != nil && s.sleep.index(rs) >= 0
}

// newestSample returns the newest sample before t that is more than what the store writes
// behind an end mark; its time is MinInt64 where there is none.
func (p *past) newestSample(it chunkenc.Iterator, l labels.Labels, t int64) (point, error) {
	newest := point{t: math.MinInt64}
	for vt := it.Next(); vt != chunkenc.ValNone; vt = it.Next() {
		if vt != chunkenc.ValFloat {
			continue
		}
		if at, v := it.At(); at < t && !(isStale(v) && p.endsAt(l, at-1)) {
			newest = point{at, v}
		}
	}
	return newest, it.Err()
}

// firstBefore is when a series that was there before t was first delivered, as far as
// the journal knows.
func (p *past) firstBefore(l labels.Labels, t int64) int64 {
	if first, known := p.began(l); known {
		return min(first, t-1)
	}
	return t - 1
}

// endsAt says whether the journal has an end mark of the series at t.
func (p *past) endsAt(l labels.Labels, t int64) bool {
	for _, r := range p.ends[l.Hash()] {
		if m, _ := endOf(r); m.told == t && labels.Equal(r.Labels, l) {
			return true
		}
	}
	return false
}
