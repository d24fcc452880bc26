package app

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"watchkeeper/internal/config"
	"watchkeeper/ruleset/override"
)

// TestPacksAndOverrides reads all that a configuration can say about rules.
func TestPacksAndOverrides(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("overrides.yml", `overrides:
- {name: hot, rules: [ecs-cpu], match: '{customer="acme", instance="i-1"}', threshold: 99, owner: li.wei, reason: agreed,
   from: 2026-01-01T00:00:00Z, end: 2027-01-01T00:00:00Z}
`)
	write("wk.yml", `rules:
  packs: [contract, database-policy]
  database_policy: {default: {aliyun_rds_mysql_queries_per_second: 5000}}
  overrides: overrides.yml
`)
	cfg, err := config.Load(filepath.Join(dir, "wk.yml"))
	if err != nil {
		t.Fatal(err)
	}
	end := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	r, err := readRules(cfg, end.Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if n := countRules(r.groups); n != 90+1+1 {
		t.Errorf("%d rules, want the 90 rows, one of the policy and one of the override", n)
	}
	rules := override.Of(r.groups, "ecs-cpu")
	if len(rules) != 2 || rules[0].ID() != "ecs-cpu@hot" || rules[0].Contract.Deviation == nil {
		t.Errorf("ecs-cpu is judged by %v", rules)
	}
	if !r.until.Equal(end) {
		t.Errorf("rules hold until %s, want %s", r.until, end)
	}
	if r, err = readRules(cfg, end); err != nil || countRules(r.groups) != 91 || !r.until.IsZero() {
		t.Errorf("after its end the override still acts: %v", err)
	}

	write("wk.yml", "rules: {packs: [contrct]}\n")
	if cfg, err = config.Load(filepath.Join(dir, "wk.yml")); err != nil {
		t.Fatal(err)
	}
	if _, err := readRules(cfg, end); err == nil || err.Error() != `rules.packs[0]: no pack "contrct"; shipped are "contract", "database-policy", "aliyun-account", "vantage", "watch" and "expiry"` {
		t.Errorf("got %v", err)
	}
}
