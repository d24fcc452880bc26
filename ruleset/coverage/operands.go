package coverage

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"watchkeeper/ruleset"
)

var promParser = parser.NewParser(parser.Options{})

// watch is a rule with what it must see to judge.
type watch struct {
	rule *ruleset.Rule
	need operand
	sels []*selector
}

// selector is one vector selector of a rule.
type selector struct {
	metric   string
	matchers []*labels.Matcher
	own      string // id of the rule, where its alerts have the labels of the series
	seen     map[resource]*sight
}

func (s *selector) matches(l labels.Labels) bool {
	return !slices.ContainsFunc(s.matchers, func(m *labels.Matcher) bool { return !m.Matches(l.Get(m.Name)) })
}

// sight is what was seen of a resource through one selector.
type sight struct {
	last    int64 // newest sample, Unix ms; 0 for none
	spacing int64 // mean distance of the newest samples, ms; 0 when not known
	series  int
	refused int    // of them, that a limit keeps from being judged
	limit   string // which one
}

// operand is what must be seen: a selector, all of its parts, or any of them.
type operand struct {
	sel   *selector
	parts []operand
	any   bool
}

// readRules takes the rules that count checks.
func readRules(groups []ruleset.Group) ([]*watch, error) {
	var out []*watch
	for _, g := range groups {
		for _, r := range g.Rules {
			if r.Plain {
				continue
			}
			e, err := promParser.ParseExpr(r.Expr)
			if err != nil {
				return nil, err
			}
			w := &watch{rule: r}
			w.need = w.operand(e)
			for _, s := range w.sels {
				if keepsLabels(e) {
					s.own = r.ID()
				}
			}
			out = append(out, w)
		}
	}
	return out, nil
}

// operand reads an expression. What stands right of unless need not be there,
// and of or one side is enough to judge a breach.
func (w *watch) operand(e parser.Expr) operand {
	switch e := e.(type) {
	case *parser.VectorSelector:
		return operand{sel: w.selector(e)}
	case *parser.MatrixSelector:
		return w.operand(e.VectorSelector)
	case *parser.SubqueryExpr:
		return w.operand(e.Expr)
	case *parser.ParenExpr:
		return w.operand(e.Expr)
	case *parser.UnaryExpr:
		return w.operand(e.Expr)
	case *parser.AggregateExpr:
		return w.operand(e.Expr)
	case *parser.Call:
		var o operand
		for _, a := range e.Args {
			o.parts = append(o.parts, w.operand(a))
		}
		return o
	case *parser.BinaryExpr:
		if e.Op == parser.LUNLESS {
			return w.operand(e.LHS)
		}
		return operand{parts: []operand{w.operand(e.LHS), w.operand(e.RHS)}, any: e.Op == parser.LOR}
	}
	return operand{}
}

func (w *watch) selector(vs *parser.VectorSelector) *selector {
	s := &selector{seen: map[resource]*sight{}}
	for _, m := range vs.LabelMatchers {
		if m.Name == model.MetricNameLabel && m.Type == labels.MatchEqual {
			s.metric = m.Value
		} else {
			s.matchers = append(s.matchers, m)
		}
	}
	w.sels = append(w.sels, s)
	return s
}

// seen says what is seen of a resource: as old as the oldest of what is needed,
// as new as the newest of what is one of several.
func (o operand) seen(res resource) sight {
	if o.sel != nil {
		if at := o.sel.seen[res]; at != nil {
			return *at
		}
		return sight{}
	}
	var out sight
	first := true
	for _, p := range o.parts {
		if p.empty() {
			continue
		}
		at := p.seen(res)
		series, refused, limit := max(out.series, at.series), max(out.refused, at.refused), cmp.Or(out.limit, at.limit)
		if first || (at.last > out.last) == o.any {
			out = at
		}
		out.series, out.refused, out.limit, first = series, refused, limit, false
	}
	return out
}

// empty says whether the operand reads nothing: a number.
func (o operand) empty() bool {
	return o.sel == nil && !slices.ContainsFunc(o.parts, func(p operand) bool { return !p.empty() })
}

// keepsLabels says whether what an expression yields has the labels of each series that
// it reads: nothing is aggregated, and all labels match.
func keepsLabels(e parser.Expr) bool {
	keeps := true
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		switch n := n.(type) {
		case *parser.AggregateExpr:
			keeps = false
		case *parser.BinaryExpr:
			m := n.VectorMatching
			keeps = keeps && (m == nil || !m.On && len(m.MatchingLabels) == 0)
		case *parser.Call:
			keeps = keeps && !slices.Contains([]string{"label_replace", "label_join", "absent", "absent_over_time"}, n.Func.Name)
		}
		return nil
	})
	return keeps
}

// names lists the metrics that must be seen.
func (w *watch) names() string {
	var out []string
	for _, s := range w.sels {
		if !slices.Contains(out, s.metric) && s.metric != hostECSInfo {
			out = append(out, s.metric)
		}
	}
	return strings.Join(out, ", ")
}

// checkBefore is T of the rule's last check that is decided at now, Unix ms.
func checkBefore(r *ruleset.Rule, now time.Time) int64 {
	t := now.Add(-r.MissingAfter - r.Phase).UnixMilli()
	return t - t%r.Interval.Milliseconds() + r.Phase.Milliseconds()
}
