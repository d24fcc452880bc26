package watchkeeper

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var metricName = regexp.MustCompile(`watchkeeper_[a-z0-9_]+`)

// TestMetricsAreDocumented holds docs/metrics.md and the names in the code to
// each other. A literal that ends in _ or is followed by a verb is the beginning of names.
func TestMetricsAreDocumented(t *testing.T) {
	doc, err := os.ReadFile("docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for _, name := range metricName.FindAllString(string(doc), -1) {
		documented[name] = true
	}
	var used, beginnings []string
	for _, file := range goFiles(t) {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			lit, ok := n.(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING {
				return true
			}
			for _, name := range metricName.FindAllString(lit.Value, -1) {
				if strings.HasSuffix(name, "_") {
					beginnings = append(beginnings, name)
				} else {
					used = append(used, name)
				}
			}
			return true
		})
	}
	if len(used) < 50 {
		t.Fatalf("found %d metric names in the code: the test looks in the wrong place", len(used))
	}
	for _, name := range used {
		if !documented[name] {
			t.Errorf("metric %s is not in docs/metrics.md", name)
		}
	}
	for name := range documented {
		if !slices.Contains(used, name) && !slices.ContainsFunc(beginnings, func(b string) bool { return strings.HasPrefix(name, b) }) {
			t.Errorf("docs/metrics.md has %s, which the code has not", name)
		}
	}
}
