package ruleset

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Reasons of live entries that a reload calls for.
const (
	// ReasonRemoved is why an alert ended whose rule is gone.
	ReasonRemoved = "rule removed"
	reasonEdited  = "rule edited"
	reasonAdded   = "rule added"
)

// Reload replaces the rules, fully or not at all. A rule that judges as before
// keeps its runs, whatever became of its texts and labels. An edited rule's
// state is built anew from the stored samples: its alerts are carried on where
// they still stand and closed where they do not. A removed rule's alerts end.
//
// What the sink does not take is no error: the rules are in force, and it is handed
// over with what comes next.
func (e *Engine) Reload(ctx context.Context, groups []Group, now time.Time) error {
	err := e.reload(ctx, groups, now.UnixMilli())
	if ferr := e.flush(ctx); ferr != nil {
		e.logger.Warn("what was judged up to a reload waits to be told", "entries", e.out.len(), "err", ferr)
	}
	if err != nil {
		return fmt.Errorf("reload rules: %w", err)
	}
	return nil
}

func (e *Engine) reload(ctx context.Context, groups []Group, now int64) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	defer e.release()
	e.tick(now)
	if err := e.step(ctx, false); err != nil { // the rules that stay are up to date before the others are built
		return err
	}
	loaded, err := e.load(groups)
	if err != nil {
		return err
	}
	old := e.rules
	for _, rs := range old {
		for _, in := range rs.all {
			in.catchUp()
		}
	}
	var next, fresh, dropped []*ruleState
	kept := map[*ruleState]*Rule{}
	for _, rs := range loaded {
		i := slices.IndexFunc(old, func(o *ruleState) bool {
			return o.rule.ID() == rs.rule.ID() && o.rule.meaning() == rs.rule.meaning()
		})
		if i < 0 {
			rs.added = !slices.ContainsFunc(old, func(o *ruleState) bool { return o.rule.ID() == rs.rule.ID() })
			next, fresh = append(next, rs), append(fresh, rs)
			continue
		}
		next = append(next, old[i])
		kept[old[i]] = rs.rule
	}
	for _, rs := range old {
		if kept[rs] == nil {
			dropped = append(dropped, rs)
		}
	}
	if err := e.swap(ctx, next, fresh, dropped); err != nil {
		e.unbind(fresh)
		e.use(old)
		return err
	}
	for rs, r := range kept {
		rs.rule = r
	}
	e.words.texts = texts{}
	e.out.reword(next)
	e.unbind(dropped)
	e.lines++ // alerts may have other labels, or be gone without a line
	return nil
}

// swap makes next the rules, builds the fresh ones' state and closes what the
// dropped ones leave behind.
func (e *Engine) swap(ctx context.Context, next, fresh, dropped []*ruleState) error {
	p, err := readPast(e.journal)
	if err != nil {
		return err
	}
	e.use(next)
	queued := len(e.queue)
	if err := e.rebuildRules(ctx, fresh, p, carried(fresh, dropped), reasonEdited); err != nil {
		e.queue = e.queue[:queued]
		return err
	}
	for _, rs := range dropped {
		i := slices.IndexFunc(fresh, func(f *ruleState) bool { return f.rule.ID() == rs.rule.ID() })
		for _, in := range rs.all {
			if !in.told.open() {
				continue
			}
			reason := ReasonRemoved
			if i >= 0 {
				if fresh[i].instance(in.id) != nil {
					continue
				}
				reason = reasonEdited
			}
			in.silent = false
			e.tell(ctx, in, change{check: in.liveCheck, from: in.told, to: phaseInactive, how: StateEnded, run: in.live.run}, reason)
		}
	}
	return nil
}

// carried lists what the live log said about the edited rules' alerts, as far
// as the edited rule still has the identity's series to look at.
func carried(fresh, dropped []*ruleState) []OpenAlert {
	var out []OpenAlert
	for _, rs := range dropped {
		if !slices.ContainsFunc(fresh, func(f *ruleState) bool { return f.rule.ID() == rs.rule.ID() }) {
			continue
		}
		for _, in := range rs.all {
			for _, ep := range in.episodes {
				a := OpenAlert{
					RuleID: rs.rule.ID(), Alert: rs.rule.Alert, Identity: in.id, State: StateResolved,
					Opened: rs.rule.timeOf(ep.opened), Check: rs.rule.timeOf(max(ep.opened, ep.closed)),
				}
				if ep.closed == 0 {
					a.State = in.told.state()
				}
				out = append(out, a)
			}
		}
	}
	return out
}

// unbind takes rules away from the series that they read, and counts their
// identities out.
func (e *Engine) unbind(states []*ruleState) {
	gone := func(rs *ruleState) bool { return slices.Contains(states, rs) }
	unread := func(s *series) bool {
		s.feeds = slices.DeleteFunc(s.feeds, func(f feed) bool { return gone(f.rs) })
		s.evals = slices.DeleteFunc(s.evals, func(f evalFeed) bool { return gone(f.rs) })
		e.eachAsleep(s, func(rs *ruleState) {
			if gone(rs) {
				e.leave(rs, identityOf(s.labels))
			}
		})
		e.keepSleepers(s, gone)
		s.unread()
		s.catchUp()
		s.leaveAlone()
		return len(s.feeds)+len(s.evals) == 0 && s.sleep == nil
	}
	for shard := range hashShards {
		e.dropSeries(shard, unread, func(*series) {})
	}
	for _, rs := range states {
		rs.unread = nil
		e.countUnread(rs)
		for _, in := range rs.all {
			e.leave(rs, in.id)
			e.setUnread(in, nil)
		}
		for _, d := range rs.dozing {
			e.leave(rs, d.id)
		}
	}
	e.touched = slices.DeleteFunc(e.touched, func(in *instance) bool { return gone(in.rs) })
	e.due = slices.DeleteFunc(e.due, gone)
	e.sleepers.prune(gone)
}

// prune drops the sets that hold a rule that is gone.
func (s *sleepers) prune(gone func(*ruleState) bool) {
	for rs, next := range s.next {
		if gone(rs) {
			delete(s.next, rs)
		} else {
			next.prune(gone)
		}
	}
}

// keepSleepers takes the rules that are gone out of those that a series stands for.
func (e *Engine) keepSleepers(s *series, gone func(*ruleState) bool) {
	if s.sleep == nil || !slices.ContainsFunc(s.sleep.rules, func(o sleeper) bool { return gone(o.rs) }) {
		return
	}
	old, awake, refused := s.sleep, s.awake, s.refused
	s.sleep, s.awake, s.refused = e.sleepers, 0, 0
	for i, o := range old.rules {
		if gone(o.rs) {
			continue
		}
		n := len(s.sleep.rules)
		s.sleep = s.sleep.with(o.rs)
		s.awake |= awake >> i & 1 << n
		s.refused |= refused >> i & 1 << n
	}
	s.mark(markWaiting, s.refused != 0)
	if len(s.sleep.rules) == 0 {
		s.sleep = nil
	}
}
