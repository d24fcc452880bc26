package ruleset

import (
	"cmp"
	"context"
	"slices"
)

// reasonAmended marks live entries that later samples called for.
const reasonAmended = "amended"

// tell queues a change for the live log, unless a fill-in keeps it quiet.
func (e *Engine) tell(ctx context.Context, in *instance, c change, reason string) {
	if e.rebuild || in.silent || in.inFillIn() {
		in.silent = true
		return
	}
	from := in.told
	c.from = from
	in.told = c.to
	switch {
	case c.to.open() && !from.open():
		in.episodes = append(in.episodes, episode{opened: c.check})
	case from.open() && !c.to.open():
		in.episodes[len(in.episodes)-1].closed = max(c.check, in.episodes[len(in.episodes)-1].opened)
	}
	en, err := e.entry(ctx, in, c, LogLive, e.now, reason)
	if err != nil { // it must not wait for that
		e.logger.Warn("an alert is told without its samples", "err", err)
	}
	e.queue = append(e.queue, en)
}

// tellFillIn ends the quiet of a fill-in: what stands now is told, what came
// and went is not.
func (e *Engine) tellFillIn(ctx context.Context, in *instance) {
	if e.rebuild || !in.silent || in.inFillIn() {
		return
	}
	in.silent = false
	eps := episodesOf(in.log, in.settledPhase(), in.settled.since)
	e.align(ctx, in, eps, func(change) string { return "" }, true)
}

// settledPhase is the phase that the checks before the log left.
func (in *instance) settledPhase() phase { return in.settled.phase }

// run of changes that make one stretch of a standing alert.
type stretch struct {
	episode
	changes []change
}

func (a episode) overlaps(b episode) bool {
	return (a.closed == 0 || a.closed > b.opened) && (b.closed == 0 || b.closed > a.opened)
}

// episodesOf cuts a list of changes into stretches in which the alert stood.
// It begins in phase p, entered at check since.
func episodesOf(log []change, p phase, since int64) []stretch {
	var out []stretch
	if p.open() {
		out = append(out, stretch{episode: episode{opened: since}})
	}
	for _, c := range log {
		switch {
		case c.to.open() && !c.from.open():
			out = append(out, stretch{episode{opened: c.check}, []change{c}})
		case c.from.open():
			if len(out) == 0 { // it stood before anything that the log tells of
				out = append(out, stretch{episode: episode{opened: min(since, c.check-1)}})
			}
			s := &out[len(out)-1]
			s.changes = append(s.changes, c)
			if !c.to.open() {
				s.closed = max(c.check, s.opened+1)
			}
		}
	}
	return out
}

// amend tells the difference between what the live log said and what the
// checks say now. Checks up to judged had a sample already.
func (e *Engine) amend(ctx context.Context, in *instance, old []change, judged int64) {
	reason := func(c change) string { return c.amends(judged) }
	n := 0
	for n < len(old) && n < len(in.log) && old[n] == in.log[n] {
		n++
	}
	if n == len(old) { // nothing said was wrong
		for _, c := range in.log[n:] {
			e.tell(ctx, in, c, reason(c))
		}
		return
	}
	if e.rebuild || in.silent || in.inFillIn() {
		in.silent = true
		return
	}
	e.align(ctx, in, episodesOf(in.log, in.settledPhase(), in.settled.since), reason, false)
}

// amends returns the reason of a change that says otherwise of a check than was
// said before: one that is taken back, and one at or before a check that had a
// sample already. How an alert closes rightly amends nothing, whenever it is found.
func (c change) amends(judged int64) string {
	if c.how == "" && c.check <= judged {
		return reasonAmended
	}
	return ""
}

// align brings the live log to the present state: an alert that stands in it
// for no reason is taken back, one that still stands is carried on, and
// stretches it never told of are told. Those that are over stay untold with
// presentOnly, and while an alert stands.
func (e *Engine) align(ctx context.Context, in *instance, now []stretch, reason func(change) string, presentOnly bool) {
	told := slices.Clone(in.episodes)
	if in.told.open() {
		i := slices.IndexFunc(now, func(s stretch) bool { return s.overlaps(told[len(told)-1]) })
		if i < 0 {
			c := change{check: in.liveCheck, from: in.told, to: closedPhase(in), run: in.live.run}
			e.tell(ctx, in, c, cmp.Or(reason(c), reasonAmended))
		} else if s := now[i]; len(s.changes) > 0 && s.changes[len(s.changes)-1].to != in.told {
			c := s.changes[len(s.changes)-1]
			e.tell(ctx, in, c, reason(c))
		}
	}
	for _, s := range now {
		if slices.ContainsFunc(told, func(t episode) bool { return t.overlaps(s.episode) }) {
			continue
		}
		if s.closed != 0 && (presentOnly || in.told.open() || s.changes[0].from.open()) {
			continue // the last: it went untold, and its beginning has settled
		}
		if len(s.changes) == 0 {
			s.changes = []change{{check: s.opened, from: in.told, to: phaseFiring, run: in.live.run}}
		}
		for _, c := range s.changes {
			e.tellWith(ctx, in, c, reason(c), presentOnly)
		}
	}
	if in.told != in.live.phase {
		c := change{check: in.liveCheck, from: in.told, to: in.live.phase, run: in.live.run}
		e.tellWith(ctx, in, c, reason(c), presentOnly)
	}
}

// closedPhase is what an alert that is taken back becomes.
func closedPhase(in *instance) phase {
	if in.live.phase.open() {
		return phaseInactive
	}
	return in.live.phase
}

func (e *Engine) tellWith(ctx context.Context, in *instance, c change, reason string, fillIn bool) {
	n := len(e.queue)
	e.tell(ctx, in, c, reason)
	if len(e.queue) > n {
		e.queue[len(e.queue)-1].FillIn = fillIn
	}
}
