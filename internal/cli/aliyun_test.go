package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"watchkeeper/exporters/aliyun/plan"
)

func command(args ...string) (code int, stdout, stderr string) {
	var out, errs strings.Builder
	code = Run("test", args, &out, &errs)
	return code, out.String(), errs.String()
}

func TestAliyunCatalog(t *testing.T) {
	t.Parallel()
	code, out, errs := command("aliyun", "catalog", "--product", "rds", "--format", "json")
	var entries []catalogEntry
	if code != exitOK || json.Unmarshal([]byte(out), &entries) != nil {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	want := map[string]string{
		"CpuUsage": "aliyun_rds_cpu_utilization_percent", "MySQL_COMDML&com_delete": "aliyun_rds_mysql_com_delete_per_second",
		"slow log": "aliyun_rds_slow_query_longest_seconds",
	}
	found := map[string]string{}
	for _, e := range entries {
		if e.Product != "rds" || e.Name == "" {
			t.Errorf("entry %+v", e)
		}
		if want[e.Metric] == e.Name {
			found[e.Metric] = e.Name
		}
	}
	if len(found) != len(want) {
		t.Errorf("found %v of %v", found, want)
	}
	if code, out, _ := command("aliyun", "catalog", "--product", "cdn"); code != exitOK || !strings.Contains(out, "cdn-hit-ratio") {
		t.Errorf("exit code %d:\n%s", code, out)
	}
	if code, _, errs := command("aliyun", "catalog", "--product", "wine"); code != exitFailed || !strings.Contains(errs, "wine") {
		t.Errorf("an unknown product: exit code %d, %s", code, errs)
	}
}

func TestAliyunPlan(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "watchkeeper.yml")
	text := `customers:
- name: acme
  aliyun:
    accounts:
    - {name: main, regions: [cn-hangzhou, cn-beijing], products: [ecs, rds], access_key_id: testid, access_key_secret: testsecret, endpoint: "127.0.0.1:1"}
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	planned := func(resources string, wantCode int) plan.Plan {
		t.Helper()
		code, out, errs := command("aliyun", "plan", "--config", file, "--resources", resources, "--format", "json")
		var p plan.Plan
		if err := json.Unmarshal([]byte(out), &p); err != nil || code != wantCode {
			t.Fatalf("%s: exit code %d: %s", resources, code, errs)
		}
		return p
	}
	small := planned("ecs=20,cn-beijing/rds=150", exitOK)
	for _, r := range small.Rows {
		if r.API == "Rds.DescribeDBInstancePerformance" && r.Calls != map[string]int{"cn-beijing": 150}[r.Region] {
			t.Errorf("%s: %d calls for the databases", r.Region, r.Calls)
		}
	}
	if large := planned("ecs=9000", exitFound); large.Totals[0].CountedCalls <= large.Totals[0].Limit || large.Totals[0].Cut == "none" {
		t.Errorf("9,000 instances: %+v", large.Totals[0])
	}
	code, out, errs := command("aliyun", "plan", "--config", file, "--resources", "ecs=9000")
	if code != exitFound || !strings.Contains(out, "over the quota; what is cut: ") || !strings.Contains(errs, "calls_per_month") {
		t.Errorf("exit code %d, %s\n%s", code, errs, out)
	}
	for _, args := range [][]string{
		{"--resources", "wine=3"}, {"--resources", "cn-nowhere/ecs=3"}, {"--resources", "ecs=some"}, {"--resources", "ecs=1", "--live"}, {"--account", "other"},
	} {
		if code, _, errs := command(append([]string{"aliyun", "plan", "--config", file}, args...)...); code != exitFailed {
			t.Errorf("%v: exit code %d: %s", args, code, errs)
		}
	}
	if code, _, errs := command("aliyun", "plan", "--config", file, "--live"); code != exitFailed || !strings.Contains(errs, "DescribeMetricList") {
		t.Errorf("nobody answers: exit code %d: %s", code, errs)
	}
}

func TestSimulatedProducts(t *testing.T) {
	t.Parallel()
	if code, _, errs := command("sim", "aliyun", "--products", "wine=3"); code != exitFailed || !strings.Contains(errs, "wine") {
		t.Errorf("exit code %d: %s", code, errs)
	}
	if got := simHolds(5, map[string]int{"slb": 2, "rds": 3}); got != "5 ecs, 3 rds, 2 slb" {
		t.Errorf("holds %q", got)
	}
}

// The pack watch passes the check that every rule of a user has to pass.
func TestThePackWatchIsClean(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "watchkeeper.yml")
	if err := os.WriteFile(file, []byte("rules: {packs: [watch]}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out, errs := command("rules", "check", "--config", file); code != exitOK || !strings.Contains(out, "0 errors, 0 warnings") {
		t.Errorf("exit code %d: %s%s", code, out, errs)
	}
}
