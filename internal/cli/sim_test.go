package cli

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"

	"watchkeeper/exporters/aliyun/plan"
)

// The simulator runs alone and answers another process: a plan counts what it
// holds. A signal ends it.
func TestSimulatedAccountAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := program(t, dir, "sim", "aliyun", "--listen", "127.0.0.1:0", "--instances", "3", "--products", "rds=5,cdn=2")
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	address := regexp.MustCompile(`http://(\S+)`).FindStringSubmatch(line)
	if err != nil || address == nil {
		t.Fatalf("%q, %v", line, err)
	}
	file := filepath.Join(dir, "watchkeeper.yml")
	if err := os.WriteFile(file, fmt.Appendf(nil, `
customers:
- name: acme
  aliyun:
    accounts:
    - {name: main, regions: [cn-hangzhou], products: [ecs, rds, cdn], access_key_id: testid, access_key_secret: testsecret, scheme: http, endpoint: "%s", cost: {read: true}, events: {read: [ecs, backups, snapshots]}}
`, address[1]), 0o600); err != nil {
		t.Fatal(err)
	}
	var p plan.Plan
	if err := json.Unmarshal([]byte(ok(t, dir, "aliyun", "plan", "--config", file, "--live", "--format", "json")), &p); err != nil {
		t.Fatal(err)
	}
	found := map[string]int{}
	for _, r := range p.Rows {
		found[r.Product] = max(found[r.Product], r.Resources)
	}
	if found["ecs"] != 3 || found["rds"] != 5 || found["cdn"] != 2 {
		t.Errorf("the plan counts %v", found)
	}
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err != nil {
		t.Errorf("stopped by a signal: %v", err)
	}
}
