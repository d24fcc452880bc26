package lint

import (
	"fmt"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/promql/parser"
)

// condition is what must hold for a rule to breach: for each term the values
// that pass, by term, and everything else as text, sorted.
type condition struct {
	parts  []part
	guards []string
}

// part is a term with the values that pass.
type part struct {
	term   string
	passed set
}

func conditionOf(e parser.Expr) condition {
	var c condition
	c.read(e)
	slices.SortFunc(c.parts, func(a, b part) int { return strings.Compare(a.term, b.term) })
	slices.Sort(c.guards)
	return c
}

func (c *condition) read(e parser.Expr) {
	e = unparen(e)
	if cmp, ok := comparisonOf(e); ok {
		c.add(cmp.term.String(), values(cmp.op, cmp.value))
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

func (c *condition) add(term string, passed set) {
	for i := range c.parts {
		if c.parts[i].term == term {
			c.parts[i].passed = c.parts[i].passed.intersect(passed)
			return
		}
	}
	c.parts = append(c.parts, part{term, passed})
}

// of returns the values of a term that pass, and whether the condition speaks of it.
func (c *condition) of(term string) (set, bool) {
	for _, p := range c.parts {
		if p.term == term {
			return p.passed, true
		}
	}
	return nil, false
}

// implies says whether whatever breaches c breaches d too, which has the same guards.
func (c *condition) implies(d *condition) bool {
	if len(d.parts) > len(c.parts) {
		return false
	}
	for _, p := range d.parts {
		mine, ok := c.of(p.term)
		if !ok || !mine.within(p.passed) {
			return false
		}
	}
	return true
}

// key is equal for conditions that imply one another and have the same guards.
func (c *condition) key() string {
	var b strings.Builder
	for _, p := range c.parts {
		fmt.Fprintf(&b, "%s %v\x00", p.term, p.passed)
	}
	return b.String()
}
