package ruleset

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"
	"pgregory.net/rapid"

	"watchkeeper/internal/property"
	"watchkeeper/internal/sample"
)

// Ends that come after checks have settled for one of the rules that read a series.

// drawReaders draws rules that settle sooner than the scenario's.
func drawReaders(t *rapid.T) (out []Group) {
	for n := range rapid.IntRange(1, 2).Draw(t, "other rules") {
		expr := rapid.SampledFrom([]string{"a > 100", "a < 1", "b > 5", "a > 100 and b > 100", "c offset 1m > 1", "a offset 2m + c > 100", "sum by (i) (g) > 5",
			"abs(a) > 100", "abs(b offset 1m) > 5", "max_over_time(b[3m]) > 5"}).Draw(t, "other expr")
		out = append(out, parseOne(t, fmt.Sprintf(`groups: [{name: other%d, interval: %s, rules: [{alert: Z, expr: '%s', consecutive: 1, missing: %s, lateness: %dm, missing_after: 0s, phase: %ds}]}]`,
			n, rapid.SampledFrom([]string{"1m", "30s", "2m"}).Draw(t, "other interval"), expr,
			rapid.SampledFrom([]string{"hold", "reset", "breach"}).Draw(t, "other missing"),
			rapid.SampledFrom([]int{0, 1, 5, 10}).Draw(t, "other lateness"), rapid.SampledFrom([]int{0, 0, 7}).Draw(t, "other phase")))...)
	}
	return out
}

// drawDense has some series send more samples than are kept in memory.
func (s *scenario) drawDense(t *rapid.T) {
	start := timelineStart.UnixMilli()
	for _, l := range s.series() {
		if rapid.IntRange(0, 2).Draw(t, "dense") > 0 {
			continue
		}
		every := rapid.SampledFrom([]int64{20_000, 30_000}).Draw(t, "every")
		for ts := start + rapid.Int64Range(0, 4*60_000).Draw(t, "dense from"); ts < start+scenarioChecks*60_000; ts += every {
			if !slices.ContainsFunc(s.samples, func(o sample.Sample) bool { return o.T == ts && labels.Equal(o.Labels, l) }) {
				s.samples = append(s.samples, sample.Sample{Labels: l, T: ts, V: rapid.SampledFrom([]float64{1, 9, 9, 9}).Draw(t, "dense value")})
			}
		}
	}
}

// series lists what has samples.
func (s *scenario) series() (out []labels.Labels) {
	for _, smp := range s.samples {
		if !slices.ContainsFunc(out, func(l labels.Labels) bool { return labels.Equal(l, smp.Labels) }) {
			out = append(out, smp.Labels)
		}
	}
	return out
}

// drawLateEnds adds end marks of series that are known when they arrive.
func drawLateEnds(t *rapid.T, s scenario, ps []parcel) []parcel {
	start := timelineStart.UnixMilli()
	for _, l := range s.series() {
		first := slices.IndexFunc(ps, func(p parcel) bool {
			return slices.ContainsFunc(p.batch.Samples, func(smp sample.Sample) bool { return labels.Equal(smp.Labels, l) })
		})
		for range rapid.SampledFrom([]int{0, 0, 1, 1, 2}).Draw(t, "late ends") {
			end := sample.End{Labels: l, T: start + rapid.Int64Range(0, scenarioChecks*60_000).Draw(t, "end at"), Reason: "deleted"}
			if slices.ContainsFunc(s.samples, func(smp sample.Sample) bool { return smp.T == end.T+1 && labels.Equal(smp.Labels, l) }) {
				continue // the store has its stale marker there
			}
			at := max(end.T, ps[first].at) + rapid.SampledFrom([]int64{0, 1, 1000, 30_000, 60_000, 90_000, 4 * 60_000, 9 * 60_000, 20 * 60_000, 40 * 60_000}).Draw(t, "end delay")
			ps = append(ps, parcel{at: at, batch: sample.Batch{Source: sample.Source{Name: "src-" + sourceName(l)}, Ends: []sample.End{end}}})
			if rapid.IntRange(0, 3).Draw(t, "told again") == 0 {
				again := ps[len(ps)-1]
				again.at += rapid.Int64Range(1, 20*60_000).Draw(t, "again after")
				ps = append(ps, again)
			}
		}
	}
	slices.SortStableFunc(ps, func(a, b parcel) int { return compareInt(a.at, b.at) })
	return ps
}

// taken are the ends as they take effect, straight from docs/rules.md.
func taken(groups []Group, ps []parcel) (out []sample.End) {
	var come []sample.Sample
	told := map[string]bool{}
	for i, p := range ps {
		before := p.at - 1 // a check that settles at this very moment still takes the first batch
		if i > 0 && ps[i-1].at == p.at {
			before = p.at
		}
		come = append(come, p.batch.Samples...)
		for _, end := range p.batch.Ends {
			key := fmt.Sprint(end.Labels, end.T)
			if told[key] {
				continue
			}
			told[key] = true
			t := effectiveBy(groups, end, before)
			after := func(smp sample.Sample) bool {
				return labels.Equal(smp.Labels, end.Labels) && smp.T > end.T && !isStale(smp.V)
			}
			if t != end.T && slices.ContainsFunc(come, after) {
				continue
			}
			out = append(out, sample.End{Labels: end.Labels, T: t, Reason: end.Reason})
		}
	}
	return out
}

// effectiveBy is the beginning of the first check that has settled for no rule that
// reads the series, by engine time before; or when it ended, if that is later.
func effectiveBy(groups []Group, end sample.End, before int64) int64 {
	t := end.T
	for _, g := range groups {
		for _, r := range g.Rules {
			for _, sel := range selectors(r.expr) {
				settled := r.timeOf(r.lastCheck(before - r.Lateness.Milliseconds()))
				if offset := sel.offset.Milliseconds(); matchAll(sel.sel.LabelMatchers, end.Labels) && end.T+offset <= settled {
					t = max(t, settled-offset+1)
				}
			}
		}
	}
	return t
}

// drawLateEndScenario draws rules and what is delivered to them.
func drawLateEndScenario(t *rapid.T) (scenario, []Group, []parcel) {
	s := drawScenario(t)
	s.ends = nil
	s.drawDense(t)
	groups := append(parseOne(t, s.rule), drawReaders(t)...)
	return s, groups, drawLateEnds(t, s, drawParcels(t, s))
}

func describeParcels(groups []Group, ps []parcel) string {
	out := ""
	for _, g := range groups[1:] {
		r := g.Rules[0]
		out += fmt.Sprintf("and %s: %s every %s phase %s missing %s lateness %s\n", r.ID(), r.Expr, r.Interval, r.Phase, r.Missing, r.Lateness)
	}
	for _, p := range ps {
		for _, smp := range p.batch.Samples {
			out += fmt.Sprintf("@%d %s %s t=%d %v\n", p.at-timelineStart.UnixMilli(), p.batch.Source.Name, smp.Labels, smp.T-timelineStart.UnixMilli(), smp.V)
		}
		for _, end := range p.batch.Ends {
			out += fmt.Sprintf("@%d end %s t=%d\n", p.at-timelineStart.UnixMilli(), end.Labels, end.T-timelineStart.UnixMilli())
		}
	}
	return out
}

// Where several rules read a series, an end that comes late acts as the definition says.
func TestLateEndsEqualDefinition(t *testing.T) {
	property.Check(t, func(rt *rapid.T) {
		s, groups, ps := drawLateEndScenario(rt)
		r := groups[0].Rules[0]
		ref := newReference(t, r)
		ref.all, ref.ends, ref.ups, ref.source = s.samples, taken(groups, ps), s.ups, sourceName
		for _, smp := range s.samples {
			ref.store.Append(smp.Labels, smp.T, smp.V)
		}
		want := ref.log(lastScenarioCheck(r))
		got, _ := settledLog(t, groups, ps, nil)
		if diff := cmp.Diff(want, got); diff != "" {
			rt.Fatalf("%s\n%s%s\nsettled log (-definition +engine):\n%s", s.rule, s, describeParcels(groups, ps), diff)
		}
	})
}

// So it does when the engine dies at any event and recovers.
func TestLateEndsAndCrash(t *testing.T) {
	property.Check(t, func(rt *rapid.T) {
		s, groups, ps := drawLateEndScenario(rt)
		want, _ := settledLog(t, groups, ps, nil)
		crash := drawDeaths(rt, ps, 1, 3)
		got, _ := settledLog(t, groups, ps, crash)
		if diff := cmp.Diff(want, got); diff != "" {
			rt.Fatalf("%s\n%s%s\ncrashes %v, settled log (-without crash +with):\n%s", s.rule, s, describeParcels(groups, ps), crash, diff)
		}
	})
}
