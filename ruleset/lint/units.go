package lint

import (
	"github.com/prometheus/prometheus/promql/parser"

	"watchkeeper/ruleset"
	"watchkeeper/ruleset/contract"
)

// units reports sums, differences and comparisons between different units.
func (c *checker) units(r *ruleset.Rule, e parser.Expr) {
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		b, ok := n.(*parser.BinaryExpr)
		if !ok || !(b.Op == parser.ADD || b.Op == parser.SUB || b.Op.IsComparisonOperator()) {
			return nil
		}
		l, r1 := unitOf(b.LHS), unitOf(b.RHS)
		if l != "" && r1 != "" && l != r1 {
			c.add(r, Error, CodeUnitMismatch, "convert one side", "%s: %s on the left, %s on the right", b, l, r1)
		}
		return nil
	})
}

// unitOf is an expression's unit; empty where it has none or it is not known.
func unitOf(e parser.Expr) string {
	switch e := unparen(e).(type) {
	case *parser.VectorSelector:
		if m, ok := contract.LookupMetric(metricOf(e)); ok && m.Unit != "1" {
			return m.Unit
		}
	case *parser.MatrixSelector:
		return unitOf(e.VectorSelector)
	case *parser.SubqueryExpr:
		return unitOf(e.Expr)
	case *parser.UnaryExpr:
		return unitOf(e.Expr)
	case *parser.AggregateExpr:
		switch e.Op {
		case parser.SUM, parser.MIN, parser.MAX, parser.AVG, parser.TOPK, parser.BOTTOMK:
			return unitOf(e.Expr)
		}
	case *parser.Call:
		return callUnit(e)
	case *parser.BinaryExpr:
		return binaryUnit(e)
	}
	return ""
}

func callUnit(e *parser.Call) string {
	switch e.Func.Name {
	case "avg_over_time", "min_over_time", "max_over_time", "last_over_time", "sum_over_time", "first_over_time", "increase", "delta", "abs", "ceil", "floor", "round":
		return unitOf(e.Args[0])
	case "rate", "irate", "deriv":
		if u := unitOf(e.Args[0]); u != "" {
			return u + " per second"
		}
	case "time", "timestamp":
		return "seconds"
	}
	return ""
}

// binaryUnit: a factor may be a conversion, so multiplied and divided values
// have no unit that is known.
func binaryUnit(e *parser.BinaryExpr) string {
	switch {
	case e.ReturnBool || e.Op == parser.MUL || e.Op == parser.DIV || e.Op == parser.POW || e.Op == parser.MOD:
		return ""
	case e.LHS.Type() == parser.ValueTypeScalar:
		return unitOf(e.RHS)
	}
	return unitOf(e.LHS)
}
