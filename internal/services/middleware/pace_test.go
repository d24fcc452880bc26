//go:build services

package middleware

import (
	"fmt"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"

	"watchkeeper/ruleset"
	"watchkeeper/ruleset/contract"
)

// The contract checks every minute. Here a minute lasts as long as these say,
// and all that a rule says in time is shorter in the same proportion: windows,
// and the ten minutes in which a server counts as just restarted. Counts of
// checks, thresholds and everything else are those of the shipped pack.
const (
	pace = 5 * time.Second
	// nginxPace is quicker, since its rule looks back for an hour where no pid
	// file tells how long the master runs.
	nginxPace = 2 * time.Second
)

// paceOf is how long a minute lasts for the rules of a file of the pack.
func paceOf(file string) time.Duration {
	if file == "contract/nginx.yml" {
		return nginxPace
	}
	return pace
}

// fastPack returns the shipped contract pack at the pace of the tests, as files
// for a configuration.
func fastPack(t testing.TB) map[string]string {
	t.Helper()
	pack, err := contract.Pack()
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string]string)
	for _, f := range pack {
		text := faster(t, f, paceOf(f.Name))
		if _, err := ruleset.Parse(f.Name, []byte(text)); err != nil {
			t.Fatalf("shortened: %v", err)
		}
		files["rules-"+path.Base(f.Name)] = text
	}
	return files
}

// faster shortens what a rule file says in time from minutes to pace.
func faster(t testing.TB, f contract.File, pace time.Duration) string {
	t.Helper()
	var doc map[string][]map[string]any
	if err := yaml.Unmarshal(f.Data, &doc); err != nil {
		t.Fatalf("%s: %v", f.Name, err)
	}
	for _, g := range doc["groups"] {
		interval, err := time.ParseDuration(fmt.Sprint(g["interval"]))
		if err != nil {
			t.Fatalf("%s: %v", f.Name, err)
		}
		g["interval"] = shorter(interval, pace).String()
		for _, r := range g["rules"].([]any) {
			rule := r.(map[string]any)
			row := rule["contract"].(map[string]any)["row"].(string)
			rule["expr"] = fasterExpr(t, rule["expr"].(string), pace, strings.HasSuffix(row, "-restarted"))
		}
	}
	out, err := yaml.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// fasterExpr shortens windows and offsets and, of a rule about uptime, the
// numbers, which are seconds.
func fasterExpr(t testing.TB, text string, pace time.Duration, uptime bool) string {
	t.Helper()
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
		switch n := n.(type) {
		case *parser.MatrixSelector:
			n.Range = shorter(n.Range, pace)
		case *parser.VectorSelector:
			n.OriginalOffset = shorter(n.OriginalOffset, pace)
		case *parser.NumberLiteral:
			if uptime {
				n.Val *= pace.Minutes()
			}
		}
		return nil
	})
	return expr.String()
}

func shorter(d, pace time.Duration) time.Duration { return time.Duration(float64(d) * pace.Minutes()) }

// The shortened rules are the shipped ones but for what they say in time.
func TestFastPack(t *testing.T) {
	files := fastPack(t)
	for name, want := range map[string][]string{
		"rules-java.yml":  {"java_uptime_seconds - 50 < 0", "interval: 5s", "java_cpu_used_percent >= 80"},
		"rules-nginx.yml": {"nginx_uptime_seconds - 20)", "[2m]", "interval: 2s"},
		"rules-php.yml":   {"increase(phpfpm_max_children_reached_total[25s]) > 0"},
		"rules-mysql.yml": {"mysql_replica_lag_seconds >= 30", "missing: hold", "max_gap: 2"},
	} {
		for _, text := range want {
			if !strings.Contains(files[name], text) {
				t.Errorf("%s: no %q in\n%s", name, text, files[name])
			}
		}
	}
}
