package lint

import (
	"math"
	"slices"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

var promParser = parser.NewParser(parser.Options{})

func unparen(e parser.Expr) parser.Expr {
	for {
		p, ok := e.(*parser.ParenExpr)
		if !ok {
			return e
		}
		e = p.Expr
	}
}

func metricOf(vs *parser.VectorSelector) string {
	for _, m := range vs.LabelMatchers {
		if m.Name == model.MetricNameLabel && m.Type == labels.MatchEqual {
			return m.Value
		}
	}
	return ""
}

// metricsOf lists the metric names of an expression once, in their order.
func metricsOf(e parser.Expr) []string {
	var out []string
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		if vs, ok := n.(*parser.VectorSelector); ok {
			if name := metricOf(vs); name != "" && !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
		return nil
	})
	return out
}

// constant folds an expression of numbers.
func constant(e parser.Expr) (float64, bool) {
	switch e := unparen(e).(type) {
	case *parser.NumberLiteral:
		return e.Val, true
	case *parser.UnaryExpr:
		v, ok := constant(e.Expr)
		if e.Op == parser.SUB {
			v = -v
		}
		return v, ok
	case *parser.BinaryExpr:
		l, okL := constant(e.LHS)
		r, okR := constant(e.RHS)
		if !okL || !okR {
			return 0, false
		}
		switch e.Op {
		case parser.ADD:
			return l + r, true
		case parser.SUB:
			return l - r, true
		case parser.MUL:
			return l * r, true
		case parser.DIV:
			return l / r, true
		case parser.MOD:
			return math.Mod(l, r), true
		case parser.POW:
			return math.Pow(l, r), true
		}
	}
	return 0, false
}

// isNaN says whether an expression is NaN whatever the samples: arithmetic with NaN.
func isNaN(e parser.Expr) bool {
	if v, ok := constant(e); ok {
		return math.IsNaN(v)
	}
	switch e := unparen(e).(type) {
	case *parser.UnaryExpr:
		return isNaN(e.Expr)
	case *parser.BinaryExpr:
		switch e.Op {
		case parser.ADD, parser.SUB, parser.MUL, parser.DIV, parser.MOD:
			return isNaN(e.LHS) || isNaN(e.RHS)
		}
	}
	return false
}

// comparison is an expression compared with a number: term op value.
type comparison struct {
	term  parser.Expr
	op    parser.ItemType
	value float64
}

var flipped = map[parser.ItemType]parser.ItemType{
	parser.LSS: parser.GTR, parser.GTR: parser.LSS, parser.LTE: parser.GTE, parser.GTE: parser.LTE, parser.EQLC: parser.EQLC, parser.NEQ: parser.NEQ,
}

// comparisonOf reads a filtering comparison with a number, both ways round.
func comparisonOf(e parser.Expr) (comparison, bool) {
	b, ok := unparen(e).(*parser.BinaryExpr)
	if !ok || b.ReturnBool {
		return comparison{}, false
	}
	return comparisonWith(b)
}

// comparisonWith reads any comparison with a number, both ways round.
func comparisonWith(b *parser.BinaryExpr) (comparison, bool) {
	if !b.Op.IsComparisonOperator() {
		return comparison{}, false
	}
	if v, ok := constant(b.RHS); ok {
		return comparison{unparen(b.LHS), b.Op, v}, true
	}
	if v, ok := constant(b.LHS); ok {
		return comparison{unparen(b.RHS), flipped[b.Op], v}, true
	}
	return comparison{}, false
}

// keeps says whether every result of an expression still has a label that all
// stored series carry.
func keeps(e parser.Expr, label string) bool {
	switch e := unparen(e).(type) {
	case *parser.UnaryExpr:
		return keeps(e.Expr, label)
	case *parser.AggregateExpr:
		switch e.Op {
		case parser.TOPK, parser.BOTTOMK, parser.LIMITK, parser.LIMIT_RATIO:
			return keeps(e.Expr, label)
		}
		return slices.Contains(e.Grouping, label) != e.Without && keeps(e.Expr, label)
	case *parser.Call:
		return callKeeps(e, label)
	case *parser.BinaryExpr:
		return binaryKeeps(e, label)
	case *parser.SubqueryExpr:
		return keeps(e.Expr, label)
	case *parser.NumberLiteral, *parser.StringLiteral:
		return false
	}
	return true
}

func callKeeps(e *parser.Call, label string) bool {
	switch e.Func.Name {
	case "absent", "absent_over_time":
		named := false
		parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
			if vs, ok := n.(*parser.VectorSelector); ok {
				named = slices.ContainsFunc(vs.LabelMatchers, func(m *labels.Matcher) bool { return m.Name == label && m.Type == labels.MatchEqual })
			}
			return nil
		})
		return named
	case "vector", "time", "scalar", "pi":
		return false
	}
	for _, a := range e.Args {
		if t := a.Type(); t == parser.ValueTypeVector || t == parser.ValueTypeMatrix {
			return keeps(a, label)
		}
	}
	return false
}

func binaryKeeps(e *parser.BinaryExpr, label string) bool {
	vm := e.VectorMatching
	switch {
	case e.LHS.Type() == parser.ValueTypeScalar:
		return keeps(e.RHS, label)
	case e.RHS.Type() == parser.ValueTypeScalar || vm == nil:
		return keeps(e.LHS, label)
	case e.Op == parser.LOR:
		return keeps(e.LHS, label) && keeps(e.RHS, label)
	case e.Op == parser.LAND, e.Op == parser.LUNLESS, vm.Card == parser.CardManyToOne:
		return keeps(e.LHS, label)
	case vm.Card == parser.CardOneToMany:
		return keeps(e.RHS, label)
	}
	return slices.Contains(vm.MatchingLabels, label) == vm.On && keeps(e.LHS, label)
}
