package ruleset

import (
	"context"
	"slices"

	"github.com/prometheus/common/model"

	"watchkeeper/internal/sample"
)

// A step judges what a batch touched, then what time brings: at a check, all instances
// that do not rest, thousands at once. The second part gives way: batches come in
// between, as if they came after it. What a batch may change is judged before it is
// taken, and every instance is judged by itself, so nobody sees when the others were.

const (
	// maxLateKept is how many late samples of a rule are kept before old ones are
	// looked for.
	maxLateKept = 4096
	// looksAtOnce is how many resting instances are looked at before others may come
	// in, and judgeCosts how many looks it counts for when one is judged. Each turn lets
	// in all who wait, so turns must not be too short: a step has to end.
	looksAtOnce = 64
	judgeCosts  = 4
)

// step judges and settles everything due, and makes what it learned durable. Where it
// may give way and somebody else is at it already, it leaves to them what time brings.
func (e *Engine) step(ctx context.Context, giving bool) error {
	e.unwritten = e.writeRecords(ctx) != nil // an error is told at the end: what is judged may leave before
	err := e.judgeTouched(ctx)
	e.batch++ // what time brings from here on comes after it
	e.given, e.fresh = nil, nil
	if mine := !giving || !e.stepping; mine {
		if err == nil {
			err = e.judgeDue(ctx, giving)
		}
		e.queueSettled()
	}
	if rerr := e.writeRecords(ctx); err == nil {
		err = rerr
	}
	if !e.rebuild {
		e.release()
	}
	return err
}

// judgeTouched judges the instances that the batch touched and those of evaluated
// rules that are due, those first whose next breach fires: someone waits for them.
func (e *Engine) judgeTouched(ctx context.Context) error {
	e.noteDue()
	if err := e.judgeRipe(ctx); err != nil {
		return err
	}
	e.handOver(ctx, 1)
	for _, rs := range e.rules {
		if err := e.evaluateAll(ctx, rs); err != nil {
			return err
		}
	}
	for _, urgent := range []bool{true, false} {
		for _, in := range e.touched {
			if !in.queued || urgent && !in.firesNext() {
				continue
			}
			if err := e.finish(ctx, in); err != nil {
				e.touched = slices.DeleteFunc(e.touched, func(in *instance) bool { return !in.queued })
				return err
			}
			e.handOver(ctx, handOverEvery)
		}
		e.handOver(ctx, 1)
	}
	clear(e.touched)
	e.touched = e.touched[:0]
	return nil
}

// finish judges an instance and settles what is final of it, as far as its samples can be
// read.
func (e *Engine) finish(ctx context.Context, in *instance) error {
	if e.unevaluated(in.rs) {
		in.queued = false
		return nil
	}
	through, err := e.judge(ctx, in)
	if err != nil {
		return err
	}
	given := e.giveUp(in)
	if err := e.settle(ctx, in, in.unread.before(in.rs.unread.before(through)), given); err != nil {
		if e.rebuild || ctx.Err() != nil {
			return err
		}
		e.putAside(in, in.settledCheck+1, in.settledCheck+1, err)
	}
	in.queued = false
	e.sleep(in)
	return nil
}

// noteDue finds the rules whose grid, missing_after or lateness has reached another check.
func (e *Engine) noteDue() {
	for _, rs := range e.rules {
		if !rs.reached(e.now) {
			continue
		}
		rs.forgetLate(e.now - 2*e.forceAfter())
		rs.looked, rs.ripens = 0, true
		if !rs.isDue {
			rs.isDue = true
			e.due = append(e.due, rs)
		}
	}
}

// reached moves the rule's marks to now and says whether one moved.
func (rs *ruleState) reached(now int64) bool {
	r := rs.rule
	m, a, l := r.lastCheck(now), r.lastCheck(now-r.MissingAfter.Milliseconds()), r.lastCheck(now-r.Lateness.Milliseconds())
	if m == rs.maxCheck && a == rs.missCheck && l == rs.lateCheck {
		return false
	}
	rs.maxCheck, rs.missCheck, rs.lateCheck = m, a, l
	return true
}

// forgetLate drops what came late for checks that nothing reads any more.
func (rs *ruleState) forgetLate(before int64) {
	rs.forgetLateUps(before)
	if len(rs.late) < maxLateKept {
		return
	}
	for key := range rs.late {
		if key.t < before {
			delete(rs.late, key)
		}
	}
}

// firesNext says whether one more breach makes the alert fire.
func (in *instance) firesNext() bool {
	return !in.live.phase.open() && int(in.live.run)+1 >= in.rs.rule.Consecutive
}

// ripen notes an instance that a check to come may make fire.
func (in *instance) ripen() {
	if in.isRipe || !in.firesNext() || in.dirtyLo > in.dirtyHi && in.rs.rule.Missing != MissingBreach {
		return
	}
	in.isRipe = true
	in.rs.ripe = append(in.rs.ripe, in)
}

// judgeRipe judges the ripe instances of the rules that are due.
func (e *Engine) judgeRipe(ctx context.Context) error {
	for _, rs := range e.due {
		if !rs.ripens {
			continue // those that are ripe now wait for the check after this one
		}
		ripe := rs.ripe
		rs.ripe = nil
		for i, in := range ripe {
			in.isRipe = false
			if in.pos < 0 || !in.firesNext() { // it is gone, or judged already
				continue
			}
			if err := e.finish(ctx, in); err != nil {
				rs.ripe = append(rs.ripe, ripe[i+1:]...)
				return err
			}
			e.handOver(ctx, handOverEvery)
		}
		rs.ripens = false
	}
	return nil
}

// judgeDue judges the instances of the rules that are due, but for those that rest.
func (e *Engine) judgeDue(ctx context.Context, giving bool) error {
	if giving {
		e.stepping = true
		defer func() { e.stepping = false }()
	}
	for looks := 1; len(e.due) > 0; looks++ {
		rs := e.due[0]
		if rs.looked >= len(rs.all) {
			rs.isDue, rs.looked = false, 0
			e.due = slices.Delete(e.due, 0, 1)
			continue
		}
		in := rs.all[rs.looked]
		if e.rebuild || in.unread != nil || !in.rests() || in.dirtyLo <= in.dirtyHi && in.dirtyLo <= rs.maxCheck {
			if err := e.finish(ctx, in); err != nil {
				return err
			}
			e.handOver(ctx, handOverEvery)
			looks += judgeCosts
		}
		if in.pos == rs.looked { // else it sleeps, and another one has its place
			rs.looked++
		}
		if looks >= e.looksAtOnce && giving {
			looks = 0
			e.giveWay()
		}
	}
	if !e.rebuild {
		e.forgetIdle()
	}
	return nil
}

// catchUpFor judges, before a batch is taken, what a step under way has not come to yet
// and the batch may change: what reads its source. A batch that brings other than more
// samples of what its source is known to deliver, up-samples and a watermark may change
// anything; it waits for all.
func (e *Engine) catchUpFor(ctx context.Context, b sample.Batch) error {
	if len(e.due) == 0 {
		return nil
	}
	src := e.sources[b.Source]
	if src == nil || len(b.Ends) > 0 || slices.ContainsFunc(b.Samples, func(s sample.Sample) bool { return e.isNews(src, &s) }) {
		return e.judgeDue(ctx, false)
	}
	src.eachReader(func(in *instance) {
		if in.rs.isDue && in.pos >= in.rs.looked {
			e.touch(in)
		}
	})
	return e.judgeTouched(ctx)
}

// isNews says whether a sample is of a series that is watched and that the source is not
// known to deliver.
func (e *Engine) isNews(src *source, s *sample.Sample) bool {
	if h := e.series.ofRef(s.Ref); h != nil {
		return h.source != src && !h.of.deliveredBy(src)
	}
	return slices.ContainsFunc(e.byMetric[s.Labels.Get(model.MetricNameLabel)], func(rs *ruleState) bool { return rs.readsSeries(s.Labels) })
}
