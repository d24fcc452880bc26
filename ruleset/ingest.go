package ruleset

import (
	"math"
	"slices"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/internal/sample"
)

// source returns what is known of a deliverer.
func (e *Engine) source(id sample.Source) *source {
	s := e.sources[id]
	if s == nil {
		s = &source{id: id}
		e.sources[id] = s
	}
	return s
}

// contact notes a source's first batch. The store has journaled it, as it has
// the end of the fill-in and who delivers what.
func (e *Engine) contact(src *source, fillIn bool) {
	if e.started == 0 {
		e.started = e.now
	}
	if src.contact == 0 {
		src.contact, src.fillIn = e.now, fillIn
		if !fillIn {
			src.filled = e.now
		}
	}
}

// endFillIn notes the end of a source's fill-in.
func (e *Engine) endFillIn(src *source, fillIn bool) {
	if src.fillIn && !fillIn {
		src.fillIn, src.filled = false, e.now
		e.touchSource(src)
	}
}

// apply takes a batch into the state.
func (e *Engine) apply(src *source, b sample.Batch) {
	e.m.samples.Add(len(b.Samples))
	for i := range b.Samples {
		e.addSample(src, &b.Samples[i])
	}
	for _, u := range b.Ups {
		e.addUp(src, u)
	}
	src.forgetUps(e.now - 2*e.forceAfter())
	for _, end := range b.Ends {
		e.addEnd(end)
	}
	if b.Watermark != 0 && b.Watermark != src.watermark {
		before := e.taking.at
		if e.taking.isFirst {
			before = math.MinInt64 / 2 // nothing of it has settled, whatever engine time was
		}
		src.declare(b.Watermark, before)
		if b.Watermark != sample.Current {
			e.touchSource(src)
		}
	}
}

// touchSource has all instances that read the source judged in this step.
func (e *Engine) touchSource(src *source) { src.eachReader(e.touch) }

// eachReader calls fn for the instances that read the source, some twice.
func (s *source) eachReader(fn func(*instance)) {
	var done []*ruleState // an evaluated rule reads many series of a source
	for _, ser := range s.readers() {
		for _, f := range ser.feeds {
			for _, in := range f.join.insts {
				fn(in)
			}
		}
		for _, f := range ser.evals {
			if slices.Contains(done, f.rs) {
				continue
			}
			done = append(done, f.rs)
			for _, in := range f.rs.all {
				fn(in)
			}
		}
	}
}

func (e *Engine) touch(in *instance) {
	if !in.queued {
		in.queued = true
		e.touched = append(e.touched, in)
	}
}

// addSample takes one sample. One that nobody awake reads and that wakes nobody
// costs a look-up and the comparisons of the rules.
func (e *Engine) addSample(src *source, s *sample.Sample) {
	h := e.series.ofRef(s.Ref)
	if h == nil {
		if h = e.lookUp(src, s); h == nil {
			return
		}
	}
	e.give(src, h, point{s.T, s.V})
}

func (e *Engine) give(src *source, h *hot, p point) {
	if h.source == src {
		if h.marks == 0 && h.passes(p, e.taking.bound, e.batch) || h.marks != 0 && e.only(h, p) {
			return
		}
	}
	if h = e.meet(src, h, p); h != nil && e.take(h, p) {
		e.m.lateSamples.Inc()
	}
}

// meet has a series of which a sample comes begin anew where it was as good as forgotten, and
// notes who delivers it; nil when no rule reads it.
func (e *Engine) meet(src *source, h *hot, p point) *hot {
	if e.longSilent(h) && e.forgettable(h.of, nil) {
		if h = e.anew(src, h.of, p); h == nil {
			return nil
		}
	}
	if h.source != src && !h.of.deliveredBy(src) {
		e.assign(h.of, src, e.now)
	}
	return h
}

// lookUp finds or makes the series of a sample by its labels; nil when no rule
// reads it.
func (e *Engine) lookUp(src *source, s *sample.Sample) *hot {
	readers := e.byMetric[s.Labels.Get(model.MetricNameLabel)]
	if len(readers) == 0 {
		return nil
	}
	ser := e.series.get(s.Labels)
	if ser == nil {
		if ser = e.newSeries(src, s, readers); ser == nil {
			return nil
		}
	}
	e.series.setRef(ser, s.Ref)
	return ser.hot
}

// take gives a series its sample. It says whether it came after a check of an
// identity had settled.
func (e *Engine) take(h *hot, p point) (late bool) {
	if a := h.alone; a != nil && a.in != nil {
		h.of.catchUp()
	}
	if h.sleep != nil {
		if wake := e.woken(h, p); wake != 0 {
			e.wake(h.of, wake, p)
		}
	}
	h.note(p, e.batch)
	if !h.has(markRead | markFed) {
		h.pass(p)
		return false
	}
	ser := h.of
	first, inOrder := ser.first, p.t > h.newest
	if h.has(markRead) {
		ser.add(p)
	} else {
		h.pass(p)
	}
	if p.t < first {
		e.earlier(ser, first)
	}
	for i := range ser.feeds {
		late = e.feed(ser, &ser.feeds[i], p, inOrder) || late
	}
	for i := range ser.evals {
		late = e.feedEvaluated(ser, &ser.evals[i], p) || late
	}
	return late
}

// feed tells the instances that read the series of its sample. It says whether
// the sample came after a check of it had settled.
func (e *Engine) feed(ser *series, f *feed, p point, inOrder bool) (late bool) {
	if len(f.join.dozes) > 0 {
		if e.dozeOn(ser, f, p, inOrder); len(f.join.insts) == 0 {
			return false
		}
	}
	l := f.rs.rule.prog.leaves[f.leaf]
	lo, hi, last := f.checks(p)
	if l.carrier && len(f.join.insts) == 0 {
		through := max(e.settledFor(f, lo), f.rs.lateFor(ser, p))
		late = e.late(f.rs, ser, p, lo, through)
		if hi > through && !isStale(p.v) {
			if in := e.newInstance(f.rs, f.join.key, max(lo, through+1)); in != nil {
				in.mark(in.first, in.operandsThrough(e.now))
			}
		}
	}
	for _, in := range f.join.insts {
		if e.stands(in, ser, p) {
			continue
		}
		e.expand(in, lo)
		through := max(e.settledBefore(in), f.rs.lateFor(ser, p))
		late = e.late(f.rs, ser, p, lo, through) || late
		counts, hi := hi, hi
		if last > hi && in.head() > hi && mayEnd(f.join.series, p.t, math.MaxInt64) {
			hi = min(last, in.head())
		}
		if in.rs.begins && ser.hasEnded() {
			hi = max(hi, in.head())
		}
		if hi <= through {
			continue
		}
		k := max(lo, through+1)
		if l.carrier && k < in.first && k <= counts && !isStale(p.v) {
			in.mark(k, in.first)
			in.startAt(k)
		}
		if k = max(k, in.first); k <= hi {
			in.mark(k, hi)
			e.touch(in)
		}
	}
	return late
}

// checks are those that a sample counts for, lo to hi; last is hi but for a group, whose end
// later checks may see, and for what may begin anew with the sample.
func (f *feed) checks(p point) (lo, hi, last int64) {
	r := f.rs.rule
	l := r.prog.leaves[f.leaf]
	lo, hi = r.checkOf(p.t+l.offset), r.checkOf(p.t+l.offset+l.lookback)-1
	if f.rs.begins {
		return lo, hi, math.MaxInt64
	}
	return lo, hi, max(hi, lo+l.reach(r))
}

// earlier decides anew what was decided while the series was thought to begin
// at first, or not known at all.
func (e *Engine) earlier(ser *series, first int64) {
	for _, f := range ser.feeds {
		r := f.rs.rule
		offset := r.prog.leaves[f.leaf].offset
		for _, in := range f.join.insts {
			final, hi := e.final(in), in.head()
			if first != math.MaxInt64 {
				hi = min(hi, r.checkOf(first+offset))
			}
			for k := max(r.checkOf(ser.first+offset), final+1); k <= hi; k++ {
				e.undecide(in, k)
			}
			for _, m := range ser.ends() {
				if k := r.checkOf(m.t + offset); k > final && m.t < first {
					in.mark(k, in.endMatters(k, r.prog.leaves[f.leaf]))
					e.touch(in)
				}
			}
		}
	}
}

// newSeries takes up a series if some rule reads it.
func (e *Engine) newSeries(src *source, s *sample.Sample, readers []*ruleState) *series {
	var ser *series
	for _, rs := range readers {
		if !rs.readsSeries(s.Labels) {
			continue
		}
		if ser == nil {
			// Recover has read what was there before: the store has nothing else of it.
			ser = newSeries(s.Labels, min(s.T, e.now-time.Duration(e.cfg.RecoverWindow).Milliseconds())-1)
		}
		e.bind(rs, ser)
	}
	if ser == nil {
		return nil
	}
	e.series.add(ser)
	e.assign(ser, src, e.now)
	return ser
}

func (rs *ruleState) readsSeries(l labels.Labels) bool {
	for _, s := range rs.selectors {
		if matchAll(s.sel.LabelMatchers, l) {
			return true
		}
	}
	return false
}

func matchAll(ms []*labels.Matcher, l labels.Labels) bool {
	for _, m := range ms {
		if !m.Matches(l.Get(m.Name)) {
			return false
		}
	}
	return true
}

// addUp keeps an up-sample; where it comes after checks were decided without
// it, they are decided anew.
func (e *Engine) addUp(src *source, u sample.Up) {
	if !src.isNews(u) {
		src.lastUp = max(src.lastUp, u.T)
		return
	}
	until := src.addUp(u, e.lateUp(src, u))
	if until < u.T || u.T > e.taking.before {
		return // no news, or none of a check that has been judged
	}
	reopen := func(rs *ruleState, ins []*instance) {
		lo, hi := rs.rule.checkOf(u.T), rs.rule.checkOf(min(until, e.now))
		if lo > rs.maxCheck {
			return
		}
		if through, late := rs.lateUps[upKey{src, u.T}]; late {
			lo = max(lo, through+1)
		}
		reach := rs.endReach() // an end by a stale marker is seen by later windows, too
		for _, in := range ins {
			hi := min(hi+reach, rs.maxCheck)
			if in.mayHaveEnded() {
				hi = rs.maxCheck
			}
			for k := max(lo, e.final(in)+1); k <= hi; k++ {
				e.undecide(in, k)
			}
		}
	}
	for _, s := range src.readers() {
		for _, f := range s.feeds {
			reopen(f.rs, f.join.insts)
		}
		for _, f := range s.evals {
			reopen(f.rs, f.rs.all)
		}
	}
}

// undecide reopens a check that has no sample, so that it is judged anew. One
// operand may have a stale marker, which ends the identity where its source was
// up, though the others give a verdict.
func (e *Engine) undecide(in *instance, k int64) {
	in.catchUp()
	switch in.cell(k).verdict() {
	case VerdictBreach, VerdictGood:
		if in.joins == nil && len(in.rs.ends.seen) == 0 || in.joins != nil && in.rs.rule.prog.plain {
			return
		}
	case VerdictMissing, VerdictUnobserved:
		in.set(k, 0)
	}
	e.touch(in)
	if in.joins == nil {
		in.rs.dirty[k] = true
		return
	}
	in.mark(k, k)
}

// addEnd keeps an end mark of a watched series. A mark for a time that has settled
// for a rule that reads the series takes effect at the first check that has settled
// for none, or has no effect where it has begun anew since; that is journaled.
func (e *Engine) addEnd(end sample.End) {
	ser := e.series.get(end.Labels)
	if ser == nil || ser.knowsEnd(end.T) {
		return
	}
	ser.catchUp()
	_, listed := e.taking.ends[lateKey{ser, end.T}]
	f := e.effectOf(ser, end.T, false)
	if !listed {
		e.listEnd(ser.labels, end, f)
	}
	if f.void {
		ser.addVoid(end.T, e.endsFrom())
	} else if ser.addEnd(endMark{t: f.t, told: end.T, reason: end.Reason}, e.endsFrom()) {
		e.markEnd(ser, f.t)
	}
}

// markEnd asks for the checks to be evaluated that an end at t matters to.
func (e *Engine) markEnd(ser *series, t int64) {
	for _, f := range ser.feeds {
		l := f.rs.rule.prog.leaves[f.leaf]
		k := f.rs.rule.checkOf(t + l.offset)
		for _, in := range f.join.insts {
			in.mark(max(k, in.first), in.endMatters(k, l))
			e.touch(in)
		}
	}
	for _, f := range ser.evals {
		k := f.rs.rule.checkOf(t + f.offset)
		for last := min(k+f.rs.endReach(), f.rs.nextCheck-1); k <= last; k++ {
			f.rs.dirty[k] = true
		}
	}
}

// endsFrom is from when on a restart or a replay judges again and must know all ends;
// one that only looks back may look anywhere.
func (e *Engine) endsFrom() int64 {
	if e.wide {
		return math.MinInt64 / 2
	}
	return e.now - time.Duration(e.cfg.RecoverWindow).Milliseconds()
}

// effective is when an end mark for t takes effect that comes now. Whether an
// identity is awake, or has begun at all, makes no difference.
func (e *Engine) effective(ser *series, t int64) int64 {
	later := func(r *Rule, offset, final int64) {
		if r.checkOf(t+offset) <= final {
			t = r.timeOf(final) - offset + 1
		}
	}
	settled := func(r *Rule, bound int64) int64 { return r.lastCheck(bound - r.Lateness.Milliseconds()) }
	for _, f := range ser.feeds {
		r := f.rs.rule
		offset := r.prog.leaves[f.leaf].offset
		for _, in := range f.join.insts {
			e.expand(in, r.checkOf(t+offset)) // what was skipped has not settled
			later(r, offset, e.settledBefore(in))
		}
		for _, d := range f.join.dozes {
			later(r, offset, settled(r, d.bound(e.taking.at, e.takingBound)))
		}
		if len(f.join.insts)+len(f.join.dozes) == 0 {
			later(r, offset, settled(r, ser.bound(e.takingBound)))
		}
	}
	if ser.sleep != nil {
		for _, s := range ser.sleep.rules {
			later(s.rs.rule, 0, settled(s.rs.rule, ser.bound(e.takingBound)))
		}
	}
	for _, f := range ser.evals {
		later(f.rs.rule, f.offset, settled(f.rs.rule, f.rs.bound(ser.labels, e.taking.at, e.takingBound)))
	}
	return t
}
