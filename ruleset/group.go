package ruleset

import (
	"fmt"
	"math"
	"slices"

	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/kahansum"
)

// groupMemory is how many checks a silent series keeps its group from ending.
const groupMemory = 64

// group is an aggregation over the series of a leaf. A series is a member at a
// check when inner, which reads it as its only leaf, is present there.
type group struct {
	op    parser.ItemType
	by    projection
	inner *node
	least int // members without which there is no value
}

// String names the group in a reason why a rule does not stream.
func (g *group) String() string { return "aggregation " + g.op.String() }

// aggregate compiles an aggregation over one selector or range function, with
// numbers around it at most.
func (c *compiler) aggregate(e *parser.AggregateExpr, at place) (*node, error) {
	switch e.Op {
	case parser.COUNT, parser.SUM, parser.MIN, parser.MAX, parser.AVG:
	default:
		return nil, errNotStreaming{fmt.Sprintf("aggregation %s is not a streaming operator", e.Op)}
	}
	by := projection{on: !e.Without, names: slices.Clone(e.Grouping)}
	if !by.within(at.key) {
		return nil, errNotStreaming{"an aggregation matched on fewer labels than it keeps"}
	}
	return c.members(e.Expr, at, &group{op: e.Op, by: by, least: max(1, c.rule.MinMembers)})
}

// members compiles a group's argument to its leaf.
func (c *compiler) members(e parser.Expr, at place, g *group) (*node, error) {
	members := compiler{rule: c.rule}
	inner, err := members.node(e, place{carrier: true, exact: true})
	if err != nil {
		return nil, err
	}
	if members.clock {
		return nil, errNotStreaming{fmt.Sprintf("time() within %s", g)}
	}
	if len(members.leaves) != 1 || members.leaves[0].group != nil {
		return nil, errNotStreaming{fmt.Sprintf("%s over more than one selector", g)}
	}
	g.inner = inner
	l := members.leaves[0]
	l.group, l.carrier, l.many, l.look = g, at.carrier, at.many, at.look
	l.key = append([]projection{g.by}, at.key...)
	c.leaves = append(c.leaves, l)
	return &node{kind: kindLeaf, leaf: len(c.leaves) - 1}, nil
}

// within says whether matching by the projections tells all groups apart.
func (p projection) within(matching []projection) bool {
	for _, m := range matching {
		for _, name := range p.names {
			if p.on && slices.Contains(m.names, name) != m.on {
				return false
			}
		}
		if !p.on {
			return false
		}
	}
	return true
}

// tally adds up the members of a group.
type tally struct {
	g                *group
	present, passed  int
	v, c, mean       float64
	incremental, nan bool
	ops              [1]operand
}

func (g *group) tally() tally { return tally{g: g} }

// add takes a member's operand.
func (t *tally) add(v float64) {
	t.ops[0] = operand{v: v, there: true}
	o := t.g.inner.eval(t.ops[:])
	t.nan = t.nan || o.nan
	if o.present {
		t.present++
	}
	if o.in {
		t.passed++
		t.take(o.v)
	}
}

// take adds a value as promql.Engine does, in the order of the members' labels.
func (t *tally) take(v float64) {
	if t.passed == 1 {
		t.v = v
		return
	}
	n := float64(t.passed)
	switch t.g.op {
	case parser.SUM:
		t.v, t.c = kahansum.Inc(v, t.v, t.c)
	case parser.MIN:
		t.v = math.Min(t.v, v)
	case parser.MAX:
		t.v = math.Max(t.v, v)
	case parser.AVG:
		if !t.incremental {
			sum, c := kahansum.Inc(v, t.v, t.c)
			if !math.IsInf(sum, 0) {
				t.v, t.c = sum, c
				return
			}
			t.incremental, t.mean, t.c = true, t.v/(n-1), t.c/(n-1)
		}
		q := (n - 1) / n
		t.mean, t.c = kahansum.Inc(v/n, q*t.mean, q*t.c)
	}
}

// operand is the aggregation's value.
func (t *tally) operand() operand {
	o := operand{v: math.NaN(), present: t.present >= t.g.least}
	o.nan = t.nan && !o.present
	if !o.present || t.passed == 0 {
		return o
	}
	o.there = true
	switch t.g.op {
	case parser.COUNT:
		o.v = float64(t.passed)
	case parser.SUM:
		o.v = t.v + t.c
	case parser.AVG:
		if o.v = t.v/float64(t.passed) + t.c/float64(t.passed); t.incremental {
			o.v = t.mean + t.c
		}
	default:
		o.v = t.v
	}
	return o
}
