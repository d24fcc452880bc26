package ruleset

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

var promParser = parser.NewParser(parser.Options{})

// errNotStreaming carries the reason why an expression is evaluated instead.
type errNotStreaming struct{ why string }

func (e errNotStreaming) Error() string { return e.why }

type nodeKind uint8

const (
	kindLeaf   nodeKind = iota // a selector
	kindNumber                 // a constant
	kindTime                   // time(): the check's own time
	kindNeg                    // unary minus
	kindArith                  // arithmetic, also between scalars
	kindCmp                    // comparison
	kindAnd
	kindOr
	kindUnless
)

// node is one operator. A program is a tree of them over leaves.
type node struct {
	kind    nodeKind
	op      parser.ItemType
	l, r    *node
	leaf    int     // kindLeaf: index into program.leaves
	num     float64 // kindNumber
	scalar  bool    // an expression without series
	retBool bool
}

// projection maps a label set to the labels that matching looks at.
type projection struct {
	on    bool // keep names, else drop them; the metric name is dropped anyway
	names []string
}

func (p projection) apply(b *labels.Builder, l labels.Labels) labels.Labels {
	b.Reset(l)
	if p.on {
		b.Keep(p.names...)
	} else {
		b.Del(p.names...)
	}
	return b.Del(model.MetricNameLabel).Labels()
}

// leaf is one selector of a streaming rule.
//
// A series feeds an identity when key(series) equals, for a carrier, the
// identity itself, and otherwise look(identity).
type leaf struct {
	metric   string
	matchers []*labels.Matcher
	offset   int64 // ms
	lookback int64 // ms
	carrier  bool  // its labels are the identity's
	many     bool  // any number of series may feed one identity (right side of and, unless)
	key      []projection
	look     projection // not used by carriers
	window   *window    // a range function over the look-back; nil for an instant selector
	group    *group     // an aggregation over the series of a key; nil without
}

// gathers says whether several series may be behind what gives an identity its
// labels: an aggregation's members, or what on or ignoring cannot tell apart.
func (l *leaf) gathers() bool { return l.group != nil || l.carrier && len(l.key) > 0 }

// reach is how many checks beyond that of its slot a sample or an end may matter to.
func (l *leaf) reach(r *Rule) int64 {
	n := ceilDiv(l.lookback, r.Interval.Milliseconds()) - 1
	if l.gathers() {
		n = max(n, groupMemory)
	}
	return n
}

// keyOf returns what an identity must look like to be fed by the series.
func (l *leaf) keyOf(b *labels.Builder, series labels.Labels) labels.Labels {
	out := projection{}.apply(b, series)
	for _, p := range l.key {
		out = p.apply(b, out)
	}
	return out
}

func (l *leaf) matches(series labels.Labels) bool {
	for _, m := range l.matchers {
		if !m.Matches(series.Get(m.Name)) {
			return false
		}
	}
	return true
}

// program is a compiled expression.
type program struct {
	root   *node
	leaves []*leaf
	reach  int64 // of the leaf that reaches furthest
	plain  bool  // one instant selector
	clock  bool  // time() is read: the operand behind those of the leaves
}

func newProgram(r *Rule, root *node, leaves []*leaf, clock bool) *program {
	p := &program{root: root, leaves: leaves, clock: clock, plain: len(leaves) == 1 && leaves[0].window == nil && leaves[0].group == nil && !clock}
	for _, l := range leaves {
		p.reach = max(p.reach, l.reach(r))
	}
	return p
}

// compile parses the rule's expression and, if it can, builds its program.
func compile(r *Rule) error {
	expr, err := promParser.ParseExpr(r.Expr)
	if err != nil {
		return err
	}
	if t := expr.Type(); t != parser.ValueTypeVector && t != parser.ValueTypeScalar {
		return fmt.Errorf("is a %s, not an instant vector", parser.DocumentedType(t))
	}
	for _, vs := range selectors(expr) {
		if vs.sel.Name == "" && metricOf(vs.sel) == "" {
			return fmt.Errorf("selector %s must name its metric", vs.sel)
		}
	}
	r.expr = expr
	c := compiler{rule: r}
	root, err := c.node(expr, place{carrier: true, exact: true})
	var ns errNotStreaming
	switch {
	case errors.As(err, &ns):
		r.why = ns.why
	case err != nil:
		return err
	case root.scalar || len(c.leaves) == 0:
		r.why = "no selector"
	default:
		r.prog = newProgram(r, root, c.leaves, c.clock)
	}
	if _, _, cmp := outermostComparison(expr); !cmp && r.prog == nil {
		r.Warnings = append(r.Warnings, "expr has no outermost comparison: a check without a result reads as good")
	}
	return nil
}

func (r *Rule) readsMetric(m string) bool {
	return slices.ContainsFunc(selectors(r.expr), func(s selector) bool { return metricOf(s.sel) == m })
}

// judgingPrefix begins the names of what the server tells of its judging, a few series
// of each customer. The store lets no sender write them.
const judgingPrefix = "watchkeeper_judging_"

// readsJudgingAlone says whether the rule reads nothing but what the server tells of its
// judging: a rule that tells that a limit bites must not be kept from it by the limit.
func (r *Rule) readsJudgingAlone() bool {
	read := selectors(r.expr)
	return len(read) > 0 && !slices.ContainsFunc(read, func(s selector) bool { return !strings.HasPrefix(metricOf(s.sel), judgingPrefix) })
}

// place says where a node stands: how its labels relate to the identity.
type place struct {
	carrier bool
	many    bool
	exact   bool         // the node's labels are the identity's
	key     []projection // from the node's labels to what look yields; at most one
	look    projection
}

type compiler struct {
	rule   *Rule
	leaves []*leaf
	clock  bool
}

func (c *compiler) node(e parser.Expr, at place) (*node, error) {
	switch e := e.(type) {
	case *parser.ParenExpr:
		return c.node(e.Expr, at)
	case *parser.NumberLiteral:
		return &node{kind: kindNumber, num: e.Val, scalar: true}, nil
	case *parser.UnaryExpr:
		n, err := c.node(e.Expr, at)
		if err != nil || e.Op == parser.ADD {
			return n, err
		}
		return &node{kind: kindNeg, l: n, scalar: n.scalar}, nil
	case *parser.VectorSelector:
		return c.selector(e, at)
	case *parser.BinaryExpr:
		return c.binary(e, at)
	case *parser.Call:
		if e.Func.Name == "time" {
			c.clock = true
			return &node{kind: kindTime, scalar: true}, nil
		}
		return c.call(e, at)
	case *parser.AggregateExpr:
		return c.aggregate(e, at)
	}
	return nil, errNotStreaming{fmt.Sprintf("%s is not a streaming operator", describe(e))}
}

func describe(e parser.Expr) string {
	switch e := e.(type) {
	case *parser.Call:
		return e.Func.Name + "()"
	case *parser.AggregateExpr:
		return "aggregation " + e.Op.String()
	case *parser.SubqueryExpr:
		return "a subquery"
	case *parser.StringLiteral:
		return "a string"
	}
	return fmt.Sprintf("%T", e)
}

func (c *compiler) selector(e *parser.VectorSelector, at place) (*node, error) {
	if e.Timestamp != nil || e.StartOrEnd != 0 {
		return nil, errNotStreaming{"a selector with @"}
	}
	if e.Anchored || e.Smoothed {
		return nil, errNotStreaming{"an anchored or smoothed selector"}
	}
	l := &leaf{
		metric: metricOf(e), matchers: e.LabelMatchers, offset: e.OriginalOffset.Milliseconds(),
		lookback: c.rule.lookbackOf(metricOf(e)).Milliseconds(), carrier: at.carrier, many: at.many, key: at.key, look: at.look,
	}
	c.leaves = append(c.leaves, l)
	return &node{kind: kindLeaf, leaf: len(c.leaves) - 1}, nil
}

func (r *Rule) lookbackOf(metric string) time.Duration {
	if d, ok := r.Lookback[metric]; ok {
		return d
	}
	return r.Interval
}

func (c *compiler) binary(e *parser.BinaryExpr, at place) (*node, error) {
	n := &node{op: e.Op, retBool: e.ReturnBool}
	switch {
	case e.Op == parser.LAND:
		n.kind = kindAnd
	case e.Op == parser.LOR:
		n.kind = kindOr
	case e.Op == parser.LUNLESS:
		n.kind = kindUnless
	case e.Op.IsComparisonOperator():
		n.kind = kindCmp
	case arith(e.Op, 1, 1) != arith(e.Op, 1, 1):
		return nil, errNotStreaming{"operator " + e.Op.String()}
	default:
		n.kind = kindArith
	}
	left, right, err := c.places(e, at)
	if err != nil {
		return nil, err
	}
	if n.l, err = c.node(e.LHS, left); err != nil {
		return nil, err
	}
	if right.many && !at.many {
		n.r, err = c.anyOf(e.RHS, right)
	} else {
		n.r, err = c.node(e.RHS, right)
	}
	if err != nil {
		return nil, err
	}
	n.scalar = n.l.scalar && n.r.scalar
	return n, nil
}

// anyOf compiles what many series may match: each of them is asked, and one that
// passes is enough.
func (c *compiler) anyOf(e parser.Expr, at place) (*node, error) {
	n, err := c.node(e, at)
	if err != nil || n.kind == kindLeaf {
		return n, err
	}
	if l := c.leaves[len(c.leaves)-1]; l.group != nil {
		return n, nil // one group for each key
	}
	c.leaves = c.leaves[:len(c.leaves)-1]
	return c.members(e, at, &group{op: parser.COUNT, by: at.look, least: 1})
}

// places says where the two sides of a binary expression stand.
func (c *compiler) places(e *parser.BinaryExpr, at place) (left, right place, err error) {
	vm := e.VectorMatching
	if vm == nil || e.LHS.Type() == parser.ValueTypeScalar || e.RHS.Type() == parser.ValueTypeScalar {
		return at, at, nil
	}
	if len(vm.Include) > 0 {
		return left, right, errNotStreaming{"labels copied by group_left or group_right"}
	}
	if vm.FillValues.LHS != nil || vm.FillValues.RHS != nil {
		return left, right, errNotStreaming{"fill values"}
	}
	if !at.exact {
		return left, right, errNotStreaming{"a vector match below on, ignoring or grouping"}
	}
	plain := !vm.On && len(vm.MatchingLabels) == 0
	match := projection{on: vm.On, names: vm.MatchingLabels}
	switch {
	case plain && vm.Card == parser.CardOneToOne, plain && e.Op == parser.LOR:
		return at, at, nil
	case plain && vm.Card == parser.CardManyToMany:
		// and, unless over all labels: the right side has the identity's labels but does not carry it
		right = at
		right.carrier = false
		return at, right, nil
	case vm.Card == parser.CardOneToOne:
		side := at
		side.exact = false
		side.key = []projection{match}
		return side, side, nil
	case e.Op == parser.LOR:
		return left, right, errNotStreaming{"or with on or ignoring"}
	}
	other := place{look: match, key: []projection{match}}
	switch vm.Card {
	case parser.CardManyToOne:
		return at, other, nil
	case parser.CardOneToMany:
		return other, at, nil
	}
	if len(selectors(e.RHS)) != 1 {
		return left, right, errNotStreaming{"several selectors on the right of and or unless with on or ignoring"}
	}
	other.many = true
	return at, other, nil
}

// selector is a vector selector of an expression with the range read around it.
type selector struct {
	sel    *parser.VectorSelector
	offset time.Duration
	window time.Duration // range of a range selector or subquery around it; 0 for an instant selector
}

// selectors lists the vector selectors of an expression.
func selectors(e parser.Expr) []selector {
	var out []selector
	parser.Inspect(e, func(n parser.Node, path []parser.Node) error {
		vs, ok := n.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		s := selector{sel: vs, offset: vs.OriginalOffset}
		for _, p := range path {
			switch p := p.(type) {
			case *parser.MatrixSelector:
				s.window += p.Range
			case *parser.SubqueryExpr:
				s.window += p.Range
				s.offset += p.OriginalOffset
			}
		}
		out = append(out, s)
		return nil
	})
	return out
}

func metricOf(vs *parser.VectorSelector) string {
	for _, m := range vs.LabelMatchers {
		if m.Name == model.MetricNameLabel && m.Type == labels.MatchEqual {
			return m.Value
		}
	}
	return ""
}

// outermostComparison returns the expression with its outermost filtering
// comparison removed: what is present where the comparison does not pass. By is what
// the comparison matches by, nil for a number.
func outermostComparison(e parser.Expr) (side parser.Expr, by *parser.VectorMatching, ok bool) {
	b, ok := unparen(e).(*parser.BinaryExpr)
	if !ok {
		return e, nil, false
	}
	switch {
	case b.Op.IsComparisonOperator() && !b.ReturnBool:
		if b.LHS.Type() == parser.ValueTypeScalar || b.VectorMatching != nil && b.VectorMatching.Card == parser.CardOneToMany {
			return b.RHS, b.VectorMatching, true
		}
		return b.LHS, b.VectorMatching, true
	case b.Op == parser.LAND, b.Op == parser.LUNLESS, b.Op == parser.LOR:
		if l, by, ok := outermostComparison(b.LHS); ok {
			return l, by, true
		}
	}
	return e, nil, false
}

// arith computes l op r as PromQL does. An unknown operator gives NaN.
func arith(op parser.ItemType, l, r float64) float64 {
	switch op {
	case parser.ADD:
		return l + r
	case parser.SUB:
		return l - r
	case parser.MUL:
		return l * r
	case parser.DIV:
		return l / r
	case parser.POW:
		return math.Pow(l, r)
	case parser.MOD:
		return math.Mod(l, r)
	case parser.ATAN2:
		return math.Atan2(l, r)
	}
	return math.NaN()
}

func compare(op parser.ItemType, l, r float64) bool {
	switch op {
	case parser.EQLC:
		return l == r
	case parser.NEQ:
		return l != r
	case parser.GTR:
		return l > r
	case parser.LSS:
		return l < r
	case parser.GTE:
		return l >= r
	case parser.LTE:
		return l <= r
	}
	return false
}
