package ruleset

import (
	"fmt"
	"math"

	"watchkeeper/internal/journal"
)

// lateWords stands in the journal between a rule's id and its last final
// check's T when a sample came late; Recover reads it back.
const lateWords = " settled through "

// lateFor is the last check that a sample is known to have come too late for.
func (rs *ruleState) lateFor(ser *series, p point) int64 {
	if len(rs.late) > 0 {
		if through, late := rs.late[lateKey{ser, p.t}]; late {
			return through
		}
	}
	return math.MinInt64
}

// late keeps a sample out of the checks lo to through; there may be none. Those after the last that it
// counts for may ask whether its series had begun by then: they had settled without it, too.
func (e *Engine) late(rs *ruleState, ser *series, p point, lo, through int64) bool {
	key := lateKey{ser, p.t}
	if old, there := rs.late[key]; there && through <= old {
		return true
	}
	if lo > through {
		return false
	}
	customer := ser.source.id.Customer
	if !e.mayList(customer) {
		return true
	}
	rs.late[key] = through
	e.record(journal.Record{
		Kind: journal.KindLate, Customer: customer, Source: ser.source.id.Name, Labels: ser.labels,
		T: p.t, V: p.v, Arrive: e.now, Reason: lateReason(rs.rule, through),
	})
	return true
}

// mayList says whether the journal may have one more record of something late.
func (e *Engine) mayList(customer string) bool {
	if e.rebuild || e.lateLimit.take(customer, e.now) {
		return true
	}
	if !e.taking.foresees { // else it is asked again
		e.m.lateUnlisted.Inc()
		e.unlisted[customer]++
	}
	return false
}

func lateReason(r *Rule, through int64) string {
	return fmt.Sprint(r.ID(), lateWords, r.timeOf(through))
}
