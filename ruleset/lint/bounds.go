package lint

import (
	"math"

	"github.com/prometheus/prometheus/promql/parser"

	"watchkeeper/ruleset/contract"
)

// What a metric is declared to be is finite; what is computed of it need not be.
var (
	notNegative = interval{lo: 0, hi: math.Inf(1)}
	size        = interval{lo: 0, hi: math.Inf(1), hiOpen: true}
	finite      = interval{lo: math.Inf(-1), loOpen: true, hi: math.Inf(1), hiOpen: true}
)

// bounds says between which values an expression's results lie, by what is
// declared of its metrics.
func bounds(e parser.Expr) interval {
	switch e := unparen(e).(type) {
	case *parser.NumberLiteral:
		return interval{lo: e.Val, hi: e.Val}
	case *parser.VectorSelector:
		return domain(metricOf(e))
	case *parser.MatrixSelector:
		return bounds(e.VectorSelector)
	case *parser.SubqueryExpr:
		return bounds(e.Expr)
	case *parser.UnaryExpr:
		b := bounds(e.Expr)
		if e.Op == parser.SUB {
			return interval{lo: -b.hi, loOpen: b.hiOpen, hi: -b.lo, hiOpen: b.loOpen}
		}
		return b
	case *parser.BinaryExpr:
		return binaryBounds(e)
	case *parser.Call:
		return callBounds(e)
	case *parser.AggregateExpr:
		return aggregateBounds(e)
	}
	return everything
}

// domain is where the values of a declared metric lie. States are codes of
// their own and may be negative.
func domain(metric string) interval {
	m, ok := contract.LookupMetric(metric)
	switch {
	case !ok:
		return everything
	case m.Unit == "state" || m.Unit == "start type":
		return finite
	case m.Unit == "percent":
		return interval{lo: 0, hi: 100}
	}
	return size
}

func binaryBounds(e *parser.BinaryExpr) interval {
	l, r := bounds(e.LHS), bounds(e.RHS)
	switch {
	case e.Op.IsComparisonOperator() && e.ReturnBool:
		return interval{lo: 0, hi: 1}
	case e.Op == parser.LOR:
		return interval{lo: min(l.lo, r.lo), hi: max(l.hi, r.hi)}
	case e.Op == parser.LAND, e.Op == parser.LUNLESS:
		return l
	case e.Op.IsComparisonOperator():
		if e.LHS.Type() == parser.ValueTypeScalar {
			return r
		}
		return l
	}
	if b := arithmeticBounds(e.Op, l, r); b.lo <= b.hi {
		return b
	}
	return everything // Inf - Inf, and the like
}

func arithmeticBounds(op parser.ItemType, l, r interval) interval {
	switch op {
	case parser.ADD:
		return interval{lo: l.lo + r.lo, hi: l.hi + r.hi}
	case parser.SUB:
		return interval{lo: l.lo - r.hi, hi: l.hi - r.lo}
	case parser.MUL:
		if l.lo >= 0 && r.lo >= 0 {
			return interval{lo: l.lo * r.lo, hi: product(l.hi, r.hi)}
		}
	case parser.DIV:
		switch {
		case r.lo == r.hi && r.lo > 0:
			return interval{lo: l.lo / r.lo, hi: l.hi / r.lo}
		case l.lo >= 0 && r.lo >= 0:
			return notNegative
		}
	}
	return everything
}

// product is a*b for upper bounds, where 0 times infinity is 0.
func product(a, b float64) float64 {
	if a == 0 || b == 0 {
		return 0
	}
	return a * b
}

func callBounds(e *parser.Call) interval {
	switch e.Func.Name {
	case "rate", "irate", "increase", "resets", "changes", "count_over_time", "abs", "time", "timestamp", "stddev_over_time":
		return notNegative
	case "avg_over_time", "min_over_time", "max_over_time", "last_over_time", "first_over_time":
		return bounds(e.Args[0])
	case "sum_over_time":
		if bounds(e.Args[0]).lo >= 0 {
			return notNegative
		}
	case "absent", "absent_over_time", "present_over_time":
		return interval{lo: 1, hi: 1}
	}
	return everything
}

func aggregateBounds(e *parser.AggregateExpr) interval {
	switch e.Op {
	case parser.MIN, parser.MAX, parser.AVG, parser.TOPK, parser.BOTTOMK:
		return bounds(e.Expr)
	case parser.COUNT:
		return interval{lo: 1, hi: math.Inf(1)}
	case parser.SUM:
		if bounds(e.Expr).lo >= 0 {
			return notNegative
		}
	}
	return everything
}
