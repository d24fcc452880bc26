package cli

import (
	"encoding/json"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"watchkeeper/internal/config"
	sim "watchkeeper/internal/sim/aliyun"
)

const customerSecret = "s3cr3tvalue"

// simulated is an account of two regions, at host:port.
func simulated(t *testing.T, permissions []string) string {
	t.Helper()
	server, err := sim.New(sim.Config{
		Seed: 3, Keys: []sim.Key{{ID: "testid", Secret: customerSecret, Permissions: permissions}}, Regions: []string{"cn-hangzhou", "cn-beijing"},
		ECSInstances: 4, Products: map[string]int{"acs_rds_dashboard": 2, "acs_slb_dashboard": 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	listener := httptest.NewServer(server)
	t.Cleanup(listener.Close)
	return listener.Listener.Addr().String()
}

// addFor runs 'customer add' in a folder with the secret on standard input.
func addFor(t *testing.T, dir, endpoint string, more ...string) result {
	t.Helper()
	args := append([]string{
		"customer", "add", "beta", "--access-key-id", "testid", "--access-key-secret-stdin", "--scheme", "http", "--endpoint", endpoint,
		"--config", "watchkeeper.yml", "--calls-per-second", "100",
	}, more...)
	c := program(t, dir, args...)
	var out, errs strings.Builder
	c.Stdin, c.Stdout, c.Stderr = strings.NewReader(customerSecret+"\n"), &out, &errs
	if err := c.Run(); err != nil && c.ProcessState == nil {
		t.Fatal(err)
	}
	for _, text := range []string{out.String(), errs.String()} {
		if strings.Contains(text, customerSecret) {
			t.Errorf("the secret is printed: %s", text)
		}
	}
	return result{c.ProcessState.ExitCode(), out.String(), withoutPSI(errs.String())}
}

// A customer is added behind the others; the server's check takes the file.
func TestCustomerAdd(t *testing.T) {
	t.Parallel()
	const before = "# ours\ndata_dir: data\n\ncustomers:\n- name: acme   # the first\n  host: {interval: 1m}\n\n# nobody is told\nrules: {packs: [contract, aliyun-account]}\n"
	dir := folder(t, map[string]string{"watchkeeper.yml": before})
	endpoint := simulated(t, nil)
	name := filepath.Join(dir, "watchkeeper.yml")

	r := addFor(t, dir, endpoint, "--dry-run")
	if r.code != exitOK || !strings.Contains(r.stdout, "Nothing was written.") {
		t.Fatalf("dry run: exit code %d: %s%s", r.code, r.stdout, r.stderr)
	}
	if text, err := os.ReadFile(name); err != nil || string(text) != before {
		t.Fatalf("a dry run wrote: %s, %v", text, err)
	}

	r = addFor(t, dir, endpoint)
	if r.code != exitOK {
		t.Fatalf("exit code %d: %s", r.code, r.stderr)
	}
	for _, says := range []string{"account 1234567890123456", "Added to watchkeeper.yml", "CONTRACT ROWS", "In 30 days:"} {
		if !strings.Contains(r.stdout, says) {
			t.Errorf("it does not say %q:\n%s", says, r.stdout)
		}
	}
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	at := strings.Index(before, "\n\n# nobody")
	if head, tail := before[:at+1], before[at+1:]; !strings.HasPrefix(string(text), head) || !strings.HasSuffix(string(text), tail) {
		t.Errorf("other lines changed:\n%s", text)
	}
	cfg, err := config.Load(name)
	if err != nil {
		t.Fatal(err)
	}
	account := cfg.Customers[1].Aliyun.Accounts[0]
	if !slices.Equal(account.Regions, []string{"cn-beijing", "cn-hangzhou"}) || !slices.Contains(account.Products, "rds") || !account.Cost.Read || len(account.Events.Read) != 6 {
		t.Errorf("account %+v", account)
	}
	info, err := os.Stat(filepath.Join(dir, "beta-main.secret"))
	if err != nil || info.Mode().Perm() != 0o600 || account.AccessKeySecretFile != "beta-main.secret" {
		t.Errorf("secret %v, %v, named %q", info, err, account.AccessKeySecretFile)
	}
	if out := ok(t, dir, "check", "--config", "watchkeeper.yml"); !strings.Contains(out, "2 customers") {
		t.Errorf("check: %s", out)
	}

	if r = addFor(t, dir, endpoint); r.code != exitFailed || !strings.Contains(r.stderr, `customer "beta": there is such a customer already`) {
		t.Errorf("a second time: exit code %d: %s", r.code, r.stderr)
	}
}

func TestCustomerAddTellsWhatIsMissing(t *testing.T) {
	t.Parallel()
	dir := folder(t, nil)
	r := addFor(t, dir, simulated(t, []string{"sts:*", "ecs:*", "cms:*"}), "--format", "json")
	var report struct {
		Written       bool
		MissingPolicy struct{ Statement []struct{ Action []string } } `json:"missing_policy"`
		Configuration string
	}
	if err := json.Unmarshal([]byte(r.stdout), &report); err != nil || r.code != exitOK || !report.Written {
		t.Fatalf("exit code %d, %v: %s%s", r.code, err, r.stdout, r.stderr)
	}
	actions := report.MissingPolicy.Statement[0].Action
	if !slices.Contains(actions, "rds:DescribeDBInstances") || slices.Contains(actions, "cms:QueryMetricList") {
		t.Errorf("missing %v", actions)
	}
	if strings.Contains(report.Configuration, "rds") || strings.Contains(report.Configuration, "cost") {
		t.Errorf("configuration %s", report.Configuration)
	}
}

func TestCustomerAddRefuses(t *testing.T) {
	t.Parallel()
	endpoint := simulated(t, []string{"sts:*", "ecs:*"})
	dir := folder(t, nil)
	written := func() bool {
		files, _ := os.ReadDir(dir)
		return len(files) > 0
	}
	if r := addFor(t, dir, endpoint); r.code != exitFound || !strings.Contains(r.stdout, `"cms:QueryMetricList"`) || written() {
		t.Errorf("without CloudMonitor: exit code %d: %s", r.code, r.stderr)
	}
	if r := addFor(t, dir, endpoint, "--access-key-id", "other"); r.code != exitFailed || !strings.Contains(r.stderr, "no such AccessKey id") || written() {
		t.Errorf("another key: exit code %d: %s", r.code, r.stderr)
	}
	for _, more := range [][]string{{"--access-key-secret-file", "x"}, {"--role-arn", "watch"}, {"--regions", "Hangzhou"}, {"--scheme", "ftp"}} {
		if r := addFor(t, dir, endpoint, more...); r.code != exitFailed || written() {
			t.Errorf("%v: exit code %d: %s", more, r.code, r.stderr)
		}
	}
}
