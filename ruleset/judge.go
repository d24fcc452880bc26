package ruleset

import (
	"cmp"
	"context"
	"fmt"
)

// judge brings one instance up to engine time, and returns the last check of it that
// is final now.
func (e *Engine) judge(ctx context.Context, in *instance) (through int64, err error) {
	in.catchUp()
	r := in.rs.rule
	last := r.lastCheck(e.now)
	e.readAgain(ctx, in)
	if in.joins != nil && in.dirtyLo <= in.dirtyHi && in.dirtyLo <= last {
		lo, hi := max(in.dirtyLo, in.settledCheck+1), min(in.dirtyHi, last)
		if err := e.evaluateReadable(ctx, in, lo, hi); err != nil {
			return 0, fmt.Errorf("rule %q: %s: %w", r.ID(), in.id, err)
		}
		if in.dirtyHi <= last {
			in.dirtyLo, in.dirtyHi = 1, 0
		} else {
			in.dirtyLo = last + 1
		}
	}
	in.solidify()
	if err := e.makeSure(ctx, in); err != nil && (e.rebuild || ctx.Err() != nil) { // else a line may lack its reason
		return 0, fmt.Errorf("rule %q: %s: %w", r.ID(), in.id, err)
	}
	if !e.rebuild && in.rests() {
		e.fold(ctx, in)
		if in.rests() { // nothing that is final has been told just now
			in.ripen()
			return in.settledCheck, nil
		}
	}
	through = min(in.settledThrough(e.now, e.forceAfter()), last)
	if err := e.decide(ctx, in, max(through, r.lastCheck(e.now-r.MissingAfter.Milliseconds()))); err != nil {
		return 0, fmt.Errorf("rule %q: %s: %w", r.ID(), in.id, err)
	}
	in.solidify()
	e.fold(ctx, in)
	in.ripen()
	return through, nil
}

// evaluateReadable does evaluateSpan as far as samples can be read.
func (e *Engine) evaluateReadable(ctx context.Context, in *instance, lo, hi int64) error {
	err := e.evaluateSpan(ctx, in, lo, hi)
	if err == nil {
		return nil
	}
	return e.goAround(ctx, in, lo, hi, err, func(lo, hi int64) error { return e.evaluateSpan(ctx, in, lo, hi) })
}

// evaluateSpan gives the checks lo to hi their cells from the operands; those
// without a verdict are left open.
func (e *Engine) evaluateSpan(ctx context.Context, in *instance, lo, hi int64) error {
	if lo > hi {
		return nil
	}
	if lo == hi && in.evaluateNewest(hi) {
		return nil
	}
	span, err := e.readSpan(ctx, in, lo, hi)
	if err != nil {
		return err
	}
	for k := lo; k <= hi; k++ {
		out := in.rs.rule.prog.root.eval(span.operands(k, e.ops))
		c := cell(out.verdict())
		if c.verdict() == VerdictMissing {
			c |= cellNaN
		}
		c |= span.begins(k, c.verdict())
		if reason := span.ended(k); reason != "" {
			c |= cellEnd
		}
		if c.verdict() == VerdictBreach {
			in.value = out.v
		}
		in.set(k, c)
	}
	return nil
}

// evaluateNewest gives check k its cell where one comparison with the series'
// newest sample does, the common case of an alert that stands.
func (in *instance) evaluateNewest(k int64) bool {
	rs := in.rs
	if len(rs.late) > 0 || len(in.joins[0].series) != 1 {
		return false
	}
	ser := in.joins[0].series[0]
	s := in.onlyBy(ser)
	if s == nil || len(ser.tail) == 0 {
		return false
	}
	p := ser.tail[len(ser.tail)-1]
	if p.v != p.v || p.t > rs.rule.timeOf(k) || p.t <= rs.rule.timeOf(k-1) {
		return false
	}
	c := cell(VerdictGood)
	if s.breach(p.v, nil) {
		c, in.value = cell(VerdictBreach), p.v
	}
	in.set(k, c)
	return true
}

// decide turns open checks up to through into missing or unobserved.
func (e *Engine) decide(ctx context.Context, in *instance, through int64) error {
	in.passUnread(through)
	lo := in.settledCheck + 1
	for lo <= through && in.cell(lo) != 0 {
		lo++
	}
	err := e.decideSpan(ctx, in, lo, through)
	if err == nil {
		return nil
	}
	err = e.goAround(ctx, in, lo, through, err, func(lo, hi int64) error { return e.decideSpan(ctx, in, lo, hi) })
	in.passUnread(through)
	return err
}

// decideSpan decides the open checks lo to through.
func (e *Engine) decideSpan(ctx context.Context, in *instance, lo, through int64) error {
	if lo > through {
		return nil
	}
	seen, err := e.observer(ctx, in, lo, through)
	if err != nil {
		return err
	}
	begins, err := e.beginner(ctx, in, lo, through)
	if err != nil {
		return err
	}
	for k := lo; k <= through; k++ {
		if in.cell(k) != 0 { // decided, or ended without a sample
			continue
		}
		v := VerdictMissing
		if looked, err := seen(k); err != nil {
			return err
		} else if !looked {
			v = VerdictUnobserved
		}
		in.set(k, cell(v)|begins(k))
	}
	return nil
}

// observer returns whether, at a check without a verdict, the source of each
// operand that has no sample looked.
func (e *Engine) observer(ctx context.Context, in *instance, lo, hi int64) (func(k int64) (bool, error), error) {
	if in.joins == nil {
		return func(k int64) (bool, error) { return in.rs.observed(in.id, k), nil }, nil
	}
	span, err := e.readSpan(ctx, in, lo, hi)
	if err != nil {
		return nil, err
	}
	return func(k int64) (bool, error) { return e.looked(ctx, in, span, k) }, nil
}

// fold brings the live state up to the cells and tells what changed.
func (e *Engine) fold(ctx context.Context, in *instance) {
	if in.stale {
		e.refold(ctx, in)
		return
	}
	judged := in.judged // an identity that woke late may have more behind it than it has folded
	for k := in.liveCheck + 1; k <= in.head(); k++ {
		changes, n := in.foldCheck(k)
		if n == 0 {
			continue
		}
		in.log = append(in.log, changes[:n]...)
		in.noteLog()
		for _, c := range changes[:n] {
			e.tell(ctx, in, c, c.amends(judged))
		}
	}
	in.liveCheck = in.head()
	e.tellFillIn(ctx, in)
}

// foldCheck applies the cell of check k to the live state.
func (in *instance) foldCheck(k int64) (changes [2]change, n int) {
	c := in.cell(k)
	if v := c.verdict(); v == VerdictBreach || v == VerdictGood {
		in.judged = max(in.judged, k)
	}
	return in.live.step(in.rs.rule, k, c)
}

// refold folds the live state anew after an earlier check changed and tells
// the difference.
func (e *Engine) refold(ctx context.Context, in *instance) {
	old, judged := in.log, in.judgedBefore(e.batch)
	in.live, in.log, in.stale = in.settled, nil, false
	in.judged = min(in.judged, in.settledCheck) // a verdict may have been taken away
	for k := in.settledCheck + 1; k <= in.head(); k++ {
		changes, n := in.foldCheck(k)
		in.log = append(in.log, changes[:n]...)
	}
	in.liveCheck = in.head()
	in.noteLog()
	e.amend(ctx, in, old, judged)
	e.tellFillIn(ctx, in)
}

// settle makes the checks up to through final, or those before the first of which what
// the log says of it cannot be read, unless that was given up.
func (e *Engine) settle(ctx context.Context, in *instance, through int64, given bool) (err error) {
	if through <= in.settledCheck {
		return nil
	}
	e.noteForced(in, through)
	for k := in.settledCheck + 1; k <= through; k++ {
		before, logged := in.settled, len(e.settledN)
		changes, n := in.settled.step(in.rs.rule, k, in.cell(k))
		for _, c := range changes[:n] {
			err = cmp.Or(e.logSettled(ctx, in, c), err)
		}
		if given {
			err = nil
		}
		if err != nil && !e.rebuild {
			in.settled, e.settledN, through = before, e.settledN[:logged], k-1
			break
		}
	}
	if through == in.settledCheck {
		return err
	}
	if n := through - in.settledCheck; n >= int64(len(in.cells)) {
		in.cells = in.cells[:0]
	} else {
		in.cells = in.cells[:copy(in.cells, in.cells[n:])]
	}
	in.settledCheck, in.skipped = through, false
	if in.liveCheck < through {
		in.liveCheck = through
	}
	if !e.rebuild { // a rebuild compares all of it with the incident store
		in.forgetSettled()
	}
	return err
}

// forgetSettled drops what the live log said about final checks.
func (in *instance) forgetSettled() {
	for k := range in.notes {
		if k <= in.settledCheck {
			delete(in.notes, k)
		}
	}
	n := 0
	for n < len(in.log) && in.log[n].check <= in.settledCheck {
		n++
	}
	in.log = in.log[n:]
	if len(in.log) == 0 {
		in.log = nil
	}
	in.noteLog()
	keep := in.episodes[:0]
	for _, ep := range in.episodes {
		if ep.closed == 0 || ep.closed > in.settledCheck {
			keep = append(keep, ep)
		}
	}
	in.episodes = keep
}
