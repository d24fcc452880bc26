package lint

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/prometheus/prometheus/promql/parser"

	"watchkeeper/internal/property"
	"watchkeeper/ruleset"
	"watchkeeper/ruleset/contract"
)

// whole is a rule without a mistake, up to its expression.
const whole = `{alert: A%d, expr: '%s', consecutive: 3, labels: {severity: %s}, annotations: {summary: s, runbook_url: u}}`

func parse(t *testing.T, file string, rules ...string) []ruleset.Group {
	t.Helper()
	gs, err := ruleset.Parse(file, []byte("groups: [{name: g, interval: 1m, rules: ["+strings.Join(rules, ", ")+"]}]"))
	if err != nil {
		t.Fatal(err)
	}
	return gs
}

func codes(fs []Finding) []string {
	var out []string
	for _, f := range fs {
		out = append(out, string(f.Severity)+" "+f.Code)
	}
	return out
}

func TestExpressions(t *testing.T) {
	f := func(expr string, want ...string) {
		t.Helper()
		got := codes(Check(Config{}, parse(t, "own.yml", fmt.Sprintf(whole, 0, expr, "high"))))
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: (-want +got)\n%s", expr, d)
		}
	}
	f("host_cpu_used_percent >= 90")
	f("host_cpu_used_percent > 100", "error impossible")
	f("101 <= host_cpu_used_percent", "error impossible")
	f("host_cpu_used_percent >= 0", "error always-true")
	f("mysql_replica_lag_seconds >= 0", "error always-true")
	f("mysql_replica_lag_seconds < 0", "error impossible")
	f("host_uptime_seconds - 600 < 0")
	f("host_uptime_seconds + 600 < 0", "error impossible")
	f("-resets(nginx_connections_accepted_total[1h]) > 0", "error impossible")
	f("increase(phpfpm_max_children_reached_total[5m]) > 0")
	f("100 * java_heap_used_bytes / java_heap_max_bytes >= 80")
	f("100 * java_heap_used_bytes / java_heap_max_bytes > -1", "error always-true")
	f("aliyun_elasticsearch_snapshot_status < 0")
	f("host_load5 >= 5 and host_load5 < 3", "error impossible")
	f("host_load5 >= 5 and host_load5 < 30")
	f(`host_load5{instance="a"} >= 5 and host_load5{instance="b"} < 3`)
	f("host_load5 >= 5 unless host_load5 > 4", "error impossible")
	f("host_load5 >= 5 unless host_load5 > 8")
	f("host_load5 >= 5 or host_load5 < 6", "error always-true")
	f("host_load5 > 6 or host_load5 < 5")
	f("host_load5 == 5 and host_load5 != 5", "error impossible")
	f("host_load5 > NaN", "error impossible")
	f("NaN <= host_load5", "error impossible")
	f("host_load5 == NaN", "error impossible")
	f("host_load5 > 0/0", "error impossible")
	f("host_load5 != NaN", "error always-true")
	f("host_load5 > NaN or host_load5 > 5", "error impossible")
	f("host_load5 > 3 unless host_load5 > NaN", "error impossible")
	f("host_load5 > 3 and host_load5 != NaN", "error always-true")
	f("host_load5 * NaN > 5", "error impossible")
	f("(host_load5 + NaN) / 2 != 5", "error always-true")
	f("sum by (customer) (host_load5 > bool NaN) >= 2", "error impossible")
	f("sum by (customer) (host_cpu_used_percent <= bool 100) >= 2", "error always-true")
	f("sum by (customer) (host_cpu_used_percent > bool 90) >= 2")
	f("(host_load5 > bool 5) == 2", "error impossible")
	f("host_load5 > Inf", "error impossible")
	f("host_load5 >= Inf", "error impossible")
	f("host_load5 == Inf", "error impossible")
	f("host_load5 == -Inf", "error impossible")
	f("host_load5 < -Inf", "error impossible")
	f("host_load5 < Inf", "error always-true")
	f("host_load5 <= +Inf", "error always-true")
	f("host_load5 != Inf", "error always-true")
	f("host_load5 > -Inf", "error always-true")
	f("-host_load5 > -Inf", "error always-true")
	f("host_load5 > 1/0", "error impossible")
	f("host_load5 + Inf < 5", "error impossible")
	f("host_uptime_seconds - Inf < 5")
	f("host_load5 / host_load1 < Inf") // division by 0
	f("host_load5 / host_load1 == Inf")
	f("host_load5 / host_load1 > Inf", "error impossible")
	f("no_such_thing < Inf", "warning unknown-metric") // whether its values are finite is not known
	f("no_such_thing >= Inf", "warning unknown-metric")
	f("no_such_thing != -Inf", "warning unknown-metric")
	f("no_such_thing > Inf", "error impossible", "warning unknown-metric")
	f("no_such_thing >= -Inf", "error always-true", "warning unknown-metric")
	f("no_such_thing > NaN", "error impossible", "warning unknown-metric")
	f("aliyun_elasticsearch_snapshot_status > -Inf", "error always-true")
	f("host_cpu_used_percent > 2^7", "error impossible")
	f("host_load5 > host_load5", "error impossible")
	f("host_load5 != (host_load5)", "error impossible") // NaN counts as missing
	f("host_load5 >= host_load5", "error always-true")
	f("host_load5 > host_load5 offset 1h")
	f("host_load5 > on (customer, instance) host_load5")
	f("no_such_thing > 5", "warning unknown-metric")
	f("host_memory_used_bytes > host_memory_used_percent", "error unit-mismatch")
	f("host_memory_used_bytes - host_memory_used_percent > 5", "error unit-mismatch")
	f("rabbitmq_disk_free_bytes - rabbitmq_disk_free_limit_bytes < 0")
	f("time() - host_boot_time_seconds > 5")
	f("sum by (region) (host_processes) > 5", "error customer-lost")
	f("sum without (instance) (host_processes) > 5")
	f("count(host_processes > 5) > 1", "error customer-lost", "warning no-good-reading")
	f("count by (customer) (host_processes > 5) > 1", "warning no-good-reading")
	f("sum by (customer) (host_processes > bool 5) > 1")
	f("host_processes > on (instance) host_processes_running", "error customer-lost")
	f("host_processes > on (customer, instance) host_processes_running")
	f("host_processes > 5 unless on (instance) host_ecs_info")
	f(`absent(host_info{customer="a"})`, "warning no-good-reading")
	f("absent(host_info)", "error customer-lost", "warning no-good-reading")
}

// Rules of Prometheus's own meaning see NaN: x != x finds it.
func TestNaNOfAPlainRule(t *testing.T) {
	f := func(expr string, want ...string) {
		t.Helper()
		got := Check(Config{}, parse(t, "own.yml", strings.Replace(fmt.Sprintf(whole, 0, expr, "high"), "consecutive: 3", "for: 3m", 1)))
		if d := cmp.Diff(want, codes(got)); d != "" {
			t.Errorf("%s: (-want +got)\n%s", expr, d)
		}
		if len(got) > 0 && !strings.Contains(got[0].Fix, "x != x") {
			t.Errorf("%s: %+v", expr, got[0])
		}
	}
	f("host_load5 != host_load5")
	f("host_load5 == host_load5")
	f("host_load5 == NaN", "error impossible")
	f("host_load5 != NaN", "error always-true")
}

func TestTexts(t *testing.T) {
	got := Check(Config{}, parse(t, "own.yml", `{alert: A, expr: host_processes > 5, consecutive: 1}`, `{alert: B, expr: host_processes > 6, consecutive: 1, labels: {severity: page}, annotations: {summary: s, runbook_url: u}}`))
	if d := cmp.Diff([]string{"warning no-runbook", "error no-severity", "warning no-summary", "warning unknown-severity"}, codes(got)); d != "" {
		t.Error(d)
	}
	if got[1].File != "own.yml" || got[1].Line != 1 || got[1].Rule != "g/A" || got[1].Fix == "" {
		t.Errorf("%+v", got[1])
	}
}

func TestPairs(t *testing.T) {
	f := func(a, severityA, b, severityB string, want ...string) {
		t.Helper()
		got := codes(Check(Config{}, parse(t, "own.yml", fmt.Sprintf(whole, 1, a, severityA), fmt.Sprintf(whole, 2, b, severityB))))
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s and %s: (-want +got)\n%s", a, b, d)
		}
	}
	const guard = " unless on (customer, instance) host_ecs_info"
	f("host_load5 >= 5", "high", "host_load5 >= 8", "warning", "error severity-inverted")
	f("host_load5 >= 8", "warning", "host_load5 >= 5", "high", "error severity-inverted")
	f("host_load5 >= 5", "warning", "host_load5 >= 8", "high")
	f("host_load5 >= 5", "high", "5 <= host_load5", "high", "warning duplicate")
	f("host_load5 >= 5"+guard, "high", "host_load5 >= 8"+guard, "warning", "error severity-inverted")
	f("host_load5 >= 5", "high", "host_load5 >= 8"+guard, "warning")
	f(`host_load5{instance="a"} >= 5`, "high", "host_load5 >= 8", "warning")
	f("host_load5 < 5 and host_load1 < 5", "average", "host_load5 < 8 and host_load1 < 8", "high", "error severity-inverted")
}

func TestSlowSources(t *testing.T) {
	f := func(period time.Duration, rule string, want ...string) {
		t.Helper()
		cfg := Config{Period: func(m string) (Period, bool) { return Period{period, "the host of acme"}, m == "host_load5" }}
		rule = strings.Replace(rule, "{", "{alert: A, expr: host_load5 > 5 unless on (customer) host_info, labels: {severity: high}, annotations: {summary: s, runbook_url: u}, ", 1)
		if d := cmp.Diff(want, codes(Check(cfg, parse(t, "own.yml", rule)))); d != "" {
			t.Errorf("%s %s: (-want +got)\n%s", period, rule, d)
		}
	}
	f(time.Minute, "{consecutive: 3}")
	f(3*time.Minute, "{consecutive: 3}")
	f(4*time.Minute, "{consecutive: 3}", "error slow-source")
	f(4*time.Minute, "{consecutive: 1}")
	f(2*time.Minute, "{consecutive: 3, missing: reset}", "error slow-source")
	f(2*time.Minute, "{consecutive: 3, missing: breach}", "error slow-source")
	f(6*time.Minute, "{consecutive: 1}", "warning slow-source")
	f(time.Hour, "{consecutive: 3, lookback: {host_load5: 2h}}")
}

func shipped(t *testing.T, literal ...string) []ruleset.Group {
	t.Helper()
	files, err := contract.Pack(literal...)
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

// The shipped pack has no finding at all; what would be one is a deviation.
func TestShippedPackIsClean(t *testing.T) {
	for _, f := range Check(Config{Shipped: func(string) bool { return true }}, shipped(t)) {
		t.Errorf("%+v", f)
	}
}

func TestLiteralReplicaLagIsAlwaysTrue(t *testing.T) {
	got := Check(Config{}, shipped(t, "mysql-replica-lag"))
	if len(got) != 1 || got[0].Rule != "mysql-replica-lag" || got[0].Code != CodeAlwaysTrue || Errors(got) != 1 {
		t.Fatalf("%+v", got)
	}
}

func TestUnknownMetricNamesANearOne(t *testing.T) {
	f := func(metric, want string) {
		t.Helper()
		got := Check(Config{}, parse(t, "own.yml", fmt.Sprintf(whole, 0, metric+" > 5", "high")))
		if len(got) != 1 || got[0].Code != CodeUnknownMetric || !strings.HasPrefix(got[0].Fix, want) {
			t.Errorf("%s: %+v, want %q", metric, got, want)
		}
	}
	f("host_cpu_used_procent", "host_cpu_used_percent is delivered: ")
	f("host_laod5", "host_load5 is delivered: ")
	f("queue_length", "check the spelling")
	f("shop_orders_total", "check the spelling")
}

func TestUnknownMetricOfAShippedFileIsAnError(t *testing.T) {
	gs := parse(t, "contract/x.yml", fmt.Sprintf(whole, 0, "aliyun_x > 5", "high"))
	cfg := Config{Shipped: func(f string) bool { return strings.HasPrefix(f, "contract/") }}
	if d := cmp.Diff([]string{"error unknown-metric"}, codes(Check(cfg, gs))); d != "" {
		t.Error(d)
	}
	cfg.Delivered = func(m string) bool { return m == "aliyun_x" }
	if got := Check(cfg, gs); len(got) > 0 {
		t.Errorf("%+v", got)
	}
}

// A set and its complement share no number and leave none out.
func TestSetAlgebra(t *testing.T) {
	ops := []parser.ItemType{parser.LSS, parser.LTE, parser.GTR, parser.GTE, parser.EQLC, parser.NEQ}
	constants := []float64{math.Inf(-1), -2, -1, 0, math.Copysign(0, -1), 1, 2, math.Inf(1), math.NaN()}
	samples := []float64{math.Inf(-1), -2.5, -2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2, 2.5, math.Inf(1)}
	holds := func(s set, v float64) bool {
		return slices.ContainsFunc(s, func(i interval) bool { return !i.intersect(interval{lo: v, hi: v}).empty() })
	}
	compare := func(op parser.ItemType, v, c float64) bool {
		return map[parser.ItemType]bool{parser.LSS: v < c, parser.LTE: v <= c, parser.GTR: v > c, parser.GTE: v >= c, parser.EQLC: v == c, parser.NEQ: v != c}[op]
	}
	type comparison struct {
		op parser.ItemType
		c  float64
	}
	// draw returns values that all of some comparisons let pass.
	draw := func(t *rapid.T, name string) ([]comparison, set) {
		var cs []comparison
		s := set{everything}
		for range rapid.IntRange(1, 3).Draw(t, "comparisons of "+name) {
			c := comparison{rapid.SampledFrom(ops).Draw(t, "op"), rapid.SampledFrom(constants).Draw(t, "constant")}
			cs, s = append(cs, c), s.intersect(values(c.op, c.c))
		}
		return cs, s
	}
	passes := func(cs []comparison, v float64) bool {
		return !slices.ContainsFunc(cs, func(c comparison) bool { return !compare(c.op, v, c.c) })
	}
	property.Check(t, func(t *rapid.T) {
		a, setA := draw(t, "a")
		b, setB := draw(t, "b")
		both, without := setA.intersect(setB), setA.complement()
		within := true
		for _, v := range samples {
			inA, inB := passes(a, v), passes(b, v)
			if holds(setA, v) != inA || holds(both, v) != (inA && inB) || holds(without, v) == inA {
				t.Fatalf("%v, %v at %g: %v, both %v, without %v", a, b, v, setA, both, without)
			}
			within = within && (!inA || inB)
		}
		if got := setA.within(setB); got != within {
			t.Fatalf("%v within %v: %v", setA, setB, got)
		}
		if same := fmt.Sprint(setA) == fmt.Sprint(setB); same != (setA.within(setB) && setB.within(setA)) {
			t.Fatalf("%v and %v have one text: %v", setA, setB, same)
		}
	})
}

// Two files may hold the same group and alert; the engine would load neither.
func TestSameIDInTwoFiles(t *testing.T) {
	var groups []ruleset.Group
	for _, f := range []struct{ name, limits string }{{"a.yml", "5, consecutive: 3"}, {"b.yml", "8, consecutive: 3"}, {"c.yml", "9, for: 3m"}, {"d.yml", "9, for: 3m"}} {
		gs, err := ruleset.Parse(f.name, []byte("groups: [{name: g, interval: 1m, rules: [{alert: A, expr: host_load5 >= "+f.limits+"}]}]"))
		if err != nil {
			t.Fatal(err)
		}
		groups = append(groups, gs...)
	}
	var got []string
	for _, x := range Check(Config{}, groups) {
		if x.Code == CodeSameID {
			got = append(got, fmt.Sprintf("%s:%d %s: %s", x.File, x.Line, x.Severity, x.Message))
		}
	}
	if d := cmp.Diff([]string{"b.yml:1 error: the rule at a.yml:1 has the same id: the server takes neither"}, got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}
