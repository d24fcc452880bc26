package ruleset

import (
	"context"
	"math"
	"math/bits"
	"slices"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// Most series are fine most of the time. For a rule that reads one selector and
// whose verdict one sample decides, an identity without an alert and a run stays
// so, whatever good, missing and late samples come: only a breach can change its
// state. Such an identity sleeps: it has no instance, its series stands for it, a
// sample costs one comparison and a check costs nothing. The first breach wakes
// it, and when no trace of an alert is left it sleeps again. The store has all
// that a late sample may ask for later.

// maxSleepers bounds the rules that a series may stand for; those beyond it are
// judged as any other. It is the width of a bit mask.
const maxSleepers = 64

// sleepers are the rules that a series stands for. Series that are read by the
// same rules share it.
type sleepers struct {
	lo, hi   float64 // what lies in between wakes none
	lateness int64   // shortest of the rules, ms
	rules    []sleeper
	all      uint64 // a bit for each of rules
	next     map[*ruleState]*sleepers
}

// sleeper says when a sample wakes a rule's identity.
type sleeper struct {
	rs     *ruleState
	wakes  wakes
	lo, hi float64
}

// wakes says which values are a breach. NaN is none.
type wakes uint8

const (
	wakesProgram wakes = iota // only the rule's program can tell
	wakesOutside              // less than lo or more than hi
	wakesInside               // lo to hi
)

// sleeps says whether the rule's identities can sleep.
func (p *program) sleeps(r *Rule) bool {
	if !p.plain || r.Missing == MissingBreach {
		return false
	}
	l := p.leaves[0]
	return l.carrier && len(l.key) == 0 && l.offset == 0 && l.lookback == r.Interval.Milliseconds()
}

func newSleeper(rs *ruleState) sleeper {
	s := sleeper{rs: rs}
	s.node(rs.rule.prog.root)
	return s
}

// node has the values wake that make n true, where n compares a leaf with a number.
// It returns the leaf, -1 where n does not.
func (s *sleeper) node(n *node) int {
	if n.kind != kindCmp || n.retBool {
		return -1
	}
	switch {
	case n.l.kind == kindLeaf && n.r.scalar:
		s.compare(n.op, n.r.eval(nil).v)
		return n.l.leaf
	case n.r.kind == kindLeaf && n.l.scalar:
		s.compare(mirrored(n.op), n.l.eval(nil).v)
		return n.r.leaf
	}
	return -1
}

// compare has the values wake for which "value op x" holds.
func (s *sleeper) compare(op parser.ItemType, x float64) {
	if x != x {
		return
	}
	s.wakes, s.lo, s.hi = wakesOutside, math.Inf(-1), math.Inf(1)
	switch op {
	case parser.GTE:
		s.hi = math.Nextafter(x, math.Inf(-1))
		if math.IsInf(x, -1) {
			s.wakes, s.lo, s.hi = wakesInside, x, math.Inf(1)
		}
	case parser.GTR:
		s.hi = x
	case parser.LTE:
		s.lo = math.Nextafter(x, math.Inf(1))
		if math.IsInf(x, 1) {
			s.wakes, s.lo, s.hi = wakesInside, math.Inf(-1), x
		}
	case parser.LSS:
		s.lo = x
	case parser.EQLC:
		s.wakes, s.lo, s.hi = wakesInside, x, x
	default:
		s.lo, s.hi = x, x
	}
}

// mirrored is the comparison with its sides exchanged.
func mirrored(op parser.ItemType) parser.ItemType {
	switch op {
	case parser.GTR:
		return parser.LSS
	case parser.LSS:
		return parser.GTR
	case parser.GTE:
		return parser.LTE
	case parser.LTE:
		return parser.GTE
	}
	return op
}

// breach says whether v is a breach of the rule.
func (s *sleeper) breach(v float64, ops []operand) bool {
	switch s.wakes {
	case wakesOutside:
		return v < s.lo || v > s.hi
	case wakesInside:
		return v >= s.lo && v <= s.hi
	}
	ops = ops[:1]
	ops[0] = operand{v: v, there: !isStale(v)}
	return s.rs.rule.prog.root.eval(ops).in
}

// quiet returns the values that are no breach, as far as they are all that lie between
// two; else none.
func (s *sleeper) quiet() (lo, hi float64) {
	if s.wakes == wakesOutside {
		return s.lo, s.hi
	}
	return math.Inf(1), math.Inf(-1)
}

// with returns the sleepers with one more rule.
func (s *sleepers) with(rs *ruleState) *sleepers {
	if n := s.next[rs]; n != nil {
		return n
	}
	n := &sleepers{rules: append(slices.Clone(s.rules), newSleeper(rs)), lateness: s.lateness, all: s.all | 1<<len(s.rules), next: map[*ruleState]*sleepers{}}
	n.lo, n.hi = math.Inf(-1), math.Inf(1)
	for i := range n.rules {
		lo, hi := n.rules[i].quiet()
		n.lo, n.hi = max(n.lo, lo), min(n.hi, hi)
	}
	if ms := rs.rule.Lateness.Milliseconds(); len(s.rules) == 0 || ms < n.lateness {
		n.lateness = ms
	}
	s.next[rs] = n
	return n
}

func (s *sleepers) index(rs *ruleState) int {
	return slices.IndexFunc(s.rules, func(o sleeper) bool { return o.rs == rs })
}

// bindSleeper has the series stand for the rule's identity, which is counted
// with the sample that comes; false when it cannot.
func (e *Engine) bindSleeper(rs *ruleState, ser *series) bool {
	set := ser.sleep
	if set == nil {
		set = e.sleepers
	}
	if e.wide || !rs.sleeps || len(set.rules) == maxSleepers {
		return false
	}
	id := identityOf(ser.labels)
	set = set.with(rs)
	bit := uint64(1) << (len(set.rules) - 1)
	ser.sleep = set
	if rs.instance(id) != nil || e.told[instanceKey{rs, id.Hash()}] != nil {
		ser.awake |= bit
		e.bindLeaf(rs, ser, 0)
	} else {
		ser.refused |= bit // until its first sample
		ser.mark(markWaiting, true)
	}
	return true
}

// identityOf is the label set of a series without the metric name.
func identityOf(l labels.Labels) labels.Labels {
	return l.DropReserved(func(n string) bool { return n == model.MetricNameLabel })
}

// woken returns the sleeping identities that a sample wakes: those of which it
// is a breach, and all when it is late for one. Those that a limit refused are
// tried again.
func (e *Engine) woken(h *hot, p point) uint64 {
	if h.has(markWaiting) {
		e.readmit(h.of)
	}
	set, wake := h.sleep, uint64(0)
	if p.t <= e.lateBound(h)-set.lateness {
		wake = set.all
	} else {
		for i := range set.rules {
			if set.rules[i].breach(p.v, e.ops) {
				wake |= 1 << i
			}
		}
	}
	if wake == 0 {
		return 0
	}
	return wake &^ (h.of.awake | h.of.refused)
}

func (e *Engine) readmit(ser *series) {
	id := identityOf(ser.labels)
	for m := ser.refused; m != 0; m &= m - 1 {
		i := bits.TrailingZeros64(m)
		if e.admit(ser.sleep.rules[i].rs, id) {
			ser.refused &^= 1 << i
		}
	}
	ser.mark(markWaiting, ser.refused != 0)
}

// lateBound is the event time up to which the series had settled before the
// batch that is being taken.
func (e *Engine) lateBound(h *hot) int64 {
	if !h.has(markShared) && h.source == e.taking.src {
		return e.taking.bound
	}
	return h.of.bound(e.takingBound)
}

// takingBound is a source's bound before the batch that is being taken.
func (e *Engine) takingBound(src *source) int64 {
	if src == e.taking.src || e.taking.src == nil {
		return e.taking.bound
	}
	return src.bound(e.taking.at, e.forceAfter())
}

// wake gives the identities of a mask their instances, for a sample that the
// series has not been given yet. What lies before its check is known to have
// changed nothing; it is read from the store when something asks for it.
func (e *Engine) wake(ser *series, mask uint64, p point) {
	id := identityOf(ser.labels)
	for ; mask != 0; mask &= mask - 1 {
		i := bits.TrailingZeros64(mask)
		rs := ser.sleep.rules[i].rs
		r := rs.rule
		ser.awake |= 1 << i
		e.bindLeaf(rs, ser, 0)
		in := e.addInstance(rs, id, r.checkOf(min(ser.first, p.t)))
		final := r.lastCheck(e.lateBound(ser.hot) - r.Lateness.Milliseconds())
		in.settledCheck = max(in.first-1, final, r.checkOf(p.t)-1)
		in.skipped = in.settledCheck > max(in.first-1, final)
		in.liveCheck, in.solid = in.settledCheck, in.settledCheck
		in.judged = min(r.checkOf(ser.valuedBefore(e.batch)), r.lastCheck(e.taking.before))
		in.slept = r.lastCheck(e.taking.before)
		if newest := r.checkOf(ser.newest); ser.newest > p.t && newest > in.settledCheck {
			in.mark(in.settledCheck+1, newest) // samples went by while it slept
		}
		in.markEnds()
		e.touch(in)
	}
}

// makeSure finds the last check that had a sample before the batch among those that
// went by while the identity slept, where it may have to say otherwise of one.
func (e *Engine) makeSure(ctx context.Context, in *instance) error {
	from := in.liveCheck + 1
	if in.stale {
		from = in.settledCheck + 1
	}
	to := in.slept
	if !in.skipped {
		in.slept = math.MinInt64 // all will be folded
	}
	if from > to || in.judged > to {
		return nil
	}
	span, err := e.readSpan(ctx, in, from, to)
	if err != nil {
		return err
	}
	r := in.rs.rule
	for i, j := range in.joins {
		l := r.prog.leaves[i]
		for n, ser := range j.series {
			fresh := func(p point) bool { return e.isFresh(ser, p.t) }
			if !slices.ContainsFunc(span.pts[i][n], fresh) {
				continue
			}
			pts, err := pointsOf(ctx, e.store, ser, r.timeOf(from)-l.offset-l.lookback, r.timeOf(to)-l.offset)
			if err != nil {
				return err
			}
			span.pts[i][n] = slices.DeleteFunc(slices.Clone(pts), fresh)
		}
	}
	for k := to; k >= from; k-- {
		if out := r.prog.root.eval(span.operands(k, e.ops)); out.in || out.present {
			in.judged = k
			return nil
		}
	}
	in.judged = min(in.judged, from-1)
	return nil
}

// isFresh says whether a sample came with the batch that is being judged.
func (e *Engine) isFresh(ser *series, t int64) bool {
	if e.fresh == nil {
		e.fresh = make(map[lateKey]bool, len(e.given))
		for i := range e.given {
			if ser := e.series.get(e.given[i].Labels); ser != nil {
				e.fresh[lateKey{ser, e.given[i].T}] = true
			}
		}
	}
	return e.fresh[lateKey{ser, t}]
}

// expand has the checks from k on judged that were skipped when the identity
// woke.
func (e *Engine) expand(in *instance, k int64) {
	if !in.skipped || k > in.settledCheck {
		return
	}
	in.skipped = false
	r := in.rs.rule
	final := max(in.first-1, r.lastCheck(in.bound(e.taking.at, e.takingBound)-r.Lateness.Milliseconds()))
	n := in.settledCheck - final
	if n <= 0 {
		return
	}
	in.cells = append(make([]cell, n, n+int64(len(in.cells))), in.cells...)
	in.mark(final+1, in.settledCheck)
	in.settledCheck, in.solid = final, final
	in.stale = true
}

// sleep drops the instance of an identity that has nothing left to remember.
func (e *Engine) sleep(in *instance) {
	if e.rebuild || e.wide || !in.rs.sleeps && !in.rs.dozes || !in.quiet() || in.settled.silent+in.live.silent+in.settled.goods+in.live.goods > 0 {
		return
	}
	if in.rs.dozes {
		e.doze(in)
		return
	}
	j := in.joins[0]
	if in.dirtyLo <= in.dirtyHi || len(j.series) != 1 || j.series[0].sleep == nil {
		return
	}
	ser := j.series[0]
	i := ser.sleep.index(in.rs)
	if i < 0 {
		return
	}
	ser.awake &^= 1 << i
	ser.feeds = slices.DeleteFunc(ser.feeds, func(f feed) bool { return f.join == j })
	j.series = nil
	in.rs.removeFromAll(in)
	in.rs.remove(in)
	if len(ser.feeds) == 0 {
		ser.feeds = nil
	}
	ser.unread()
	ser.leaveAlone()
}

// passes lets a sample go by that is the newest of its series, late for nobody and
// a breach of no rule, where all the rules sleep: the way of almost all samples.
// Where it says no, nothing has been done. bound is up to where the source had
// settled before the batch.
func (h *hot) passes(p point, bound int64, batch uint32) bool {
	if h.marks != 0 || h.sleep == nil || p.t <= h.newest || h.newest == math.MinInt64 || p.t <= bound-h.sleep.lateness || !h.sleep.sleepOn(p.v) {
		return false
	}
	h.newest = p.t
	h.note(p, batch)
	return true
}

// sleepOn says whether a sample in order wakes nobody for what it is, as far as
// comparisons can tell.
func (s *sleepers) sleepOn(v float64) bool { return v >= s.lo && v <= s.hi || s.noneWakes(v) }

// noneWakes asks each of them. It is apart so that what is before it can be inlined.
//
//go:noinline
func (s *sleepers) noneWakes(v float64) bool {
	for i := range s.rules {
		if r := &s.rules[i]; r.wakes == wakesProgram || r.breach(v, nil) {
			return false
		}
	}
	return true
}

// pass lets a sample go by that nobody keeps.
func (h *hot) pass(p point) {
	if p.t > h.newest && h.newest != math.MinInt64 {
		h.newest = p.t
		return
	}
	h.of.first, h.newest = min(h.of.first, p.t), max(h.newest, p.t)
}

// note keeps the times of a sample.
func (h *hot) note(p point, batch uint32) {
	if h.batch != batch {
		h.batch = batch
		h.valuedOld = max(h.valuedOld, h.valued)
	}
	if p.v == p.v {
		h.valued = max(h.valued, p.t)
	}
}

// valuedBefore is the newest sample with a value of earlier batches.
func (s *series) valuedBefore(batch uint32) int64 {
	if s.batch != batch {
		return max(s.valuedOld, s.valued)
	}
	return s.valuedOld
}
