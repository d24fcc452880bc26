package cli

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"watchkeeper/ruleset/coverage"
	"watchkeeper/ruleset/lint"
)

func TestRulesExport(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{"q.yml": queueRule})
	for _, target := range []string{"prometheus", "vmalert", "mimir"} {
		if out := ok(t, dir, "rules", "export", "--to", target); strings.Count(out, "- alert: ") != shipped || !strings.HasPrefix(out, "# Written by 'watchkeeper rules export --to "+target) {
			t.Errorf("%s: %s", target, out)
		}
	}
	if out := ok(t, dir, "rules", "export", "--to", "mimir", "q.yml"); strings.Count(out, "- alert: ") != 1 {
		t.Error(out)
	}
	for _, args := range []string{"rules export", "rules export --to nagios", "rules export --to mimir nowhere.yml", "rules export --to mimir --config c.yml q.yml"} {
		if r := run(t, dir, strings.Fields(args)...); r.code != exitFailed {
			t.Errorf("%s: exit code %d: %s", args, r.code, r.stderr)
		}
	}
}

func TestRulesCheck(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{
		"bad.yml": "groups:\n- name: g\n  interval: 1m\n  rules:\n  - {alert: A, expr: host_cpu_used_percent > 100, consecutive: 1, labels: {severity: high}, annotations: {summary: s, runbook_url: u}}\n",
		"lit.yml": "rules: {literal: [mysql-replica-lag]}\n",
		// CloudMonitor has a point of this metric every five minutes, since no row needs it.
		"slow.yml": "groups:\n- name: g\n  interval: 1m\n  rules:\n  - {alert: A, expr: aliyun_drds_threads > 100, consecutive: 2, labels: {severity: high}, annotations: {summary: s, runbook_url: u}}\n",
	})
	// A page that is looked at every five minutes never breaches three minutes in a row.
	write(t, filepath.Join(dir, "seldom.yml"), `customers: [{name: acme, host: {interval: 1m}, probes: {targets: [{name: shop, url: "http://127.0.0.1/", interval: 5m}, {name: mail, tcp: "127.0.0.1:25"}]}}]
`)
	if r := run(t, dir, "rules", "check", "--config", "seldom.yml"); r.code != exitFound || !strings.Contains(r.stdout, "website-failed: probe_http_code has a sample every 5m (the probe \"shop\" of acme); a run bridges 3m at most") || r.stderr != "watchkeeper: 1 error\n" {
		t.Errorf("exit code %d: %s%s", r.code, r.stdout, r.stderr)
	}
	write(t, filepath.Join(dir, "often.yml"), `customers: [{name: acme, host: {interval: 1m}, probes: {targets: [{name: shop, url: "http://127.0.0.1/"}]}}]
`)
	if out := ok(t, dir, "rules", "check", "--config", "often.yml"); out != fmt.Sprintf("%d rules: 0 errors, 0 warnings\n", shipped) {
		t.Error(out)
	}
	if out := ok(t, dir, "rules", "check"); out != fmt.Sprintf("%d rules: 0 errors, 0 warnings\n", shipped) {
		t.Error(out)
	}
	if found := decoded[[]lint.Finding](t, dir, "rules", "check", "--format", "json"); len(found) != 0 {
		t.Errorf("%+v", found)
	}
	for file, says := range map[string]string{
		"bad.yml": "bad.yml:5: error: g/A: host_cpu_used_percent > 100 never holds", "slow.yml": "slow.yml:5: error: g/A: aliyun_drds_threads has a sample every 5m (CloudMonitor)",
	} {
		if r := run(t, dir, "rules", "check", file); r.code != exitFound || !strings.HasPrefix(r.stdout, says) || r.stderr != "watchkeeper: 1 error\n" {
			t.Errorf("%s: exit code %d: %s%s", file, r.code, r.stdout, r.stderr)
		}
	}
	if r := run(t, dir, "rules", "check", "lit.yml"); r.code != exitFailed || !strings.HasSuffix(r.stderr, "it is a configuration: give it by --config\n") {
		t.Errorf("exit code %d: %s%s", r.code, r.stdout, r.stderr)
	}
	if r := run(t, dir, "rules", "check", "--config", "lit.yml"); r.code != exitFound || !strings.Contains(r.stdout, "mysql-replica-lag") || !strings.Contains(r.stdout, "(always-true)") {
		t.Errorf("exit code %d: %s%s", r.code, r.stdout, r.stderr)
	}
}

const overrideFile = `
overrides:
- name: hot
  rules: [host-memory-available]
  match: '{customer="acme"}'
  threshold: 1000
  owner: ops
  reason: a small machine
  end: %s
`

func TestRulesDeviations(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{
		"o.yml": fmt.Sprintf(overrideFile, "2100-01-01T00:00:00Z"), "old.yml": fmt.Sprintf(overrideFile, "2000-01-01T00:00:00Z"), "bad.yml": "overrides: [{nam: x}]\n",
		"lit.yml": "rules: {literal: [all]}\n",
	})
	if d := decoded[deviations](t, dir, "rules", "deviations", "--format", "json"); len(d.Shipped) != 10 || d.Shipped[0].Literal == "" || d.Shipped[0].Reason == "" {
		t.Errorf("%d shipped: %+v", len(d.Shipped), d.Shipped)
	}
	if d := decoded[deviations](t, dir, "rules", "deviations", "--format", "json", "--config", "lit.yml"); len(d.Shipped) != 0 {
		t.Errorf("%+v", d.Shipped)
	}
	for file, state := range map[string]string{"o.yml": "active", "old.yml": "expired"} {
		out := ok(t, dir, "rules", "deviations", "--overrides", file)
		for _, want := range []string{"mysql-replica-lag", state, "threshold 1000", "a small machine", "ops"} {
			if !strings.Contains(out, want) {
				t.Errorf("%s: no %q in\n%s", file, want, out)
			}
		}
	}
	if r := run(t, dir, "rules", "deviations", "--overrides", "bad.yml"); r.code != exitFailed || !strings.Contains(r.stderr, "bad.yml:1: overrides[0].nam") {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
}

// A host whose file systems nobody reports has holes; an override shows.
func TestRulesCoverageOfAFolder(t *testing.T) {
	t.Parallel()
	var om strings.Builder
	first := time.Now().Add(-time.Hour).Truncate(time.Minute)
	for _, metric := range []string{"host_memory_used_percent", "host_memory_available_bytes", "host_load1_per_core", "host_cpu_used_percent", "host_cpu_iowait_percent", "host_uptime_seconds"} {
		fmt.Fprintf(&om, "# TYPE %s gauge\n", metric)
		for m := range 30 {
			fmt.Fprintf(&om, "%s{product=\"host\",instance=\"web\"} 1000000 %d\n", metric, first.Add(time.Duration(m)*time.Minute).Unix())
		}
	}
	dir := folder(t, map[string]string{"history.om": om.String() + "# EOF\n", "o.yml": fmt.Sprintf(overrideFile, "2100-01-01T00:00:00Z")})
	ok(t, dir, "import", "history.om", "--data", "data", "--customer", "acme")
	// A configuration's overrides count as those of the flag do.
	write(t, filepath.Join(dir, "w.yml"), "customers: [{name: acme}]\nrules: {overrides: o.yml}\n")
	if r := run(t, dir, "rules", "coverage", "--data", "data", "--config", "w.yml"); r.code != exitFound || !strings.Contains(r.stdout, "1 overridden, 2 hole") {
		t.Errorf("exit code %d: %s%s", r.code, r.stdout, r.stderr)
	}
	r := run(t, dir, "rules", "coverage", "--data", "data", "--overrides", "o.yml")
	if r.code != exitFound || !strings.Contains(r.stderr, "2 holes") || !strings.Contains(r.stdout, "1 resource at ") {
		t.Errorf("exit code %d: %s%s", r.code, r.stdout, r.stderr)
	}
	for row, want := range map[string]string{"host-fs-5": "hole", "host-fs-10": "hole", "host-inode": "not_applicable", "host-memory-available": "overridden"} {
		found := false
		for _, l := range strings.Split(r.stdout, "\n") {
			if f := strings.Fields(l); len(f) > 4 && f[4] == row {
				found = f[0] == want
			}
		}
		if !found {
			t.Errorf("row %s is not %s in\n%s", row, want, r.stdout)
		}
	}
	if r := run(t, dir, "rules", "coverage", "--overrides", "o.yml"); r.code != exitFailed {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
}

// A running server tells its coverage.
func TestRulesCoverageOfAServer(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{"watchkeeper.yml": "data_dir: data\napi: {listen: \"127.0.0.1:0\"}\ningest: {listen: \"\"}\n"})
	d := start(t, dir)
	r := decoded[coverage.Report](t, dir, "rules", "coverage", "--url", d.url, "--format", "json")
	if r.At.IsZero() || r.Resources != 0 || r.Holes() != 0 {
		t.Errorf("%+v", r)
	}
}
