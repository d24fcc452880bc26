package ruleset

import (
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
)

// join is where series and identities of one leaf meet: all that share a key.
type join struct {
	key    labels.Labels
	series []*series
	insts  []*instance
	dozes  []*doze // the identities that meet here and have no instance
}

// readAnew has the instances look again at what they read and who delivers it.
func (j *join) readAnew() {
	for _, in := range j.insts {
		in.finalIn = 0
	}
}

// feed says that a series is an operand of a streaming rule.
type feed struct {
	rs   *ruleState
	leaf int
	join *join
}

// evalFeed says that an evaluated rule reads a series: a sample at t counts for
// the checks in [t+offset, t+offset+window).
type evalFeed struct {
	rs             *ruleState
	offset, window int64
}

// episode is one stretch in which the live log said that the alert stands.
type episode struct {
	opened, closed int64 // checks; closed is 0 while it stands
}

// note is what an evaluated rule's check says besides its verdict.
type note struct {
	value float64 // NaN where it is no breach
	ended string  // why the identity ended; empty where it did not
}

// instance is one identity of one rule.
type instance struct {
	alone alone // of itself, for its series

	// What rests and standsOn look at, one cache line.
	rs *ruleState
	// Checks up to settledCheck are final; cells holds those after it, the
	// first of them being settledCheck+1, as far as anything is known.
	settledCheck int64
	solid        int64 // no check up to it is open
	dirtyLo      int64
	dirtyHi      int64 // below dirtyLo: nothing to evaluate
	skipped      bool  // checks up to settledCheck that are not final were skipped
	queued       bool
	isRipe       bool    // in rs.ripe
	stale        bool    // a folded cell changed: the live state must be folded anew
	silent       bool    // in a fill-in: nothing is told
	behind       int32   // breaches up to solid that were counted and are not in cells; see stand.go
	nextLog      int64   // check of the first entry of log, MaxInt64 if there is none
	value        float64 // of the latest breach judged

	log     []change // what live says about the cells
	id      labels.Labels
	joins   []*join // by leaf; nil for evaluated rules
	first   int64
	settled machine
	cells   []cell
	pos     int     // in rs.all
	unread  *unread // of a streaming rule: what could not be read; nil for nothing

	finalThrough int64
	finalIn      uint32 // batch, plus 1, that found checks up to finalThrough final

	live      machine
	liveCheck int64 // last check folded into live
	judged    int64 // last check that had a sample when it was folded
	slept     int64 // last check that was over when it woke; MinInt64 once those are known

	told     phase          // what the live log says
	episodes []episode      // told and not yet settled for good
	notes    map[int64]note // evaluated rules: of the breaches and ends not settled, by check
}

// anySettled says whether some check of the instance is final.
func (in *instance) anySettled() bool { return in.settledCheck >= in.first }

// head is the last check that has a cell.
func (in *instance) head() int64 { return in.settledCheck + int64(len(in.cells)) }

func (in *instance) cell(k int64) cell {
	i := k - in.settledCheck - 1
	if i < 0 || i >= int64(len(in.cells)) {
		return 0
	}
	return in.cells[i]
}

// set gives check k its cell. Checks in between are open.
func (in *instance) set(k int64, c cell) {
	i := k - in.settledCheck - 1
	if i < 0 || in.cell(k) == c {
		return
	}
	for i >= int64(len(in.cells)) {
		in.cells = append(in.cells, 0)
	}
	in.cells[i] = c
	if c == 0 {
		in.solid = min(in.solid, k-1)
	}
	if k <= in.liveCheck {
		in.stale = true
	}
}

// startAt moves the first check back. Nothing has settled yet.
func (in *instance) startAt(k int64) {
	n := in.first - k
	in.cells = append(make([]cell, n, n+int64(len(in.cells))), in.cells...)
	in.first, in.settledCheck, in.solid = k, k-1, k-1
	in.stale = true
}

// judgedBefore is the last check that had a sample before the batch. Breaches of an
// alert that stands are folded when they come, those of the batch among them.
func (in *instance) judgedBefore(batch uint32) int64 {
	if !in.rs.sleeps || len(in.joins[0].series) != 1 {
		return in.judged
	}
	return min(in.judged, in.rs.rule.checkOf(in.joins[0].series[0].valuedBefore(batch)))
}

// noteLog is called when log has changed.
func (in *instance) noteLog() {
	in.nextLog = math.MaxInt64
	if len(in.log) > 0 {
		in.nextLog = in.log[0].check
	}
}

// solidify looks how far the checks are decided.
func (in *instance) solidify() {
	for in.solid = max(in.solid, in.settledCheck); in.cell(in.solid+1) != 0; {
		in.solid++
	}
}

// settleLag is how many final checks of an instance may wait to be settled, as
// long as none of them changes anything.
const settleLag = 64

// rests says that time alone calls for nothing: no check that is due is open,
// none to be settled has anything to tell. An alert that stands costs no more
// than this look while its samples come.
func (in *instance) rests() bool {
	rs := in.rs
	return rs.sleeps && in.solid >= rs.missCheck && in.solid >= rs.lateCheck && rs.lateCheck-in.settledCheck < settleLag &&
		in.nextLog > rs.lateCheck && !in.silent && !in.stale
}

// mark asks for the checks lo to hi to be evaluated.
func (in *instance) mark(lo, hi int64) {
	if in.dirtyHi < in.dirtyLo {
		in.dirtyLo, in.dirtyHi = lo, hi
		return
	}
	in.dirtyLo, in.dirtyHi = min(in.dirtyLo, lo), max(in.dirtyHi, hi)
}

// markEnds has the checks judged again that ends of the operands matter to and that are
// not final.
func (in *instance) markEnds() {
	r := in.rs.rule
	for i, j := range in.joins {
		l := r.prog.leaves[i]
		for _, ser := range j.series {
			for _, m := range ser.ends() {
				k := r.checkOf(m.t + l.offset)
				if last := in.endMatters(k, l); last > in.settledCheck {
					in.mark(max(k, in.settledCheck+1), last)
				}
			}
		}
	}
}

// endMatters is the last check to which an end of a leaf in the slot of check k matters.
func (in *instance) endMatters(k int64, l *leaf) int64 {
	last := k + l.reach(in.rs.rule)
	if in.rs.begins {
		last = max(last, in.head())
	}
	return last
}

// operandsThrough is the last check that the operands and end marks which came before the
// identity began are part of: one ahead of now with an offset, or where an end is.
func (in *instance) operandsThrough(now int64) int64 {
	r := in.rs.rule
	last := r.lastCheck(now)
	for i, j := range in.joins {
		l := r.prog.leaves[i]
		for _, ser := range j.series {
			if ser.newest != math.MinInt64 {
				last = max(last, r.checkOf(ser.newest+l.offset+l.lookback)-1)
			}
			for _, m := range ser.ends() {
				last = max(last, in.endMatters(r.checkOf(m.t+l.offset), l))
			}
		}
	}
	return last
}

// bound is the event time up to which all that the instance reads is complete,
// never above now.
func (in *instance) bound(now int64, of func(*source) int64) int64 {
	if in.joins == nil {
		return in.rs.bound(in.id, now, of)
	}
	return in.rs.boundOf(in.joins, now, of)
}

// bound is the same for an identity of an evaluated rule.
func (rs *ruleState) bound(id labels.Labels, now int64, of func(*source) int64) int64 {
	b, first := now, noOpening
	for src, came := range rs.sources {
		if !rs.sameCustomer(src, id) {
			continue
		}
		if s := of(src); s < b {
			if first == noOpening {
				first = rs.opening(id)
			}
			b = min(b, first.holdsBack(s, came))
		}
	}
	return b
}

// settledThrough is the last check that settles at now.
func (in *instance) settledThrough(now, forceAfter int64) int64 {
	b := in.bound(now, func(src *source) int64 { return src.bound(now, forceAfter) })
	return in.rs.rule.lastCheck(b - in.rs.rule.Lateness.Milliseconds())
}

// inFillIn says whether something that the instance reads is still filled in.
func (in *instance) inFillIn() bool {
	if in.joins == nil {
		for src := range in.rs.sources {
			if src.fillIn && in.rs.sameCustomer(src, in.id) {
				return true
			}
		}
		return false
	}
	for _, j := range in.joins {
		if slices.ContainsFunc(j.series, (*series).inFillIn) {
			return true
		}
	}
	return false
}

// eachSource calls fn for the sources that the instance reads, some twice.
func (in *instance) eachSource(fn func(*source)) {
	if in.joins == nil {
		for src := range in.rs.sources {
			if in.rs.sameCustomer(src, in.id) {
				fn(src)
			}
		}
		return
	}
	for _, j := range in.joins {
		for _, s := range j.series {
			s.eachSource(fn)
		}
	}
}

// source is who delivers the instance's series, as far as it is one.
func (in *instance) source() *source {
	for i, j := range in.joins {
		if in.rs.rule.prog.leaves[i].carrier && len(j.series) > 0 {
			return j.series[0].source
		}
	}
	if len(in.rs.sources) == 1 {
		for s := range in.rs.sources {
			return s
		}
	}
	return nil
}

// sameCustomer says whether the source may deliver for the identity.
func (rs *ruleState) sameCustomer(src *source, id labels.Labels) bool {
	c := id.Get("customer")
	return c == "" || c == src.id.Customer
}
