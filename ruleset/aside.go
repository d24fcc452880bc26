package ruleset

import (
	"context"
	"time"
)

// The store may fail to read one series for ever, a damaged block say. Who needs it is
// put aside: it keeps what it has to judge and is tried again at its next checks, and
// the others go on.

const (
	// askAgain is how long, in engine time, a rule waits whose evaluation failed.
	askAgain = 10 * time.Second
	// tellAgain is how often, in engine time, failing reads are logged.
	tellAgain = time.Minute
)

// readFailures is what is told of failing reads.
type readFailures struct {
	told   int64 // engine time at which they were logged last; 0 before any
	untold int   // since then
}

// putAside notes that an instance could not be judged. It returns the error where that
// ends the step: state that is being rebuilt must be whole, and who gives up fails nobody.
func (e *Engine) putAside(ctx context.Context, in *instance, err error) error {
	if e.rebuild || ctx.Err() != nil {
		return err
	}
	in.queued = false
	e.setAside(in, true)
	e.m.judgingFailures.Inc()
	e.tellFailure(err)
	return nil
}

func (e *Engine) setAside(in *instance, aside bool) {
	switch {
	case aside == in.aside:
		return
	case aside:
		e.m.aside.Add(1)
	default:
		e.m.aside.Add(-1)
	}
	in.aside = aside
}

// evaluateOrWait evaluates the checks of a rule that are new or dirty. A rule of which
// that fails waits, and its identities with it.
func (e *Engine) evaluateOrWait(ctx context.Context, rs *ruleState) error {
	if rs.failed != 0 && e.now < rs.failed+askAgain.Milliseconds() && !e.rebuild {
		return nil
	}
	err := e.evaluateDue(ctx, rs)
	if err == nil {
		rs.failed = 0
		return nil
	}
	if e.rebuild || ctx.Err() != nil {
		return err
	}
	rs.failed = e.now
	e.tellFailure(err)
	return nil
}

// unevaluated says whether checks of an evaluated rule have come that it has no verdicts
// of yet: nothing must be decided of its identities. Its evaluation touches them all.
func (e *Engine) unevaluated(rs *ruleState) bool {
	return rs.eval != nil && e.started != 0 && (len(rs.dirty) > 0 || rs.nextCheck <= rs.rule.lastCheck(e.now))
}

func (e *Engine) tellFailure(err error) {
	f := &e.failures
	f.untold++
	if f.told != 0 && e.now < f.told+tellAgain.Milliseconds() {
		return
	}
	e.logger.Error("samples cannot be read: what needs them is not judged and tried again, the rest goes on",
		"err", err, "failures", f.untold)
	f.told, f.untold = e.now, 0
}
