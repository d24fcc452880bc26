package lint

import (
	"os"
	"strings"
	"testing"

	"watchkeeper/ruleset"
)

// The rules that the documents show read metrics that are delivered, and have
// no mistake in them.
func TestRulesOfTheDocuments(t *testing.T) {
	b, err := os.ReadFile("../../docs/exporters.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, ok := strings.Cut(string(b), "\n## Rules for these\n")
	if ok {
		_, text, ok = strings.Cut(text, "```yaml\n")
	}
	text, _, closed := strings.Cut(text, "```")
	if !ok || !closed {
		t.Fatal("no rules found")
	}
	groups, err := ruleset.Parse("exporters.md", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if len(groups) == 0 || len(groups[0].Rules) < 6 {
		t.Fatalf("groups: %+v", groups)
	}
	for _, f := range Check(Config{}, groups) {
		if f.Code == CodeUnknownMetric || f.Severity == Error {
			t.Errorf("%+v", f)
		}
	}
}
