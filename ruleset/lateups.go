package ruleset

import (
	"slices"
	"strconv"
	"strings"

	"watchkeeper/internal/journal"
	"watchkeeper/internal/sample"
)

// An up-sample that comes after the check in whose slot it lies has settled is kept from the
// checks that have, as a late sample is. The store does not know when it came, so the journal
// does, for a start and a replay.

// upKey is an up-sample.
type upKey struct {
	src *source
	t   int64
}

// lateUp keeps an up-sample of the batch from what had settled before of its source's
// series, whatever else an identity waits for. It says whether there was anything.
func (e *Engine) lateUp(src *source, u sample.Up) (late bool) {
	if u.T > e.taking.at-e.leastLateness {
		return false
	}
	for _, rs := range e.rules {
		r := rs.rule
		if r.checkOf(u.T) > r.lastCheck(e.taking.at-r.Lateness.Milliseconds()) {
			continue
		}
		bound, reads := e.boundFor(rs, src)
		through := r.lastCheck(bound - r.Lateness.Milliseconds())
		if !reads || r.checkOf(u.T) > through {
			continue
		}
		late = true
		key := upKey{src, u.T}
		if old, there := rs.lateUps[key]; there && through <= old || !e.mayList(src.id.Customer) {
			continue
		}
		rs.lateUps[key] = through
		v := 0.0
		if u.OK {
			v = 1
		}
		e.record(journal.Record{
			Kind: journal.KindLate, Customer: src.id.Customer, Source: src.id.Name,
			T: u.T, V: v, Arrive: e.now, Reason: lateReason(r, through),
		})
	}
	return late
}

// boundFor is the event time up to which a series of the batch's source that a rule reads
// had settled before the batch: the foremost where other sources deliver some, too. What has
// settled of that one must not be seen otherwise after a start. An evaluated rule waits
// for each source; reads is false where the rule reads none.
func (e *Engine) boundFor(rs *ruleState, src *source) (bound int64, reads bool) {
	if e.taking.bounds == nil {
		e.taking.bounds = map[*ruleState]int64{}
		for _, ser := range src.series {
			of := ser.bound(e.takingBound)
			add := func(rs *ruleState) {
				if b, there := e.taking.bounds[rs]; !there || of > b {
					e.taking.bounds[rs] = of
				}
			}
			for _, f := range ser.feeds {
				add(f.rs)
			}
			for _, f := range ser.evals {
				e.taking.bounds[f.rs] = e.taking.bound
			}
			if ser.sleep == nil {
				continue
			}
			for _, s := range ser.sleep.rules {
				add(s.rs)
			}
		}
	}
	bound, reads = e.taking.bounds[rs]
	return bound, reads
}

// cameLate says whether check k had settled when an up-sample came.
func (rs *ruleState) cameLate(src *source, t, k int64) bool {
	if len(rs.lateUps) == 0 {
		return false
	}
	through, late := rs.lateUps[upKey{src, t}]
	return late && k <= through
}

// firstUpFor is the source's first up-sample as far as check k of a rule knows; 0 where it
// knows of none.
func (s *source) firstUpFor(rs *ruleState, k int64) int64 {
	first := s.firstUp
	for i := 0; first != 0 && rs.cameLate(s, first, k); i++ {
		if i == len(s.nextUps) {
			return 0
		}
		first = s.nextUps[i]
	}
	return first
}

// observed says whether the source looked in the slot of check k. A source that had sent no
// up-sample by then cannot tell; it counts as looking.
func (s *source) observed(rs *ruleState, k int64) bool {
	lo, hi := rs.rule.timeOf(k-1), rs.rule.timeOf(k)
	if first := s.firstUpFor(rs, k); first == 0 || first > hi {
		return true
	}
	i, _ := slices.BinarySearch(s.ups, lo+1)
	for ; i < len(s.ups) && s.ups[i] <= hi; i++ {
		if !rs.cameLate(s, s.ups[i], k) {
			return true
		}
	}
	return false
}

// isNews says whether an up-sample says anything that is not known.
func (s *source) isNews(u sample.Up) bool {
	if !u.OK || s.mayBeFirst(u.T) {
		return s.mayBeFirst(u.T)
	}
	_, known := slices.BinarySearch(s.ups, u.T)
	return !known
}

// mayBeFirst says whether an up-sample at t that is not known as such is the first for some
// check: all before it came too late for it.
func (s *source) mayBeFirst(t int64) bool {
	if s.firstUp == 0 || t < s.firstUp {
		return true
	}
	n := len(s.nextUps)
	if n == 0 || t > s.nextUps[n-1] {
		return s.firstLate && t > s.firstUp
	}
	_, known := slices.BinarySearch(s.nextUps, t)
	return t > s.firstUp && !known
}

// noteFirst keeps an up-sample that is the first for some check; late says that it came too
// late for others. Of those after one that did not, none is.
func (s *source) noteFirst(t int64, late bool) {
	i := 0
	if s.firstUp != 0 && t > s.firstUp {
		i, _ = slices.BinarySearch(s.nextUps, t)
		s.nextUps = slices.Insert(s.nextUps, i, t)
		i++
	} else {
		if s.firstUp != 0 {
			s.nextUps = slices.Insert(s.nextUps, 0, s.firstUp)
		}
		s.firstUp = t
	}
	if !late {
		s.nextUps = s.nextUps[:i]
	}
	if i == len(s.nextUps) {
		s.firstLate = late
	}
}

// forgetLateUps drops what came late for checks that nothing reads any more.
func (rs *ruleState) forgetLateUps(before int64) {
	if len(rs.lateUps) < maxLateKept {
		return
	}
	for key := range rs.lateUps {
		if key.t < before {
			delete(rs.lateUps, key)
		}
	}
}

// lateThrough reads from the record of something late which rule had settled, and up to when.
func lateThrough(r journal.Record) (rule string, ms int64, ok bool) {
	rule, through, ok := strings.Cut(r.Reason, lateWords)
	ms, err := strconv.ParseInt(through, 10, 64)
	return rule, ms, ok && err == nil
}

// settledWhen is the last check that had settled when something came that the journal says
// to have been too late through ms: by the lateness that the rule had then. By a longer one
// of today less had.
func (r *Rule) settledWhen(late journal.Record, ms int64) int64 {
	return r.lastCheck(min(ms, late.Arrive-r.Lateness.Milliseconds()))
}

func (p *past) noteLateUp(r journal.Record) {
	id := sample.Source{Customer: r.Customer, Name: r.Source}
	if p.lateUps[id] == nil {
		p.lateUps[id] = map[int64][]journal.Record{}
	}
	p.lateUps[id][r.T] = append(p.lateUps[id][r.T], r)
}

// isLateUp says whether an up-sample came too late for some check.
func (p *past) isLateUp(src *source, t int64) bool { return len(p.lateUps[src.id][t]) > 0 }

// eachLate calls fn for the record of everything that came late.
func (p *past) eachLate(fn func(journal.Record)) {
	for _, list := range p.late {
		for _, r := range list {
			fn(r)
		}
	}
	for _, byTime := range p.lateUps {
		for _, list := range byTime {
			for _, r := range list {
				fn(r)
			}
		}
	}
}

// recallLateUps keeps up-samples out of the checks that had settled when they came.
func (e *Engine) recallLateUps(states []*ruleState, p *past) {
	byID := make(map[string]*ruleState, len(states))
	for _, rs := range states {
		byID[rs.rule.ID()] = rs
	}
	for id, byTime := range p.lateUps {
		src := e.source(id)
		for t, records := range byTime {
			for _, r := range records {
				rule, ms, ok := lateThrough(r)
				if rs := byID[rule]; ok && rs != nil {
					rs.lateUps[upKey{src, t}] = rs.rule.settledWhen(r, ms)
				}
			}
		}
	}
}
