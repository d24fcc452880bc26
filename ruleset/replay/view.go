package replay

import (
	"context"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"watchkeeper/internal/journal"
	"watchkeeper/ruleset"
)

// view reads the samples that an identity's checks look at.
type view struct {
	r    *ruleset.Rule
	q    queryable
	id   labels.Labels
	sels []operandSelector
	late []journal.Record
	ends []journal.Record
}

// operandSelector is a selector of the expression with its slot.
type operandSelector struct {
	matchers       []*labels.Matcher
	offset, window int64 // ms
}

func newView(r *ruleset.Rule, q queryable, past Past, id labels.Labels) (*view, error) {
	v := &view{r: r, q: q, id: id}
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(r.Expr)
	if err != nil {
		return nil, err
	}
	parser.Inspect(expr, func(n parser.Node, path []parser.Node) error {
		if vs, ok := n.(*parser.VectorSelector); ok {
			v.sels = append(v.sels, operandOf(r, vs, path))
		}
		return nil
	})
	carried := carriers(expr)
	err = past.Each(func(rec journal.Record) error {
		switch {
		case rec.Kind == journal.KindLate && !rec.Labels.IsEmpty() && v.mine(rec.Labels) && strings.HasPrefix(rec.Reason, r.ID()+" "):
			v.late = append(v.late, rec)
		case rec.Kind == journal.KindEnd && v.mine(rec.Labels) && slices.ContainsFunc(carried, func(vs *parser.VectorSelector) bool { return matches(vs, rec.Labels) }):
			v.ends = append(v.ends, rec)
		}
		return nil
	})
	return v, err
}

func operandOf(r *ruleset.Rule, vs *parser.VectorSelector, path []parser.Node) operandSelector {
	o := operandSelector{matchers: vs.LabelMatchers, offset: vs.OriginalOffset.Milliseconds()}
	for _, p := range path {
		switch p := p.(type) {
		case *parser.MatrixSelector:
			o.window += p.Range.Milliseconds()
		case *parser.SubqueryExpr:
			o.window += p.Range.Milliseconds()
			o.offset += p.OriginalOffset.Milliseconds()
		}
	}
	if o.window == 0 {
		o.window = r.Interval.Milliseconds()
		for _, m := range vs.LabelMatchers {
			if d, ok := r.Lookback[m.Value]; ok && m.Name == model.MetricNameLabel {
				o.window = d.Milliseconds()
			}
		}
	}
	return o
}

// mine says whether a series is an operand of the identity: they agree in the
// labels that both have.
func (v *view) mine(l labels.Labels) bool {
	ok := true
	v.id.Range(func(own labels.Label) {
		if has := l.Get(own.Name); has != "" && has != own.Value {
			ok = false
		}
	})
	return ok
}

// samples reads what lies in the slot of the check at t, by series and time.
func (v *view) samples(ctx context.Context, t int64) ([]Sample, error) {
	out := []Sample{}
	for _, sel := range v.sels {
		err := readPoints(ctx, v.q, t-sel.offset-sel.window+1, t-sel.offset, sel.matchers, func(l labels.Labels, at int64, val float64) {
			if !v.mine(l) {
				return
			}
			s := Sample{Series: l.String(), Time: time.UnixMilli(at).UTC(), Value: Value(val)}
			for _, rec := range v.late {
				if rec.T == at && labels.Equal(rec.Labels, l) {
					s.Arrived, s.TooLate = time.UnixMilli(rec.Arrive).UTC(), v.tooLate(rec, t)
				}
			}
			if !slices.ContainsFunc(out, s.same) {
				out = append(out, s)
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// tooLate says whether a late sample came after the check at t had settled, which
// the record's reason names, by the rule's lateness of then.
func (v *view) tooLate(rec journal.Record, t int64) bool {
	i := strings.LastIndexByte(rec.Reason, ' ')
	through, err := strconv.ParseInt(rec.Reason[i+1:], 10, 64)
	return err == nil && t <= min(through, rec.Arrive-v.r.Lateness.Milliseconds())
}

// reason is why the series ended at or shortly before the check at t.
func (v *view) reason(t int64) string {
	best := int64(math.MinInt64)
	reason := "stale marker"
	for _, r := range v.ends {
		if r.T <= t && r.T > best && r.T > t-2*v.r.Interval.Milliseconds() {
			best, reason = r.T, r.Reason
		}
	}
	return reason
}

// carriers lists the selectors that give an identity its labels: all but those on
// the right of and, unless, and on the side that a group matches once.
func carriers(n parser.Node) (out []*parser.VectorSelector) {
	switch n := n.(type) {
	case *parser.VectorSelector:
		return []*parser.VectorSelector{n}
	case *parser.BinaryExpr:
		left, right := carriers(n.LHS), carriers(n.RHS)
		m := n.VectorMatching
		switch {
		case n.Op == parser.LAND || n.Op == parser.LUNLESS || m != nil && m.Card == parser.CardManyToOne:
			return left
		case m != nil && m.Card == parser.CardOneToMany:
			return right
		}
		return append(left, right...)
	}
	for child := range parser.ChildrenIter(n) {
		out = append(out, carriers(child)...)
	}
	return out
}

func matches(vs *parser.VectorSelector, l labels.Labels) bool {
	return !slices.ContainsFunc(vs.LabelMatchers, func(m *labels.Matcher) bool { return !m.Matches(l.Get(m.Name)) })
}
