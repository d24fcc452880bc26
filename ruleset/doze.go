package ruleset

import (
	"math"
	"math/bits"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
)

// What sleep.go does for rules of one selector is done here for those that join
// several: an identity without an alert and a run dozes. It has no instance, only
// what each operand had at the newest checks. A sample that comes in order is judged
// with what the others have at its check, wherever they are: the last one to come
// decides. A breach wakes the identity, and so does what cannot be judged that way: a
// sample older than the newest of its series, or of a check that is not kept any more.

// doze is an identity that dozes.
type doze struct {
	alone
	id    labels.Labels
	joins []*join
	first int64 // its first check
	pos   int   // in rs.dozing

	pair [2 * dozeChecks]float64 // rows where there are two leaves
}

// dozeChecks is of how many checks an identity that dozes knows what its operands had:
// they may be apart, by offset or because one source is slower than another.
const dozeChecks = 8 // a power of two

// What a row has for an operand without a sample at that check, and for one of which
// that is not known.
const (
	noSampleBits = 0x7ff8_0000_0000_0002 + iota
	unknownBits
)

var noSample, unknown = math.Float64frombits(noSampleBits), math.Float64frombits(unknownBits)

// row returns what the operands have at check k, by leaf; nil when that is not kept
// any more.
func (a *alone) row(k int64) []float64 {
	if k > a.head {
		a.advance(k)
	}
	if k <= a.head-dozeChecks {
		return nil
	}
	i := a.rs.rowAt(k)
	return a.rows[i : i+len(a.rs.inputs)]
}

// rowAt is where the row of check k begins.
func (rs *ruleState) rowAt(k int64) int { return int(k&(dozeChecks-1)) * len(rs.inputs) }

// advance makes k the newest check.
func (a *alone) advance(k int64) {
	a.head = max(a.head, k-dozeChecks)
	for a.head < k {
		a.head++
		i := a.rs.rowAt(a.head)
		for j := range a.rs.inputs {
			a.rows[i+j] = noSample
		}
	}
}

// kept is a sample's value as a row has it.
func kept(v float64) float64 {
	if v != v && !isStale(v) {
		return math.NaN()
	}
	return v
}

// recall fills in what an operand that has been read until now had; ser is nil for one
// without a series.
func (d *doze) recall(leaf int, ser *series) {
	r := d.rs.rule
	l := r.prog.leaves[leaf]
	known := int64(math.MinInt64)
	if ser != nil {
		known = r.checkOf(ser.tail[0].t + l.offset)
	}
	for k := d.head - dozeChecks + 1; k <= d.head; k++ {
		v := unknown
		if k >= known {
			v = noSample
		}
		d.row(k)[leaf] = v
	}
	if ser == nil {
		return
	}
	for _, p := range ser.tail {
		if row := d.row(r.checkOf(p.t + l.offset)); row != nil {
			row[leaf] = kept(p.v)
		}
	}
}

// input is what a rule whose identities doze knows of a leaf.
type input struct {
	gate   sleeper // what may let a breach through
	lo, hi float64 // gate lets nothing through that lies in between
	waits  bool    // nothing comes of a check at which no other operand is there
	offset int64   // ms
	slot   slot    // that of the sample which came last, and
	row    int     // where its row begins
}

// dozes says whether the rule's identities can doze: each operand is one series at
// most, read from one slot, and only a sample can make a breach.
func (p *program) dozes(r *Rule) bool {
	ms := r.Interval.Milliseconds()
	least, most := p.leaves[0].offset, p.leaves[0].offset
	for _, l := range p.leaves {
		if l.window != nil || l.group != nil || l.lookback != ms {
			return false
		}
		least, most = min(least, l.offset), max(most, l.offset)
	}
	return len(p.leaves) > 1 && !p.clock && r.Missing != MissingBreach && most-least <= (dozeChecks-2)*ms
}

// doze drops the instance of an identity that has nothing left to remember.
func (e *Engine) doze(in *instance) {
	d := e.dozing(in)
	if d == nil {
		return
	}
	rs := in.rs
	for _, j := range in.joins {
		j.dozes = append(j.dozes, d)
	}
	rs.removeFromAll(in)
	rs.remove(in)
	for _, j := range in.joins {
		for _, ser := range j.series {
			ser.unread()
			ser.leaveAlone()
		}
	}
	rs.dozing = append(rs.dozing, d)
}

// dozing returns what an identity will be that shall doze; nil when it cannot: an
// operand lags too far behind, or a check that is still to come may be a breach.
func (e *Engine) dozing(in *instance) *doze {
	rs := in.rs
	r := rs.rule
	least, most := int64(math.MaxInt64), int64(math.MinInt64)
	for i, j := range in.joins {
		l := r.prog.leaves[i]
		if len(j.series) == 0 && !l.carrier {
			continue
		}
		if len(j.series) != 1 || len(j.series[0].tail) == 0 {
			return nil
		}
		k := r.checkOf(j.series[0].newest + l.offset)
		least, most = min(least, k), max(most, k)
	}
	if least <= most-dozeChecks && r.timeOf(least) > e.now-rs.lateness {
		return nil // it may go on like that
	}
	d := &doze{
		alone: alone{rs: rs, head: most, judged: in.judged, judgedOld: in.judged, batch: e.batch},
		id:    in.id, joins: in.joins, first: in.first, pos: len(rs.dozing),
	}
	if d.rows = d.pair[:]; len(in.joins) != 2 {
		d.rows = make([]float64, dozeChecks*len(in.joins))
	}
	for i, j := range in.joins {
		var ser *series
		if len(j.series) > 0 {
			ser = j.series[0]
		}
		d.recall(i, ser)
	}
	for k := in.dirtyLo; k <= min(in.dirtyHi, d.head); k++ {
		if row := d.row(k); row == nil || !e.fine(&d.alone, k, row) {
			return nil
		}
	}
	return d
}

// leaveAlone has the samples of a series go straight to the one that dozes, where it
// is the only one that they matter to.
func (s *series) leaveAlone() {
	s.alone, s.leaves = nil, 0
	if len(s.feeds) == 0 || len(s.evals) > 0 {
		return
	}
	for _, f := range s.feeds {
		j := f.join
		if len(j.dozes) != 1 || j.dozes[0] != s.feeds[0].join.dozes[0] || len(j.insts) > 0 || len(j.series) != 1 || f.leaf >= maxAloneLeaves {
			return
		}
		s.leaves |= 1 << f.leaf
	}
	s.alone = &s.feeds[0].join.dozes[0].alone
}

// maxAloneLeaves is the width of hot.leaves.
const maxAloneLeaves = 16

// dozesAlone says whether an identity dozes on through a sample of a series that
// matters to it and to sleepers that it does not wake.
func (e *Engine) dozesAlone(h *hot, p point) bool {
	if h.sleep != nil && (p.t <= e.taking.bound-h.sleep.lateness || !h.sleep.sleepOn(p.v)) {
		return false
	}
	bound := e.taking.bound
	if bound < e.taking.at { // what has settled did not wait for a series that came later
		bound = max(bound, h.of.came)
	}
	for m := h.leaves; m != 0; m &= m - 1 {
		if !e.dozesThrough(h.alone, bits.TrailingZeros16(m), p, bound) {
			return false
		}
	}
	h.newest = p.t
	h.note(p, e.batch)
	return true
}

// forget takes a dozing identity away.
func (d *doze) forget() {
	for i, j := range d.joins {
		j.dozes = without(j.dozes, d)
		for _, ser := range j.series {
			ser.alone = nil
		}
		d.rs.dropJoin(i, j)
	}
	last := len(d.rs.dozing) - 1
	d.rs.dozing[d.pos] = d.rs.dozing[last]
	d.rs.dozing[d.pos].pos = d.pos
	d.rs.dozing[last] = nil
	d.rs.dozing = d.rs.dozing[:last]
}

// dozeOn gives a sample of an operand to those who doze; inOrder says whether it is
// the newest of its series. Those that do not doze on get their instance.
func (e *Engine) dozeOn(ser *series, f *feed, p point, inOrder bool) {
	bound := max(e.lateBound(ser.hot), ser.came) // what has settled did not wait for a series that came later
	for i := 0; i < len(f.join.dozes); {
		d := f.join.dozes[i]
		if inOrder && len(f.join.series) == 1 && e.dozesThrough(&d.alone, f.leaf, p, bound) {
			i++
			continue
		}
		if inOrder && !ser.has(markRead) {
			ser.readFrom(p)
		}
		e.rouse(d, f.leaf, p)
	}
	if len(f.join.insts) == 0 && ser.has(markRead) { // it has come while they doze
		ser.unread()
		ser.leaveAlone()
	}
}

// dozesThrough says whether an identity dozes on through the newest sample of one of
// its operands. bound is up to where those who deliver it had settled before the batch.
func (e *Engine) dozesThrough(a *alone, leaf int, p point, bound int64) bool {
	rs := a.rs
	in := &rs.inputs[leaf]
	t := p.t + in.offset
	if t <= in.slot.lo || t > in.slot.hi {
		in.slot.of(rs.rule, t)
		in.row = rs.rowAt(in.slot.k)
	}
	k := in.slot.k
	first := k > a.head
	if first {
		a.advance(k)
	} else if k <= a.head-dozeChecks {
		return false
	}
	row := a.rows[in.row : in.row+len(rs.inputs)]
	if row[leaf] = kept(p.v); t <= bound-rs.lateness {
		return false
	}
	switch {
	case in.decides(p.v):
		a.noteJudged(e.batch, k)
		return true
	case first && in.waits:
		return true
	case rs.decided(row):
		a.noteJudged(e.batch, k)
		return true
	}
	return e.fine(a, k, row)
}

// decides says whether a value of the operand makes a check good, whatever the others
// have.
func (in *input) decides(v float64) bool {
	return v >= in.lo && v <= in.hi || in.gate.wakes == wakesInside && (v < in.gate.lo || v > in.gate.hi)
}

// decided says whether one of the operands decides.
func (rs *ruleState) decided(row []float64) bool {
	if rs.computes != nil { // none does
		return false
	}
	for i, v := range row {
		if rs.inputs[i].decides(v) {
			return true
		}
	}
	return false
}

// fine says whether check k is no breach, as far as its operands have come.
func (e *Engine) fine(a *alone, k int64, row []float64) bool {
	root := a.rs.computes
	if root == nil {
		return e.fineWithout(a, k, row)
	}
	l, r := root.l.number(row), root.r.number(row)
	if l != l || r != r { // what an operand that is not there makes of it, too
		return e.fineWithout(a, k, row)
	}
	if compare(root.op, l, r) {
		return false
	}
	a.noteJudged(e.batch, k)
	return true
}

// fineWithout is the same where operands are not there, or it takes more than numbers.
func (e *Engine) fineWithout(a *alone, k int64, row []float64) bool {
	ops, all := e.ops[:len(row)], true
	for i, v := range row {
		switch math.Float64bits(v) {
		case unknownBits:
			return false
		case noSampleBits, value.StaleNaN:
			ops[i], all = operand{v: v}, false
		default:
			ops[i] = operand{v: v, there: true}
		}
	}
	if !all && a.rs.needsAll {
		return true // the last operand to come decides
	}
	out := a.rs.rule.prog.root.eval(ops)
	if out.present && !out.in {
		a.noteJudged(e.batch, k)
	}
	return !out.in
}

// noteJudged keeps that a check has a verdict.
func (a *alone) noteJudged(batch uint32, k int64) {
	if a.batch != batch {
		a.batch, a.judgedOld = batch, a.judged
	}
	a.judged = max(a.judged, k)
}

// inputsOf returns by leaf which of its values let a breach through, where the rule
// compares the leaf with a number and is false without that: an operand of "and", or
// what "unless" takes from. Any other value decides the check, and it is good. Each
// selector of an expression is a leaf of its own.
func inputsOf(p *program) []input {
	inputs := make([]input, len(p.leaves))
	for i, l := range p.leaves {
		inputs[i].offset, inputs[i].waits = l.offset, p.root.waits(i)
	}
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
				inputs[leaf].gate = g
			}
		}
	}
	walk(p.root)
	for i := range inputs {
		inputs[i].lo, inputs[i].hi = inputs[i].gate.quiet()
	}
	return inputs
}

// slot is that of check k: (lo, hi].
type slot struct{ k, lo, hi int64 }

// of makes it the slot in which t lies. Senders mostly stay in one.
func (s *slot) of(r *Rule, t int64) *slot {
	if t <= s.lo || t > s.hi {
		k := r.checkOf(t)
		*s = slot{k, r.timeOf(k - 1), r.timeOf(k)}
	}
	return s
}

// bound is the event time up to which all that the identity reads is complete, never
// above now.
func (d *doze) bound(now int64, of func(*source) int64) int64 {
	return d.rs.boundOf(d.joins, now, of)
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
	l := r.prog.leaves[leaf]
	k := r.checkOf(p.t + l.offset)
	first := d.first
	if l.carrier {
		first = min(first, k)
	}
	in := e.addInstance(d.rs, d.id, first)
	d.forget()
	final := r.lastCheck(in.bound(e.taking.at, e.takingBound) - r.Lateness.Milliseconds())
	in.settledCheck = max(in.first-1, final, min(k-1, r.lastCheck(e.taking.before))) // none that is still to come
	in.skipped = in.settledCheck > max(in.first-1, final)
	in.liveCheck = in.settledCheck
	in.judged = min(d.judgedBefore(e.batch), r.lastCheck(e.taking.before))
	in.slept = r.lastCheck(e.taking.before)
	if d.head > in.settledCheck {
		in.mark(in.settledCheck+1, d.head) // samples went by while it dozed
	}
	in.markEnds()
	e.touch(in)
}

// heed has the series that meet at a leaf's join read by more than those who doze.
// These may know its newest sample; the store has the others.
func (j *join) heed(leaf int) {
	for _, ser := range j.series {
		ser.catchUp() // nobody is alone any more
		if ser.has(markRead) {
			continue
		}
		d := j.dozes[0]
		if k := d.rs.rule.checkOf(ser.newest + d.rs.inputs[leaf].offset); k > d.head-dozeChecks && k <= d.head {
			ser.readFrom(point{ser.newest, d.row(k)[leaf]})
		}
		ser.isRead()
	}
}

// forgetDozing drops the identities of which nothing has been heard since before.
func (rs *ruleState) forgetDozing(e *Engine, before int64) {
	for i := len(rs.dozing) - 1; i >= 0; i-- {
		d := rs.dozing[i]
		if d.heardSince(before) {
			continue
		}
		d.forget()
		for _, j := range d.joins { // the series may be kept for longer, and must be ready for another identity
			if len(j.dozes) > 0 {
				continue
			}
			for _, ser := range j.series {
				ser.isRead()
			}
		}
		e.leave(rs, d.id)
		e.m.forgotten.Inc()
	}
}

// heardSince says whether something that gives the identity its labels had a sample.
func (d *doze) heardSince(t int64) bool {
	for i, j := range d.joins {
		if d.rs.rule.prog.leaves[i].carrier && slices.ContainsFunc(j.series, func(s *series) bool { return s.newest >= t }) {
			return true
		}
	}
	return false
}
