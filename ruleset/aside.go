package ruleset

import (
	"cmp"
	"context"
	"slices"
	"sort"
	"time"
)

// The store may fail to read some samples for ever, a damaged block say. The checks that
// need them are put aside, and all others judged and told. They keep the verdict that they
// had from their samples; without one they are unobserved: nobody can say. They are tried
// again, and from the first of them on nothing settles, until they can be read or
// giveUpAfter has passed.

const (
	// askAgain is how long, in engine time, checks that could not be read wait until they
	// are tried again.
	askAgain = 10 * time.Second
	// giveUpAfter is how long, in engine time, nothing settles because of them. What has not
	// settled is older than its lateness by force_after at most, so that all that its
	// judging needs is still there then: the recover window and what is kept of up-samples
	// reach further back.
	giveUpAfter = time.Hour
	// tellAgain is how often, in engine time, failing reads are logged.
	tellAgain = time.Minute
)

// unread are the checks of an identity, or of an evaluated rule, that could not be read.
type unread struct {
	parts []checkRange // ascending, with others in between
	since int64        // engine time at which the first was found, and
	tried int64        // at which all were tried last
}

type checkRange struct{ lo, hi int64 }

// maxUnread bounds the parts; the oldest become one.
const maxUnread = 64

func (u *unread) lo() int64 { return u.parts[0].lo }
func (u *unread) hi() int64 { return u.parts[len(u.parts)-1].hi }

// before is the last check up to through that may settle.
func (u *unread) before(through int64) int64 {
	if u == nil {
		return through
	}
	return min(through, u.lo()-1)
}

// with returns u with more checks.
func (u *unread) with(lo, hi, now int64) *unread {
	if u == nil {
		u = &unread{since: now, tried: now}
	}
	i := 0
	for i < len(u.parts) && u.parts[i].hi < lo-1 {
		i++
	}
	j := i
	for ; j < len(u.parts) && u.parts[j].lo <= hi+1; j++ {
		lo, hi = min(lo, u.parts[j].lo), max(hi, u.parts[j].hi)
	}
	if u.parts = slices.Replace(u.parts, i, j, checkRange{lo, hi}); len(u.parts) > maxUnread {
		u.parts[1].lo = u.parts[0].lo
		u.parts = slices.Delete(u.parts, 0, 1)
	}
	return u
}

// isDue says whether the checks are to be tried again.
func (u *unread) isDue(now int64) bool { return u != nil && now >= u.tried+askAgain.Milliseconds() }

// isOver says whether they have waited for long enough.
func (u *unread) isOver(now int64) bool {
	return u != nil && now >= u.since+giveUpAfter.Milliseconds()
}

// without returns what is left of u after the checks up to through, nil for nothing, and
// how many are not.
func (u *unread) without(through, now int64) (left *unread, n int) {
	left = &unread{since: now, tried: u.tried}
	for _, p := range u.parts {
		n += int(max(0, min(p.hi, through)-p.lo+1))
		if p.hi > through {
			left.parts = append(left.parts, checkRange{max(p.lo, through+1), p.hi})
		}
	}
	if left.parts == nil {
		left = nil
	}
	return left, n
}

// unreadable returns the stretch of the checks lo to hi, which do cannot read together,
// that it cannot read either without those in front and behind. These it has read then.
func unreadable(lo, hi int64, do func(lo, hi int64) error) (first, last int64) {
	first = lo + int64(sort.Search(int(hi-lo), func(i int) bool { return do(lo, lo+int64(i)) != nil }))
	last = hi - int64(sort.Search(int(hi-first), func(i int) bool { return do(hi-int64(i), hi) != nil }))
	return first, last
}

// goAround does for the checks lo to hi of an instance what failed for all of them at
// once, as far as they can be read, and puts the others aside. It returns the error where
// that ends the step: state that is being rebuilt must be whole, and who gives up fails nobody.
func (e *Engine) goAround(ctx context.Context, in *instance, lo, hi int64, err error, do func(lo, hi int64) error) error {
	if e.rebuild || ctx.Err() != nil {
		return err
	}
	lo, hi = unreadable(lo, hi, do)
	if ctx.Err() != nil {
		return err
	}
	e.putAside(in, lo, hi, err)
	return nil
}

// putAside notes that checks of an instance could not be read.
func (e *Engine) putAside(in *instance, lo, hi int64, err error) {
	e.setUnread(in, in.unread.with(lo, hi, e.now))
	e.m.judgingFailures.Inc()
	e.tellFailure(err)
}

func (e *Engine) setUnread(in *instance, u *unread) {
	n := 0
	if u != nil {
		n++
	}
	if in.unread != nil {
		n--
	}
	in.unread = u
	if n != 0 {
		e.m.aside.Add(int64(n))
		e.unread[in.id.Get("customer")] += n
	}
}

// readAgain tries the checks of an instance that could not be read.
func (e *Engine) readAgain(ctx context.Context, in *instance) {
	u := in.unread
	if !u.isDue(e.now) {
		return
	}
	u.tried = e.now
	lo, hi := max(u.lo(), in.settledCheck+1), u.hi()
	err := e.evaluateSpan(ctx, in, lo, hi)
	if err == nil {
		err = e.decideSpan(ctx, in, lo, min(hi, in.rs.missCheck))
	}
	switch {
	case err == nil:
		e.setUnread(in, nil)
	case ctx.Err() == nil:
		e.m.judgingFailures.Inc()
		e.tellFailure(err)
	}
}

// passUnread makes the checks up to through unobserved that cannot be read and have no
// verdict from a sample.
func (in *instance) passUnread(through int64) {
	u := cmp.Or(in.unread, in.rs.unread)
	if u == nil {
		return
	}
	for _, p := range u.parts {
		for k := max(p.lo, in.settledCheck+1); k <= min(p.hi, through); k++ {
			if c := in.cell(k); c == 0 || c.verdict() == VerdictMissing && c&cellNaN == 0 {
				in.set(k, c&cellEnd|cell(VerdictUnobserved))
			}
		}
	}
}

// giveUp has the checks of an instance settle as they are that could not be read for too
// long; it says whether there were any.
func (e *Engine) giveUp(in *instance) bool {
	u := in.unread
	if !u.isOver(e.now) || e.rebuild {
		return false
	}
	left, n := u.without(in.rs.missCheck, e.now)
	e.m.givenUp.Add(n)
	e.setUnread(in, left)
	return true
}

// evaluateAll evaluates the checks of an evaluated rule that are new or dirty, and tries
// again those that could not be read.
func (e *Engine) evaluateAll(ctx context.Context, rs *ruleState) error {
	if rs.eval == nil {
		return nil
	}
	if u := rs.unread; u.isDue(e.now) {
		u.tried = e.now
		if err := e.evaluate(ctx, rs, u.lo(), u.hi()); err == nil {
			rs.unread = nil
		} else if ctx.Err() == nil {
			e.tellFailure(err)
		}
	}
	err := e.evaluateDue(ctx, rs)
	if u := rs.unread; u.isOver(e.now) {
		for _, in := range rs.all {
			in.passUnread(rs.missCheck)
		}
		left, n := u.without(rs.missCheck, e.now)
		e.m.givenUp.Add(n * len(rs.all))
		rs.unread = left
	}
	e.countUnread(rs)
	return err
}

// evaluateAround evaluates the checks lo to hi of a rule as far as they can be read.
func (e *Engine) evaluateAround(ctx context.Context, rs *ruleState, lo, hi int64) error {
	do := func(lo, hi int64) error { return e.evaluate(ctx, rs, lo, hi) }
	err := do(lo, hi)
	if err == nil || e.rebuild || ctx.Err() != nil {
		return err
	}
	lo, hi = unreadable(lo, hi, do)
	if ctx.Err() != nil {
		return err
	}
	rs.unread = rs.unread.with(lo, hi, e.now)
	for _, in := range rs.all {
		e.touch(in)
	}
	e.tellFailure(err)
	return nil
}

// countUnread counts the identities of a rule that wait.
func (e *Engine) countUnread(rs *ruleState) {
	n := 0
	if rs.unread != nil {
		n = rs.watched
	}
	e.m.aside.Add(int64(n - rs.waiting))
	rs.waiting = n
}

// unevaluated says whether checks of an evaluated rule have come that it has no verdicts
// of yet: nothing must be decided of its identities. Its evaluation touches them all.
func (e *Engine) unevaluated(rs *ruleState) bool {
	return rs.eval != nil && e.started != 0 && (len(rs.dirty) > 0 || rs.nextCheck <= rs.rule.lastCheck(e.now))
}

// readFailures is what is told of failing reads.
type readFailures struct {
	told   int64 // engine time at which they were logged last; 0 before any
	untold int   // since then
}

func (e *Engine) tellFailure(err error) {
	f := &e.failures
	f.untold++
	if f.told != 0 && e.now < f.told+tellAgain.Milliseconds() {
		return
	}
	e.logger.Error("samples cannot be read: checks that need them are tried again for an hour, then they are unobserved; the rest is judged",
		"err", err, "failures", f.untold, "given_up", e.m.givenUp.Get())
	f.told, f.untold = e.now, 0
}
