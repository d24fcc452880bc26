package ruleset

import (
	"slices"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// promql.Engine does not say which series gave a result its labels. An identity of
// an evaluated rule ends as an aggregation does whose members are the series that
// have its labels, those aside that the expression makes itself. The same code
// tells when: it sees the expression as a program of groups.

// endings is how an evaluated rule's identities end.
type endings struct {
	as   *ruleState       // the rule as a program; nil when ends say nothing to it
	made []string         // labels that the expression makes
	seen map[*series]bool // series that have ended, now or once
}

func newEndings(rs *ruleState) endings {
	en := endings{seen: map[*series]bool{}}
	as := *rs.rule
	var leaves []*leaf
	for _, s := range rs.selectors {
		window := s.window
		if window == 0 {
			window = as.lookbackOf(metricOf(s.sel))
		}
		leaves = append(leaves, &leaf{
			matchers: s.sel.LabelMatchers, offset: s.offset.Milliseconds(), lookback: window.Milliseconds(), carrier: true, group: &group{},
		})
	}
	if root := en.node(rs, as.expr); root != nil {
		as.prog = newProgram(&as, root, leaves, false)
		en.as = &ruleState{rule: &as, late: rs.late, lateUps: rs.lateUps, memory: rs.memory}
	}
	return en
}

// node is an expression as far as its ends go: nil where it has none.
func (en *endings) node(rs *ruleState, e parser.Expr) *node {
	switch e := e.(type) {
	case *parser.VectorSelector:
		return &node{kind: kindLeaf, leaf: slices.IndexFunc(rs.selectors, func(s selector) bool { return s.sel == e })}
	case *parser.BinaryExpr:
		return en.binary(rs, e)
	case *parser.AggregateExpr:
		if name, ok := unparen(e.Param).(*parser.StringLiteral); ok { // count_values
			en.made = append(en.made, name.Val)
		}
		return en.node(rs, e.Expr)
	case *parser.Call:
		if strings.HasPrefix(e.Func.Name, "label_") {
			en.made = append(en.made, unparen(e.Args[1]).(*parser.StringLiteral).Val)
		}
		if strings.HasPrefix(e.Func.Name, "absent") || e.Type() == parser.ValueTypeScalar {
			return nil
		}
	}
	var n *node
	for child := range parser.ChildrenIter(e) {
		n = either(n, en.node(rs, child.(parser.Expr)))
	}
	return n
}

func (en *endings) binary(rs *ruleState, e *parser.BinaryExpr) *node {
	l, r := en.node(rs, e.LHS), en.node(rs, e.RHS)
	switch e.Op {
	case parser.LAND, parser.LUNLESS:
		return l
	case parser.LOR:
		if l == nil || r == nil { // what has no end goes on
			return nil
		}
		return &node{kind: kindOr, l: l, r: r}
	}
	if m := e.VectorMatching; m != nil && (m.Card == parser.CardManyToOne || m.Card == parser.CardOneToMany) {
		en.made = append(en.made, m.Include...)
		if m.Card == parser.CardManyToOne {
			return l
		}
		return r
	}
	return either(l, r)
}

// either ends with one of the two.
func either(l, r *node) *node {
	switch {
	case l == nil:
		return r
	case r == nil:
		return l
	}
	return &node{kind: kindArith, l: l, r: r}
}

// namesOf lists the labels that an identity's members must share with it.
func (en *endings) namesOf(id labels.Labels) []string {
	var out []string
	id.Range(func(l labels.Label) {
		if l.Name != model.MetricNameLabel && !slices.Contains(en.made, l.Name) {
			out = append(out, l.Name)
		}
	})
	return out
}

// member says whether a series is a member of the identity.
func (en *endings) member(id, series labels.Labels) bool {
	return !slices.ContainsFunc(en.namesOf(id), func(name string) bool { return id.Get(name) != series.Get(name) })
}

// endReach is how many checks beyond that of its slot an end may matter to.
func (rs *ruleState) endReach() int64 {
	switch {
	case rs.rule.prog != nil:
		return rs.rule.prog.reach
	case rs.ends.as != nil && len(rs.ends.seen) > 0:
		return rs.ends.as.rule.prog.reach
	}
	return 0
}

// ending returns the identities of which a member may have ended where the checks
// lo to hi see it, each with the members that it has.
func (rs *ruleState) ending(lo, hi int64) map[*instance]*instance {
	en := &rs.ends
	if en.as == nil {
		return nil
	}
	from, to := rs.rule.timeOf(lo), rs.rule.timeOf(hi)
	for _, l := range en.as.rule.prog.leaves {
		from = min(from, rs.rule.timeOf(lo)-l.offset-l.lookback)
	}
	var ended []*series
	for s := range en.seen {
		if mayEnd([]*series{s}, from, to) {
			ended = append(ended, s)
		}
	}
	if len(ended) == 0 {
		return nil
	}
	byNames := newGathering(rs)
	out := map[*instance]*instance{}
	for _, s := range ended {
		for _, in := range byNames.of(s.labels) {
			out[in] = &instance{rs: en.as, joins: make([]*join, len(en.as.rule.prog.leaves))}
			for i := range out[in].joins {
				out[in].joins[i] = &join{}
			}
		}
	}
	for src := range rs.sources {
		for _, s := range src.readers() {
			for _, in := range byNames.of(s.labels) {
				en.join(out[in], s) // twice where two sources deliver it, which does no harm
			}
		}
	}
	return out
}

// join makes a series a member.
func (en *endings) join(as *instance, s *series) {
	if as == nil {
		return
	}
	for i, l := range en.as.rule.prog.leaves {
		if l.matches(s.labels) {
			as.joins[i].series = append(as.joins[i].series, s)
		}
	}
}

// gathering finds the identities of which a series is a member.
type gathering struct {
	names [][]string // each set once
	ins   map[string][]*instance
}

func newGathering(rs *ruleState) gathering {
	g := gathering{ins: map[string][]*instance{}}
	for _, in := range rs.all {
		names := rs.ends.namesOf(in.id)
		if !slices.ContainsFunc(g.names, func(o []string) bool { return slices.Equal(o, names) }) {
			g.names = append(g.names, names)
		}
		key := string(in.id.BytesWithLabels(nil, names...))
		g.ins[key] = append(g.ins[key], in)
	}
	return g
}

func (g gathering) of(l labels.Labels) (out []*instance) {
	for _, names := range g.names {
		out = append(out, g.ins[string(l.BytesWithLabels(nil, names...))]...)
	}
	return out
}

// noteEnded keeps that a series has ended for the evaluated rules that read it.
func (s *series) noteEnded() {
	for _, f := range s.evals {
		f.rs.ends.seen[s] = true
	}
}
