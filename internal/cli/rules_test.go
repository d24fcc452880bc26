package cli

import (
	"strings"
	"testing"

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
