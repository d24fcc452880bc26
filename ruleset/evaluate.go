package ruleset

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
)

// evaluation is a rule that promql.Engine evaluates at each check.
type evaluation struct {
	breach  string // what the rule asks
	base    string // the same without its outermost comparison; empty without one
	members string // how many members each aggregation has; empty when one is enough
	least   int    // members wanted
	unfed   bool   // it may have a verdict where no sample has ever come
}

func newPromQL(logger *slog.Logger) *promql.Engine {
	return promql.NewEngine(promql.EngineOpts{
		Logger: logger, MaxSamples: 50_000_000, Timeout: 2 * time.Minute,
		EnableAtModifier: true, EnableNegativeOffset: true, Parser: promParser,
		NoStepSubqueryIntervalFn: func(int64) int64 { return time.Minute.Milliseconds() },
	})
}

func newEvaluation(r *Rule) (*evaluation, error) {
	ev := &evaluation{breach: definite(r, r.expr).String(), least: r.MinMembers, unfed: unfed(r.expr)}
	base, by, ok := outermostComparison(r.expr)
	if !ok {
		return ev, nil
	}
	ev.base = matched(definite(r, base), by).String()
	if agg, ok := unparen(base).(*parser.AggregateExpr); ok && r.MinMembers > 1 {
		count := *agg
		count.Op, count.Param = parser.COUNT, nil
		ev.members = matched(definite(r, &count), by).String()
	}
	return ev, nil
}

// unfed says whether an expression may have a value where there are no samples.
func unfed(e parser.Expr) bool {
	if call, ok := e.(*parser.Call); ok && (strings.HasPrefix(call.Func.Name, "absent") || call.Func.Name == "vector") {
		return true
	}
	for child := range parser.ChildrenIter(e) {
		if unfed(child.(parser.Expr)) {
			return true
		}
	}
	return false
}

// matched gives a side of a comparison the labels that the comparison's result has:
// of one-to-one matching those that are matched by.
func matched(side parser.Expr, by *parser.VectorMatching) parser.Expr {
	if by == nil || by.Card != parser.CardOneToOne || !by.On && len(by.MatchingLabels) == 0 {
		return side
	}
	return &parser.AggregateExpr{Op: parser.MAX, Expr: side, Grouping: by.MatchingLabels, Without: !by.On}
}

func unparen(e parser.Expr) parser.Expr {
	for {
		p, ok := e.(*parser.ParenExpr)
		if !ok {
			return e
		}
		e = p.Expr
	}
}

// definite rewrites an expression so that a NaN operand counts as not there
// and slow operands are read with their own look-back.
func definite(r *Rule, e parser.Expr) parser.Expr {
	switch e := e.(type) {
	case *parser.ParenExpr:
		return &parser.ParenExpr{Expr: definite(r, e.Expr)}
	case *parser.UnaryExpr:
		return &parser.UnaryExpr{Op: e.Op, Expr: definite(r, e.Expr)}
	case *parser.BinaryExpr:
		c := *e
		c.LHS, c.RHS = definite(r, e.LHS), definite(r, e.RHS)
		if seesNaN(e) {
			c.LHS, c.RHS = computed(c.LHS), computed(c.RHS)
		}
		return &c
	case *parser.AggregateExpr:
		c := *e
		c.Expr = computed(definite(r, e.Expr))
		return &c
	case *parser.Call:
		if e.Func.Name == "absent" || e.Func.Name == "absent_over_time" {
			return e
		}
		c := *e
		c.Args = slices.Clone(e.Args)
		for i := range c.Args {
			c.Args[i] = definite(r, c.Args[i])
		}
		return &c
	case *parser.VectorSelector:
		return withoutNaN(r.lookedBack(e))
	}
	return e
}

// seesNaN says whether an operator makes more of a NaN than another NaN or nothing.
func seesNaN(e *parser.BinaryExpr) bool {
	return e.Op == parser.NEQ || e.Op == parser.POW || e.ReturnBool || e.Op.IsSetOperator()
}

// computed keeps what is not NaN of a definite expression that may compute one.
func computed(e parser.Expr) parser.Expr {
	switch in := unparen(e).(type) {
	case *parser.UnaryExpr, *parser.AggregateExpr, *parser.Call:
		return withoutNaN(e)
	case *parser.BinaryExpr:
		if !in.Op.IsComparisonOperator() && !in.Op.IsSetOperator() {
			return withoutNaN(e)
		}
	}
	return e
}

// lookedBack reads a slow operand over its own look-back.
func (r *Rule) lookedBack(vs *parser.VectorSelector) parser.Expr {
	d, ok := r.Lookback[metricOf(vs)]
	if !ok {
		return vs
	}
	return &parser.Call{
		Func: parser.MustGetFunction("last_over_time"),
		Args: parser.Expressions{&parser.MatrixSelector{VectorSelector: vs, Range: d}},
	}
}

// withoutNaN keeps of a vector what equals itself.
func withoutNaN(e parser.Expr) parser.Expr {
	if e.Type() != parser.ValueTypeVector {
		return e
	}
	return &parser.ParenExpr{Expr: &parser.BinaryExpr{
		Op: parser.EQLC, LHS: e, RHS: e,
		VectorMatching: &parser.VectorMatching{Card: parser.CardOneToOne},
	}}
}

// bindEvaluated makes the series one that the evaluated rule reads.
func (rs *ruleState) bindEvaluated(ser *series) {
	for _, s := range rs.selectors {
		if !matchAll(s.sel.LabelMatchers, ser.labels) {
			continue
		}
		window := s.window
		if window == 0 {
			window = rs.rule.lookbackOf(metricOf(s.sel))
		}
		ser.isRead()
		ser.evals = append(ser.evals, evalFeed{rs: rs, offset: s.offset.Milliseconds(), window: window.Milliseconds()})
	}
	if ser.rare != nil { // it may have ended before this rule was loaded
		ser.noteEnded()
	}
}

// feedEvaluated marks the checks that a sample counts for.
func (e *Engine) feedEvaluated(ser *series, f *evalFeed, p point) (late bool) {
	rs := f.rs
	r := rs.rule
	lo, hi := r.checkOf(p.t+f.offset), r.checkOf(p.t+f.offset+f.window)-1
	through, late := e.lateForEvaluated(ser, f, p)
	through = max(through, rs.lateFor(ser, p)) // as the journal has it
	if rs.nextCheck == 0 {
		rs.nextCheck = r.lastCheck(e.started-1) + 1
	}
	last := max(hi, lo+rs.endReach()) // later checks may see an end that this sample makes void
	for k := max(lo, through+1); k <= min(last, rs.nextCheck-1); k++ {
		rs.dirty[k] = true
	}
	return late
}

// lateForEvaluated keeps a sample from the checks that had settled before the batch, and returns
// the last of them.
func (e *Engine) lateForEvaluated(ser *series, f *evalFeed, p point) (through int64, late bool) {
	r := f.rs.rule
	through = f.rs.settledBy(e.taking.bound)
	if k := r.checkOf(p.t + f.offset); k > through && k <= f.rs.settledBy(f.rs.sources[e.taking.src]) {
		through = max(through, f.rs.settledBy(e.boundBefore(f.rs, ser.labels))) // it did not wait for a source that came later
	}
	return through, e.late(f.rs, ser, p, r.checkOf(p.t+f.offset), through)
}

// boundBefore is bound before the batch that is being taken.
func (e *Engine) boundBefore(rs *ruleState, id labels.Labels) int64 {
	key := ofCustomer{rs, id.Get("customer")}
	b, known := e.taking.evaluated[key]
	if !known {
		if e.taking.evaluated == nil {
			e.taking.evaluated = map[ofCustomer]int64{}
		}
		b = rs.bound(id, e.taking.at, e.takingBound)
		e.taking.evaluated[key] = b
	}
	return b
}

// ofCustomer is an evaluated rule as far as it is a customer's.
type ofCustomer struct {
	rs       *ruleState
	customer string
}

// evaluateDue evaluates the checks of a rule that are new or dirty.
func (e *Engine) evaluateDue(ctx context.Context, rs *ruleState) error {
	if rs.eval == nil || e.started == 0 {
		return nil
	}
	r := rs.rule
	if rs.nextCheck == 0 {
		rs.nextCheck = r.lastCheck(e.started-1) + 1
	}
	last := r.lastCheck(e.now)
	for ; rs.nextCheck <= last; rs.nextCheck++ {
		rs.dirty[rs.nextCheck] = true
	}
	if len(rs.dirty) == 0 {
		return nil
	}
	ks := make([]int64, 0, len(rs.dirty))
	for k := range rs.dirty {
		ks = append(ks, k)
	}
	slices.Sort(ks)
	for i := 0; i < len(ks); {
		j := i + 1
		for j < len(ks) && ks[j] == ks[j-1]+1 {
			j++
		}
		if err := e.evaluateAround(ctx, rs, ks[i], ks[j-1]); err != nil {
			return fmt.Errorf("rule %q: %w", r.ID(), err)
		}
		for _, k := range ks[i:j] {
			delete(rs.dirty, k)
		}
		i = j
	}
	return nil
}

// evaluate gives the checks lo to hi of every identity their cells.
func (e *Engine) evaluate(ctx context.Context, rs *ruleState, lo, hi int64) error {
	e.m.evaluations.Inc()
	t := table{r: rs.rule, lo: lo, hi: hi, byID: map[uint64][]*evaluated{}}
	err := rs.parts(e.store, lo, hi, func(q storage.Queryable, lo, hi int64) error {
		return t.evaluate(ctx, queries{e.promql, q}, rs.eval, lo, hi)
	})
	if err != nil {
		e.m.evaluationFailures.Inc()
		return err
	}
	e.noteRefused(rs, &t)
	results := t.begun()
	for _, res := range results {
		in := rs.instance(res.id)
		if in == nil && res.first == math.MaxInt64 {
			continue
		}
		if in == nil {
			if in = e.newInstance(rs, res.id, res.first); in == nil {
				continue
			}
		}
		if old := in.first; res.first < old && !in.anySettled() {
			in.startAt(res.first)
			if in.cell(old) == cellEnd {
				in.set(old, 0)
			}
		}
	}
	byID := map[uint64][]*evaluated{}
	for i := range results {
		h := results[i].id.Hash()
		byID[h] = append(byID[h], &results[i])
	}
	ending := rs.ending(lo, hi)
	for _, in := range rs.all {
		var res *evaluated
		for _, c := range byID[in.id.Hash()] {
			if labels.Equal(c.id, in.id) {
				res = c
			}
		}
		if err := e.takeEvaluated(ctx, in, res, &t, ending[in]); err != nil {
			return err
		}
		e.touch(in)
	}
	return nil
}

// takeEvaluated gives the checks of the table to an identity. Res is what it says of
// it, nil for nothing; as is the identity as groups that may have ended, or nil.
func (e *Engine) takeEvaluated(ctx context.Context, in *instance, res *evaluated, t *table, as *instance) error {
	var span *span
	lo := max(t.lo, in.first, in.settledCheck+1)
	if as != nil && lo <= t.hi {
		var err error
		if span, err = e.readSpan(ctx, as, lo, t.hi); err != nil {
			return err
		}
	}
	for k := lo; k <= t.hi; k++ {
		c := cell(VerdictOpen)
		if res != nil {
			c = res.cells[k-t.lo]
		}
		over, ended := span != nil && span.over(k), ""
		if span != nil {
			ended = span.ended(k)
		}
		switch {
		case over:
			c = 0 // what a window still sees has ended
		case c == 0 && in.rs.eval.base == "" && t.refused[k] == nil && ended == "":
			c = cell(VerdictGood)
		}
		if v := c.verdict(); k == in.first && v != VerdictBreach && v != VerdictGood {
			c = cellEnd // a later sample took away what it began with: it has not begun
		}
		delete(in.notes, k)
		if c.verdict() == VerdictBreach {
			in.value = res.values[k-t.lo]
			in.notes[k] = note{value: in.value}
		}
		if ended != "" {
			c |= cellEnd
			in.notes[k] = note{value: in.valueAt(k), ended: ended}
		}
		in.set(k, c)
	}
	return nil
}

// evaluated is what a range of checks says about one identity.
type evaluated struct {
	id     labels.Labels
	first  int64 // first check with a verdict
	cells  []cell
	values []float64
}

// queries is an engine and the store that it reads.
type queries struct {
	engine *promql.Engine
	store  storage.Queryable
}

// ask runs an evaluated rule over the checks lo to hi of the table.
func (t *table) ask(ctx context.Context, q queries, ev *evaluation, lo, hi int64) error {
	if ev.base != "" {
		if err := t.query(ctx, q, ev.base, VerdictGood, lo, hi); err != nil {
			return err
		}
	}
	if err := t.query(ctx, q, ev.breach, VerdictBreach, lo, hi); err != nil {
		return err
	}
	if ev.members == "" {
		return nil
	}
	return t.keepMembers(ctx, q, ev.members, ev.least, lo, hi)
}

// begun lists the identities that have a verdict in the table.
func (t *table) begun() []evaluated {
	var out []evaluated
	for _, row := range t.rows {
		i := slices.IndexFunc(row.cells, func(c cell) bool { return c.verdict() == VerdictBreach || c.verdict() == VerdictGood })
		if row.first = t.lo + int64(i); i >= 0 {
			out = append(out, *row)
		} else if slices.ContainsFunc(row.cells, func(c cell) bool { return c != 0 }) {
			row.first = math.MaxInt64 // nothing but NaN: no beginning
			out = append(out, *row)
		}
	}
	return out
}

// table gathers query results by identity and check.
type table struct {
	r      *Rule
	lo, hi int64
	rows   []*evaluated
	byID   map[uint64][]*evaluated

	refused map[int64]error // checks that PromQL refuses
}

func (t *table) row(id labels.Labels, create bool) *evaluated {
	h := id.Hash()
	for _, row := range t.byID[h] {
		if labels.Equal(row.id, id) {
			return row
		}
	}
	if !create {
		return nil
	}
	n := t.hi - t.lo + 1
	row := &evaluated{id: id, cells: make([]cell, n), values: make([]float64, n)}
	t.rows = append(t.rows, row)
	t.byID[h] = append(t.byID[h], row)
	return row
}

func (t *table) query(ctx context.Context, q queries, expr string, v Verdict, lo, hi int64) error {
	return t.each(ctx, q, expr, lo, hi, func(id labels.Labels, k int64, value float64) {
		row := t.row(id, true)
		i := k - t.lo
		if math.IsNaN(value) {
			if row.cells[i] == 0 {
				row.cells[i], row.values[i] = cell(VerdictMissing)|cellNaN, value
			}
			return
		}
		row.cells[i], row.values[i] = cell(v), value
	})
}

// keepMembers opens the checks at which an aggregation had too few members.
func (t *table) keepMembers(ctx context.Context, q queries, expr string, least int, lo, hi int64) error {
	counts := map[*evaluated][]float64{}
	err := t.each(ctx, q, expr, lo, hi, func(id labels.Labels, k int64, value float64) {
		if row := t.row(id, false); row != nil {
			if counts[row] == nil {
				counts[row] = make([]float64, len(row.cells))
			}
			counts[row][k-t.lo] = value
		}
	})
	for _, row := range t.rows {
		for i := lo - t.lo; i <= hi-t.lo; i++ {
			if counts[row] == nil || counts[row][i] < float64(least) {
				row.cells[i] = 0
			}
		}
	}
	return err
}

// each calls fn for every point of a range query over the checks lo to hi.
func (t *table) each(ctx context.Context, q queries, expr string, lo, hi int64, fn func(id labels.Labels, k int64, v float64)) error {
	query, err := q.engine.NewRangeQuery(ctx, q.store, promql.NewPrometheusQueryOpts(false, t.r.Interval), expr,
		time.UnixMilli(t.r.timeOf(lo)), time.UnixMilli(t.r.timeOf(hi)), t.r.Interval)
	if err != nil {
		return fmt.Errorf("query %s: %w", expr, err)
	}
	defer query.Close()
	res := query.Exec(ctx)
	m, err := res.Matrix()
	if err != nil {
		return fmt.Errorf("query %s: %w", expr, err)
	}
	for _, s := range m {
		id := s.Metric.DropReserved(func(n string) bool { return n == model.MetricNameLabel })
		for _, p := range s.Floats {
			fn(id, t.r.lastCheck(p.T), p.F)
		}
	}
	return nil
}
