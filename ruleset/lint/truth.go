package lint

import (
	"maps"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/promql/parser"

	"watchkeeper/ruleset"
)

// truth reports conditions that can never hold or always do.
func (c *checker) truth(r *ruleset.Rule, e parser.Expr) {
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		x, ok := n.(parser.Expr)
		if !ok {
			return nil
		}
		if cmp, ok := comparisonOf(x); ok && unparen(x) == x {
			c.comparison(r, x, cmp)
		}
		if b, ok := x.(*parser.BinaryExpr); ok && plainMatching(b) {
			c.logic(r, b)
		}
		return nil
	})
}

func (c *checker) comparison(r *ruleset.Rule, e parser.Expr, cmp comparison) {
	possible, passed := set{bounds(cmp.term)}, values(cmp.op, cmp.value)
	switch {
	case possible.within(passed):
		c.add(r, Error, CodeAlwaysTrue, "choose a threshold that a healthy value does not reach", "%s holds for every value that %s can have", e, cmp.term)
	case len(possible.intersect(passed)) == 0:
		c.add(r, Error, CodeImpossible, "choose a threshold within the values that the metric has", "%s never holds: no value of %s is there", e, cmp.term)
	}
}

// plainMatching says whether both sides of an operator are matched over all
// labels, so that equal terms are equal series.
func plainMatching(b *parser.BinaryExpr) bool {
	return b.VectorMatching != nil && !b.VectorMatching.On && len(b.VectorMatching.MatchingLabels) == 0
}

// logic compares the two sides of and, or, unless, where they speak of one term.
func (c *checker) logic(r *ruleset.Rule, b *parser.BinaryExpr) {
	left, right := conditionOf(b.LHS), conditionOf(b.RHS)
	for _, term := range slices.Sorted(maps.Keys(left.passed)) {
		l := left.passed[term]
		t, ok := right.passed[term]
		if !ok {
			continue
		}
		// Beyond the shared term the right side may ask for more; then it does
		// not hold wherever the term says so.
		alone := len(right.passed) == 1 && len(right.guards) == 0
		switch {
		case b.Op == parser.LAND && len(l) > 0 && len(t) > 0 && len(l.intersect(t)) == 0:
			c.add(r, Error, CodeImpossible, "use or, or mend a threshold", "%s never holds: its sides leave no value of %s", b, term)
		case b.Op == parser.LUNLESS && alone && l.within(t):
			c.add(r, Error, CodeImpossible, "mend a threshold", "%s never holds: what the left side lets pass, the right one takes away", b)
		case b.Op == parser.LOR && alone && len(left.passed) == 1 && len(left.guards) == 0 &&
			len(l.complement().intersect(t.complement())) == 0:
			c.add(r, Error, CodeAlwaysTrue, "use and, or mend a threshold", "%s holds for every value of %s", b, term)
		}
	}
}

// condition is what must hold for a rule to breach: for each term the values
// that pass, and everything else as text.
type condition struct {
	passed map[string]set
	guards []string
}

func conditionOf(e parser.Expr) condition {
	c := condition{passed: map[string]set{}}
	c.read(e)
	slices.Sort(c.guards)
	return c
}

func (c *condition) read(e parser.Expr) {
	e = unparen(e)
	if cmp, ok := comparisonOf(e); ok {
		term, passed := cmp.term.String(), values(cmp.op, cmp.value)
		if before, ok := c.passed[term]; ok {
			passed = before.intersect(passed)
		}
		c.passed[term] = passed
		return
	}
	b, ok := e.(*parser.BinaryExpr)
	switch {
	case ok && b.Op == parser.LAND && plainMatching(b):
		c.read(b.LHS)
		c.read(b.RHS)
	case ok && (b.Op == parser.LAND || b.Op == parser.LUNLESS):
		c.read(b.LHS)
		text := b.String()
		c.guards = append(c.guards, strings.TrimPrefix(text, b.LHS.String()))
	default:
		c.guards = append(c.guards, e.String())
	}
}

// implies says whether whatever breaches c breaches d too.
func (c condition) implies(d condition) bool {
	if len(c.passed) == 0 || len(d.passed) == 0 || !slices.Equal(c.guards, d.guards) {
		return false
	}
	for term, passed := range d.passed {
		mine, ok := c.passed[term]
		if !ok || !mine.within(passed) {
			return false
		}
	}
	return true
}

// pairs reports rules that say the same, or that contradict one another: the
// stricter of two with the lower severity, which then adds nothing.
func (c *checker) pairs(all []*read) {
	for i, a := range all {
		for _, b := range all[i+1:] {
			if a.rule.Interval != b.rule.Interval || a.rule.Plain != b.rule.Plain {
				continue
			}
			ab, ba := a.cond.implies(b.cond), b.cond.implies(a.cond)
			switch {
			case ab && ba && a.rule.Consecutive == b.rule.Consecutive && a.rule.For == b.rule.For:
				c.add(b.rule, Warning, CodeDuplicate, "remove one of them", "it says the same as rule %q (%s:%d)", a.rule.ID(), a.rule.File, a.rule.Line)
			case ab && !ba:
				c.inverted(a.rule, b.rule)
			case ba && !ab:
				c.inverted(b.rule, a.rule)
			}
		}
	}
}

// inverted reports a strict rule that is less urgent than a lax one, which
// fires whenever the strict one does.
func (c *checker) inverted(strict, lax *ruleset.Rule) {
	s, l := slices.Index(severities, strict.Severity()), slices.Index(severities, lax.Severity())
	if s < 0 || l < 0 || s >= l || strict.Consecutive < lax.Consecutive || strict.For < lax.For {
		return
	}
	c.add(strict, Error, CodeContradiction, "exchange the severities or the thresholds",
		"it is %s, while rule %q (%s:%d) is %s for a condition that holds whenever this one does", strict.Severity(), lax.ID(), lax.File, lax.Line, lax.Severity())
}
