package replay

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"watchkeeper/internal/journal"
	"watchkeeper/ruleset"
)

// lateWords stands in the record of something late between the rule's id and the time
// through which its checks had settled.
const lateWords = " settled through "

// WithArrivals is a journal for rules that were not in force: from what it says to have
// come too late for rules of inForce it knows when that came, and so for which checks of
// a rule of groups it came too late. A rule keeps to its own records where it has some,
// or inForce has one of its id.
//
// What came too late for no rule is in time, since only the journal keeps arrivals; and a
// source is taken to have delivered currently, unless a rule of inForce shows that less had settled.
func WithArrivals(past Past, groups, inForce []ruleset.Group) Past {
	known := map[string]bool{}
	for _, r := range rulesOf(inForce) {
		known[r.ID()] = true
	}
	a := arrivals{past: past}
	for _, r := range rulesOf(groups) {
		if !known[r.ID()] {
			a.strangers = append(a.strangers, newStranger(r, inForce))
		}
	}
	if len(a.strangers) == 0 {
		return past
	}
	return a
}

func rulesOf(groups []ruleset.Group) (out []*ruleset.Rule) {
	for _, g := range groups {
		out = append(out, g.Rules...)
	}
	return out
}

// arrivals is a journal with the records that strangers lack.
type arrivals struct {
	past      Past
	strangers []*stranger
}

// stranger is a rule that was not in force.
type stranger struct {
	rule      *ruleset.Rule
	selectors []*parser.VectorSelector
	witnesses []witness // the longest lateness first
}

// witness is a rule that was in force and settled no later than the stranger would have:
// it reads no more, and its lateness is no longer. What was in time for it would have
// been for the stranger.
type witness struct {
	rule      *ruleset.Rule
	selectors []*parser.VectorSelector
	same      bool // it is the stranger, but for its name, texts and what it does with verdicts
}

func newStranger(r *ruleset.Rule, inForce []ruleset.Group) *stranger {
	s := &stranger{rule: r, selectors: selectorsOf(r)}
	reads := metricsOf(s.selectors)
	for _, o := range rulesOf(inForce) {
		w := witness{rule: o, selectors: selectorsOf(o)}
		w.same = o.Expr == r.Expr && o.Lateness == r.Lateness && o.Interval == r.Interval && o.Phase == r.Phase && maps.Equal(o.Lookback, r.Lookback)
		more := slices.ContainsFunc(metricsOf(w.selectors), func(m string) bool { return !slices.Contains(reads, m) })
		if !more && o.Lateness <= r.Lateness {
			s.witnesses = append(s.witnesses, w)
		}
	}
	slices.SortStableFunc(s.witnesses, func(a, b witness) int {
		if a.same != b.same {
			return map[bool]int{true: -1, false: 1}[a.same]
		}
		return cmp.Compare(b.rule.Lateness, a.rule.Lateness)
	})
	return s
}

// reads says whether a rule with the selectors reads what a record is about.
func reads(selectors []*parser.VectorSelector, r journal.Record) bool {
	return r.Labels.IsEmpty() || slices.ContainsFunc(selectors, func(vs *parser.VectorSelector) bool { return matches(vs, r.Labels) })
}

func selectorsOf(r *ruleset.Rule) (out []*parser.VectorSelector) {
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(r.Expr)
	if err != nil {
		return nil // it reads nothing; who judges by it says why
	}
	parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
		if vs, ok := n.(*parser.VectorSelector); ok {
			out = append(out, vs)
		}
		return nil
	})
	return out
}

// metricsOf lists the metrics that selectors name, sorted, each once.
func metricsOf(selectors []*parser.VectorSelector) (out []string) {
	for _, vs := range selectors {
		for _, m := range vs.LabelMatchers {
			if m.Name == model.MetricNameLabel && m.Type == labels.MatchEqual {
				out = append(out, m.Value)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Each implements Past.
func (a arrivals) Each(fn func(journal.Record) error) error {
	own := map[string]bool{} // rules with records of their own
	err := a.past.Each(func(r journal.Record) error {
		if r.Kind == journal.KindLate {
			id, _, _ := strings.Cut(r.Reason, lateWords)
			if !own[id] {
				own[strings.Clone(id)] = true
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return a.past.Each(func(r journal.Record) error {
		if err := fn(r); err != nil || r.Kind != journal.KindLate {
			return err
		}
		for _, s := range a.strangers {
			if own[s.rule.ID()] {
				continue
			}
			if rec, ok := s.record(r); ok {
				if err := fn(rec); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// record is what the record of something late for another rule says to the stranger.
func (s *stranger) record(r journal.Record) (journal.Record, bool) {
	if !reads(s.selectors, r) {
		return r, false
	}
	id, through, _ := strings.Cut(r.Reason, lateWords)
	i := slices.IndexFunc(s.witnesses, func(w witness) bool { return reads(w.selectors, r) })
	switch {
	case i < 0 || s.witnesses[i].rule.ID() == id && !s.witnesses[i].same:
		through = strconv.FormatInt(r.Arrive-1-s.rule.Lateness.Milliseconds(), 10)
	case s.witnesses[i].rule.ID() != id:
		return r, false
	}
	r.Reason = s.rule.ID() + lateWords + through
	return r, true
}
