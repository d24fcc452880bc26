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

	expr    parser.Expr                       // the rule's, range functions replaced by selectors of their values
	windows map[string]*parser.VectorSelector // what those stand for: the selector in the range
}

// ids maps identities to values.
type ids map[string]float64

// query runs an instant query at ts with look-back I.
func (f *reference) query(expr string, ts int64) ids {
	out := ids{}
	for _, s := range f.queryIn(f.store, expr, ts) {
		out[idOf(s.Metric)] = s.F
	}
	return out
}

func (f *reference) queryIn(store *Memory, expr string, ts int64) promql.Vector {
	q, err := f.engine.NewInstantQuery(context.Background(), store, promql.NewPrometheusQueryOpts(false, f.rule.Interval), expr, time.UnixMilli(ts))
	if err != nil {
		f.t.Fatalf("query %s: %v", expr, err)
	}
	defer q.Close()
	v, err := q.Exec(context.Background()).Vector()
	if err != nil {
		f.t.Fatalf("query %s: %v", expr, err)
	}
	return slices.Clone(v)
}

// numbers writes an expression so that NaN counts as not there at every operator.
func (f *reference) numbers(e parser.Expr) string {
	self := func(s string) string { return "(" + s + " == " + s + ")" }
	switch e := e.(type) {
	case *parser.ParenExpr:
		return "(" + f.numbers(e.Expr) + ")"
	case *parser.UnaryExpr:
		return "(-" + f.numbers(e.Expr) + ")"
	case *parser.VectorSelector:
		return self(e.String())
	case *parser.BinaryExpr:
		b := ""
		if e.ReturnBool {
			b = " bool"
		}
		s := "(" + f.numbers(e.LHS) + " " + e.Op.String() + b + " " + f.numbers(e.RHS) + ")"
		if e.Op.IsSetOperator() || e.Op.IsComparisonOperator() {
			return s
		}
		return self(s)
	case *parser.AggregateExpr:
		agg := func(op, inner string) string { return op + " " + grouping(e) + " (" + inner + ")" }
		return self(fmt.Sprintf("(%s and (%s >= %d))", agg(e.Op.String(), f.numbers(e.Expr)), agg("count", f.members(e.Expr)), f.rule.MinMembers))
	}
	return e.String()
}

// present lists the identities whose operands are there, by the clauses of the definition.
func (f *reference) present(e parser.Expr, ts int64) map[string]bool {
	out := map[string]bool{}
	switch e := e.(type) {
	case *parser.ParenExpr:
		return f.present(e.Expr, ts)
	case *parser.UnaryExpr:
		return f.present(e.Expr, ts)
	case *parser.VectorSelector:
		for id := range f.query(f.numbers(e), ts) {
			out[id] = true
		}
	case *parser.BinaryExpr:
		if e.LHS.Type() == parser.ValueTypeScalar {
			return f.without(f.present(e.RHS, ts), e, ts)
		}
		l := f.present(e.LHS, ts)
		if e.RHS.Type() == parser.ValueTypeScalar {
			return f.without(l, e, ts)
		}
		r := f.present(e.RHS, ts)
		inL, inR := f.query(f.numbers(e.LHS), ts), f.query(f.numbers(e.RHS), ts)
		for _, id := range union(l, r) {
			_, passL := inL[id]
			_, passR := inR[id]
			switch {
			case e.Op == parser.LUNLESS:
				out[id] = l[id]
			case e.Op == parser.LAND:
				out[id] = l[id] && r[id] || l[id] && !passL || r[id] && !passR
			case e.Op == parser.LOR:
				out[id] = l[id] && r[id] || passL || passR
			default:
				out[id] = l[id] && r[id]
			}
		}
		return f.without(out, e, ts)
	case *parser.AggregateExpr:
		for id := range f.query(fmt.Sprintf("count %s (%s) >= %d", grouping(e), f.members(e.Expr), f.rule.MinMembers), ts) {
			out[id] = true
		}
		for id, v := range f.query(e.Op.String()+" "+grouping(e)+" ("+f.numbers(e.Expr)+")", ts) {
			if math.IsNaN(v) {
				delete(out, id)
			}
		}
	}
	return out
}

// without takes out the identities at which arithmetic gives NaN.
func (f *reference) without(ps map[string]bool, e *parser.BinaryExpr, ts int64) map[string]bool {
	if e.Op.IsSetOperator() || e.Op.IsComparisonOperator() {
		return ps
	}
	plain := f.query("("+f.numbers(e.LHS)+") "+e.Op.String()+" ("+f.numbers(e.RHS)+")", ts)
	for id, v := range plain {
		if math.IsNaN(v) {
			delete(ps, id)
		}
	}
	return ps
}

func union(a, b map[string]bool) []string {
	var out []string
	for id := range a {
		out = append(out, id)
	}
	for id := range b {
		if !a[id] {
			out = append(out, id)
		}
	}
	return out
}

// carriers lists the operands that give an expression its labels.
func (f *reference) carriers(e parser.Expr) []operandOf {
	if b, ok := unparen(e).(*parser.BinaryExpr); ok {
		if b.Op == parser.LAND || b.Op == parser.LUNLESS {
			return f.carriers(b.LHS)
		}
		return append(f.carriers(b.LHS), f.carriers(b.RHS)...)
	}
	if u, ok := unparen(e).(*parser.UnaryExpr); ok {
		return f.carriers(u.Expr)
	}
	return f.operands(e)
}

func idOf(l labels.Labels) string {
	return l.DropReserved(func(n string) bool { return n == model.MetricNameLabel }).String()
}

func (f *reference) observed(l labels.Labels, lo, hi int64) bool {
	ups := f.ups[f.source(l)]
	first := int64(math.MaxInt64)
	ok := false
	for _, u := range ups {
		first = min(first, u.T)
		ok = ok || u.OK && u.T > lo && u.T <= hi
	}
	return ok || first > hi
}

// verdict judges one check of one identity; ended says that its series ended in the slot.
func (f *reference) verdict(id string, k int64) (v Verdict, value float64, ended bool) {
	ts, lo := f.rule.timeOf(k), f.rule.timeOf(k-1)
	ended = f.ended(f.expr, id, lo, ts)
	if val, in := f.query(f.numbers(f.expr), ts)[id]; in {
		return VerdictBreach, val, ended
	}
	if f.present(f.expr, ts)[id] {
		return VerdictGood, math.NaN(), ended
	}
	if f.nan(f.expr, id, ts) {
		return VerdictMissing, math.NaN(), ended
	}
	for _, o := range f.operands(f.expr) {
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
func (f *reference) nan(e parser.Expr, id string, ts int64) bool {
	switch e := e.(type) {
	case *parser.ParenExpr:
		return f.nan(e.Expr, id, ts)
	case *parser.UnaryExpr:
		return f.nan(e.Expr, id, ts)
	case *parser.VectorSelector:
		v, in := f.query(e.String(), ts)[id]
		return in && math.IsNaN(v)
	case *parser.BinaryExpr:
		if f.present(e, ts)[id] {
			return false
		}
		if !e.Op.IsSetOperator() && !e.Op.IsComparisonOperator() {
			if v, in := f.query("("+f.numbers(e.LHS)+") "+e.Op.String()+" ("+f.numbers(e.RHS)+")", ts)[id]; in && math.IsNaN(v) {
				return true
			}
		}
		return f.nan(e.LHS, id, ts) || e.Op != parser.LUNLESS && f.nan(e.RHS, id, ts)
	case *parser.AggregateExpr:
		if f.present(e, ts)[id] {
			return false
		}
		if v, in := f.query(e.Op.String()+" "+grouping(e)+" ("+f.numbers(e.Expr)+")", ts)[id]; in && math.IsNaN(v) {
			return true
		}
		return slices.ContainsFunc(f.seriesOf(f.operands(e)[0], id), func(l labels.Labels) bool { return f.nan(e.Expr, idOf(l), ts) })
	}
	return false
}

func (f *reference) ended(e parser.Expr, id string, lo, hi int64) bool {
	switch e := e.(type) {
	case *parser.ParenExpr:
		return f.ended(e.Expr, id, lo, hi)
	case *parser.UnaryExpr:
		return f.ended(e.Expr, id, lo, hi)
	case *parser.BinaryExpr:
		if e.Op == parser.LAND || e.Op == parser.LUNLESS || e.RHS.Type() == parser.ValueTypeScalar {
			return f.ended(e.LHS, id, lo, hi)
		}
		l, r := f.ended(e.LHS, id, lo, hi), f.ended(e.RHS, id, lo, hi)
		if e.Op == parser.LOR {
			return l && (r || !f.begun(e.RHS, id, hi)) || r && !f.begun(e.LHS, id, hi)
		}
		return l || r
	case *parser.VectorSelector, *parser.AggregateExpr:
		return f.operandEnded(f.operands(e)[0], id, lo, hi)
	}
	return false
}

// begun says whether an operand of e has had a sample by ts.
func (f *reference) begun(e parser.Expr, id string, ts int64) bool {
	return slices.ContainsFunc(f.operands(e), func(o operandOf) bool {
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
	for _, o := range f.carriers(f.expr) {
		for _, s := range f.all {
			if !o.reads(s.Labels) {
				continue
			}
			id, k := o.id(s.Labels), f.rule.checkOf(s.T+o.offset())
			if old, ok := starts[id]; !ok || k < old {
				starts[id] = k
			}
		}
	}
	for id, start := range starts {
		h := history{rule: f.rule, state: StateInactive}
		for k := start; k <= last; k++ {
			v, value, ended := f.verdict(id, k)
			for _, text := range h.judge(v, ended) {
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
		return strings.Compare(a.id, b.id)
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

func (h *history) judge(v Verdict, ended bool) (changes []string) {
	if h.gone && (v == VerdictBreach || v == VerdictGood) {
		h.gone = false
	}
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
	return &reference{t: t, rule: r, store: NewMemory(), engine: newPromQL(slog.New(slog.DiscardHandler))}
}
