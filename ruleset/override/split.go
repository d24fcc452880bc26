package override

import (
	"fmt"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// narrow lets an expression yield only results that match. It adds the
// matchers to the selectors that give results their labels, and to no others:
// the right side of and, unless or group_left is looked up, not reported.
func narrow(e parser.Expr, ms []*labels.Matcher) error {
	switch e := e.(type) {
	case *parser.VectorSelector:
		for _, m := range ms {
			if !slices.ContainsFunc(e.LabelMatchers, func(x *labels.Matcher) bool { return x.String() == m.String() }) {
				e.LabelMatchers = append(e.LabelMatchers, m)
			}
		}
		return nil
	case *parser.MatrixSelector:
		return narrow(e.VectorSelector, ms)
	case *parser.ParenExpr:
		return narrow(e.Expr, ms)
	case *parser.UnaryExpr:
		return narrow(e.Expr, ms)
	case *parser.SubqueryExpr:
		return narrow(e.Expr, ms)
	case *parser.AggregateExpr:
		return narrowAggregate(e, ms)
	case *parser.Call:
		return narrowCall(e, ms)
	case *parser.BinaryExpr:
		return narrowBinary(e, ms)
	}
	return fmt.Errorf("%s has no labels to match", e)
}

func narrowAggregate(e *parser.AggregateExpr, ms []*labels.Matcher) error {
	switch e.Op {
	case parser.TOPK, parser.BOTTOMK, parser.LIMITK, parser.LIMIT_RATIO:
		return fmt.Errorf("%s ranks over all series; it cannot be split", e.Op)
	}
	for _, m := range ms {
		if slices.Contains(e.Grouping, m.Name) == e.Without {
			return fmt.Errorf("%s: its result has no label %s", e, m.Name)
		}
	}
	return narrow(e.Expr, ms)
}

func narrowCall(e *parser.Call, ms []*labels.Matcher) error {
	switch e.Func.Name {
	case "absent", "absent_over_time", "label_replace", "label_join", "vector", "scalar", "time":
		return fmt.Errorf("%s() makes labels of its own; it cannot be split", e.Func.Name)
	}
	for _, a := range e.Args {
		if t := a.Type(); t != parser.ValueTypeVector && t != parser.ValueTypeMatrix {
			continue
		}
		if err := narrow(a, ms); err != nil {
			return err
		}
	}
	return nil
}

func narrowBinary(e *parser.BinaryExpr, ms []*labels.Matcher) error {
	vm := e.VectorMatching
	switch {
	case e.LHS.Type() == parser.ValueTypeScalar:
		return narrow(e.RHS, ms)
	case e.RHS.Type() == parser.ValueTypeScalar || vm == nil:
		return narrow(e.LHS, ms)
	case e.Op == parser.LAND, e.Op == parser.LUNLESS, vm.Card == parser.CardManyToOne:
		return narrow(e.LHS, ms)
	case vm.Card == parser.CardOneToMany:
		return narrow(e.RHS, ms)
	}
	if e.Op != parser.LOR {
		for _, m := range ms {
			if slices.Contains(vm.MatchingLabels, m.Name) != vm.On && (vm.On || len(vm.MatchingLabels) > 0) {
				return fmt.Errorf("%s: its result has no label %s", e, m.Name)
			}
		}
	}
	if err := narrow(e.LHS, ms); err != nil {
		return err
	}
	return narrow(e.RHS, ms)
}

// exclude takes what matches out of an expression. One matcher is turned round;
// several cannot be within a selector, so the results that match are taken away:
//
//	(E) unless <E, narrowed, without its comparisons>
//
// which leaves a matched identity good in the rule it was taken from.
func exclude(expr string, ms []*labels.Matcher) (string, error) {
	e, err := promParser.ParseExpr(expr)
	if err != nil {
		return "", err
	}
	if len(ms) == 1 {
		not, err := ms[0].Inverse()
		if err != nil {
			return "", err
		}
		if err := narrow(e, []*labels.Matcher{not}); err != nil {
			return "", err
		}
		return e.String(), nil
	}
	if err := narrow(e, ms); err != nil {
		return "", err
	}
	return fmt.Sprintf("(%s) unless %s", strings.TrimSpace(expr), operand(uncompared(e))), nil
}

// operand prints an expression so that it can stand beside an operator.
func operand(e parser.Expr) string {
	switch e.(type) {
	case *parser.BinaryExpr, *parser.UnaryExpr:
		return "(" + e.String() + ")"
	}
	return e.String()
}

// uncompared takes the filtering comparisons off an expression: what has its
// labels whether it passes or not.
func uncompared(e parser.Expr) parser.Expr {
	switch e := e.(type) {
	case *parser.ParenExpr:
		return uncompared(e.Expr)
	case *parser.BinaryExpr:
		switch {
		case e.Op.IsComparisonOperator() && !e.ReturnBool && e.LHS.Type() == parser.ValueTypeScalar:
			return uncompared(e.RHS)
		case e.Op.IsComparisonOperator() && !e.ReturnBool, e.Op == parser.LAND, e.Op == parser.LUNLESS:
			return uncompared(e.LHS)
		case e.Op == parser.LOR:
			e.LHS, e.RHS = &parser.ParenExpr{Expr: uncompared(e.LHS)}, &parser.ParenExpr{Expr: uncompared(e.RHS)}
		}
	}
	return e
}

// disjoint says whether no series can match both.
func disjoint(a, b []*labels.Matcher) bool {
	for _, x := range a {
		for _, y := range b {
			if x.Name != y.Name {
				continue
			}
			if x.Type == labels.MatchEqual && !y.Matches(x.Value) || y.Type == labels.MatchEqual && !x.Matches(y.Value) {
				return true
			}
		}
	}
	return false
}

// withThresholds puts numbers in place of those that the expression's filtering
// comparisons have, from left to right.
func withThresholds(expr string, thresholds []float64) (string, error) {
	e, err := promParser.ParseExpr(expr)
	if err != nil {
		return "", err
	}
	var found []*parser.BinaryExpr
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		if b, ok := n.(*parser.BinaryExpr); ok && b.Op.IsComparisonOperator() && !b.ReturnBool && numberSide(b) != nil {
			found = append(found, b)
		}
		return nil
	})
	slices.SortFunc(found, func(a, b *parser.BinaryExpr) int {
		return int(side(a).PositionRange().Start) - int(side(b).PositionRange().Start)
	})
	if len(found) != len(thresholds) {
		return "", fmt.Errorf("%s compares with %d numbers, the override gives %d", expr, len(found), len(thresholds))
	}
	for i, b := range found {
		*numberSide(b) = &parser.NumberLiteral{Val: thresholds[i]}
	}
	return e.String(), nil
}

// numberSide is the side of a comparison that is a number; nil when none is.
func numberSide(b *parser.BinaryExpr) *parser.Expr {
	switch {
	case b.RHS.Type() == parser.ValueTypeScalar && b.LHS.Type() != parser.ValueTypeScalar:
		return &b.RHS
	case b.LHS.Type() == parser.ValueTypeScalar && b.RHS.Type() != parser.ValueTypeScalar:
		return &b.LHS
	}
	return nil
}

func side(b *parser.BinaryExpr) parser.Expr { return *numberSide(b) }
