package export

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"

	"watchkeeper/ruleset"
	"watchkeeper/ruleset/contract"
)

// shipped returns the rule groups of the contract pack.
func shipped(t *testing.T) []ruleset.Group {
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

func parseRule(t *testing.T, interval, text string) *ruleset.Rule {
	t.Helper()
	gs, err := ruleset.Parse("test.yml", []byte("groups: [{name: g, interval: "+interval+", rules: ["+text+"]}]"))
	if err != nil {
		t.Fatal(err)
	}
	return gs[0].Rules[0]
}

func TestExpr(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		got, err := Expr(parseRule(t, "1m", text))
		if err != nil {
			t.Error(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: (-want +got)\n%s", text, d)
		}
	}
	f(`{alert: A, expr: m >= 90, consecutive: 1}`, `last_over_time((last_over_time(m[1m]) >= 90)[59s999ms:1m])`)
	f(`{alert: A, expr: "m{x=\"1\"} offset 3m < 5", consecutive: 3}`,
		`last_over_time((last_over_time(m{x="1"}[1m] offset 3m) < 5)[59s999ms:1m]) and count_over_time((last_over_time(m{x="1"}[1m] offset 3m) < 5)[2m59s999ms:1m]) == 3`)
	f(`{alert: A, expr: m > 1 unless on (customer) i, consecutive: 1, lookback: {i: 2h}}`,
		`last_over_time((last_over_time(m[1m]) > 1 unless on (customer) last_over_time(i[2h]))[59s999ms:1m])`)
	f(`{alert: A, expr: "increase(m[5m]) > 0", consecutive: 1}`, `last_over_time((increase(m[5m]) > 0)[59s999ms:1m])`)
	f(`{alert: A, expr: 'absent(m{instance="a"})', consecutive: 1}`, `last_over_time((absent_over_time(m{instance="a"}[1m]))[59s999ms:1m])`)
	f(`{alert: A, expr: time() - timestamp(m) > 90, consecutive: 1}`, `last_over_time((time() - timestamp(m) > 90)[59s999ms:1m])`)
	// Late data: all rulers have offset.
	f(`{alert: A, expr: m > 1, consecutive: 1, missing_after: 15m}`, `last_over_time((last_over_time(m[1m]) > 1)[59s999ms:1m] offset 15m)`)
	f(`{alert: A, expr: m > 1, consecutive: 1, missing_after: 15m, phase: 10s}`, `last_over_time((last_over_time(m[1m] offset -10s) > 1)[59s999ms:1m] offset 15m10s)`)
	f(`{alert: A, expr: m > 1, consecutive: 1, phase: 10s}`, `last_over_time((last_over_time(m[1m] offset -10s) > 1)[59s999ms:1m] offset 10s)`)
}

func TestScalarIsRefused(t *testing.T) {
	_, err := Expr(parseRule(t, "1m", `{alert: A, expr: 1 > bool 0, consecutive: 1}`))
	if err == nil || !strings.Contains(err.Error(), "vector(") {
		t.Fatalf("err = %v", err)
	}
}

func TestWrite(t *testing.T) {
	const in = `
groups:
- name: g
  interval: 1m
  rules:
  - alert: A
    expr: |
      m
        >= 90
    consecutive: 2
    resolve_after: 3
    labels: {severity: high}
    annotations: {summary: "{{ $value }}"}
    contract: {row: r, literal: "连续二次>=90"}
  - {alert: Late, expr: m != 0, consecutive: 1, missing: breach, missing_after: 15m}
  - {alert: Plain, expr: up == 0, for: 5m}
`
	const want = `groups:
  - name: g
    interval: 1m
    rules:
      # r: 2 in a row of checks every 1m of: m >= 90
      # gaps: a run goes on over up to 2 missing checks with us; here one missing check breaks it
      # resolve_after: keep_firing_for stands for 3 good checks; a breach between them that completes no new run does not start them anew here
      - alert: A
        expr: last_over_time((last_over_time(m[1m]) >= 90)[59s999ms:1m]) and count_over_time((last_over_time(m[1m]) >= 90)[1m59s999ms:1m]) == 2
        keep_firing_for: 2m
        labels:
          severity: high
        annotations:
          contract_literal: 连续二次>=90
          contract_row: r
          summary: '{{ $value }}'
      # g/Late: 1 in a row of checks every 1m of: m != 0
      # late data: every check is looked at 15m after its time; ours is judged on arrival and can change for 30m
      # no data: a check without a sample counts as a breach with us; here it does not
      # NaN: a NaN is no value with us; here != is true of it
      - alert: Late
        expr: last_over_time((last_over_time(m[1m]) != 0)[59s999ms:1m] offset 15m)
      - alert: Plain
        expr: up == 0
        for: 5m
`
	gs, err := ruleset.Parse("g.yml", []byte(in))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := Write(&b, VMAlert, gs); err != nil {
		t.Fatal(err)
	}
	_, got, _ := strings.Cut(b.String(), "groups:")
	if d := cmp.Diff(want, "groups:"+got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

func TestShippedPackIsARuleFile(t *testing.T) {
	groups := shipped(t)
	rules := 0
	for _, g := range groups {
		rules += len(g.Rules)
	}
	for _, target := range Targets() {
		var b bytes.Buffer
		if err := Write(&b, target, groups); err != nil {
			t.Fatal(err)
		}
		parsed, errs := rulefmt.Parse(b.Bytes(), false, model.UTF8Validation, promParser, slog.New(slog.DiscardHandler))
		if len(errs) > 0 {
			t.Fatalf("%s: %v", target, errs)
		}
		got := 0
		for _, g := range parsed.Groups {
			got += len(g.Rules)
			if g.QueryOffset != nil {
				t.Errorf("%s: group %s has a field that older versions of promtool refuse", target, g.Name)
			}
		}
		if got != rules || rules < 90 {
			t.Errorf("%s: %d rules written, %d read", target, rules, got)
		}
	}
}

func TestGroupNamesAreUnique(t *testing.T) {
	a := parseRule(t, "1m", `{alert: A, expr: m > 1, consecutive: 1}`)
	var b bytes.Buffer
	err := Write(&b, Prometheus, []ruleset.Group{
		{File: "x/one.yml", Name: "g", Interval: time.Minute, Rules: []*ruleset.Rule{a}},
		{File: "x/two.yml", Name: "g", Interval: time.Minute, Rules: []*ruleset.Rule{a}},
		{File: "y/two.yml", Name: "g", Interval: time.Minute, Rules: []*ruleset.Rule{a}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, l := range strings.Split(b.String(), "\n") {
		if n, ok := strings.CutPrefix(l, "  - name: "); ok {
			names = append(names, n)
		}
	}
	if d := cmp.Diff([]string{"g", "two-g", "g-2"}, names); d != "" {
		t.Error(d)
	}
}
