package ruleset

import (
	"fmt"
	"slices"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"watchkeeper/internal/sample"
)

// operandOf is a selector of an expression with the aggregation around it, if any.
type operandOf struct {
	sel    *parser.VectorSelector // as it stands in reference.expr
	origin *parser.VectorSelector // as it reads samples
	agg    *parser.AggregateExpr
	at     standing
}

func (o operandOf) offset() int64              { return o.origin.OriginalOffset.Milliseconds() }
func (o operandOf) reads(l labels.Labels) bool { return matchAll(o.origin.LabelMatchers, l) }
func (o operandOf) isWindow() bool             { return o.sel != o.origin }
func (o operandOf) id(l labels.Labels) string {
	b := labels.NewBuilder(l)
	switch {
	case o.agg != nil && o.agg.Without:
		b.Del(o.agg.Grouping...)
	case o.agg != nil:
		b.Keep(o.agg.Grouping...)
	}
	return o.at.id(b.Labels())
}

// operands lists the operands of an expression.
func (f *reference) operands(e parser.Expr, at standing) []operandOf {
	switch e := unparen(e).(type) {
	case *parser.UnaryExpr:
		return f.operands(e.Expr, at)
	case *parser.BinaryExpr:
		l, r := sides(e, at)
		return append(f.operands(e.LHS, l), f.operands(e.RHS, r)...)
	case *parser.AggregateExpr:
		os := f.operands(e.Expr, at)
		for i := range os {
			os[i].agg = e
		}
		return os
	case *parser.VectorSelector:
		if origin := f.windows[e.Name]; origin != nil {
			return []operandOf{{sel: e, origin: origin, at: at}}
		}
		return []operandOf{{sel: e, origin: e, at: at}}
	}
	return nil
}

// standing is where an expression stands: on labels of its own, or under on or
// ignoring, which look at some of them.
type standing struct {
	match *parser.VectorMatching // nil: the labels are the identity's
	many  bool                   // any number of series may match: right of and, unless
}

// sides says where the two sides of a binary expression stand.
func sides(e *parser.BinaryExpr, at standing) (l, r standing) {
	vm := e.VectorMatching
	if vm == nil || !vm.On && len(vm.MatchingLabels) == 0 {
		return at, at
	}
	under := standing{match: vm}
	switch vm.Card {
	case parser.CardOneToOne:
		return under, under
	case parser.CardOneToMany:
		return under, at
	case parser.CardManyToMany:
		under.many = true
	}
	return at, under
}

func cardOf(e *parser.BinaryExpr) parser.VectorMatchCardinality {
	if e.VectorMatching == nil {
		return parser.CardOneToOne
	}
	return e.VectorMatching.Card
}

// id is what matching sees of labels.
func (at standing) id(l labels.Labels) string {
	b := labels.NewBuilder(l).Del(model.MetricNameLabel)
	if vm := at.match; vm != nil && vm.On {
		b.Keep(vm.MatchingLabels...)
	} else if vm != nil {
		b.Del(vm.MatchingLabels...)
	}
	return b.Labels().String()
}

// of is what matching sees of an identity.
func (at standing) of(id string) string { return at.id(labelsOf(id)) }

// labelsOf reads an identity.
func labelsOf(id string) labels.Labels {
	l, err := promParser.ParseMetric(id)
	if err != nil {
		panic(err)
	}
	return l
}

// single writes a selector so that it gives nothing where matching allows one
// series and finds several.
func (at standing) single(e *parser.VectorSelector) string {
	if at.match == nil || at.many {
		return e.String()
	}
	names := strings.Join(at.match.MatchingLabels, ", ")
	match, by := "ignoring", "without"
	if at.match.On {
		match, by = "on", "by"
	}
	return fmt.Sprintf("(%s unless %s (%s) (count %s (%s) (%s) > 1))", e, match, names, by, names, e)
}

// matching writes how two vectors are matched.
func matching(vm *parser.VectorMatching) string {
	if vm == nil || !vm.On && len(vm.MatchingLabels) == 0 {
		return " "
	}
	word := "ignoring"
	if vm.On {
		word = "on"
	}
	group := map[parser.VectorMatchCardinality]string{parser.CardManyToOne: " group_left ()", parser.CardOneToMany: " group_right ()"}[vm.Card]
	return fmt.Sprintf(" %s (%s)%s ", word, strings.Join(vm.MatchingLabels, ", "), group)
}

// seriesOf lists the series that an operand reads for an identity.
func (f *reference) seriesOf(o operandOf, id string) []labels.Labels {
	var out []labels.Labels
	for _, s := range f.all {
		if o.reads(s.Labels) && o.id(s.Labels) == o.at.of(id) && !slices.ContainsFunc(out, func(l labels.Labels) bool { return labels.Equal(l, s.Labels) }) {
			out = append(out, s.Labels)
		}
	}
	return out
}

// samples lists a series' samples up to ts.
func (f *reference) samples(l labels.Labels, upTo int64) []sample.Sample {
	var out []sample.Sample
	for _, s := range f.all {
		if labels.Equal(s.Labels, l) && s.T <= upTo {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b sample.Sample) int { return compareInt(a.T, b.T) })
	return out
}

// there says whether a series gives an operand something at ts.
func (f *reference) there(o operandOf, l labels.Labels, ts int64) bool {
	if o.isWindow() {
		return len(f.values(o.sel.String(), standing{}, idOf(l), ts)) > 0
	}
	known := f.samples(l, ts-o.offset())
	last := known[len(known)-1]
	return last.T > ts-o.offset()-f.rule.Interval.Milliseconds() && !isStale(last.V)
}

// endedIn says whether a series ended in the slot (lo, hi] of an operand.
func (f *reference) endedIn(o operandOf, l labels.Labels, lo, hi int64) bool {
	off := o.offset()
	known := f.samples(l, hi-off)
	if len(known) == 0 {
		return false
	}
	last, first := known[len(known)-1], known[0]
	if isStale(last.V) && last.T > lo-off && f.observed(l, lo, hi) {
		return true
	}
	known = slices.DeleteFunc(known, func(s sample.Sample) bool { return isStale(s.V) })
	return slices.ContainsFunc(f.ends, func(end sample.End) bool {
		return labels.Equal(end.Labels, l) && end.T > lo-off && end.T <= hi-off && end.T >= first.T &&
			(len(known) == 0 || known[len(known)-1].T <= end.T)
	})
}

// operandOver says whether a series has nothing to give in the slot that ends at hi: it
// ended before and has had no sample since, or never had one.
func (f *reference) operandOver(o operandOf, l labels.Labels, hi int64) bool {
	step := f.rule.Interval.Milliseconds()
	known := f.samples(l, hi-o.offset())
	for i := len(known) - 1; i >= 0 && isStale(known[i].V); i-- {
		known = known[:i]
	}
	if len(known) == 0 {
		return true
	}
	last := known[len(known)-1].T
	for slot := hi - step; slot-o.offset() >= last; slot -= step {
		if f.endedIn(o, l, slot-step, slot) {
			return true
		}
	}
	return false
}

// endedBefore says whether a series ever ended before the slot that ends at hi.
func (f *reference) endedBefore(o operandOf, l labels.Labels, hi int64) bool {
	step := f.rule.Interval.Milliseconds()
	known := f.samples(l, hi-o.offset())
	for slot := hi - step; len(known) > 0 && slot-o.offset() >= known[0].T; slot -= step {
		if f.endedIn(o, l, slot-step, slot) {
			return true
		}
	}
	return false
}

// operandEnded says whether an identity's operand ended in the slot (lo, hi]: all
// series of a group did, the last of them in this slot.
func (f *reference) operandEnded(o operandOf, id string, lo, hi int64) bool {
	ended := false
	for _, l := range f.seriesOf(o, id) {
		switch {
		case f.endedIn(o, l, lo, hi):
			ended = true
		case !f.operandOver(o, l, hi):
			return false
		}
	}
	return ended
}

// grouping writes the labels of an aggregation.
func grouping(e *parser.AggregateExpr) string {
	word := "by"
	if e.Without {
		word = "without"
	}
	return word + " (" + strings.Join(e.Grouping, ", ") + ")"
}

// members writes an expression whose result is what is present of an
// aggregation's argument.
func (f *reference) members(e parser.Expr) string {
	switch e := unparen(e).(type) {
	case *parser.UnaryExpr:
		return f.members(e.Expr)
	case *parser.BinaryExpr:
		switch {
		case !e.Op.IsComparisonOperator():
			return f.numbers(e, standing{})
		case e.LHS.Type() == parser.ValueTypeScalar:
			return f.members(e.RHS)
		}
		return f.members(e.LHS)
	}
	return f.numbers(e, standing{})
}

// prepare replaces each range function of the rule by a selector of its values,
// which promql.Engine gives at each check up to last.
func (f *reference) prepare(last int64) {
	f.windows = map[string]*parser.VectorSelector{}
	f.expr = f.replace(f.rule.expr, last)
}

func (f *reference) replace(e parser.Expr, last int64) parser.Expr {
	switch e := e.(type) {
	case *parser.ParenExpr:
		return &parser.ParenExpr{Expr: f.replace(e.Expr, last)}
	case *parser.UnaryExpr:
		return &parser.UnaryExpr{Op: e.Op, Expr: f.replace(e.Expr, last)}
	case *parser.BinaryExpr:
		c := *e
		c.LHS, c.RHS = f.replace(e.LHS, last), f.replace(e.RHS, last)
		return &c
	case *parser.AggregateExpr:
		c := *e
		c.Expr = f.replace(e.Expr, last)
		return &c
	case *parser.Call:
		name := fmt.Sprintf("window_%d", len(f.windows))
		origin := selectors(e)[0].sel
		f.windows[name] = origin
		o := operandOf{origin: origin}
		for k := f.rule.checkOf(timelineStart.UnixMilli()) - 2; k <= last; k++ {
			f.fill(name, e, o, k)
		}
		return &parser.VectorSelector{Name: name, LabelMatchers: []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, model.MetricNameLabel, name)}}
	}
	return e
}

// fill stores the value of a range function at a check, over what has not ended.
func (f *reference) fill(name string, e *parser.Call, o operandOf, k int64) {
	ts := f.rule.timeOf(k)
	view := NewMemory()
	for _, s := range f.all {
		if o.reads(s.Labels) && !f.operandOver(o, s.Labels, ts) {
			view.Append(s.Labels, s.T, s.V)
		}
	}
	for _, s := range f.queryIn(view, e.String(), ts) {
		l := labels.NewBuilder(s.Metric).Set(model.MetricNameLabel, name).Labels()
		f.store.Append(l, ts, s.F)
	}
}
