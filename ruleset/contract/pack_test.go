package contract

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"
)

// packRule is a rule of the pack with its group's interval. The fields are
// those that the contract's rules use, and no others may appear.
type packRule struct {
	Alert        string            `yaml:"alert"`
	Expr         string            `yaml:"expr"`
	Consecutive  int               `yaml:"consecutive"`
	Missing      string            `yaml:"missing"`
	MaxGap       int               `yaml:"max_gap"`
	MissingAfter string            `yaml:"missing_after"`
	Lateness     string            `yaml:"lateness"`
	Lookback     map[string]string `yaml:"lookback"`
	Labels       map[string]string `yaml:"labels"`
	Annotations  map[string]string `yaml:"annotations"`
	Contract     struct {
		Row       string `yaml:"row"`
		Literal   string `yaml:"literal"`
		Reading   string `yaml:"reading"`
		Deviation *struct {
			LiteralExpr string `yaml:"expr"`
			Reason      string `yaml:"reason"`
		} `yaml:"deviation"`
	} `yaml:"contract"`

	file     string
	interval string
}

// shipped returns the rules of the pack by row and fails when two rules share
// a row or an alert name.
func shipped(t *testing.T, literal ...string) map[string]packRule {
	t.Helper()
	files, err := Pack(literal...)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]packRule{}
	alerts := map[string]bool{}
	for _, f := range files {
		var doc struct {
			Groups []struct {
				Name     string     `yaml:"name"`
				Interval string     `yaml:"interval"`
				Rules    []packRule `yaml:"rules"`
			} `yaml:"groups"`
		}
		dec := yaml.NewDecoder(bytes.NewReader(f.Data))
		dec.KnownFields(true)
		if err := dec.Decode(&doc); err != nil {
			t.Fatalf("%s: %v", f.Name, err)
		}
		for _, g := range doc.Groups {
			for _, r := range g.Rules {
				if _, ok := out[r.Contract.Row]; ok {
					t.Errorf("%s: a second rule for row %q", f.Name, r.Contract.Row)
				}
				if alerts[r.Alert] {
					t.Errorf("%s: a second rule named %q", f.Name, r.Alert)
				}
				alerts[r.Alert] = true
				r.file, r.interval = f.Name, g.Interval
				out[r.Contract.Row] = r
			}
		}
	}
	return out
}

func parse(t *testing.T, expr string) parser.Expr {
	t.Helper()
	e, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
	if err != nil {
		t.Fatalf("%q: %v", expr, err)
	}
	return e
}

// The promise of this package: each row of the table is one rule, and each
// rule is one row, with the table's text, interval, count, condition and
// severity.
func TestEachRowIsOneRule(t *testing.T) {
	rules := shipped(t)
	for _, row := range Rows() {
		t.Run(row.ID, func(t *testing.T) {
			r, ok := rules[row.ID]
			if !ok {
				t.Fatal("no rule")
			}
			type facts struct {
				Literal, Reading, Interval, Severity, Runbook string
				Consecutive                                   int
			}
			got := facts{r.Contract.Literal, r.Contract.Reading, r.interval, r.Labels["severity"], r.Annotations["runbook_url"], r.Consecutive}
			want := facts{row.Literal, row.Reading, row.Interval, row.Severity, "docs/runbooks/" + row.ID + ".md", row.Consecutive}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-table +rule)\n%s", diff)
			}
			if !strings.Contains(r.Annotations["summary_zh"], row.RuleZH) {
				t.Errorf("summary_zh %q lacks the contract's wording %q", r.Annotations["summary_zh"], row.RuleZH)
			}
			if !regexp.MustCompile(`^([A-Z][A-Za-z0-9]+)$`).MatchString(r.Alert) {
				t.Errorf("alert %q is not CamelCase", r.Alert)
			}
			literal := r.Expr
			if d := r.Contract.Deviation; d != nil {
				literal = d.LiteralExpr
			}
			checkLiteralShape(t, row, parse(t, literal))
		})
		delete(rules, row.ID)
	}
	for id := range rules {
		t.Errorf("rule for row %q, which the table lacks", id)
	}
}

// checkLiteralShape holds an expression against the row: exactly the row's
// comparisons, on values made of selectors, numbers and arithmetic alone, and
// for rows that exclude ECS hosts (and no others) the join that does so.
// Whatever else an expression may contain is a deviation.
func checkLiteralShape(t *testing.T, row Row, e parser.Expr) {
	t.Helper()
	e = unparen(e)
	notECS := strings.Contains(row.RuleZH, "(非 ECS)")
	if b, ok := e.(*parser.BinaryExpr); ok && b.Op == parser.LUNLESS {
		if !notECS {
			t.Errorf("%s: the row applies to ECS hosts too", e)
		}
		if got, want := b.RHS.String(), HostECSInfo; got != want {
			t.Errorf("%s: unless %s, want %s", e, got, want)
		}
		if diff := cmp.Diff([]string{"customer", "instance"}, b.VectorMatching.MatchingLabels); diff != "" || !b.VectorMatching.On {
			t.Errorf("%s: joined by other labels than customer and instance: %s", e, diff)
		}
		e = unparen(b.LHS)
	} else if notECS {
		t.Errorf("%s: the row does not apply to ECS hosts", e)
	}

	conditions := []parser.Expr{e}
	if b, ok := e.(*parser.BinaryExpr); ok && b.Op == parser.LAND && row.Compound() {
		if b.VectorMatching.On || len(b.VectorMatching.MatchingLabels) > 0 {
			t.Errorf("%s: the two conditions must hold for the same labels", e)
		}
		conditions = []parser.Expr{unparen(b.LHS), unparen(b.RHS)}
	}
	if len(conditions) != len(row.Thresholds) {
		t.Fatalf("%s: %d conditions, the row has %d", e, len(conditions), len(row.Thresholds))
	}
	for i, c := range conditions {
		op, threshold, left := comparison(t, c)
		if op != row.PromQLOp() || threshold != row.Thresholds[i] {
			t.Errorf("%s: %s %v, the row says %s %v", c, op, threshold, row.PromQLOp(), row.Thresholds[i])
		}
		checkPlain(t, left)
	}
}

func unparen(e parser.Expr) parser.Expr {
	for {
		p, ok := e.(*parser.ParenExpr)
		if !ok {
			return e
		}
		e = p.Expr
	}
}

// comparison takes "value op number" apart.
func comparison(t *testing.T, e parser.Expr) (op string, threshold float64, left parser.Expr) {
	t.Helper()
	b, ok := e.(*parser.BinaryExpr)
	if !ok || !b.Op.IsComparisonOperator() || b.ReturnBool {
		t.Fatalf("%s: not a comparison", e)
	}
	n, ok := b.RHS.(*parser.NumberLiteral)
	if !ok {
		t.Fatalf("%s: not compared with a number", e)
	}
	return b.Op.String(), n.Val, b.LHS
}

// checkPlain refuses everything but selectors, numbers and arithmetic.
func checkPlain(t *testing.T, e parser.Expr) {
	t.Helper()
	switch e := unparen(e).(type) {
	case *parser.VectorSelector, *parser.NumberLiteral:
	case *parser.BinaryExpr:
		if e.Op.IsSetOperator() || e.Op.IsComparisonOperator() {
			t.Errorf("%s: neither a value nor arithmetic, declare it as a deviation", e)
		}
		checkPlain(t, e.LHS)
		checkPlain(t, e.RHS)
	default:
		t.Errorf("%s: neither a value nor arithmetic, declare it as a deviation", e)
	}
}

func TestDeviationsAreTheseAndSaySo(t *testing.T) {
	// What is added or changed here differs from what the customer signed.
	type change struct{ Row, Shipped, Literal string }
	restart := func(row, metric string) change {
		return change{row, metric + " - 600 < 0", metric + " - " + metric + " offset 3m < 0"}
	}
	want := []change{
		{"cdn-hit-ratio", "aliyun_cdn_hit_ratio_percent < 20 and aliyun_cdn_queries_per_second > 0", "aliyun_cdn_hit_ratio_percent < 20"},
		restart("host-restarted", HostUptimeSeconds),
		restart("apache-restarted", ApacheUptimeSeconds),
		{
			"nginx-restarted",
			"((nginx_uptime_seconds - 600) or (nginx_restart_seen_age_seconds - 3600) or -resets(nginx_connections_accepted_total[1h])) < 0",
			"nginx_uptime_seconds - nginx_uptime_seconds offset 3m < 0",
		},
		{"php-max-children", "increase(phpfpm_max_children_reached_total[5m]) > 0", "phpfpm_max_children_reached_total > 0"},
		restart("java-restarted", JavaUptimeSeconds),
		restart("tomcat-restarted", TomcatUptimeSeconds),
		{"mysql-replica-lag", "mysql_replica_lag_seconds >= 30", "mysql_replica_lag_seconds >= 0"},
		restart("iis-restarted", IISUptimeSeconds),
		{
			"k8s-container-terminated",
			"kubernetes_container_terminated > 0 and kubernetes_container_exit_code != 0",
			"kubernetes_container_terminated > 0",
		},
	}
	var got []change
	for _, d := range Deviations() {
		got = append(got, change{d.Row, d.Expr, d.LiteralExpr})
		row, ok := LookupRow(d.Row)
		if !ok || d.Literal != row.Literal {
			t.Errorf("%s: literal %q is not the table's", d.Row, d.Literal)
		}
		if len(d.Reason) < 40 {
			t.Errorf("%s: reason %q does not explain", d.Row, d.Reason)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestPackRestoresTheLiteralText(t *testing.T) {
	asShipped := shipped(t)
	one := shipped(t, "mysql-replica-lag")
	for id, r := range one {
		want := asShipped[id]
		if id == "mysql-replica-lag" {
			want.Expr, want.Contract.Deviation = "mysql_replica_lag_seconds >= 0", nil
		}
		if diff := cmp.Diff(want, r, cmp.AllowUnexported(packRule{})); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", id, diff)
		}
	}
	for id, r := range shipped(t, AllRows) {
		want := asShipped[id].Expr
		if d := asShipped[id].Contract.Deviation; d != nil {
			want = d.LiteralExpr
		}
		if r.Expr != want || r.Contract.Deviation != nil {
			t.Errorf("%s: %q, want %q without deviation", id, r.Expr, want)
		}
	}
}

func TestPackRefusesUnknownLiterals(t *testing.T) {
	for id, want := range map[string]string{
		"ecs-cpus": `contract pack: literal: no row "ecs-cpus" in the alarm table`,
		"ecs-cpu":  `contract pack: literal: row "ecs-cpu" is shipped as the contract says, there is nothing to restore`,
	} {
		if _, err := Pack(id); err == nil || err.Error() != want {
			t.Errorf("Pack(%q): %v, want %s", id, err, want)
		}
	}
}

// Cloud points arrive minutes late: a rule on them that counted a check as
// missing after one interval would live on missing checks.
func TestCloudRulesWaitForLatePoints(t *testing.T) {
	for id, r := range shipped(t) {
		cloud := strings.HasPrefix(filepath.Base(r.file), "aliyun-")
		if cloud != strings.Contains(r.Expr, "aliyun_") {
			t.Errorf("%s: cloud metrics and %s do not belong together", id, r.file)
		}
		if !cloud {
			continue
		}
		missing, err := model.ParseDuration(r.MissingAfter)
		if err != nil {
			t.Errorf("%s: missing_after: %v", id, err)
		}
		lateness, err := model.ParseDuration(r.Lateness)
		if err != nil || lateness < missing {
			t.Errorf("%s: lateness %q is shorter than missing_after %q (%v)", id, r.Lateness, r.MissingAfter, err)
		}
	}
}

func TestEachRowHasARunbookAndEachRunbookARow(t *testing.T) {
	const folder = "../../docs/runbooks"
	rules := shipped(t)
	for _, row := range Rows() {
		page, err := os.ReadFile(filepath.Join(folder, row.ID+".md"))
		if err != nil {
			t.Error(err)
			continue
		}
		for _, want := range []string{row.Literal, row.RuleZH, "alertname=" + rules[row.ID].Alert} {
			if !bytes.Contains(page, []byte(want)) {
				t.Errorf("%s.md does not mention %q", row.ID, want)
			}
		}
	}
	names, err := fs.Glob(os.DirFS(folder), "*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		id := strings.TrimSuffix(name, ".md")
		if _, ok := LookupRow(id); !ok && id != "README" {
			t.Errorf("%s: no such row", name)
		}
	}
}
