package app_test

import (
	"path/filepath"
	"testing"

	"watchkeeper/internal/app"
	"watchkeeper/internal/config"
)

// Overrides add rule groups. Each is shown once: its file and name are the place
// where a page of /api/v1/rules begins.
func TestRuleGroupsAreShownOnce(t *testing.T) {
	t.Parallel()
	dir := files(t, map[string]string{
		"watchkeeper.yml": listeners + "rules: {packs: [], files: [rules.yml], overrides: overrides.yml}\n",
		"rules.yml": `
groups:
- name: g
  interval: 1m
  rules:
  - {alert: A, expr: a > 1, consecutive: 1}
  - {alert: B, expr: b > 1, consecutive: 1}
`,
		"overrides.yml": `
overrides:
- {name: one, rules: [g/A, g/B], match: '{customer="one"}', threshold: 2, owner: ops, reason: louder, end: 2099-01-01T00:00:00Z}
- {name: two, rules: [g/A, g/B], match: '{customer="two"}', threshold: 3, owner: ops, reason: louder, end: 2099-01-01T00:00:00Z}
`,
	})
	cfg, err := config.Load(filepath.Join(dir, "watchkeeper.yml"))
	if err != nil {
		t.Fatal(err)
	}
	groups, err := app.RulesOf(cfg)
	if err != nil {
		t.Fatal(err)
	}
	rules := map[string]int{}
	for _, g := range groups {
		if rules[g.Name] > 0 {
			t.Errorf("rule group %q is there twice", g.Name)
		}
		rules[g.Name] += len(g.Rules)
	}
	for _, name := range []string{"g", "g@one", "g@two"} {
		if rules[name] != 2 {
			t.Errorf("rule group %q has %d rules of 2: %v", name, rules[name], rules)
		}
	}
}
