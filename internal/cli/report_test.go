package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const hosting = `id: hosting
customer: acme
title: Hosting
zone: Asia/Shanghai
cycle: month
objective: 99.9%
unavailable: {kind: verdicts, rule: port-down, selector: '{instance="gateway"}', combine: any, unmeasured: show}
allowance: {kind: fixed, minutes: 44, basis: agreed, breached: reached}
refund: {kind: fee_per_started_unit, fee: {amount: 3000.00, currency: CNY}, divisor: 30, unit_minutes: 60, cap: 100%, applied_to: the fee of the next month}
`

// history is a month of a gateway's port, one sample a minute, out of service
// for the given minutes of the 10th, as OpenMetrics.
func history(month time.Time, minutes int) string {
	var b strings.Builder
	b.WriteString("# TYPE probe_tcp_code gauge\n")
	outage := month.AddDate(0, 0, 9)
	for t := month.Add(30 * time.Second); t.Before(month.AddDate(0, 1, 0)); t = t.Add(time.Minute) {
		code := 0
		if !t.Before(outage) && t.Before(outage.Add(time.Duration(minutes)*time.Minute)) {
			code = 2
		}
		fmt.Fprintf(&b, "probe_tcp_code{instance=\"gateway\",target=\"192.0.2.1:443\",vantage=\"local\"} %d %d\n", code, t.Unix())
	}
	b.WriteString("# EOF\n")
	return b.String()
}

// A month of history is imported; the report over the stopped folder and the
// one of a server are the same, to the digit.
func TestImportAndReport(t *testing.T) {
	t.Parallel()
	zone, err := time.LoadLocation("Asia/Shanghai")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().In(zone)
	month := time.Date(now.Year(), now.Month()-1, 1, 0, 0, 0, 0, zone)
	cycle := month.Format("2006-01")
	minutes := int(month.AddDate(0, 1, 0).Sub(month).Minutes())
	dir, _ := pushed(t)
	write(t, filepath.Join(dir, "hosting.yml"), hosting)
	write(t, filepath.Join(dir, "history.om"), history(month, 104))

	out := ok(t, dir, "import", "history.om", "--data", "data", "--customer", "acme")
	if want := fmt.Sprintf("%d samples of 1 series in ", minutes); !strings.HasPrefix(out, want) {
		t.Errorf("import printed %q, want %q…", out, want)
	}
	if again := ok(t, dir, "import", "history.om", "--data", "data", "--customer", "acme"); !strings.Contains(again, fmt.Sprintf("%d were there before", minutes)) {
		t.Errorf("the second import printed %q", again)
	}

	args := []string{"slo", "report", "--contract", "hosting.yml", "--cycle", cycle}
	offline := reportJSON(t, dir, append(args, "--data", "data", "--format", "json")...)
	table := ok(t, dir, append(args, "--data", "data")...)
	d := start(t, dir)
	online := reportJSON(t, dir, append(args, "--url", d.url, "--format", "json")...)
	onlineTable := ok(t, dir, append(args, "--url", d.url)...)
	if code := d.stop(syscall.SIGTERM); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	for _, r := range []map[string]any{offline, online} {
		deleteTimes(r)
	}
	if diff := cmp.Diff(offline, online); diff != "" {
		t.Errorf("folder and server differ (-folder +server):\n%s", diff)
	}
	// 104 minutes out of service are 60 beyond the allowance: one started hour,
	// 3000 / 30 a day's worth for each.
	for _, text := range []string{table, onlineTable} {
		for _, want := range []string{"99.9%", "104", "44", "100.00", cycle} {
			if !strings.Contains(text, want) {
				t.Errorf("the table does not show %q:\n%s", want, text)
			}
		}
	}
}

// deleteTimes drops when a report was computed.
func deleteTimes(v map[string]any) {
	for k, x := range v {
		if strings.HasPrefix(k, "computed") || strings.HasPrefix(k, "generated") {
			delete(v, k)
		}
		if m, ok := x.(map[string]any); ok {
			deleteTimes(m)
		}
	}
}

func reportJSON(t *testing.T, dir string, args ...string) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(ok(t, dir, args...)), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// A bad line fails the whole import, with its number, and nothing is stored.
func TestImportRefusesBadFiles(t *testing.T) {
	t.Parallel()
	recent := fmt.Sprint(time.Now().Add(-time.Hour).Unix())
	for _, test := range []struct{ name, text, says string }{
		{"no end", "# TYPE x gauge\nx 1 " + recent + "\n", "EOF"},
		{"no timestamp", "# TYPE x gauge\nx 1\n# EOF\n", "line 2"},
		{"nonsense", "# TYPE x gauge\nx 1 " + recent + "\n!\n# EOF\n", "line 3"},
		{"too old", "# TYPE x gauge\nx 1 1000000000\n# EOF\n", "beyond the retention"},
	} {
		dir := folder(t, map[string]string{"history.om": test.text})
		r := run(t, dir, "import", "history.om", "--data", "data")
		if r.code != exitFailed || !strings.Contains(r.stderr, test.says) {
			t.Errorf("%s: exit code %d: %q", test.name, r.code, r.stderr)
		}
		if blocks, _ := filepath.Glob(filepath.Join(dir, "data", "*", "01*")); len(blocks) > 0 {
			t.Errorf("%s: blocks were written: %v", test.name, blocks)
		}
	}
}

func TestDashboardsBuild(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	out := ok(t, dir, "dashboards", "build", "--out", "boards")
	names := strings.Fields(out)
	if len(names) == 0 {
		t.Fatal("no dashboard was written")
	}
	for _, name := range names {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
			continue
		}
		var board struct{ UID, Title string }
		if err := json.Unmarshal(b, &board); err != nil || board.UID == "" || board.Title == "" {
			t.Errorf("%s: %v, uid %q, title %q", name, err, board.UID, board.Title)
		}
	}
}
