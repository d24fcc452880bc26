package ruleset

import "math"

// Where something is wrong it mostly stays wrong: the samples of an alert that
// stands are breaches, one a check. Such a sample changes nothing but how long the
// run is. It is counted in the instance, and nothing else of it or of the series is
// looked at; catchUp writes down what was counted when something else happens.

// alone is the only one that the samples of a series matter to as long as they come
// in order: an instance whose alert stands, or an identity that dozes. It lies at the
// beginning of one of these. A sample of one that dozes looks at nothing else: what is
// above in, one cache line, and that of a row.
type alone struct {
	rs        *ruleState
	head      int64     // newest check with a sample
	rows      []float64 // what the operands had at the newest checks, by check modulo dozeChecks and leaf
	judged    int64     // last check with a verdict, and
	judgedOld int64     // the last of the batches before
	batch     uint32

	in *instance // nil where it dozes
}

// only takes a sample in order where it matters to one alone and changes nothing that is
// to be told. It says no to all else, and has done nothing then that is not done again.
func (e *Engine) only(h *hot, p point) bool {
	switch {
	case h.alone == nil || p.t <= h.newest || h.newest == math.MinInt64:
		return false
	case h.marks == markFed: // nobody awake reads it
		return e.dozesAlone(h, p)
	case h.alone.in != nil && !h.has(markWaiting|markShared):
		return e.standsOn(h, h.alone.in, p)
	}
	return false
}

// stands takes a breach that leaves a firing alert as it is: the sample of its next
// check, in time, while nothing waits to be judged. It says no to all else, and has
// done nothing then.
func (e *Engine) stands(in *instance, ser *series, p point) bool {
	if in.live.phase != phaseFiring || in.behind != 0 || in.solid != in.head() || in.liveCheck != in.solid {
		return false
	}
	s := in.onlyBy(ser)
	if s == nil || !s.breach(p.v, nil) || !e.isNext(in, p, e.lateBound(ser.hot)) {
		return false
	}
	in.solid++
	in.value = p.v
	in.cells = append(in.cells, cell(VerdictBreach))
	in.foldCheck(in.solid)
	in.liveCheck = in.solid
	if len(ser.feeds) == 1 && len(ser.evals) == 0 {
		in.alone.in = in
		ser.alone = &in.alone
	}
	return true
}

// standsOn is the same for the series' only instance, where the sample before was
// taken like that.
func (e *Engine) standsOn(h *hot, in *instance, p point) bool {
	if p.t <= e.taking.bound-h.sleep.lateness || !e.isNext(in, p, e.taking.bound) { // late for one that sleeps
		return false
	}
	for i := range h.sleep.rules {
		if s := &h.sleep.rules[i]; s.wakes == wakesProgram || s.breach(p.v, nil) != (s.rs == in.rs) {
			return false
		}
	}
	in.behind++
	in.solid++
	in.value = p.v
	h.newest = p.t
	h.note(p, e.batch)
	return true
}

// isNext says whether a sample lies in the slot of the instance's next check, which
// has come to its end and is not final, and nothing else waits to be judged. bound
// is up to where those who deliver the series had settled before the batch.
func (e *Engine) isNext(in *instance, p point, bound int64) bool {
	if in.dirtyLo <= in.dirtyHi || in.queued || in.skipped || in.stale || in.silent || e.rebuild {
		return false
	}
	s := in.rs.slot.of(in.rs.rule, p.t)
	return s.k == in.solid+1 && s.hi <= e.now && p.t > bound-in.rs.rule.Lateness.Milliseconds()
}

// catchUp writes down the breaches that were counted.
func (in *instance) catchUp() {
	if in.alone.in == nil || len(in.joins[0].series) != 1 { // it never was
		return
	}
	in.joins[0].series[0].catchUp()
}

// catchUp has the series' samples looked at by all, after the breaches are written
// down that were counted in an instance.
func (s *series) catchUp() {
	a := s.alone
	s.alone = nil
	if a == nil || a.in == nil || a.in.behind == 0 {
		return
	}
	in := a.in
	for ; in.behind > 0; in.behind-- {
		in.cells = append(in.cells, cell(VerdictBreach))
		in.liveCheck++
		in.foldCheck(in.liveCheck)
	}
	s.floor = s.newest - 1 // the store has those before
	s.tail = append(s.tail[:0], point{s.newest, in.value})
}

// onlyBy returns the comparison with a number by which the series' newest sample
// alone decides a check of the instance; nil where it takes more.
func (in *instance) onlyBy(ser *series) *sleeper {
	if !in.rs.sleeps || len(in.joins[0].series) != 1 || ser.sleep == nil || ser.rare != nil {
		return nil
	}
	if i := ser.sleep.index(in.rs); i >= 0 && ser.sleep.rules[i].wakes != wakesProgram {
		return &ser.sleep.rules[i]
	}
	return nil
}
