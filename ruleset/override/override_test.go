package override

import (
	"fmt"
	"log/slog"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"pgregory.net/rapid"

	"watchkeeper/internal/property"
	"watchkeeper/ruleset"
	"watchkeeper/ruleset/contract"
)

var now = time.Date(2026, 11, 10, 12, 0, 0, 0, time.UTC)

// entry is an override in a file, up to what it changes.
const entry = `{name: o, rules: [r], match: '{customer="acme"}', owner: ops, reason: tests, end: 2026-12-01T00:00:00Z, %s}`

func TestParseErrors(t *testing.T) {
	f := func(file, want string) {
		t.Helper()
		_, err := Parse("o.yml", []byte(file))
		if err == nil || err.Error() != want {
			t.Errorf("%s:\n got %v\nwant %s", file, err, want)
		}
	}
	one := func(text string) string { return "overrides:\n- " + text }
	f(one(fmt.Sprintf(entry, "colour: red")), `o.yml:2: overrides[0].colour: unknown key`)
	f(one(fmt.Sprintf(entry, "")), `o.yml:2: overrides[0].off: nothing is changed; give threshold, thresholds, consecutive, severity or off`)
	f(one(fmt.Sprintf(entry, "off: true, threshold: 5")), `o.yml:2: overrides[0].off: stands beside a change; a rule that is off has nothing to change`)
	f(one(fmt.Sprintf(entry, "threshold: .nan")), `o.yml:2: overrides[0].threshold: is not a number`)
	f(one(fmt.Sprintf(entry, "consecutive: 0")), `o.yml:2: overrides[0].consecutive: 0: must be positive`)
	f(one(fmt.Sprintf(entry, "severity: page")), `o.yml:2: overrides[0].severity: "page": want disaster, high, average or warning`)
	f(one(strings.Replace(fmt.Sprintf(entry, "off: true"), "owner: ops, ", "", 1)), `o.yml:2: overrides[0].owner: is empty; somebody must answer for it`)
	f(one(strings.Replace(fmt.Sprintf(entry, "off: true"), "end: 2026-12-01T00:00:00Z, ", "", 1)), `o.yml:2: overrides[0].end: is missing; an override without end is a new rule`)
	f(one(fmt.Sprintf(entry, "off: true, from: 2027-01-01T00:00:00Z")), `o.yml:2: overrides[0].end: is not after from`)
	f(one(strings.Replace(fmt.Sprintf(entry, "off: true"), "customer", "instance", 1)), `o.yml:2: overrides[0].match: must hold customer="…"; an override is for one customer`)
	f(one(fmt.Sprintf(entry, "off: true"))+"\n- "+fmt.Sprintf(entry, "off: true"), `o.yml:3: overrides[1].name: "o" is there twice`)
	f("overrides: [~]", `o.yml:1: overrides[0]: is empty`)
}

func parse(t testing.TB, entries ...string) []Override {
	t.Helper()
	out, err := Parse("o.yml", []byte("overrides:\n- "+strings.Join(entries, "\n- ")))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func rules(t testing.TB, text string) []ruleset.Group {
	t.Helper()
	gs, err := ruleset.Parse("r.yml", []byte("groups: [{name: g, interval: 1m, rules: ["+text+"]}]"))
	if err != nil {
		t.Fatal(err)
	}
	return gs
}

func TestApply(t *testing.T) {
	groups := rules(t, `{alert: A, expr: m >= 80, consecutive: 3, lateness: 40m, missing_after: 15m, resolve_after: 2, labels: {severity: high}, annotations: {summary: s}, contract: {row: r, literal: "连续三次>=80"}}`)
	os := parse(t,
		`{name: big, rules: [r], match: '{customer="acme", instance="i-1"}', threshold: 95, consecutive: 5, severity: warning, owner: ops, reason: it runs hot, end: 2026-12-01T00:00:00Z}`,
		`{name: lab, rules: [r], match: '{customer="lab"}', off: true, owner: ops, reason: nobody cares, end: 2026-12-01T00:00:00Z}`,
		`{name: old, rules: [r], match: '{customer="acme"}', off: true, owner: ops, reason: over, end: 2026-11-10T12:00:00Z}`,
		`{name: soon, rules: [r], match: '{customer="acme"}', off: true, owner: ops, reason: not yet, from: 2026-11-20T00:00:00Z, end: 2026-12-01T00:00:00Z}`,
		`{name: gone, rules: [no-such-rule], match: '{customer="acme"}', off: true, owner: ops, reason: over, end: 2026-11-01T00:00:00Z}`)
	got, applied, err := Apply(groups, os, now)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || len(got[0].Rules) != 1 || len(got[1].Rules) != 1 {
		t.Fatalf("%d groups: %+v", len(got), got)
	}
	rest, over := got[0].Rules[0], got[1].Rules[0]
	type facts struct {
		ID, Group, Expr, Severity, Reason, LiteralExpr string
		Consecutive, LiteralConsecutive                int
	}
	if d := cmp.Diff(facts{ID: "r", Group: "g", Expr: `(m{customer!="lab"} >= 80) unless m{customer="acme",instance="i-1"}`, Severity: "high", Consecutive: 3},
		facts{ID: rest.ID(), Group: rest.Group, Expr: rest.Expr, Severity: rest.Severity(), Consecutive: rest.Consecutive}); d != "" {
		t.Error(d)
	}
	dev := over.Contract.Deviation
	if d := cmp.Diff(facts{
		ID: "r@big", Group: "g@big", Expr: `m{customer="acme",instance="i-1"} >= 95`, Severity: "warning", Consecutive: 5,
		Reason: "override big by ops until 2026-12-01T00:00:00Z: it runs hot", LiteralExpr: "m >= 80", LiteralConsecutive: 3,
	}, facts{over.ID(), over.Group, over.Expr, over.Severity(), dev.Reason, dev.Expr, over.Consecutive, dev.Consecutive}); d != "" {
		t.Error(d)
	}
	if over.Lateness != 40*time.Minute || over.MissingAfter != 15*time.Minute || over.ResolveAfter != 2 || over.Contract.Literal != "连续三次>=80" || over.Annotations.Get("summary") != "s" {
		t.Errorf("fields are lost: %+v", over)
	}
	var states []string
	for _, a := range applied {
		states = append(states, a.Override.Name+" "+string(a.State)+" "+a.Rule+" "+a.ID)
	}
	if d := cmp.Diff([]string{"big active r r@big", "lab active r ", "old expired r ", "soon waiting r "}, states); d != "" {
		t.Error(d)
	}
	for id, base := range map[string]string{"r@big": "r", "r": "r", "g@big/A": "g/A", "g/A": "g/A"} {
		if Base(id) != base {
			t.Errorf("Base(%q) = %q", id, Base(id))
		}
	}
	if of := Of(got, "r"); len(of) != 2 || of[0] != over || of[1] != rest || Of(got, "x") != nil {
		t.Errorf("Of: %v", of)
	}
	if groups[0].Rules[0].Expr != "m >= 80" {
		t.Error("Apply changed what it was given")
	}
	if _, err := ruleset.New(ruleset.DefaultConfig(), got, nil, nil, nil, metrics.NewSet(), slog.New(slog.DiscardHandler)); err != nil {
		t.Error(err)
	}
}

// The example shows every field and fits the shipped rules.
func TestExample(t *testing.T) {
	const file = "../../examples/overrides.yml"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	os, err := Parse(file, text)
	if err != nil {
		t.Fatal(err)
	}
	_, applied, err := Apply(contractRules(t), os, now)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, a := range applied {
		got = append(got, a.Rule+" "+string(a.State)+" "+a.Expr)
	}
	slices.Sort(got)
	if d := cmp.Diff([]string{
		"host-fs-5 waiting ",
		`rds-cpu active aliyun_rds_cpu_utilization_percent{customer="acme",instance="rm-2ze1reporting"} >= 95`,
		`rds-iops active aliyun_rds_iops_utilization_percent{customer="acme",instance="rm-2ze1reporting"} >= 95`,
		"website-failed active ",
	}, got); d != "" {
		t.Error(d)
	}
	fields := reflect.TypeFor[Override]()
	for i := range fields.NumField() {
		if key := fields.Field(i).Tag.Get("yaml"); key != "" && !strings.Contains(string(text), " "+key+":") {
			t.Errorf("the example lacks %s", key)
		}
	}
}

func TestApplyErrors(t *testing.T) {
	f := func(rule, change, want string) {
		t.Helper()
		_, _, err := Apply(rules(t, rule), parse(t, fmt.Sprintf(entry, change)), now)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s, %s: err = %v, want %q", rule, change, err, want)
		}
	}
	f(`{alert: A, expr: m > 1, consecutive: 1}`, "off: true", `override "o": no rule "r" is loaded`)
	f(`{alert: A, expr: m > 1 and n > 2, consecutive: 1, contract: {row: r}}`, "threshold: 5", "compares with 2 numbers, the override gives 1")
	f(`{alert: A, expr: sum by (zone) (m) > 1, consecutive: 1, contract: {row: r}}`, "off: true", "its result has no label customer")
	f(`{alert: A, expr: m > 1, consecutive: 1, contract: {row: r@x}}`, "off: true", "cannot stand beside overrides")
	f(`{alert: A, expr: absent(m), consecutive: 1, contract: {row: r}}`, "off: true", "cannot be split")
	f(`{alert: A, expr: m > on (instance) n, consecutive: 1, contract: {row: r}}`, "off: true", "its result has no label customer")
}

func TestNextChange(t *testing.T) {
	os := parse(t, fmt.Sprintf(entry, "off: true, from: 2026-11-20T00:00:00Z"))
	for _, x := range []struct{ at, want string }{
		{"2026-11-10T00:00:00Z", "2026-11-20T00:00:00Z"}, {"2026-11-20T00:00:00Z", "2026-12-01T00:00:00Z"}, {"2026-12-01T00:00:00Z", ""},
	} {
		at, err := time.Parse(time.RFC3339, x.at)
		if err != nil {
			t.Fatal(err)
		}
		next, ok := NextChange(os, at)
		if got := next.Format(time.RFC3339); ok != (x.want != "") || ok && got != x.want {
			t.Errorf("after %s: %s %v", x.at, got, ok)
		}
	}
}

// contractRules returns the contract's rule groups.
func contractRules(t *testing.T) []ruleset.Group {
	t.Helper()
	files, err := contract.Pack()
	if err != nil {
		t.Fatal(err)
	}
	var out []ruleset.Group
	for _, f := range files {
		gs, err := ruleset.Parse(f.Name, f.Data)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, gs...)
	}
	return out
}

// Every rule of the contract can be split for a customer and for a resource.
func TestEveryContractRuleCanBeSplit(t *testing.T) {
	groups, ids := contractRules(t), []string{}
	modes := map[string]ruleset.Mode{}
	for _, g := range groups {
		for _, r := range g.Rules {
			ids = append(ids, r.ID())
			modes[r.ID()], _ = r.Mode()
		}
	}
	for _, match := range []string{`{customer="acme"}`, `{customer="acme", instance="i-1"}`} {
		o := Override{Name: "o", Rules: ids, Match: match, Severity: "warning", Owner: "ops", Reason: "tests", End: now.Add(time.Hour)}
		got, applied, err := Apply(groups, []Override{o}, now)
		if err != nil {
			t.Fatal(err)
		}
		if len(applied) != 90 {
			t.Errorf("%d applied", len(applied))
		}
		for _, g := range got {
			for _, r := range g.Rules {
				if mode, why := r.Mode(); mode != modes[Base(r.ID())] {
					t.Errorf("%s: %s became %s (%s): %s", r.ID(), modes[Base(r.ID())], mode, why, r.Expr)
				}
			}
		}
	}
}

// TestSplitJudgesEverySeriesOnce holds the split rules to what an override
// says: the threshold of the first override that matches, else the rule's own.
func TestSplitJudgesEverySeriesOnce(t *testing.T) {
	exprs := []string{
		"m >= %g", "%g <= m", "m >= %g unless on (customer) n", "m + m >= %g", "(m or n) >= %g", "m >= %g or n >= 100",
		"sum by (customer, instance) (m) >= %g", "max_over_time(m[2m]) >= %g", "m * on (customer, instance) m >= %g", "m >= %g and n",
	}
	matches := []string{`{customer="a"}`, `{customer="a", instance="1"}`, `{customer="a", instance=~"1|2"}`, `{customer="b", instance!="1"}`}
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 1e6, Timeout: time.Minute, LookbackDelta: time.Minute})
	breaches := func(t *rapid.T, store *ruleset.Memory, expr string) map[string]bool {
		q, err := engine.NewInstantQuery(t.Context(), store, nil, expr, now)
		if err != nil {
			t.Fatal(err)
		}
		defer q.Close()
		v, err := q.Exec(t.Context()).Vector()
		if err != nil {
			t.Fatalf("%s: %v", expr, err)
		}
		out := map[string]bool{}
		for _, s := range v {
			out[s.Metric.DropReserved(func(n string) bool { return n == model.MetricNameLabel }).String()] = true
		}
		return out
	}
	property.Check(t, func(t *rapid.T) {
		store := ruleset.NewMemory()
		for _, metric := range []string{"m", "n"} {
			for _, c := range []string{"a", "b"} {
				for _, i := range []string{"1", "2", "3"} {
					if rapid.IntRange(0, 4).Draw(t, "there") > 0 {
						store.Append(labels.FromStrings("__name__", metric, "customer", c, "instance", i), now.UnixMilli(), float64(rapid.IntRange(0, 9).Draw(t, "value")))
					}
				}
			}
		}
		form := rapid.SampledFrom(exprs).Draw(t, "expr")
		base := fmt.Sprintf(form, 5.0)
		var os []Override
		for i, m := range rapid.SliceOfN(rapid.SampledFrom(matches), 1, 3).Draw(t, "matches") {
			v := float64(rapid.IntRange(0, 9).Draw(t, "threshold"))
			o := Override{Name: fmt.Sprint("o", i), Rules: []string{"r"}, Match: m, Thresholds: []float64{v}, Owner: "ops", Reason: "tests", End: now.Add(time.Hour)}
			if strings.Contains(form, "or n >= 100") {
				o.Thresholds = append(o.Thresholds, 100)
			}
			if err := o.Validate(); err != nil {
				t.Fatal(err)
			}
			os = append(os, o)
		}
		groups, err := ruleset.Parse("r.yml", []byte("groups: [{name: g, interval: 1m, rules: [{alert: A, expr: '"+base+"', consecutive: 1, contract: {row: r, literal: l}}]}]"))
		if err != nil {
			t.Fatal(err)
		}
		split, _, err := Apply(groups, os, now)
		if err != nil {
			t.Fatal(err)
		}
		got, texts := map[string]bool{}, ""
		for _, g := range split {
			for _, r := range g.Rules {
				texts += "\n" + r.Expr
				for id := range breaches(t, store, r.Expr) {
					if got[id] {
						t.Fatalf("%s breaches two rules:%s", id, texts)
					}
					got[id] = true
				}
			}
		}
		want := map[string]bool{}
		for id := range identities(t, store) {
			i := slices.IndexFunc(os, func(o Override) bool { return o.Matches(identities(t, store)[id]) })
			expr := base
			if i >= 0 {
				expr = fmt.Sprintf(form, os[i].Thresholds[0])
			}
			if breaches(t, store, expr)[id] {
				want[id] = true
			}
		}
		if d := cmp.Diff(slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got))); d != "" {
			t.Fatalf("%s (-want +got)\n%s%s", base, d, texts)
		}
	})
}

// identities lists the label sets of the store without metric names.
func identities(t *rapid.T, store *ruleset.Memory) map[string]labels.Labels {
	q, err := store.Querier(0, now.UnixMilli())
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	out := map[string]labels.Labels{}
	set := q.Select(t.Context(), false, nil, labels.MustNewMatcher(labels.MatchRegexp, "customer", ".+"))
	for set.Next() {
		l := set.At().Labels().DropReserved(func(n string) bool { return n == model.MetricNameLabel })
		out[l.String()] = l
	}
	return out
}

func TestIDAndBase(t *testing.T) {
	for id, want := range map[string]string{"rds-cpu": "rds-cpu@o", "group/Alert": "group@o/Alert"} {
		if got := ID(id, "o"); got != want || Base(got) != id {
			t.Errorf("%s: %s, back: %s", id, got, Base(got))
		}
	}
}
