package ruleset

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"pgregory.net/rapid"

	"watchkeeper/internal/property"
	"watchkeeper/internal/sample"
)

// evaluatedExprs are rules that promql.Engine evaluates, with what the
// definition makes of them: what must be in the result of a breach, and of a
// good check.
var evaluatedExprs = []struct{ expr, breach, base string }{
	{"sum by (i) (abs(a)) > 5", "sum by (i) (abs(a == a)) > 5", "sum by (i) (abs(a == a))"},
	{"abs(max_over_time(a[3m])) >= 9", "abs(max_over_time(a[3m])) >= 9", "abs(max_over_time(a[3m]))"},
	{"ceil(avg_over_time(a[2m])) - a > 0", "ceil(avg_over_time(a[2m])) - (a == a) > 0", "ceil(avg_over_time(a[2m])) - (a == a)"},
	{"count by (i) (abs(a) > 1) >= 1", "count by (i) (abs(a == a) > 1) >= 1", "count by (i) (abs(a == a) > 1)"},
	{"abs(changes(a[4m] offset 1m)) >= 2", "abs(changes(a[4m] offset 1m)) >= 2", "abs(changes(a[4m] offset 1m))"},
	{"abs(a) > 5", "abs(a == a) > 5", "abs(a == a)"},
	{"count by (i) (a / a) >= 1", "count by (i) (a / a == a / a) >= 1", "count by (i) (a / a == a / a)"},
	{"a > 5 unless abs(a / a)", "(a == a) > 5 unless (abs(a / a) == abs(a / a))", "a == a"},
	{`label_replace(a, "i", "x", "", "") > 5`, `label_replace((a == a), "i", "x", "", "") > 5`, `label_replace((a == a), "i", "x", "", "")`}, // refused at most checks
	{"1 ^ abs(a / a) == 1", "1 ^ (abs(a / a) == abs(a / a)) == 1", "1 ^ (abs(a / a) == abs(a / a))"},
}

// evaluatedLog is the definition for an evaluated rule, check by check.
func (f *reference) evaluatedLog(breach, base string, last int64) []string {
	first := f.rule.checkOf(timelineStart.UnixMilli() - 2*60_000)
	histories := map[string]*history{}
	var out []string
	for k := first; k <= last; k++ {
		ts := f.rule.timeOf(k)
		inBreach, inBase := byID(f.query(breach, ts)), byID(f.query(base, ts))
		for id, v := range inBase {
			if f.evaluatedOver(id, ts) {
				delete(inBreach, id)
				delete(inBase, id)
			} else if histories[id] == nil && !math.IsNaN(v) {
				histories[id] = &history{rule: f.rule, state: StateInactive}
			}
		}
		var names []string
		for id := range histories {
			names = append(names, id)
		}
		slices.Sort(names)
		for _, id := range names {
			v, value := f.evaluatedVerdict(inBreach, inBase, id, k)
			over := v != VerdictBreach && v != VerdictGood // it begins anew as it began
			for _, text := range histories[id].judge(v, f.operandEnded(f.membersOf(), id, f.rule.timeOf(k-1), ts), over) {
				if v != VerdictBreach || strings.HasSuffix(text, string(StateEnded)) || strings.HasSuffix(text, string(StateInactive)) {
					value = math.NaN()
				}
				out = append(out, fmt.Sprintf("%d %s %s value=%v", k, id, text, value))
			}
		}
	}
	return out
}

// membersOf are an identity's members: the series of a that have its labels, those
// that the expression makes aside.
func (f *reference) membersOf() operandOf {
	sel := selectors(f.rule.expr)[0].sel
	o := operandOf{sel: sel, origin: sel}
	if strings.Contains(f.rule.Expr, "label_replace") {
		o.at.match = &parser.VectorMatching{On: true}
	}
	return o
}

// evaluatedOver says whether all members ended before the slot that ends at ts.
func (f *reference) evaluatedOver(id string, ts int64) bool {
	return !slices.ContainsFunc(f.seriesOf(f.membersOf(), id), func(l labels.Labels) bool { return !f.operandOver(f.membersOf(), l, ts) })
}

func byID(vals []labelled) map[string]float64 {
	out := map[string]float64{}
	for _, s := range vals {
		out[idOf(s.labels)] = s.v
	}
	return out
}

func (f *reference) evaluatedVerdict(inBreach, inBase map[string]float64, id string, k int64) (Verdict, float64) {
	if v, ok := inBreach[id]; ok && !math.IsNaN(v) {
		return VerdictBreach, v
	}
	if v, ok := inBase[id]; ok {
		if math.IsNaN(v) {
			return VerdictMissing, v
		}
		return VerdictGood, v
	}
	if !f.observed(labels.FromStrings(model.MetricNameLabel, "a"), f.rule.timeOf(k-1), f.rule.timeOf(k)) {
		return VerdictUnobserved, math.NaN()
	}
	return VerdictMissing, math.NaN()
}

// drawEvaluated makes a scenario of series a alone, which deliver in time or late,
// and picks a rule.
func drawEvaluated(t *rapid.T) (s scenario, breach, base string) {
	s = drawScenario(t)
	s.samples = slices.DeleteFunc(s.samples, func(x sample.Sample) bool {
		return x.Labels.Get(model.MetricNameLabel) != "a"
	})
	s.ups = map[string][]sample.Up{"a": s.ups["a"]}
	s.ends = slices.DeleteFunc(s.ends, func(x sample.End) bool { return x.Labels.Get(model.MetricNameLabel) != "a" })
	e := rapid.SampledFrom(evaluatedExprs).Draw(t, "evaluated")
	i, j := strings.Index(s.rule, "expr: '")+len("expr: '"), strings.Index(s.rule, "', consecutive")
	s.rule = strings.Replace(s.rule[:i]+e.expr+s.rule[j:], "min_members: 2", "min_members: 1", 1)
	return s, e.breach, e.base
}

// An evaluated rule's settled log is what the definition says, too, whatever the
// order of arrival and wherever the engine dies.
func TestEvaluatedEqualsDefinition(t *testing.T) {
	property.Check(t, func(rt *rapid.T) {
		s, breach, base := drawEvaluated(rt)
		groups := parseOne(rt, s.rule)
		r := groups[0].Rules[0]
		if m, _ := r.Mode(); m != ModeEvaluated {
			rt.Fatalf("%s is %s", r.Expr, m)
		}
		ref := newReference(t, r)
		ref.source, ref.ups, ref.all, ref.ends = sourceName, s.ups, s.samples, s.ends
		for _, x := range s.samples {
			ref.store.Append(x.Labels, x.T, x.V)
		}
		ps := drawParcels(rt, s)
		if len(ps) == 0 {
			return
		}
		ps = drawLateUps(rt, &s, ps)
		ref.arrived = s.arrived
		want := ref.evaluatedLog(breach, base, lastScenarioCheck(r))
		got, _ := settledLog(t, groups, ps, nil)
		if diff := cmp.Diff(want, got); diff != "" {
			rt.Fatalf("%s\n%s\nsettled log (-definition +engine):\n%s", s.rule, s, diff)
		}
		got, _ = settledLog(t, groups, ps, drawDeaths(rt, ps, 1, 1))
		if diff := cmp.Diff(want, got); diff != "" {
			rt.Fatalf("%s\n%s\nsettled log after a crash (-definition +engine):\n%s", s.rule, s, diff)
		}
	})
}

// An entry of an evaluated rule shows the samples that its check read.
func TestEvaluatedEvidence(t *testing.T) {
	w := newWorld()
	groups := parseOne(t, "groups: [{name: g, interval: 1m, rules: [{alert: A, expr: sum by (i) (abs(a)) > 5, consecutive: 1}]}]")
	e, err := w.engine(groups)
	if err != nil {
		t.Fatal(err)
	}
	now := timelineStart.Add(time.Minute)
	b := sample.Batch{Source: sample.Source{Name: "s"}}
	for _, x := range []struct {
		i, d string
		v    float64
	}{{"x", "1", 3}, {"x", "2", 4}, {"y", "1", 5}} {
		l := labels.FromStrings(model.MetricNameLabel, "a", "i", x.i, "d", x.d)
		b.Samples = append(b.Samples, sample.Sample{Labels: l, T: now.UnixMilli() - 5, V: x.v}, sample.Sample{Labels: l, T: now.UnixMilli() - 9, V: 0})
	}
	if err := e.Ingest(t.Context(), w.accept(b, now.UnixMilli()), now); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, en := range w.entries {
		for _, s := range en.Samples {
			got = append(got, fmt.Sprintf("%s %v %v", s.Labels, s.V, s.Verdict))
		}
	}
	want := []string{`{__name__="a", d="1", i="x"} 3 breach`, `{__name__="a", d="2", i="x"} 4 breach`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("evidence (-want +got):\n%s", diff)
	}
}
