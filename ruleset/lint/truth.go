package lint

import (
	"math"

	"github.com/prometheus/prometheus/promql/parser"

	"watchkeeper/ruleset"
)

// truth reports conditions that can never hold or always do.
func (c *checker) truth(r *ruleset.Rule, e parser.Expr) {
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		b, ok := n.(*parser.BinaryExpr)
		if !ok {
			return nil
		}
		if cmp, ok := comparisonWith(b); ok {
			c.comparison(r, b, cmp)
		} else if plainMatching(b) {
			c.itself(r, b)
			c.logic(r, b)
		}
		return nil
	})
}

func (c *checker) comparison(r *ruleset.Rule, e *parser.BinaryExpr, cmp comparison) {
	possible, passed := set{bounds(cmp.term)}, values(cmp.op, cmp.value)
	switch {
	case math.IsNaN(cmp.value) || isNaN(cmp.term):
		c.decided(r, e, cmp.op == parser.NEQ, nanFix(r), "nothing is equal to NaN, less or greater")
	case possible.within(passed):
		c.add(r, Error, CodeAlwaysTrue, "choose a threshold that a healthy value does not reach", "%s holds for every value that %s can have", e, cmp.term)
	case len(possible.intersect(passed)) == 0:
		c.add(r, Error, CodeImpossible, "choose a threshold within the values that the metric has", "%s never holds: no value of %s is there", e, cmp.term)
	}
}

// itself reports a comparison of a vector with itself. Only a rule of Prometheus's
// own meaning sees NaN, which differs from itself.
func (c *checker) itself(r *ruleset.Rule, b *parser.BinaryExpr) {
	if !b.Op.IsComparisonOperator() || unparen(b.LHS).String() != unparen(b.RHS).String() || r.Plain && (b.Op == parser.EQLC || b.Op == parser.NEQ) {
		return
	}
	always := b.Op == parser.EQLC || b.Op == parser.GTE || b.Op == parser.LTE
	c.decided(r, b, always, "compare it with something else", "both sides are the same")
}

// decided reports a comparison whose result depends on no sample.
func (c *checker) decided(r *ruleset.Rule, b *parser.BinaryExpr, always bool, fix, why string) {
	if always {
		c.add(r, Error, CodeAlwaysTrue, fix, "%s always holds: %s", b, why)
	} else {
		c.add(r, Error, CodeImpossible, fix, "%s never holds: %s", b, why)
	}
}

// nanFix says how a rule finds samples that are NaN.
func nanFix(r *ruleset.Rule) string {
	if r.Plain {
		return "to find samples that are NaN, compare them with themselves: x != x"
	}
	return "a sample that is NaN counts as missing; with missing: breach as a breach"
}

// plainMatching says whether both sides of an operator are matched over all
// labels, so that equal terms are equal series.
func plainMatching(b *parser.BinaryExpr) bool {
	return b.VectorMatching != nil && !b.VectorMatching.On && len(b.VectorMatching.MatchingLabels) == 0
}

// logic compares the two sides of and, or, unless, where they speak of one term.
func (c *checker) logic(r *ruleset.Rule, b *parser.BinaryExpr) {
	left, right := conditionOf(b.LHS), conditionOf(b.RHS)
	for _, p := range left.parts {
		term, l := p.term, p.passed
		t, ok := right.of(term)
		if !ok {
			continue
		}
		// Beyond the shared term the right side may ask for more; then it does
		// not hold wherever the term says so.
		alone := len(right.parts) == 1 && len(right.guards) == 0
		switch {
		case b.Op == parser.LAND && len(l) > 0 && len(t) > 0 && len(l.intersect(t)) == 0:
			c.add(r, Error, CodeImpossible, "use or, or mend a threshold", "%s never holds: its sides leave no value of %s", b, term)
		case b.Op == parser.LUNLESS && alone && len(l) > 0 && l.within(t):
			c.add(r, Error, CodeImpossible, "mend a threshold", "%s never holds: what the left side lets pass, the right one takes away", b)
		case b.Op == parser.LOR && alone && len(left.parts) == 1 && len(left.guards) == 0 &&
			len(l.complement().intersect(t.complement())) == 0:
			c.add(r, Error, CodeAlwaysTrue, "use and, or mend a threshold", "%s holds for every value of %s", b, term)
		}
	}
}
