package ruleset

import (
	"math"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/internal/sample"
)

// forgetRound is how often, in engine time, idle identities are looked for. A shard
// of the series is looked through at a time, so that no batch waits for all.
const forgetRound = 6 * time.Hour

// forgetIdle drops what nothing has been heard of for two force_after: identities
// without an alert, then series without an identity, then sources without a
// series. By then all their checks have settled. Series come and go (pods,
// instances); memory is held by those that live.
func (e *Engine) forgetIdle() {
	shards := (e.now - e.forgotten) * hashShards / forgetRound.Milliseconds()
	if shards == 0 {
		return
	}
	before := e.now - 2*e.forceAfter()
	e.forgotten += shards * forgetRound.Milliseconds() / hashShards
	if shards >= hashShards {
		shards, e.forgetShard, e.forgotten = hashShards, 0, e.now
	}
	for range shards {
		if e.forgetShard == 0 {
			for _, rs := range e.rules {
				rs.forgetIdle(e, before)
				rs.forgetDozing(e, before)
			}
			for _, src := range e.sources {
				src.purge()
			}
		}
		e.dropSeries(e.forgetShard, func(s *series) bool { return s.idle(before) }, e.drop)
		if e.forgetShard = (e.forgetShard + 1) % hashShards; e.forgetShard == 0 {
			e.forgetSources(before)
		}
	}
}

func (e *Engine) forgetSources(before int64) {
	for id, src := range e.sources {
		if len(src.series) > 0 {
			continue
		}
		for _, rs := range e.rules {
			delete(rs.sources, src)
		}
		if max(src.contact, src.lastUp) < before {
			delete(e.sources, id)
		}
	}
}

// dropSeries takes the series of a shard of which gone says so from the index and
// from their sources.
func (e *Engine) dropSeries(shard int, gone func(*series) bool, drop func(*series)) {
	from := map[*source]bool{}
	e.series.deleteFunc(shard, func(s *series) bool {
		if !gone(s) {
			return false
		}
		drop(s)
		s.came = goneSeries
		s.eachSource(func(src *source) { from[src] = true })
		return true
	})
	for src := range from {
		src.series = slices.DeleteFunc(src.series, func(s *series) bool { return s.came == goneSeries })
		src.changed = true
	}
}

// longSilent says whether a series has had no sample for two force_after.
func (e *Engine) longSilent(h *hot) bool {
	return h.newest < e.now-2*e.forceAfter() && h.newest != math.MinInt64
}

// forgettable says whether a series that was long silent is as good as forgotten:
// nobody but the instance reads it, and it only waits for its shard's turn. What comes
// now must not depend on whether that has come.
func (e *Engine) forgettable(s *series, but *instance) bool {
	return s.batch != e.batch && !e.rebuild && !s.inFillIn() && !s.neededBut(but)
}

// forgetNow forgets one series out of its shard's turn.
func (e *Engine) forgetNow(s *series) {
	e.series.remove(s)
	e.drop(s)
	s.came = goneSeries
	s.eachSource(func(src *source) { src.thinned = true })
}

// anew has a series that comes back after it was as good as forgotten begin as one
// never seen; nil when no rule reads it.
func (e *Engine) anew(src *source, s *series, p point) *hot {
	again := sample.Sample{Labels: s.labels, T: p.t, V: p.v, Ref: s.ref}
	e.forgetNow(s)
	return e.lookUp(src, &again)
}

// forgetOperands forgets the operands of an identity that has just begun which are as
// good as forgotten: to one never seen they are not there.
func (e *Engine) forgetOperands(in *instance) {
	for _, j := range in.joins {
		for i := len(j.series) - 1; i >= 0; i-- {
			if s := j.series[i]; e.longSilent(s.hot) && e.forgettable(s, in) {
				e.forgetNow(s)
				i = min(i, len(j.series)) // it may have stood there for another leaf, too
			}
		}
	}
}

// purge takes the series that were forgotten out of turn from the source's list.
func (s *source) purge() {
	if s.thinned {
		s.series = slices.DeleteFunc(s.series, func(ser *series) bool { return ser.came == goneSeries })
		s.thinned, s.changed = false, true
	}
}

func (rs *ruleState) forgetIdle(e *Engine, before int64) {
	rs.all = slices.DeleteFunc(rs.all, func(in *instance) bool {
		if !in.idle(before) {
			return false
		}
		e.leave(rs, in.id)
		e.m.forgotten.Inc()
		rs.remove(in)
		return true
	})
	for i, in := range rs.all {
		in.pos = i
	}
}

// removeFromAll takes an instance out of rs.all. Those that a step has looked at stay
// in front of the others.
func (rs *ruleState) removeFromAll(in *instance) {
	free := in.pos
	move := func(from int) {
		if from != free {
			rs.all[free] = rs.all[from]
			rs.all[free].pos = free
		}
		free = from
	}
	if free < rs.looked {
		rs.looked--
		move(rs.looked)
	}
	last := len(rs.all) - 1
	move(last)
	rs.all[last] = nil
	rs.all = rs.all[:last]
}

// remove takes an instance out of the rule's indexes, but for rs.all.
func (rs *ruleState) remove(in *instance) {
	in.pos = -1
	h := in.id.Hash()
	if rs.instances[h] = without(rs.instances[h], in); len(rs.instances[h]) == 0 {
		delete(rs.instances, h)
	}
	for i, j := range in.joins {
		if j.insts = without(j.insts, in); len(j.insts) == 0 {
			j.insts = nil
		}
		rs.dropJoin(i, j)
	}
}

// without takes x out of a list and puts the last one in its place. Thousands may meet
// at one join, and mostly the one that goes is the first.
func without[T comparable](list []T, x T) []T {
	i := slices.Index(list, x)
	if i < 0 {
		return list
	}
	last := len(list) - 1
	list[i] = list[last]
	clear(list[last:])
	return list[:last]
}

// dropJoin forgets a meeting place at which nobody is left.
func (rs *ruleState) dropJoin(leaf int, j *join) {
	if len(j.insts)+len(j.dozes)+len(j.series) > 0 {
		return
	}
	h := j.key.Hash()
	list := slices.DeleteFunc(rs.joins[leaf][h], func(o *join) bool { return o == j })
	if len(list) == 0 {
		delete(rs.joins[leaf], h)
	} else {
		rs.joins[leaf][h] = list
	}
}

// idle says whether the identity has no alert and no check of it had a sample
// since before.
func (in *instance) idle(before int64) bool {
	return in.rs.rule.timeOf(max(in.judged, in.first)) < before && in.rs.rule.timeOf(in.settledCheck) >= before-in.rs.rule.Lateness.Milliseconds() &&
		in.quiet() && in.dirtyHi < in.dirtyLo
}

// quiet says whether no alert and no run stands or is told of.
func (in *instance) quiet() bool {
	return in.live.phase == phaseInactive && in.live.run == 0 && in.settled.phase == phaseInactive && in.settled.run == 0 &&
		in.told == phaseInactive && len(in.log) == 0 && len(in.episodes) == 0 && !in.silent && !in.stale && !in.queued && in.unread == nil
}

// idle says whether nobody needs the series and it had no sample since before.
func (s *series) idle(before int64) bool {
	return s.newest < before && !s.inFillIn() && !s.neededBut(nil)
}

// neededBut says whether an identity reads the series, but for one. Of evaluated rules
// those do whose alert its end would close.
func (s *series) neededBut(in *instance) bool {
	return slices.ContainsFunc(s.feeds, func(f feed) bool {
		return len(f.join.dozes) > 0 || slices.ContainsFunc(f.join.insts, func(o *instance) bool { return o != in })
	}) || slices.ContainsFunc(s.evals, func(f evalFeed) bool { return f.rs.standsBy(s.labels) })
}

// standsBy says whether an alert of the evaluated rule stands of which a series is a member.
func (rs *ruleState) standsBy(series labels.Labels) bool {
	return slices.ContainsFunc(rs.all, func(in *instance) bool { return in.live.phase.open() && rs.ends.member(in.id, series) })
}

// drop takes a series away from its joins.
func (e *Engine) drop(s *series) {
	same := func(o *series) bool { return o == s }
	for _, f := range s.evals {
		delete(f.rs.ends.seen, s)
	}
	for _, f := range s.feeds {
		f.join.series = slices.DeleteFunc(f.join.series, same)
		f.rs.dropJoin(f.leaf, f.join)
	}
	e.eachAsleep(s, func(rs *ruleState) {
		e.leave(rs, identityOf(s.labels))
		e.m.forgotten.Inc()
	})
}

// eachAsleep calls fn for the rules whose identity of the series sleeps.
func (e *Engine) eachAsleep(s *series, fn func(*ruleState)) {
	if s.sleep == nil {
		return
	}
	for i, sl := range s.sleep.rules {
		if (s.awake|s.refused)>>i&1 == 0 {
			fn(sl.rs)
		}
	}
}
