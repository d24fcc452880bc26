package ruleset

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"pgregory.net/rapid"

	"watchkeeper/internal/property"
	"watchkeeper/internal/sample"
)

const scenarioChecks = 14

// scenario is a random rule with everything that will be delivered for it.
type scenario struct {
	rule    string
	samples []sample.Sample
	ups     map[string][]sample.Up
	ends    []sample.End
	arrived map[lateUp]int64 // up-samples that come too late for some check
}

// lateUp is one of those of a source.
type lateUp struct {
	source string
	t      int64
}

// String prints a scenario by check.
func (s scenario) String() string {
	var b strings.Builder
	start := timelineStart.UnixMilli()
	for _, smp := range s.samples {
		v := fmt.Sprint(smp.V)
		if isStale(smp.V) {
			v = "stale"
		}
		fmt.Fprintf(&b, "%s t=%dms v=%s\n", smp.Labels, smp.T-start, v)
	}
	for m, ups := range s.ups {
		for _, u := range ups {
			fmt.Fprintf(&b, "up %s t=%dms %v", m, u.T-start, u.OK)
			if at, late := s.arrived[lateUp{m, u.T}]; late {
				fmt.Fprintf(&b, " arrives %dms", at-start)
			}
			fmt.Fprintln(&b)
		}
	}
	for _, e := range s.ends {
		fmt.Fprintf(&b, "end %s t=%dms\n", e.Labels, e.T-start)
	}
	return b.String()
}

// sourceName tells the sources of series apart: one for each metric, and one for
// each vantage point of g.
func sourceName(l labels.Labels) string { return l.Get(model.MetricNameLabel) + l.Get("p") }

// drawOperand draws what stands at the leaves: a selector, a range function or an
// aggregation over vantage points.
func drawOperand(t *rapid.T) string {
	switch rapid.IntRange(0, 5).Draw(t, "operand") {
	case 5:
		return drawMatched(t)
	case 3:
		return drawWindow(t, rapid.SampledFrom([]string{"a", "b", `b{i="x"}`}).Draw(t, "range of"))
	case 4:
		inner := rapid.SampledFrom([]string{"g", "g > 5", "0 != g", "-g >= bool -5", "g offset 1m", "g / 2 < 3", "1 / g", "window", "window > 1"}).Draw(t, "members")
		if strings.HasPrefix(inner, "window") {
			inner = strings.Replace(inner, "window", drawWindow(t, "g"), 1)
		}
		return fmt.Sprintf("%s %s (%s)", rapid.SampledFrom([]string{"count", "sum", "min", "max", "avg"}).Draw(t, "aggregation"),
			rapid.SampledFrom([]string{"by (i)", "without (p)"}).Draw(t, "grouping"), inner)
	}
	return rapid.SampledFrom([]string{"a", "b", "c", "a offset 1m", `b{i="x"}`}).Draw(t, "selector")
}

// drawMatched draws two vectors that are matched one to one by some of their labels.
func drawMatched(t *rapid.T) string {
	return fmt.Sprintf("(%s %s %s %s)", drawSide(t, "g"), drawMatchOp(t), drawOn(t), drawSide(t, rapid.SampledFrom([]string{"a", "g"}).Draw(t, "matched")))
}

// drawGrouped draws one series of a or sum of g matched with each of g.
func drawGrouped(t *rapid.T) string {
	many, one := drawSide(t, "g"), drawSide(t, rapid.SampledFrom([]string{"a", "g"}).Draw(t, "one"))
	s := fmt.Sprintf("(%s %s %s group_left () %s)", many, drawMatchOp(t), drawOn(t), one)
	if rapid.Bool().Draw(t, "on the right") {
		s = fmt.Sprintf("(%s %s %s group_right () %s)", one, drawMatchOp(t), drawOn(t), many)
	}
	switch rapid.IntRange(0, 4).Draw(t, "around") {
	case 0:
		return fmt.Sprintf("(%s > 1)", s)
	case 1:
		return fmt.Sprintf("(%s %s %s)", s, rapid.SampledFrom([]string{"and", "or", "unless", ">", "+"}).Draw(t, "operator"), drawSide(t, "g"))
	case 2:
		return drawSet(t, s)
	}
	return s
}

// drawSet draws and, unless with on or ignoring.
func drawSet(t *rapid.T, left string) string {
	return fmt.Sprintf("(%s %s %s %s)", left, rapid.SampledFrom([]string{"and", "unless"}).Draw(t, "set"), drawOn(t),
		drawSide(t, rapid.SampledFrom([]string{"a", "g"}).Draw(t, "set of")))
}

func drawMatchOp(t *rapid.T) string {
	return rapid.SampledFrom([]string{">", "<=", "!=", "> bool", "== bool", "+", "-", "/"}).Draw(t, "join")
}

func drawOn(t *rapid.T) string {
	return rapid.SampledFrom([]string{"on (i)", "ignoring (p)"}).Draw(t, "matching")
}

// drawSide draws what stands at a side of a match: one selector of a metric with
// numbers, a range or an aggregation around it at most.
func drawSide(t *rapid.T, metric string) string {
	sel := metric
	if metric == "g" {
		sel = rapid.SampledFrom([]string{"g", `g{p="1"}`, `g{p!="3"}`, "sum by (i) (g)"}).Draw(t, "of g")
	}
	side := rapid.SampledFrom([]string{"%s", "%s", "%s", "(%s > 2)", "(%s != bool 5)", "-%s", "(1 / %s)", "window"}).Draw(t, "side")
	if side != "window" {
		return fmt.Sprintf(side, sel)
	}
	if strings.HasPrefix(sel, "sum") {
		return fmt.Sprintf("sum by (i) (%s)", drawWindow(t, "g"))
	}
	return drawWindow(t, sel)
}

func drawWindow(t *rapid.T, sel string) string {
	functions := []string{"resets(", "changes(", "delta(", "increase(", "rate(", "avg_over_time(", "min_over_time(", "max_over_time(", "sum_over_time(",
		"count_over_time(", "last_over_time(", "present_over_time(", "stddev_over_time(", "quantile_over_time(0.5, ", "deriv("}
	return fmt.Sprintf("%s%s[%s]%s)", rapid.SampledFrom(functions).Draw(t, "function"), sel,
		rapid.SampledFrom([]string{"1m", "90s", "2m", "3m", "5m", "12m"}).Draw(t, "range"), rapid.SampledFrom([]string{"", "", " offset 1m", " offset 30s"}).Draw(t, "offset"))
}

func drawExpr(t *rapid.T, depth int) string {
	if depth == 0 {
		return drawOperand(t)
	}
	l := drawExpr(t, rapid.IntRange(0, depth-1).Draw(t, "depth"))
	op := rapid.SampledFrom([]string{">", ">=", "<", "!=", "=="}).Draw(t, "comparison")
	switch rapid.IntRange(0, 9).Draw(t, "form") {
	case 9:
		return drawSet(t, l)
	case 0, 1, 2:
		return fmt.Sprintf("(%s %s 5)", l, op)
	case 3:
		return fmt.Sprintf("(5 %s -(%s))", op, l)
	case 4:
		return fmt.Sprintf("(%s %s %s)", l, rapid.SampledFrom([]string{"+", "-", "*", "/"}).Draw(t, "arithmetic"), drawExpr(t, depth-1))
	case 5:
		return fmt.Sprintf("(%s %s bool %s)", l, op, drawExpr(t, depth-1))
	case 6:
		return fmt.Sprintf("(%s %s %s)", l, op, drawExpr(t, depth-1))
	}
	set := rapid.SampledFrom([]string{"and", "or", "unless"}).Draw(t, "set operator")
	return fmt.Sprintf("(%s %s %s)", l, set, drawExpr(t, depth-1))
}

// drawRule draws an expression whose identities are those of a, or now and then those of g.
func drawRule(t *rapid.T) string {
	if rapid.IntRange(0, 5).Draw(t, "identities of g") == 0 {
		return drawGrouped(t)
	}
	return drawExpr(t, rapid.IntRange(1, 3).Draw(t, "expr depth"))
}

func drawScenario(t *rapid.T) scenario {
	s := scenario{ups: map[string][]sample.Up{}}
	resolve := rapid.IntRange(1, 3).Draw(t, "resolve_after")
	s.rule = fmt.Sprintf(`groups: [{name: g, interval: 1m, rules: [{alert: A, expr: '%s', consecutive: %d, missing: %s, max_gap: %d, lateness: 30m, missing_after: %ds, resolve_after: %d, no_data_after: %d, phase: %ds, min_members: %d}]}]`,
		drawRule(t), rapid.IntRange(1, 3).Draw(t, "consecutive"),
		rapid.SampledFrom([]string{"hold", "reset", "breach"}).Draw(t, "missing"), rapid.IntRange(0, 2).Draw(t, "max_gap"),
		rapid.SampledFrom([]int{0, 30, 60, 300}).Draw(t, "missing_after"), resolve, rapid.IntRange(1, 4).Draw(t, "no_data_after"),
		rapid.SampledFrom([]int{0, 0, 20}).Draw(t, "phase"), rapid.IntRange(1, 2).Draw(t, "min_members"))
	start := timelineStart.UnixMilli()
	for _, metric := range []string{"a", "b", "c", "g1", "g2", "g3"} {
		if metric[0] == 'g' && !strings.Contains(s.rule, "(i)") && !strings.Contains(s.rule, "(p)") {
			continue
		}
		for _, i := range []string{"x", "y"} {
			l := labels.FromStrings(model.MetricNameLabel, metric[:1], "i", i)
			if vantage := metric[1:]; vantage != "" {
				l = labels.FromStrings(model.MetricNameLabel, metric[:1], "i", i, "p", vantage)
			}
			s.drawSeries(t, l)
		}
		if rapid.Bool().Draw(t, "sends ups") {
			for k := range scenarioChecks {
				s.ups[metric] = append(s.ups[metric], sample.Up{T: start + int64(k)*60_000 - 10_000, OK: rapid.IntRange(0, 3).Draw(t, "up") > 0})
			}
		}
	}
	return s
}

// drawSeries draws the samples and the end of one series.
func (s *scenario) drawSeries(t *rapid.T, l labels.Labels) {
	start := timelineStart.UnixMilli()
	values := rapid.SampledFrom([]float64{0, 0, 1, 5, 9, 9, 9, -9, math.NaN(), math.Float64frombits(value.StaleNaN)})
	begin := rapid.IntRange(0, 4).Draw(t, "begin")
	for k := begin; k < scenarioChecks; k++ {
		for n := rapid.SampledFrom([]int{0, 1, 1, 1, 2}).Draw(t, "samples in slot"); n > 0; n-- {
			ts := start + int64(k)*60_000 - rapid.Int64Range(0, 59_999).Draw(t, "age")
			if !slices.ContainsFunc(s.samples, func(o sample.Sample) bool { return o.T == ts && labels.Equal(o.Labels, l) }) {
				s.samples = append(s.samples, sample.Sample{Labels: l, T: ts, V: values.Draw(t, "value")})
			}
		}
	}
	if rapid.IntRange(0, 4).Draw(t, "end") == 0 {
		end := sample.End{Labels: l, T: start + rapid.Int64Range(0, scenarioChecks*60_000).Draw(t, "end at"), Reason: "deleted"}
		// The millisecond after it is the end mark's own.
		if !slices.ContainsFunc(s.samples, func(o sample.Sample) bool { return o.T == end.T+1 && labels.Equal(o.Labels, l) }) {
			s.ends = append(s.ends, end)
		}
	}
}

// delivery of a scenario: batches at times.
type parcel struct {
	at    int64
	batch sample.Batch
}

// drawParcels cuts a scenario into batches that arrive in any order, some
// twice, each within the lateness of what it holds.
func drawParcels(t *rapid.T, s scenario) []parcel {
	start := timelineStart.UnixMilli()
	late := rapid.SampledFrom([]int64{0, 60_000, 5 * 60_000, 20 * 60_000}).Draw(t, "most delay")
	byKey := map[string]*parcel{}
	var out []*parcel
	put := func(source string, from, late int64, add func(*sample.Batch)) {
		at := max(start, from) + rapid.Int64Range(0, late).Draw(t, "delay")
		at -= at % 30_000 // several share a batch
		if at < from {
			at += 30_000
		}
		key := fmt.Sprint(source, at)
		p := byKey[key]
		if p == nil {
			p = &parcel{at: at, batch: sample.Batch{Source: sample.Source{Name: "src-" + source}}}
			byKey[key] = p
			out = append(out, p)
		}
		add(&p.batch)
	}
	for _, smp := range s.samples {
		for n := rapid.SampledFrom([]int{1, 1, 1, 2}).Draw(t, "times"); n > 0; n-- {
			put(sourceName(smp.Labels), smp.T, late, func(b *sample.Batch) { b.Samples = append(b.Samples, smp) })
		}
	}
	for _, source := range slices.Sorted(maps.Keys(s.ups)) {
		for _, u := range s.ups[source] {
			put(source, u.T, late, func(b *sample.Batch) { b.Ups = append(b.Ups, u) })
		}
	}
	for _, end := range s.ends {
		// An end mark speaks of a series that is known: it comes after the samples, in time.
		put(sourceName(end.Labels), end.T+21*60_000, min(late, 8*60_000), func(b *sample.Batch) { b.Ends = append(b.Ends, end) })
	}
	var ps []parcel
	for _, p := range out {
		p.batch.Samples = rapid.Permutation(p.batch.Samples).Draw(t, "order")
		ps = append(ps, *p)
	}
	sortParcels(ps)
	return ps
}

func sortParcels(ps []parcel) {
	slices.SortStableFunc(ps, func(a, b parcel) int {
		if a.at != b.at {
			return compareInt(a.at, b.at)
		}
		return strings.Compare(a.batch.Source.Name, b.batch.Source.Name)
	})
}

// drawLateUps adds up-samples that come after the check in whose slot they lie has settled.
// Their sources are known by then.
func drawLateUps(t *rapid.T, s *scenario, ps []parcel) []parcel {
	start := timelineStart.UnixMilli()
	s.arrived = map[lateUp]int64{}
	known := map[string]bool{}
	for range rapid.IntRange(0, 4).Draw(t, "late ups") {
		source := rapid.SampledFrom([]string{"a", "b", "c", "g1"}).Draw(t, "late source")
		u := sample.Up{T: start + rapid.Int64Range(-1, scenarioChecks).Draw(t, "late slot")*60_000 - 20_000, OK: rapid.IntRange(0, 3).Draw(t, "late up") > 0}
		if _, twice := s.arrived[lateUp{source, u.T}]; twice {
			continue
		}
		at := u.T + 32*60_000 + rapid.Int64Range(0, 10*60_000).Draw(t, "late by")
		at -= at%30_000 - 7 // when no check settles
		s.arrived[lateUp{source, u.T}] = at
		s.ups[source] = append(s.ups[source], u)
		by := sample.Source{Name: "src-" + source}
		if !known[source] {
			known[source] = true
			ps = append(ps, parcel{at: start, batch: sample.Batch{Source: by}})
		}
		ps = append(ps, parcel{at: at, batch: sample.Batch{Source: by, Ups: []sample.Up{u}}})
	}
	sortParcels(ps)
	return ps
}

func lastScenarioCheck(r *Rule) int64 {
	return r.lastCheck(timelineStart.UnixMilli() + scenarioChecks*60_000)
}

// settledLog plays parcels and returns the settled log of the scenario's checks, for the first rule.
func settledLog(t *testing.T, groups []Group, ps []parcel, deaths map[int]death) (lines []string, live []Entry) {
	return settledLogBy(t, groups, ps, deaths, 30_000)
}

var noContext = context.Background()

// play gives parcels to an engine whose time goes on by so many ms at once. A batch with which
// the process dies is delivered again after the start.
func play(t *testing.T, w *world, groups []Group, ps []parcel, deaths map[int]death, step int64) {
	e, err := w.engine(groups)
	if err != nil {
		t.Fatal(err)
	}
	now := timelineStart.UnixMilli() - 60_000
	advance := func(to int64) {
		for ; now < to; now += step {
			if err := e.Advance(noContext, time.UnixMilli(now)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i, p := range ps {
		advance(p.at)
		err := w.deliver(e, p.batch, p.at, deaths[i])
		if errors.Is(err, errDead) {
			if e, err = w.engine(groups); err != nil {
				t.Fatal(err)
			}
			at := p.at
			if deaths[i] < deathStored && (i == 0 || ps[i-1].at < at) {
				at-- // the start must not be what settles a check before the batch of that millisecond comes
			}
			if err := e.Recover(noContext, time.UnixMilli(at), w.alerts()); err != nil {
				t.Fatal(err)
			}
			err = w.deliver(e, p.batch, p.at, deathNever)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	advance(timelineStart.UnixMilli() + 60*60_000)
}

// settledLogBy is settledLog where engine time goes on by so many ms at once.
func settledLogBy(t *testing.T, groups []Group, ps []parcel, deaths map[int]death, step int64) (lines []string, live []Entry) {
	w := newWorld()
	play(t, w, groups, ps, deaths, step)
	r := groups[0].Rules[0]
	var settled []Entry
	for _, en := range w.entries {
		switch {
		case en.Rule.ID() != r.ID():
		case en.Log == LogSettled && r.lastCheck(en.Check) <= lastScenarioCheck(r):
			settled = append(settled, en)
		case en.Log == LogLive:
			live = append(live, en)
		}
	}
	slices.SortStableFunc(settled, CompareSettled)
	for _, en := range settled {
		v := en.Value
		if en.To == StateInactive || en.To == StateEnded || en.To == StateResolved || en.To == StateNoData {
			v = math.NaN() // the reference gives breaches a value
		}
		lines = append(lines, fmt.Sprintf("%d %s %s->%s value=%v", r.lastCheck(en.Check), en.Identity, en.From, en.To, v))
	}
	return lines, live
}

func parseOne(t interface{ Fatal(...any) }, text string) []Group {
	groups, err := Parse("random.yml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return groups
}

// The settled log is what the definition says, whatever the order of arrival.
func TestSettledLogEqualsDefinition(t *testing.T) {
	property.Check(t, func(rt *rapid.T) {
		s := drawScenario(rt)
		groups := parseOne(rt, s.rule)
		r := groups[0].Rules[0]
		if m, why := r.Mode(); m != ModeStreaming {
			rt.Fatalf("%s is not streaming: %s", r.Expr, why)
		}
		ref := newReference(t, r)
		ref.all, ref.ends, ref.source = s.samples, s.ends, sourceName
		ref.ups = s.ups
		for _, smp := range s.samples {
			ref.store.Append(smp.Labels, smp.T, smp.V)
		}
		ps := drawLateUps(rt, &s, drawParcels(rt, s))
		ref.arrived = s.arrived
		want := ref.log(lastScenarioCheck(r))
		got, _ := settledLog(t, groups, ps, nil)
		if diff := cmp.Diff(want, got); diff != "" {
			rt.Fatalf("%s\n%s\nsettled log (-definition +engine):\n%s", s.rule, s, diff)
		}
	})
}

// The settled log does not change when the engine dies at any event and
// recovers, and the live log neither loses an alert nor tells one twice.
func TestCrashAndRecover(t *testing.T) {
	property.Check(t, func(rt *rapid.T) {
		s := drawScenario(rt)
		groups := parseOne(rt, s.rule)
		ps := drawLateUps(rt, &s, drawParcels(rt, s))
		want, _ := settledLog(t, groups, ps, nil)
		got, live := settledLog(t, groups, ps, drawDeaths(rt, ps, 1, 3))
		if diff := cmp.Diff(want, got); diff != "" {
			rt.Fatalf("%s\n%s\nsettled log (-without crash +with):\n%s", s.rule, s, diff)
		}
		standing := map[string]State{}
		for _, en := range live {
			key := en.Identity.String()
			if !en.From.Open() {
				en.From = StateInactive // a run that has not fired may be told again
			}
			if was, ok := standing[key]; ok && was != en.From || !ok && en.From != StateInactive {
				rt.Fatalf("%s\n%s\nlive log goes on from %q after %q: %s", s.rule, s, en.From, was, en)
			}
			standing[key] = en.To
			if !en.To.Open() {
				standing[key] = StateInactive
			}
		}
	})
}
