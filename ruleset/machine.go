package ruleset

// phase is a State in one byte. The zero phase is inactive.
type phase uint8

const (
	phaseInactive phase = iota
	phasePending
	phaseFiring
	phaseNoData
)

var phaseStates = [...]State{StateInactive, StatePending, StateFiring, StateNoData}

func (p phase) state() State { return phaseStates[p] }
func (p phase) open() bool   { return p == phaseFiring || p == phaseNoData }

func phaseOf(s State) phase {
	for p, name := range phaseStates {
		if name == s {
			return phase(p)
		}
	}
	return phaseInactive
}

// cell is the verdict of one check with two marks.
type cell uint8

const (
	cellVerdict cell = 7
	cellNaN     cell = 8  // missing because an operand is NaN
	cellEnd     cell = 16 // the series ended after this check's sample
	cellOver    cell = 32 // good, and yet nothing has come since of that with which the identity ended
	cellBegun   cell = 64 // neither breach nor good, and yet a sample has come of it
)

func (c cell) verdict() Verdict { return Verdict(c & cellVerdict) }

// begins says whether an identity that has ended begins anew with the check.
func (c cell) begins() bool {
	switch c.verdict() {
	case VerdictBreach:
		return true
	case VerdictGood:
		return c&cellOver == 0
	}
	return c&cellBegun != 0
}

// machine is the state of one identity after some check: a pure function of
// the rule and the cells up to it.
type machine struct {
	phase  phase
	gone   bool  // ended; checks do not exist until the next sample
	run    int32 // breaches in the run
	gap    int32 // missing and unobserved checks since the run's last breach
	goods  int32 // good checks towards resolving
	silent int32 // missing checks in a row
	since  int64 // check at which phase was entered
}

// change is a change of a machine's state.
type change struct {
	check    int64
	from, to phase
	how      State // StateResolved or StateEnded where that is how it closed; else empty
	run      int32
}

// state returns the log's word for what was changed to.
func (c change) state() State {
	if c.how != "" {
		return c.how
	}
	return c.to.state()
}

// step applies the cell of check k. It returns what changed, at most two
// changes: one by the verdict and one by the end. It does not allocate.
func (m *machine) step(r *Rule, k int64, c cell) (changes [2]change, n int) {
	before := *m
	var how State
	m.gone = m.gone && !c.begins()
	switch v := c.verdict(); {
	case m.gone:
		// The check does not exist.
	case v == VerdictBreach:
		m.breach(r)
	case v == VerdictGood:
		how = m.good(r)
	case c&cellEnd != 0:
		// Nor does one that only saw the end.
	case v == VerdictMissing && r.Missing == MissingBreach:
		m.breach(r)
	case v == VerdictMissing:
		m.missing(r)
	case v == VerdictUnobserved:
		m.skip(r)
	}
	if m.phase != before.phase {
		m.since = k
		changes[n] = change{check: k, from: before.phase, to: m.phase, how: how, run: max(m.run, before.run)}
		n++
	}
	if c&cellEnd != 0 {
		if m.phase != phaseInactive {
			changes[n] = change{check: k, from: m.phase, to: phaseInactive, how: StateEnded, run: m.run}
			if m.phase == phasePending {
				changes[n].how = ""
			}
			n++
		}
		*m = machine{gone: true, since: k}
	}
	return changes, n
}

func (m *machine) breach(r *Rule) {
	if m.run > 0 && int(m.gap) <= r.MaxGap {
		m.run++
	} else {
		m.run = 1
	}
	m.gap, m.goods, m.silent = 0, 0, 0
	switch {
	case m.phase.open():
		m.phase = phaseFiring
	case int(m.run) >= r.Consecutive:
		m.phase = phaseFiring
	default:
		m.phase = phasePending
	}
}

func (m *machine) good(r *Rule) (how State) {
	m.run, m.gap, m.silent = 0, 0, 0
	if !m.phase.open() {
		m.phase = phaseInactive
		return ""
	}
	m.goods++
	if int(m.goods) < r.ResolveAfter {
		return ""
	}
	m.phase, m.goods = phaseInactive, 0
	return StateResolved
}

// missing is a missing check under hold and reset.
func (m *machine) missing(r *Rule) {
	m.skip(r)
	if r.Missing == MissingReset {
		m.endRun()
	}
	if !m.phase.open() {
		return
	}
	m.silent++
	if int(m.silent) >= r.NoDataAfter {
		m.phase = phaseNoData
	}
}

// skip lets a check pass that says nothing: it uses up max_gap.
func (m *machine) skip(r *Rule) {
	if m.run == 0 {
		return
	}
	m.gap++
	if int(m.gap) > r.MaxGap {
		m.endRun()
	}
}

func (m *machine) endRun() {
	m.run, m.gap = 0, 0
	if m.phase == phasePending {
		m.phase = phaseInactive
	}
}
