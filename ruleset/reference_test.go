package ruleset

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"

	"watchkeeper/internal/sample"
)

// reference judges by brute force, straight from docs/rules.md: verdicts from
// promql.Engine at each check, states from the whole history of verdicts.
type reference struct {
	t      *testing.T
	rule   *Rule
	store  *Memory
	engine *promql.Engine
	all    []sample.Sample
	source func(labels.Labels) string
	ups    map[string][]sample.Up
	ends   []sample.End

	arrived map[lateUp]int64 // of ups, where it is late

	expr    parser.Expr                       // the rule's, range functions replaced by selectors of their values
	windows map[string]*parser.VectorSelector // what those stand for: the selector in the range
	answers map[asked][]labelled
}

// labelled is one value of an instant query.
type labelled struct {
	labels labels.Labels
	v      float64
}

// asked is a query.
type asked struct {
	expr string
	ts   int64
}

// query runs an instant query at ts with look-back I. It remembers what it gave.
func (f *reference) query(expr string, ts int64) []labelled {
	key := asked{expr, ts}
	if out, ok := f.answers[key]; ok {
		return out
	}
	var out []labelled
	for _, s := range f.queryIn(f.store, expr, ts) {
		out = append(out, labelled{s.Metric, s.F})
	}
	f.answers[key] = out
	return out
}

func (f *reference) queryIn(store *Memory, expr string, ts int64) promql.Vector {
	q, err := f.engine.NewInstantQuery(context.Background(), store, promql.NewPrometheusQueryOpts(false, f.rule.Interval), expr, time.UnixMilli(ts))
	if err != nil {
		f.t.Fatalf("query %s: %v", expr, err)
	}
	defer q.Close()
	v, err := q.Exec(context.Background()).Vector()
	if refused(err) {
		return nil
	}
	if err != nil {
		f.t.Fatalf("query %s: %v", expr, err)
	}
	return slices.Clone(v)
}

// values are those that an expression, standing at a place, has for an identity.
func (f *reference) values(expr string, at standing, id string, ts int64) []float64 {
	var out []float64
	for _, s := range f.query(expr, ts) {
		if at.id(s.labels) == at.of(id) {
			out = append(out, s.v)
		}
	}
	return out
}

// numbers writes an expression so that NaN counts as not there at every operator.
func (f *reference) numbers(e parser.Expr, at standing) string {
	self := func(s string) string { return "(" + s + " == " + s + ")" }
	switch e := e.(type) {
	case *parser.ParenExpr:
		return "(" + f.numbers(e.Expr, at) + ")"
	case *parser.UnaryExpr:
		return "(-" + f.numbers(e.Expr, at) + ")"
	case *parser.VectorSelector:
		return self(at.single(e))
	case *parser.BinaryExpr:
		s := f.joined(e, at)
		if e.Op.IsSetOperator() || e.Op.IsComparisonOperator() {
			return s
		}
		return self(s)
	case *parser.AggregateExpr:
		agg := func(op, inner string) string { return op + " " + grouping(e) + " (" + inner + ")" }
		return self(fmt.Sprintf("(%s and (%s >= %d))", agg(e.Op.String(), f.numbers(e.Expr, standing{})), agg("count", f.members(e.Expr)), f.rule.MinMembers))
	}
	return e.String()
}

// joined writes a binary expression over the numbers of its sides.
func (f *reference) joined(e *parser.BinaryExpr, at standing) string {
	l, r := sides(e, at)
	b := ""
	if e.ReturnBool {
		b = " bool"
	}
	return "(" + f.numbers(e.LHS, l) + " " + e.Op.String() + b + matching(e.VectorMatching) + f.numbers(e.RHS, r) + ")"
}

// present says whether an identity's operands are there, by the clauses of the definition.
func (f *reference) present(e parser.Expr, at standing, id string, ts int64) bool {
	switch e := e.(type) {
	case *parser.ParenExpr:
		return f.present(e.Expr, at, id, ts)
	case *parser.UnaryExpr:
		return f.present(e.Expr, at, id, ts)
	case *parser.VectorSelector:
		return len(f.values(f.numbers(e, at), at, id, ts)) > 0
	case *parser.BinaryExpr:
		if at.many && f.operands(e, at)[0].agg == nil {
			return f.anyOf(e, at, id, func(id string) bool { return f.present(e, standing{}, id, ts) })
		}
		if f.notNumber(e, at, id, ts) {
			return false
		}
		if e.LHS.Type() == parser.ValueTypeScalar {
			return f.present(e.RHS, at, id, ts)
		}
		atL, atR := sides(e, at)
		l := f.present(e.LHS, atL, id, ts)
		if e.RHS.Type() == parser.ValueTypeScalar {
			return l
		}
		r := f.present(e.RHS, atR, id, ts)
		passL, passR := len(f.values(f.numbers(e.LHS, atL), atL, id, ts)) > 0, len(f.values(f.numbers(e.RHS, atR), atR, id, ts)) > 0
		switch e.Op {
		case parser.LUNLESS:
			return l
		case parser.LAND:
			return l && r || l && !passL || r && !passR
		case parser.LOR:
			return l && r || passL || passR
		}
		return l && r
	case *parser.AggregateExpr:
		if slices.ContainsFunc(f.values(e.Op.String()+" "+grouping(e)+" ("+f.numbers(e.Expr, standing{})+")", at, id, ts), math.IsNaN) {
			return false
		}
		return len(f.values(fmt.Sprintf("count %s (%s) >= %d", grouping(e), f.members(e.Expr), f.rule.MinMembers), at, id, ts)) > 0
	}
	return false
}

// anyOf says whether a thing holds for one of the series on the right of and or unless.
func (f *reference) anyOf(e parser.Expr, at standing, id string, holds func(id string) bool) bool {
	return slices.ContainsFunc(f.seriesOf(f.operands(e, at)[0], id), func(l labels.Labels) bool { return holds(idOf(l)) })
}

// notNumber says whether arithmetic gives NaN.
func (f *reference) notNumber(e *parser.BinaryExpr, at standing, id string, ts int64) bool {
	if e.Op.IsSetOperator() || e.Op.IsComparisonOperator() {
		return false
	}
	return slices.ContainsFunc(f.values(f.joined(e, at), at, id, ts), math.IsNaN)
}

// carriers lists the operands that give an expression its labels.
func (f *reference) carriers(e parser.Expr, at standing) []operandOf {
	if b, ok := unparen(e).(*parser.BinaryExpr); ok {
		l, r := sides(b, at)
		switch {
		case b.Op == parser.LAND || b.Op == parser.LUNLESS || cardOf(b) == parser.CardManyToOne:
			return f.carriers(b.LHS, l)
		case cardOf(b) == parser.CardOneToMany:
			return f.carriers(b.RHS, r)
		}
		return append(f.carriers(b.LHS, l), f.carriers(b.RHS, r)...)
	}
	if u, ok := unparen(e).(*parser.UnaryExpr); ok {
		return f.carriers(u.Expr, at)
	}
	return f.operands(e, at)
}

func idOf(l labels.Labels) string {
	return l.DropReserved(func(n string) bool { return n == model.MetricNameLabel }).String()
}

func (f *reference) observed(l labels.Labels, lo, hi int64) bool {
	ups := f.ups[f.source(l)]
	first := int64(math.MaxInt64)
	ok := false
	for _, u := range ups {
		if at, late := f.arrived[lateUp{f.source(l), u.T}]; late && at > hi+f.rule.Lateness.Milliseconds() {
			continue // the check has settled
		}
		first = min(first, u.T)
		ok = ok || u.OK && u.T > lo && u.T <= hi
	}
	return ok || first > hi
}

// verdict judges one check of one identity; ended says that its series ended in the slot.
func (f *reference) verdict(id string, k int64) (v Verdict, value float64, ended bool) {
	ts, lo := f.rule.timeOf(k), f.rule.timeOf(k-1)
	ended = f.ended(f.expr, standing{}, id, lo, ts)
	if vals := f.values(f.numbers(f.expr, standing{}), standing{}, id, ts); len(vals) > 0 {
		return VerdictBreach, vals[0], ended
	}
	if f.present(f.expr, standing{}, id, ts) {
		return VerdictGood, math.NaN(), ended
	}
	if f.nan(f.expr, standing{}, id, ts) {
		return VerdictMissing, math.NaN(), ended
	}
	for _, o := range f.operands(f.expr, standing{}) {
		for _, l := range f.seriesOf(o, id) {
			known := f.samples(l, ts-o.offset())
			if len(known) > 0 && !f.there(o, l, ts) && !f.observed(l, lo, ts) {
				return VerdictUnobserved, math.NaN(), ended
			}
		}
	}
	return VerdictMissing, math.NaN(), ended
}

// nan says whether a NaN is why an expression is not present.
func (f *reference) nan(e parser.Expr, at standing, id string, ts int64) bool {
	switch e := e.(type) {
	case *parser.ParenExpr:
		return f.nan(e.Expr, at, id, ts)
	case *parser.UnaryExpr:
		return f.nan(e.Expr, at, id, ts)
	case *parser.VectorSelector:
		return !f.present(e, at, id, ts) && len(f.values(at.single(e), at, id, ts)) > 0
	case *parser.BinaryExpr:
		if f.present(e, at, id, ts) {
			return false
		}
		l, r := sides(e, at)
		if at.many && f.operands(e, at)[0].agg == nil {
			return f.anyOf(e, at, id, func(id string) bool { return f.nan(e, standing{}, id, ts) })
		}
		return f.notNumber(e, at, id, ts) || f.nan(e.LHS, l, id, ts) || e.Op != parser.LUNLESS && f.nan(e.RHS, r, id, ts)
	case *parser.AggregateExpr:
		if f.present(e, at, id, ts) {
			return false
		}
		if slices.ContainsFunc(f.values(e.Op.String()+" "+grouping(e)+" ("+f.numbers(e.Expr, standing{})+")", at, id, ts), math.IsNaN) {
			return true
		}
		return slices.ContainsFunc(f.seriesOf(f.operands(e, at)[0], id), func(l labels.Labels) bool { return f.nan(e.Expr, standing{}, idOf(l), ts) })
	}
	return false
}

func (f *reference) ended(e parser.Expr, at standing, id string, lo, hi int64) bool {
	switch e := e.(type) {
	case *parser.ParenExpr:
		return f.ended(e.Expr, at, id, lo, hi)
	case *parser.UnaryExpr:
		return f.ended(e.Expr, at, id, lo, hi)
	case *parser.BinaryExpr:
		atL, atR := sides(e, at)
		switch {
		case e.Op == parser.LAND || e.Op == parser.LUNLESS || e.RHS.Type() == parser.ValueTypeScalar || cardOf(e) == parser.CardManyToOne:
			return f.ended(e.LHS, atL, id, lo, hi)
		case cardOf(e) == parser.CardOneToMany:
			return f.ended(e.RHS, atR, id, lo, hi)
		}
		l, r := f.ended(e.LHS, atL, id, lo, hi), f.ended(e.RHS, atR, id, lo, hi)
		if e.Op == parser.LOR {
			return l && (r || !f.begun(e.RHS, atR, id, hi)) || r && !f.begun(e.LHS, atL, id, hi)
		}
		return l || r
	case *parser.VectorSelector, *parser.AggregateExpr:
		return f.operandEnded(f.operands(e, at)[0], id, lo, hi)
	}
	return false
}

// over says whether what gives an expression its labels ended before the slot that ends
// at hi, and has had no sample since.
func (f *reference) over(e parser.Expr, at standing, id string, hi int64) bool {
	switch e := unparen(e).(type) {
	case *parser.UnaryExpr:
		return f.over(e.Expr, at, id, hi)
	case *parser.BinaryExpr:
		atL, atR := sides(e, at)
		switch {
		case e.Op == parser.LAND || e.Op == parser.LUNLESS || e.RHS.Type() == parser.ValueTypeScalar || cardOf(e) == parser.CardManyToOne:
			return f.over(e.LHS, atL, id, hi)
		case e.LHS.Type() == parser.ValueTypeScalar || cardOf(e) == parser.CardOneToMany:
			return f.over(e.RHS, atR, id, hi)
		}
		l, r := f.over(e.LHS, atL, id, hi), f.over(e.RHS, atR, id, hi)
		if e.Op == parser.LOR {
			return l && (r || !f.begun(e.RHS, atR, id, hi)) || r && !f.begun(e.LHS, atL, id, hi)
		}
		return l || r
	case *parser.VectorSelector, *parser.AggregateExpr:
		o := f.operands(e, at)[0]
		list := f.seriesOf(o, id)
		return slices.ContainsFunc(list, func(l labels.Labels) bool { return f.endedBefore(o, l, hi) }) &&
			!slices.ContainsFunc(list, func(l labels.Labels) bool { return !f.operandOver(o, l, hi) })
	}
	return false
}

// begun says whether an operand of e has had a sample by ts.
func (f *reference) begun(e parser.Expr, at standing, id string, ts int64) bool {
	return slices.ContainsFunc(f.operands(e, at), func(o operandOf) bool {
		return slices.ContainsFunc(f.seriesOf(o, id), func(l labels.Labels) bool { return len(f.samples(l, ts-o.offset())) > 0 })
	})
}

// log judges every identity over the checks up to last.
func (f *reference) log(last int64) []string {
	type line struct {
		k    int64
		id   string
		text string
	}
	var lines []line
	starts := map[string]int64{}
	f.prepare(last)
	for _, o := range f.carriers(f.expr, standing{}) {
		for _, s := range f.all {
			if !o.reads(s.Labels) || isStale(s.V) {
				continue
			}
			id, k := o.id(s.Labels), f.rule.checkOf(s.T+o.offset())
			if old, ok := starts[id]; !ok || k < old {
				starts[id] = k
			}
		}
	}
	for id, start := range starts {
		// A stale marker ends a series before its first sample, too.
		h := history{rule: f.rule, state: StateInactive, gone: f.over(f.expr, standing{}, id, f.rule.timeOf(start))}
		for k := start; k <= last; k++ {
			v, value, ended := f.verdict(id, k)
			for _, text := range h.judge(v, ended, f.over(f.expr, standing{}, id, f.rule.timeOf(k))) {
				if !strings.HasSuffix(text, string(StateFiring)) && !strings.HasSuffix(text, string(StatePending)) {
					value = math.NaN()
				}
				lines = append(lines, line{k, id, fmt.Sprintf("%d %s %s value=%v", k, id, text, value)})
			}
		}
	}
	slices.SortStableFunc(lines, func(a, b line) int {
		if a.k != b.k {
			return compareInt(a.k, b.k)
		}
		return labels.Compare(labelsOf(a.id), labelsOf(b.id))
	})
	var out []string
	for _, l := range lines {
		out = append(out, l.text)
	}
	return out
}

// history keeps all verdicts and finds the state by looking back over them.
type history struct {
	rule  *Rule
	past  []Verdict // since the series began (anew)
	state State
	gone  bool
}

// judge takes the next verdict; over says that what carries the identity has ended and
// not gone on since.
func (h *history) judge(v Verdict, ended, over bool) (changes []string) {
	h.gone = h.gone && over
	if ended && (v == VerdictMissing || v == VerdictUnobserved) {
		v = VerdictOpen
	}
	before := h.state
	how := State("")
	if !h.gone && v != VerdictOpen {
		if v == VerdictMissing && h.rule.Missing == MissingBreach {
			v = VerdictBreach
		}
		h.past = append(h.past, v)
		how = h.next(v)
	}
	if h.state != before {
		to := h.state
		if how != "" {
			to = how
		}
		changes = append(changes, fmt.Sprintf("%s->%s", before, to))
	}
	if ended {
		if h.state == StatePending {
			changes = append(changes, fmt.Sprintf("%s->%s", h.state, StateInactive))
		} else if h.state != StateInactive {
			changes = append(changes, fmt.Sprintf("%s->%s", h.state, StateEnded))
		}
		*h = history{rule: h.rule, state: StateInactive, gone: true}
	}
	return changes
}

func (h *history) next(v Verdict) (how State) {
	standing := h.state == StateFiring || h.state == StateNoData
	switch {
	case v == VerdictBreach && (standing || h.run() >= h.rule.Consecutive):
		h.state = StateFiring
	case standing && v == VerdictGood && h.goods() >= h.rule.ResolveAfter:
		h.state = StateInactive
		h.past = nil
		return StateResolved
	case standing && v == VerdictMissing && h.silent() >= h.rule.NoDataAfter:
		h.state = StateNoData
	case !standing && h.run() > 0:
		h.state = StatePending
	case !standing:
		h.state = StateInactive
	}
	return ""
}

// run counts the breaches of the run that is alive after the last verdict.
func (h *history) run() int {
	n, gap := 0, 0
	for i := len(h.past) - 1; i >= 0; i-- {
		switch v := h.past[i]; {
		case v == VerdictBreach:
			n, gap = n+1, 0
		case v == VerdictGood, v == VerdictMissing && h.rule.Missing == MissingReset:
			return n
		default:
			if gap++; gap > h.rule.MaxGap {
				return n
			}
		}
	}
	return n
}

// goods counts the good checks since the last breach.
func (h *history) goods() int {
	n := 0
	for i := len(h.past) - 1; i >= 0 && h.past[i] != VerdictBreach; i-- {
		if h.past[i] == VerdictGood {
			n++
		}
	}
	return n
}

// silent counts the missing checks in a row; unobserved ones lie between them unseen.
func (h *history) silent() int {
	n := 0
	for i := len(h.past) - 1; i >= 0; i-- {
		switch h.past[i] {
		case VerdictMissing:
			n++
		case VerdictUnobserved:
		default:
			return n
		}
	}
	return n
}

func newReference(t *testing.T, r *Rule) *reference {
	return &reference{t: t, rule: r, store: NewMemory(), answers: map[asked][]labelled{}, engine: newPromQL(slog.New(slog.DiscardHandler))}
}
