package export

import (
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"watchkeeper/ruleset"
)

var promParser = parser.NewParser(parser.Options{})

// Delay is how much later than its check an exported rule looks, so that data
// that come late by nature are there: missing_after where that is longer than
// the interval, else 0.
func Delay(r *ruleset.Rule) time.Duration {
	if r.Plain || r.MissingAfter <= r.Interval {
		return 0
	}
	return r.MissingAfter
}

// Expr returns the expression that comes nearest to a rule that counts checks:
//
//	last_over_time((E)[I:I]) and count_over_time((E)[N*I:I]) == N
//
// The subqueries stand on multiples of I, wherever the ruler puts its
// evaluations, and are a millisecond shorter than written here, because rulers
// differ on whether a range includes its left end. The first part carries the
// value for the annotations. E is the rule's expression with every selector
// reading its own slot instead of the ruler's look-back.
func Expr(r *ruleset.Rule) (string, error) {
	e, err := slotted(r)
	if err != nil {
		return "", err
	}
	if e.Type() != parser.ValueTypeVector {
		return "", errors.New("a scalar expression cannot be an alert of another ruler; write vector(…)")
	}
	inner := e.String()
	if contains(e, parser.LOR) {
		// The sides of or may have different metric names: as two series they
		// would count apart. Arithmetic drops the name.
		inner = fmt.Sprintf("(%s) + 0", inner)
	}
	offset := r.Phase + Delay(r)
	out := fmt.Sprintf("last_over_time(%s)", points(inner, 1, r.Interval, offset))
	if r.Consecutive > 1 {
		out += fmt.Sprintf(" and count_over_time(%s) == %d", points(inner, r.Consecutive, r.Interval, offset), r.Consecutive)
	}
	if _, err := promParser.ParseExpr(out); err != nil {
		return "", fmt.Errorf("BUG: exported %s: %w", out, err)
	}
	return out, nil
}

// Slotted returns a rule's expression with every selector reading its own slot:
// evaluated at a check less the phase, it yields the breaches of that check.
func Slotted(r *ruleset.Rule) (string, error) {
	e, err := slotted(r)
	if err != nil {
		return "", err
	}
	return e.String(), nil
}

func slotted(r *ruleset.Rule) (parser.Expr, error) {
	e, err := promParser.ParseExpr(r.Expr)
	if err != nil {
		return nil, err
	}
	return unparen(slots{rule: r}.rewrite(e)), nil
}

// points is a subquery over the last n points of the grid.
func points(e string, n int, step, offset time.Duration) string {
	length := time.Duration(n)*step - time.Millisecond
	s := fmt.Sprintf("(%s)[%s:%s]", e, model.Duration(length), model.Duration(step))
	if offset > 0 {
		s += " offset " + model.Duration(offset).String()
	}
	return s
}

// contains says whether an expression has a binary operator in it.
func contains(e parser.Expr, op parser.ItemType) bool {
	found := false
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		if b, ok := n.(*parser.BinaryExpr); ok && b.Op == op {
			found = true
		}
		return nil
	})
	return found
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

// slots rewrites an expression so that every instant selector reads its slot.
// A phase moves the selectors forward; the subquery around them moves back by
// the same time, so that the points of the grid lie where the checks do.
type slots struct{ rule *ruleset.Rule }

func (s slots) rewrite(e parser.Expr) parser.Expr {
	switch e := e.(type) {
	case *parser.VectorSelector:
		return s.slot(e, "last_over_time")
	case *parser.MatrixSelector:
		if vs, ok := e.VectorSelector.(*parser.VectorSelector); ok {
			vs.OriginalOffset -= s.rule.Phase
		}
	case *parser.ParenExpr:
		e.Expr = s.rewrite(e.Expr)
	case *parser.UnaryExpr:
		e.Expr = s.rewrite(e.Expr)
	case *parser.BinaryExpr:
		e.LHS, e.RHS = s.rewrite(e.LHS), s.rewrite(e.RHS)
	case *parser.AggregateExpr:
		e.Expr = s.rewrite(e.Expr)
		if e.Param != nil {
			e.Param = s.rewrite(e.Param)
		}
	case *parser.SubqueryExpr:
		e.Expr = s.rewrite(e.Expr)
	case *parser.Call:
		return s.call(e)
	}
	return e
}

func (s slots) call(e *parser.Call) parser.Expr {
	if len(e.Args) == 1 {
		if vs, ok := unparen(e.Args[0]).(*parser.VectorSelector); ok {
			switch e.Func.Name {
			case "absent":
				return s.slot(vs, "absent_over_time") // takes its labels from the selector too
			case "timestamp":
				vs.OriginalOffset -= s.rule.Phase
				return e // of the sample; of anything else it is the evaluation's time
			}
		}
	}
	for i := range e.Args {
		e.Args[i] = s.rewrite(e.Args[i])
	}
	return e
}

// slot reads a selector over the rule's interval or the metric's look-back.
func (s slots) slot(vs *parser.VectorSelector, function string) parser.Expr {
	window := s.rule.Interval
	for _, m := range vs.LabelMatchers {
		if d, ok := s.rule.Lookback[m.Value]; ok && m.Name == model.MetricNameLabel && m.Type == labels.MatchEqual {
			window = d
		}
	}
	vs.OriginalOffset -= s.rule.Phase
	f, ok := parser.Functions[function]
	if !ok {
		panic("BUG: PromQL has no function " + function)
	}
	return &parser.Call{Func: f, Args: parser.Expressions{&parser.MatrixSelector{VectorSelector: vs, Range: window}}}
}
