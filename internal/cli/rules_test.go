package cli

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"watchkeeper/ruleset/contract"
)

// Without a server the shipped packs are listed: every row of the contract with
// its literal text.
func TestRulesListOfThePacks(t *testing.T) {
	t.Parallel()
	rules := decoded[[]listedRule](t, t.TempDir(), "rules", "list", "--format", "json")
	if len(rules) != 90 {
		t.Fatalf("%d rules, want 90", len(rules))
	}
	rows := map[string]string{}
	for _, r := range rules {
		rows[r.Row] = r.Literal
		if r.Expr == "" || r.Consecutive < 1 || r.Severity == "" || r.Mode == "" || r.Interval == "" {
			t.Errorf("row %s lacks something: %+v", r.Row, r)
		}
	}
	for _, want := range contract.Rows() {
		if got, there := rows[want.ID]; !there || got == "" || !strings.Contains(want.Literal, got) {
			t.Errorf("row %s: literal text %q, want %q", want.ID, got, want.Literal)
		}
	}
	text := ok(t, t.TempDir(), "rules", "list")
	if n := strings.Count(text, "\n"); n < 92 || !strings.Contains(text, "ecs-cpu") || !strings.Contains(text, "90 rules;") {
		t.Errorf("table of %d lines:\n%s", n, text)
	}
}

// Prometheus's own rules are listed too, with what makes them fire.
func TestRulesListOfPlainRules(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := filepath.Join(dir, "w.yml")
	write(t, config, "rules: {packs: [], files: [r.yml]}\n")
	write(t, filepath.Join(dir, "r.yml"), "groups: [{name: g, interval: 30s, rules: [{record: one, expr: vector(1)}, {alert: A, expr: one > 0, for: 5m, labels: {severity: high}}]}]")
	want := []listedRule{
		{ID: "g/one", Record: "one", Group: "g", Expr: "vector(1)", Interval: "30s", Mode: "plain"},
		{ID: "g/A", Alert: "A", Group: "g", Expr: "one > 0", Interval: "30s", For: "5m", Severity: "high", Mode: "plain"},
	}
	if diff := cmp.Diff(want, decoded[[]listedRule](t, dir, "rules", "list", "--config", config, "--format", "json")); diff != "" {
		t.Errorf("rules (-want +got):\n%s", diff)
	}
	if text := ok(t, dir, "rules", "list", "--config", config); !strings.Contains(text, "one > 0 for 5m") || !strings.Contains(text, "2 rules;") {
		t.Errorf("table:\n%s", text)
	}
	if text := ok(t, dir, "check", "--config", config); !strings.Contains(text, "2 rules") {
		t.Errorf("check: %s", text)
	}
}
