package ruleset

import (
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/google/go-cmp/cmp"
)

const goodFile = `groups:
- name: ecs
  interval: 1m
  labels: {team: ops, severity: low}
  rules:
  - alert: ECSCPUUtilizationHigh
    expr: aliyun_ecs_cpu_utilization_percent >= 90
    consecutive: 3
    labels: {severity: average}
    annotations: {summary: "{{ $value }}"}
    contract: {row: ecs-cpu, literal: "每分钟检测一次, 连续三次>=90%", deviation: {expr: x >= 0, reason: because}}
  - {alert: Plain, expr: up == 0, for: 2m}
  - {record: job:up, expr: sum(up)}
`

func TestParseDefaults(t *testing.T) {
	groups, err := Parse("ecs.yml", []byte(goodFile))
	if err != nil {
		t.Fatal(err)
	}
	r := groups[0].Rules[0]
	type fields struct {
		ID, Severity                       string
		Interval, Phase, Lateness, Missing time.Duration
		Hold                               Missing
		Consecutive, MaxGap, Resolve       int
		NoData, Members, Line              int
	}
	got := fields{r.ID(), r.Severity(), r.Interval, r.Phase, r.Lateness, r.MissingAfter, r.Missing, r.Consecutive, r.MaxGap, r.ResolveAfter, r.NoDataAfter, r.MinMembers, r.Line}
	want := fields{"ecs-cpu", "average", time.Minute, 0, 30 * time.Minute, time.Minute, MissingHold, 3, 2, 1, 5, 1, 6}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if r.Labels.Get("team") != "ops" || !groups[0].Rules[1].Plain || groups[0].Rules[1].For != 2*time.Minute {
		t.Errorf("labels %s, plain %v", r.Labels, groups[0].Rules[1])
	}
	w := newWorld()
	if _, err := w.engine(groups); err == nil || !strings.Contains(err.Error(), `ecs.yml:12: rule group "ecs": rule "Plain": has no field consecutive`) {
		t.Errorf("a plain rule: %v", err)
	}
}

func TestParseErrors(t *testing.T) {
	f := func(rule, want string) {
		t.Helper()
		_, err := Parse("bad.yml", []byte("groups:\n- name: g\n  interval: 1m\n  rules:\n  - {alert: A, "+rule+"}\n"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", rule, err, want)
		}
	}
	const quotes = `put quotes round it, expr: '…'`
	f(`expr: x{job="a"} > 1, consecutive: 1`, `rule file bad.yml: line 5: the expression has characters of YAML in it: `+quotes)
	f("expr: rate(x[5m]) > 1, consecutive: 1", `rule file bad.yml: line 5: the expression has characters of YAML in it: `+quotes)
	f("expr: sum by (a, b) (x) > 1, consecutive: 1", `bad.yml:5: groups[0].rules[0]: unknown field "b) (x) > 1"; if it is part of an expression, `+quotes)
	f("expr: 'x > 1, consecutive: 1", `rule file bad.yml: yaml: `)
	for _, expr := range []string{`{job="a"} > 1`, "a: b > 1"} {
		_, err := Parse("bad.yml", []byte("groups:\n- name: g\n  rules:\n  - alert: A\n    expr: "+expr+"\n    consecutive: 1\n"))
		if err == nil || !strings.Contains(err.Error(), "rule file bad.yml: line 5: the expression has characters of YAML in it: "+quotes) {
			t.Errorf("%s: %v", expr, err)
		}
	}
	_, err := Parse("x.txtar", []byte("# A script.\n-- rules.yml --\ngroups: []\n-- timeline --\nload 1m\n"))
	if err == nil || err.Error() != "x.txtar is a timeline script, not a rule file: run it with 'watchkeeper rules test x.txtar'" {
		t.Errorf("%v", err)
	}
	f("expr: x > 1, consecutve: 3", `bad.yml:5: groups[0].rules[0]: unknown field "consecutve"`)
	f("expr: "+strings.Repeat("-", maxExprBytes)+"x, consecutive: 1", `bad.yml:5: groups[0].rules[0].expr: longer than 16384 bytes`)
	f("expr: x > 1, consecutive: 0", `bad.yml:5: groups[0].rules[0].consecutive: must be 1 to 10000, not 0`)
	f("expr: x > 1, consecutive: three", `groups[0].rules[0]: line 5: cannot unmarshal`)
	f("expr: x > 1, consecutive: 1, lateness: soon", `bad.yml:5: groups[0].rules[0]: `)
	f("expr: x > 1, consecutive: 1, lateness: 1m, missing_after: 2m", `groups[0].rules[0].missing_after: must not be longer than lateness`)
	f("expr: x > 1, consecutive: 1, missing: ignore", `groups[0].rules[0].missing: must be hold, reset or breach, not "ignore"`)
	f("expr: x > 1, consecutive: 1, for: 2m", `groups[0].rules[0].for: counts time`)
	f("expr: x > 1, max_gap: 1", `groups[0].rules[0].max_gap: needs the field consecutive beside it`)
	f("expr: x >, consecutive: 1", `groups[0].rules[0].expr: `)
	f(`expr: '{job="x"} > 1', consecutive: 1`, `must name its metric`)
	f("expr: 'x[5m]', consecutive: 1", `is a range vector, not an instant vector`)
	f("expr: x > 1, consecutive: 1, lookback: {y: 2h}", `lookback: expr does not read metric "y"`)
	f("expr: x > 1, consecutive: 1, lookback: {x: 2d}", `lookback: of metric "x" must not be longer than 1d2h: after a start`)
	f("expr: x > 1, consecutive: 1, contract: {row: a, txt: b}", `bad.yml:5: groups[0].rules[0].contract: unknown field "txt"`)
	f("expr: x > 1, consecutive: 1, contract: {row: a, deviation: {expr: y}}", `deviation.reason must not be empty`)
	f("expr: x > 1, consecutive: 1, phase: 1m", `phase: must be shorter than the interval`)
	_, err = Parse("twice.yml", []byte("groups: [{name: g, interval: 1m, rules: [{alert: A, expr: x > 1, consecutive: 1}, {alert: A, expr: x > 2, consecutive: 1}]}]"))
	if err == nil || !strings.Contains(err.Error(), "the same id as the rule in line 1") {
		t.Errorf("an id twice: %v", err)
	}
}

func TestMode(t *testing.T) {
	f := func(expr string, mode Mode, why string) {
		t.Helper()
		groups, err := Parse("m.yml", []byte("groups: [{name: g, interval: 1m, rules: [{alert: A, expr: '"+expr+"', consecutive: 1}]}]"))
		if err != nil {
			t.Error(err)
			return
		}
		if m, w := groups[0].Rules[0].Mode(); m != mode || w != why {
			t.Errorf("%s: %s %q, want %s %q", expr, m, w, mode, why)
		}
	}
	f("x >= 90", ModeStreaming, "")
	f("90 <= -x offset 5m", ModeStreaming, "")
	f("x < 5 and y < 6 unless on(i) z == 1", ModeStreaming, "")
	f("x / on(i) group_left y > 1", ModeStreaming, "")
	f("sum by (a) (x) > 1", ModeStreaming, "")
	f("count by (a) (x != 0) / count without (b, c) (y offset 1m) >= bool 0.5", ModeStreaming, "")
	f("max by (a) (-rate(x[5m]) * 60) - y > 1", ModeStreaming, "")
	f("resets(x[1h] offset 5m) + quantile_over_time(0.9, y[16m]) > 1 unless on(i) max_over_time(z[3m]) > 0", ModeStreaming, "")
	f("x / on(i, j) group_left sum by (i) (y) > 1", ModeStreaming, "")
	f("sum(x + y) > 1", ModeEvaluated, "aggregation sum over more than one selector")
	f("max(sum by (a) (x)) > 1", ModeEvaluated, "aggregation max over more than one selector")
	f("topk(1, x) > 1", ModeEvaluated, "aggregation topk is not a streaming operator")
	f("x / on(i) group_left sum by (i, j) (y) > 1", ModeEvaluated, "an aggregation matched on fewer labels than it keeps")
	f("rate(x[30s]) > 1", ModeEvaluated, "a window shorter than the check interval: rate(x[30s])")
	f("rate(x[65m]) > 1", ModeEvaluated, "a window of more than 64 checks: rate(x[1h5m])")
	f("max_over_time(x[5m:1m]) > 1", ModeEvaluated, "max_over_time() over a subquery")
	f("absent(x)", ModeEvaluated, "absent() is not a streaming operator")
	f("rate(x[5m] @ 0) > 1", ModeEvaluated, "a selector with @")
	f("x or on(i) y", ModeEvaluated, "or with on or ignoring")
	f("(x and y) / on(i) z > 1", ModeEvaluated, "a vector match below on, ignoring or grouping")
}

// The limits on identities bite, and say so.
func TestLimits(t *testing.T) {
	w := newWorld()
	groups, err := Parse("l.yml", []byte("groups: [{name: g, interval: 1m, rules: [{alert: A, expr: x > 1, consecutive: 1}]}]"))
	if err != nil {
		t.Fatal(err)
	}
	cfg := DefaultConfig()
	cfg.MaxSeriesPerRule = 2
	set := metrics.NewSet()
	e, err := New(cfg, groups, w.store, w, w, set, discard())
	if err != nil {
		t.Fatal(err)
	}
	now := timelineStart.Add(time.Minute)
	b := batchOf("x", now.UnixMilli(), "a", "b", "c")
	if err := e.Ingest(t.Context(), w.accept(b, now.UnixMilli()), now); err != nil {
		t.Fatal(err)
	}
	if got := e.Rules()[0].Series; got != 2 {
		t.Errorf("%d identities, want 2", got)
	}
	if diff := cmp.Diff(map[Refusal]int{{Limit: "rule"}: 1}, e.Refused()); diff != "" {
		t.Errorf("refused (-want +got):\n%s", diff)
	}
	if got := set.GetOrCreateCounter(`watchkeeper_ruleset_identities_refused_total{limit="rule"}`).Get(); got != 1 {
		t.Errorf("%d refused, want 1", got)
	}
	if got := len(e.Alerts()); got != 2 {
		t.Errorf("%d alerts, want 2", got)
	}
}

// Where a limit bites already, the series by which the server tells of it are judged all
// the same; what merely reads one of them beside others is not.
func TestLimitsThatBiteAreTold(t *testing.T) {
	w := newWorld()
	groups, err := Parse("l.yml", []byte(`groups: [{name: g, interval: 1m, rules: [
		{alert: A, expr: x > 1, consecutive: 1},
		{alert: Bites, expr: watchkeeper_judging_refused > 0, consecutive: 1},
		{alert: Evaluated, expr: abs(watchkeeper_judging_refused) > 0, consecutive: 1},
		{alert: Both, expr: watchkeeper_judging_refused > 0 or x > 1, consecutive: 1}]}]`))
	if err != nil {
		t.Fatal(err)
	}
	cfg := DefaultConfig()
	cfg.MaxSeriesPerRule, cfg.MaxSeriesPerCustomer = 2, 2
	e, err := New(cfg, groups, w.store, w, w, metrics.NewSet(), discard())
	if err != nil {
		t.Fatal(err)
	}
	now := timelineStart.Add(time.Minute)
	for _, metric := range []string{"x", "watchkeeper_judging_refused"} {
		b := batchOf(metric, now.UnixMilli(), "a", "b", "c")
		if err := e.Ingest(t.Context(), w.accept(b, now.UnixMilli()), now); err != nil {
			t.Fatal(err)
		}
	}
	fires := map[string]int{}
	for _, a := range e.Alerts() {
		fires[a.Rule.Alert]++
	}
	if diff := cmp.Diff(map[string]int{"A": 1, "Both": 1, "Bites": 3, "Evaluated": 3}, fires); diff != "" {
		t.Errorf("alerts (-want +got):\n%s", diff)
	}
}
