package ruleset

import (
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
)

// What sleep.go does for rules of one selector is done here for those that join
// several: an identity without an alert and a run dozes. It has no instance, only
// the newest point of each operand. A sample that comes in order is judged with
// what the others have in its slot; a breach wakes the identity, and so does what
// cannot be judged that way: a sample older than the newest of its series, or one
// whose slot another operand has left behind.

// doze is an identity that dozes.
type doze struct {
	// What a sample looks at.
	rs        *ruleState
	pair      [2]point // newest where there are two leaves
	sides     [2]alone // for the series of the first two
	judged    int64    // last check with a verdict, and
	judgedOld int64    // the last of the batches before
	batch     uint32
	newest    []point // by leaf

	id    labels.Labels
	joins []*join
	first int64 // its first check
	pos   int   // in rs.dozing
}

// dozes says whether the rule's identities can doze: each operand is one series
// of the identity, read from its own slot, and only a sample can make a breach.
func (p *program) dozes(r *Rule) bool {
	return len(p.leaves) > 1 && !p.clock && r.Missing != MissingBreach && !slices.ContainsFunc(p.leaves, func(l *leaf) bool {
		own := l.carrier || !l.many && !l.look.on && len(l.look.names) == 0
		return !own || l.window != nil || l.group != nil || l.offset != 0 || l.lookback != r.Interval.Milliseconds()
	})
}

// doze drops the instance of an identity that has nothing left to remember.
func (e *Engine) doze(in *instance) {
	rs := in.rs
	if slices.ContainsFunc(in.joins, func(j *join) bool { return len(j.series) != 1 || len(j.series[0].tail) == 0 }) {
		return
	}
	d := &doze{
		rs: rs, id: in.id, joins: in.joins, first: in.first, pos: len(rs.dozing), judged: in.judged, judgedOld: in.judged, batch: e.batch,
	}
	if d.newest = d.pair[:]; len(in.joins) != len(d.pair) {
		d.newest = make([]point, len(in.joins))
	}
	rs.removeFromAll(in)
	rs.remove(in)
	for i, j := range in.joins {
		tail := j.series[0].tail
		d.newest[i] = tail[len(tail)-1]
		j.doze = d
	}
	for _, j := range in.joins {
		j.series[0].unread()
		j.series[0].leaveAlone()
	}
	rs.dozing = append(rs.dozing, d)
}

// leaveAlone has the samples of a series go straight to the one that dozes, where it
// is the only one that they matter to.
func (s *series) leaveAlone() {
	s.alone = nil
	if len(s.feeds) != 1 || len(s.evals) > 0 {
		return
	}
	f := s.feeds[0]
	d := f.join.doze
	if d == nil || f.leaf >= len(d.sides) || len(f.join.series) != 1 {
		return
	}
	d.sides[f.leaf] = alone{doze: d, leaf: f.leaf}
	s.alone = &d.sides[f.leaf]
}

// dozesAlone says whether an identity dozes on through a sample of a series that
// matters to it and to sleepers that it does not wake.
func (e *Engine) dozesAlone(h *hot, a *alone, p point) bool {
	if h.marks != markFed || h.newest == math.MinInt64 || h.sleep != nil && !h.sleep.sleepOn(p, e.taking.bound) {
		return false
	}
	if !e.dozesThrough(a.doze, a.leaf, p, e.taking.bound) {
		return false
	}
	h.newest = p.t
	h.note(p, e.batch)
	return true
}

// forget takes a dozing identity away.
func (d *doze) forget() {
	for _, j := range d.joins {
		j.doze = nil
		for _, ser := range j.series {
			ser.alone = nil
		}
	}
	last := len(d.rs.dozing) - 1
	d.rs.dozing[d.pos] = d.rs.dozing[last]
	d.rs.dozing[d.pos].pos = d.pos
	d.rs.dozing[last] = nil
	d.rs.dozing = d.rs.dozing[:last]
}

// dozesOn says whether an identity dozes on through a sample of one of its operands.
func (e *Engine) dozesOn(d *doze, ser *series, f *feed, p point) bool {
	return len(f.join.series) == 1 && e.dozesThrough(d, f.leaf, p, e.lateBound(ser.hot))
}

// dozesThrough is the same where the operand is one series. bound is up to where
// those who deliver it had settled before the batch.
func (e *Engine) dozesThrough(d *doze, leaf int, p point, bound int64) bool {
	r := d.rs.rule
	if p.t <= d.newest[leaf].t {
		return false
	}
	d.newest[leaf] = p
	if p.t <= bound-r.Lateness.Milliseconds() {
		return false
	}
	slot := d.rs.slotOf(p.t)
	for _, n := range d.newest {
		if n.t > slot.hi {
			return false
		}
	}
	if g := &d.rs.gates[leaf]; g.wakes != wakesProgram && p.v == p.v && !g.breach(p.v, nil) {
		d.noteJudged(e.batch, slot.k)
		return true
	}
	ops, all := e.ops[:len(d.newest)], true
	for i, n := range d.newest {
		there := n.t > slot.lo && !isStale(n.v)
		ops[i], all = operand{v: n.v, there: there}, all && there
	}
	if !all && d.rs.needsAll {
		return true // the last operand to come decides
	}
	out := r.prog.root.eval(ops)
	if out.in {
		return false
	}
	if out.present {
		d.noteJudged(e.batch, slot.k)
	}
	return true
}

// noteJudged keeps that a check has a verdict.
func (d *doze) noteJudged(batch uint32, k int64) {
	if d.batch != batch {
		d.batch, d.judgedOld = batch, d.judged
	}
	d.judged = max(d.judged, k)
}

// gatesOf returns by leaf which of its values let a breach through, where the rule
// compares the leaf with a number and is false without that: an operand of "and", or
// what "unless" takes from. Any other value decides the check, and it is good. Each
// selector of an expression is a leaf of its own.
func gatesOf(p *program) []sleeper {
	gates := make([]sleeper, len(p.leaves))
	var walk func(n *node)
	walk = func(n *node) {
		switch n.kind {
		case kindAnd:
			walk(n.l)
			walk(n.r)
		case kindUnless:
			walk(n.l)
		case kindCmp:
			var g sleeper
			if leaf := g.node(n); leaf >= 0 {
				gates[leaf] = g
			}
		}
	}
	walk(p.root)
	return gates
}

// slot is that of check k: (lo, hi].
type slot struct{ k, lo, hi int64 }

// slotOf returns the slot in which t lies. Senders mostly stay in one.
func (rs *ruleState) slotOf(t int64) slot {
	if t <= rs.slot.lo || t > rs.slot.hi {
		k := rs.rule.checkOf(t)
		rs.slot = slot{k, rs.rule.timeOf(k - 1), rs.rule.timeOf(k)}
	}
	return rs.slot
}

// bound is the event time up to which all that the identity reads is complete, never
// above now.
func (d *doze) bound(now int64, of func(*source) int64) int64 {
	for _, j := range d.joins {
		for _, s := range j.series {
			now = min(now, s.bound(of))
		}
	}
	return now
}

// judgedBefore is the last check with a verdict in earlier batches.
func (d *doze) judgedBefore(batch uint32) int64 {
	if d.batch != batch {
		return d.judged
	}
	return d.judgedOld
}

// rouse gives a dozing identity its instance, for a sample of an operand that its
// series has been given already. What lies before its check is known to have
// changed nothing; it is read from the store when something asks for it.
func (e *Engine) rouse(d *doze, leaf int, p point) {
	r := d.rs.rule
	d.forget()
	k := r.checkOf(p.t)
	first := d.first
	if r.prog.leaves[leaf].carrier {
		first = min(first, k)
	}
	for i, j := range d.joins {
		for _, ser := range j.series { // one that has just come is read already
			if !ser.has(markRead) {
				ser.readFrom(d.newest[i])
			}
		}
	}
	in := e.addInstance(d.rs, d.id, first)
	final := r.lastCheck(in.bound(e.taking.at, e.takingBound) - r.Lateness.Milliseconds())
	in.settledCheck = max(in.first-1, final, k-1)
	in.skipped = in.settledCheck > max(in.first-1, final)
	in.liveCheck = in.settledCheck
	in.judged = min(d.judgedBefore(e.batch), r.lastCheck(e.taking.before))
	newest := int64(math.MinInt64)
	for _, n := range d.newest {
		newest = max(newest, r.checkOf(n.t))
	}
	if newest > in.settledCheck {
		in.mark(in.settledCheck+1, newest) // samples went by while it dozed
	}
	e.touch(in)
}

// forgetDozing drops the identities of which nothing has been heard since before.
func (rs *ruleState) forgetDozing(e *Engine, before int64) {
	for i := len(rs.dozing) - 1; i >= 0; i-- {
		d := rs.dozing[i]
		if !slices.ContainsFunc(d.newest, func(n point) bool { return n.t >= before }) {
			d.forget()
			for _, j := range d.joins { // the series may be kept for longer, and must be ready for another identity
				for _, ser := range j.series {
					ser.isRead()
				}
			}
			e.leave(rs, d.id)
			e.m.forgotten.Inc()
		}
	}
}
