package coverage

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"watchkeeper/internal/journal"
	"watchkeeper/ruleset"
	"watchkeeper/ruleset/contract"
	"watchkeeper/ruleset/override"
)

var now = time.Date(2026, 11, 10, 12, 0, 30, 0, time.UTC)

// pack returns the contract's rule groups.
func pack(t *testing.T) []ruleset.Group {
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

// store fills a store in a test's words.
type store struct {
	*ruleset.Memory
	ends []journal.Record
}

func (s *store) Record(context.Context, ...journal.Record) error { return nil }

func (s *store) Each(f func(journal.Record) error) error {
	for _, r := range s.ends {
		if err := f(r); err != nil {
			return err
		}
	}
	return nil
}

func newStore() *store { return &store{Memory: ruleset.NewMemory()} }

// series appends samples every step from a time before now to another.
func (s *store) series(v float64, from, to, step time.Duration, kv ...string) {
	l := labels.FromStrings(append([]string{"customer", "acme"}, kv...)...)
	for d := from; d >= to; d -= step {
		s.Append(l, now.Add(-d).Truncate(time.Minute).UnixMilli(), v)
	}
}

// live is a series with a sample every minute until now.
func (s *store) live(v float64, kv ...string) { s.series(v, 30*time.Minute, 0, time.Minute, kv...) }

func compute(t *testing.T, s *store, groups []ruleset.Group, applied []override.Applied) *Report {
	t.Helper()
	r, err := Compute(t.Context(), DefaultConfig(), s, s, groups, applied, nil, now)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// lines prints a report's entries, those asked for.
func lines(r *Report, instance string) string {
	var b strings.Builder
	for _, e := range r.Entries {
		if e.Instance != instance {
			continue
		}
		fmt.Fprintf(&b, "%s %s", e.Row, e.Status)
		if e.Verdict != "" {
			fmt.Fprintf(&b, " %s", e.Verdict)
		}
		if e.Reason != "" {
			fmt.Fprintf(&b, ": %s", e.Reason)
		}
		b.WriteString("\n")
	}
	return b.String()
}

func want(t *testing.T, r *Report, instance, text string) {
	t.Helper()
	if d := cmp.Diff(strings.TrimLeft(text, "\n"), lines(r, instance)); d != "" {
		t.Errorf("%s (-want +got)\n%s", instance, d)
	}
}

func TestECSInstances(t *testing.T) {
	s := newStore()
	base := func(instance string) []string {
		return []string{"product", "ecs", "region", "cn", "instance", instance}
	}
	with := func(kv []string, more ...string) []string { return append(append([]string{}, kv...), more...) }
	for _, i := range []string{"i-ok", "i-windows", "i-stopped", "i-bare"} {
		running := 1.0
		if i == "i-stopped" {
			running = 0
		}
		os := "linux"
		if i == "i-windows" {
			os = "Windows Server"
		}
		s.live(1, with(base(i), "__name__", "aliyun_ecs_info", "os", os)...)
		s.live(running, with(base(i), "__name__", "aliyun_ecs_running")...)
	}
	for _, i := range []string{"i-ok", "i-windows"} {
		s.live(95, with(base(i), "__name__", "aliyun_ecs_cpu_utilization_percent")...)
		s.live(50, with(base(i), "__name__", "aliyun_ecs_disk_utilization_percent", "mountpoint", "/")...)
		s.live(50, with(base(i), "__name__", "aliyun_ecs_disk_utilization_percent", "mountpoint", "/data")...)
		s.live(50, with(base(i), "__name__", "aliyun_ecs_memory_utilization_percent")...)
	}
	s.series(50, 10*time.Hour, 3*time.Hour, time.Minute, with(base("i-ok"), "__name__", "aliyun_ecs_iowait_percent")...)
	s.series(50, 10*time.Hour, 0, 10*time.Minute, with(base("i-ok"), "__name__", "aliyun_ecs_inode_utilization_percent", "mountpoint", "/")...)
	// Released three hours ago: the inventory lists others, but not it.
	s.series(1, 10*time.Hour, 3*time.Hour, time.Minute, with(base("i-gone"), "__name__", "aliyun_ecs_info", "os", "linux")...)

	r := compute(t, s, pack(t), nil)
	want(t, r, "i-ok", `
ecs-cpu watched breach
ecs-disk watched good
ecs-memory watched good
ecs-iowait hole: silent for 3h30s
ecs-inode sparse good: a sample every 10m; a run bridges 3m
`)
	want(t, r, "i-windows", `
ecs-cpu watched breach
ecs-disk watched good
ecs-memory watched good
ecs-iowait not_applicable: Windows has no such value
ecs-inode not_applicable: Windows has no such value
`)
	if got := lines(r, "i-stopped"); strings.Count(got, "not_applicable: the instance is not running\n") != 5 {
		t.Error(got)
	}
	want(t, r, "i-bare", `
ecs-cpu hole: never seen: nothing delivers aliyun_ecs_cpu_utilization_percent
ecs-disk hole: never seen: nothing delivers aliyun_ecs_disk_utilization_percent
ecs-memory hole: never seen: nothing delivers aliyun_ecs_memory_utilization_percent
ecs-iowait hole: never seen: nothing delivers aliyun_ecs_iowait_percent
ecs-inode hole: never seen: nothing delivers aliyun_ecs_inode_utilization_percent
`)
	want(t, r, "i-gone", "")
	if r.Holes() != 6 || r.Resources != 4 || r.Totals[Watched] != 6 || r.Entries[0].Customer != "acme" {
		t.Errorf("%+v", r.Totals)
	}
	for _, e := range r.Entries {
		if e.Instance == "i-ok" && e.Row == "ecs-disk" && (e.Series != 2 || e.Rule != "ecs-disk" || !e.LastSample.Equal(now.Truncate(time.Minute))) {
			t.Errorf("%+v", e)
		}
	}
}

func TestHostsAndReplicas(t *testing.T) {
	s := newStore()
	for _, i := range []string{"own", "cloud"} {
		for metric, v := range map[string]float64{
			"host_memory_used_percent": 50, "host_memory_available_bytes": 1e9, "host_load1_per_core": 1, "host_cpu_used_percent": 99, "host_cpu_iowait_percent": 1, "host_uptime_seconds": 1e6,
		} {
			s.live(v, "__name__", metric, "product", "host", "instance", i)
		}
		for metric, v := range map[string]float64{"host_filesystem_available_percent": 50, "host_filesystem_available_bytes": 1e9} {
			s.live(v, "__name__", metric, "product", "host", "instance", i, "mountpoint", "/")
		}
	}
	s.live(1, "__name__", "host_ecs_info", "product", "host", "instance", "cloud", "instance_id", "i-1")
	// Replication of db broke off an hour ago; solo never was a replica.
	s.series(0, 5*time.Hour, time.Hour, time.Minute, "__name__", "mysql_replica_lag_seconds", "product", "mysql", "instance", "db")
	s.live(0, "__name__", "mysql_replica_running", "product", "mysql", "instance", "db")
	s.live(1, "__name__", "mysql_info", "product", "mysql", "instance", "solo")
	r := compute(t, s, pack(t), nil)
	want(t, r, "own", `
host-memory watched good
host-memory-available watched good
host-load watched good
host-cpu watched breach
host-iowait watched good
host-restarted watched good
host-fs-5 watched good
host-fs-10 watched good
host-inode not_applicable: no file system that counts inodes
`)
	if got := lines(r, "cloud"); strings.Count(got, "the host is an ECS instance") != 6 || strings.Count(got, "watched") != 3 {
		t.Error(got)
	}
	want(t, r, "db", "mysql-replica-lag hole: silent for 1h30s\nmysql-replica-broken watched breach\n")
	want(t, r, "solo", "mysql-replica-lag not_applicable: not a replica: it reports no lag\nmysql-replica-broken not_applicable: not a replica\n")
}

func TestEndedSeriesAreNoResources(t *testing.T) {
	s := newStore()
	pod := []string{"__name__", "kubernetes_pod_failed", "product", "kubernetes", "namespace", "n"}
	s.series(0, time.Hour, 20*time.Minute, time.Minute, append(pod, "instance", "marked", "pod", "p")...)
	s.ends = []journal.Record{{Kind: journal.KindEnd, T: now.Add(-20 * time.Minute).UnixMilli(), Labels: labels.FromStrings(append([]string{"customer", "acme"}, append(pod, "instance", "marked", "pod", "p")...)...)}}
	s.series(0, time.Hour, 20*time.Minute, time.Minute, append(pod, "instance", "stale", "pod", "p")...)
	s.series(math.Float64frombits(value.StaleNaN), 19*time.Minute, 19*time.Minute, time.Minute, append(pod, "instance", "stale", "pod", "p")...)
	if r := compute(t, s, pack(t), nil); r.Resources != 0 {
		t.Errorf("%+v", r.Entries)
	}
}

func TestOverrides(t *testing.T) {
	s := newStore()
	for _, i := range []string{"rm-1", "rm-2", "rm-3"} {
		for _, m := range []string{"connection", "iops", "cpu", "disk", "memory"} {
			s.live(85, "__name__", "aliyun_rds_"+m+"_utilization_percent", "product", "rds", "instance", i)
		}
	}
	os, err := override.Parse("o.yml", []byte(`
overrides:
- {name: hot, rules: [rds-cpu], match: '{customer="acme", instance="rm-1"}', threshold: 95, owner: ops, reason: runs hot, end: 2026-12-01T00:00:00Z}
- {name: lab, rules: [rds-cpu, rds-disk], match: '{customer="acme", instance="rm-2"}', off: true, owner: ops, reason: a lab, end: 2026-12-01T00:00:00Z}
`))
	if err != nil {
		t.Fatal(err)
	}
	groups, applied, err := override.Apply(pack(t), os, now)
	if err != nil {
		t.Fatal(err)
	}
	r := compute(t, s, groups, applied)
	pick := func(instance string, rows ...string) string {
		var out []string
		for _, l := range strings.SplitAfter(lines(r, instance), "\n") {
			for _, row := range rows {
				if strings.HasPrefix(l, row+" ") {
					out = append(out, l)
				}
			}
		}
		return strings.Join(out, "")
	}
	f := func(got, want string) {
		t.Helper()
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
	}
	f(pick("rm-1", "rds-cpu", "rds-disk"), "rds-cpu overridden good: aliyun_rds_cpu_utilization_percent{customer=\"acme\",instance=\"rm-1\"} >= 95; override hot by ops until 2026-12-01T00:00:00Z: runs hot\nrds-disk watched breach\n")
	f(pick("rm-2", "rds-cpu", "rds-disk"), "rds-cpu overridden: off: override lab by ops until 2026-12-01T00:00:00Z: a lab\nrds-disk overridden: off: override lab by ops until 2026-12-01T00:00:00Z: a lab\n")
	f(pick("rm-3", "rds-cpu", "rds-replica-lag"), "rds-replica-lag not_applicable: not a read-only instance: it reports no lag\nrds-cpu watched breach\n")
}

func TestRowWithoutRuleIsAHole(t *testing.T) {
	s := newStore()
	s.live(0, "__name__", "probe_tcp_code", "product", "port", "target", "db:3306", "vantage", "a")
	r := compute(t, s, nil, nil)
	want(t, r, "db:3306", "port-down hole: no rule for this row is loaded\n")
}

func TestEntitlements(t *testing.T) {
	s := newStore()
	for i := range 6 {
		for v := range 3 - i%2 {
			s.live(0, "__name__", "probe_http_code", "product", "website", "target", fmt.Sprint("https://", i), "vantage", fmt.Sprint(v))
		}
	}
	s.live(0, "__name__", "probe_tcp_code", "product", "port", "target", "db:3306", "vantage", "a")
	s.live(0, "__name__", "apache_uptime_seconds", "product", "apache", "instance", "web")
	s.live(0, "__name__", "java_uptime_seconds", "product", "java", "instance", "web")
	got := compute(t, s, pack(t), nil).Entitlements
	if d := cmp.Diff([]Usage{
		{"acme", UsageMiddleware, 2, 50, ""}, {"acme", UsageURLs, 6, 5, "more than the contract entitles to"},
		{"acme", UsageVantages, 2, 3, "a URL is watched from fewer places than the contract says"}, {"acme", UsagePorts, 1, 0, ""},
	}, got); d != "" {
		t.Error(d)
	}
}

// What a limit keeps from being judged is a hole, in part too.
func TestRefusedByALimitIsAHole(t *testing.T) {
	s := newStore()
	for _, i := range []string{"i-1", "i-2"} {
		s.live(95, "__name__", "aliyun_ecs_cpu_utilization_percent", "product", "ecs", "instance", i)
		for _, m := range []string{"/", "/data"} {
			s.live(50, "__name__", "aliyun_ecs_disk_utilization_percent", "product", "ecs", "instance", i, "mountpoint", m)
		}
	}
	r, err := Compute(t.Context(), DefaultConfig(), s, s, pack(t), nil, func(rule string, id labels.Labels) string {
		if id.Get("instance") == "i-2" && (rule == "ecs-cpu" || rule == "ecs-disk" && id.Get("mountpoint") == "/data") && id.Get("__name__") == "" {
			return "the limit of series per rule (3)"
		}
		return ""
	}, now)
	if err != nil {
		t.Fatal(err)
	}
	for instance, want := range map[string][]string{
		"i-1": {"ecs-cpu watched breach\n", "ecs-disk watched good\n"},
		"i-2": {"ecs-cpu hole: not judged: the limit of series per rule (3) refused it\n", "ecs-disk hole: not judged: the limit of series per rule (3) refused 1 of 2 series\n"},
	} {
		for _, line := range want {
			if got := lines(r, instance); !strings.Contains(got, line) {
				t.Errorf("%s: no line %q in\n%s", instance, line, got)
			}
		}
	}
}

func TestGaugesForgetWhatIsGone(t *testing.T) {
	set := metrics.NewSet()
	g := NewGauges(set)
	show := func(es ...Entry) string {
		g.Set(&Report{At: now, Entries: es})
		var b bytes.Buffer
		set.WritePrometheus(&b)
		return b.String()
	}
	first := show(Entry{Customer: "a", Row: "ecs-cpu", Status: Hole}, Entry{Customer: "a", Row: "ecs-disk", Status: Watched})
	for _, want := range []string{`resources{customer="a",status="hole"} 1`, `resources{customer="a",status="watched"} 1`, `resources{customer="a",status="sparse"} 0`, `row_holes{row="ecs-cpu"} 1`, "coverage_entries 2"} {
		if !strings.Contains(first, want+"\n") {
			t.Errorf("no %s in\n%s", want, first)
		}
	}
	if second := show(); !strings.Contains(second, `resources{customer="a",status="hole"} 0`) || !strings.Contains(second, `row_holes{row="ecs-cpu"} 0`) {
		t.Error(second)
	}
}

func TestOptionalAndWindowsRowsExist(t *testing.T) {
	for id := range optional {
		if _, ok := contract.LookupRow(id); !ok {
			t.Errorf("no row %q", id)
		}
	}
	for id := range notOnWindows {
		if _, ok := contract.LookupRow(id); !ok {
			t.Errorf("no row %q", id)
		}
	}
	rows := 0
	for _, rs := range rowsOf {
		rows += len(rs)
	}
	if rows != len(contract.Rows()) {
		t.Errorf("%d rows belong to a product", rows)
	}
}

func TestReportOfOneCustomer(t *testing.T) {
	s := newStore()
	s.live(1, "__name__", "aliyun_ecs_info", "product", "ecs", "region", "r", "instance", "i-1")
	s.live(1, "__name__", "aliyun_ecs_info", "product", "ecs", "region", "r", "instance", "i-2")
	all := compute(t, s, pack(t), nil)
	if all.Resources != 2 || all.Holes() == 0 {
		t.Fatalf("%d resources, %d holes", all.Resources, all.Holes())
	}
	if d := cmp.Diff(all, all.Of("acme"), cmp.AllowUnexported(Report{})); d != "" {
		t.Errorf("the only customer (-all +of):\n%s", d)
	}
	if other := all.Of("other"); other.Resources != 0 || other.Holes() != 0 || len(other.Entries) != 0 || len(other.Entitlements) != 0 {
		t.Errorf("another customer has %+v", other)
	} else if text, err := json.Marshal(other); err != nil || strings.Contains(string(text), "null") {
		t.Errorf("%s, %v", text, err)
	}
}

func TestConfigValidate(t *testing.T) {
	f := func(change func(*Config), want string) {
		t.Helper()
		c := DefaultConfig()
		change(&c)
		if err := c.Validate(); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	f(func(c *Config) { c.Inventory = 0 }, "inventory: 0s: must be at least 1h")
	f(func(c *Config) { c.Entitlements.URLs = -1 }, "entitlements.urls: -1: must not be negative")
	f(func(c *Config) { c.Customers = map[string]Entitlements{"a": {Ports: -1}} }, "customers.a.ports: -1: must not be negative")
}
