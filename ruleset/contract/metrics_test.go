package contract

import (
	"go/ast"
	goparser "go/parser"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/template"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
)

func TestMetricNamesFollowTheConventions(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range Metrics() {
		if !regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)+$`).MatchString(m.Name) {
			t.Errorf("%s: not lower snake case", m.Name)
		}
		if seen[m.Name] {
			t.Errorf("%s: declared twice", m.Name)
		}
		seen[m.Name] = true
		if (m.Type == Counter) != strings.HasSuffix(m.Name, "_total") {
			t.Errorf("%s: a %s", m.Name, m.Type)
		}
		if (len(m.Info) > 0) != strings.HasSuffix(m.Name, "_info") {
			t.Errorf("%s: info labels %v", m.Name, m.Info)
		}
		for _, unit := range []string{"percent", "bytes", "seconds", "milliseconds"} {
			named := strings.HasSuffix(strings.TrimSuffix(m.Name, "_total"), "_"+unit)
			if (m.Unit == unit) != named {
				t.Errorf("%s: unit %s", m.Name, m.Unit)
			}
		}
		if m.Source == "" || m.Unit == "" || !strings.HasSuffix(m.Help, ".") {
			t.Errorf("%s: source, unit and help (a sentence) are required", m.Name)
		}
		for _, l := range append(slices.Clone(m.Labels), m.Info...) {
			if slices.Contains(IdentityLabels, l) {
				t.Errorf("%s: label %s is carried by all metrics", m.Name, l)
			}
		}
	}
}

// A name without a declaration would be invisible to every check and page.
func TestEachNameIsDeclared(t *testing.T) {
	file, err := goparser.ParseFile(token.NewFileSet(), "metrics.go", nil, goparser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	names := 0
	for _, d := range file.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.CONST {
			continue
		}
		for _, s := range g.Specs {
			spec := s.(*ast.ValueSpec)
			lit, ok := spec.Values[0].(*ast.BasicLit)
			if !ok || !spec.Names[0].IsExported() || spec.Type != nil || strings.HasPrefix(spec.Names[0].Name, "Product") {
				continue
			}
			name, err := strconv.Unquote(lit.Value)
			if err != nil {
				t.Fatal(err)
			}
			names++
			if _, ok := LookupMetric(name); !ok {
				t.Errorf("%s = %q is not in the list of metrics", spec.Names[0].Name, name)
			}
		}
	}
	if names != len(Metrics()) {
		t.Errorf("%d names, %d declarations", names, len(Metrics()))
	}
}

// Each metric of a rule is declared, and each label that the rule or its
// summaries use is one that the series carry.
func TestRulesUseDeclaredMetricsAndLabels(t *testing.T) {
	rules := shipped(t)
	for id, r := range shipped(t, AllRows) {
		checkNames(t, id+" (literal)", r)
	}
	for id, r := range rules {
		checkNames(t, id, r)
	}
}

func checkNames(t *testing.T, id string, r packRule) {
	t.Helper()
	var used []Metric
	err := parser.Walk(visitor(func(n parser.Node) {
		switch n := n.(type) {
		case *parser.VectorSelector:
			m, ok := LookupMetric(n.Name)
			if !ok {
				t.Errorf("%s: metric %q is not declared", id, n.Name)
				return
			}
			used = append(used, m)
			for _, lm := range n.LabelMatchers {
				if lm.Name != model.MetricNameLabel && !carries(m, lm.Name) {
					t.Errorf("%s: %s has no label %q", id, m.Name, lm.Name)
				}
			}
		case *parser.BinaryExpr:
			if n.VectorMatching == nil {
				return
			}
			for _, l := range n.VectorMatching.MatchingLabels {
				if !slices.Contains(IdentityLabels, l) {
					t.Errorf("%s: joined on %q, which not all series carry", id, l)
				}
			}
		}
	}), parse(t, r.Expr), nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, d := range r.Lookback {
		if !slices.ContainsFunc(used, func(m Metric) bool { return m.Name == name }) {
			t.Errorf("%s: lookback of %q, which the rule does not read", id, name)
		}
		if _, err := model.ParseDuration(d); err != nil {
			t.Errorf("%s: lookback of %s: %v", id, name, err)
		}
	}
	for _, a := range []string{"summary", "summary_zh"} {
		for _, m := range regexp.MustCompile(`\$labels\.(\w+)`).FindAllStringSubmatch(r.Annotations[a], -1) {
			if len(used) == 0 || !carries(used[0], m[1]) {
				t.Errorf("%s: %s uses label %q, which the series does not carry", id, a, m[1])
			}
		}
	}
}

// visitor calls itself for each node of an expression.
type visitor func(parser.Node)

func (v visitor) Visit(n parser.Node, _ []parser.Node) (parser.Visitor, error) {
	if n != nil {
		v(n)
	}
	return v, nil
}

func carries(m Metric, label string) bool {
	return slices.Contains(IdentityLabels, label) || slices.Contains(m.Labels, label)
}

// A summary names what is wrong where: rendered, it has the instance or the
// target in it, and no leftovers of the template.
func TestSummariesRender(t *testing.T) {
	number := func(float64) string { return "8" }
	funcs := template.FuncMap{"humanize1024": number, "humanizeDuration": number}
	for id, r := range shipped(t) {
		for _, a := range []string{"summary", "summary_zh"} {
			tmpl, err := template.New(id).Option("missingkey=zero").Funcs(funcs).Parse("{{$labels := .Labels}}{{$value := .Value}}" + r.Annotations[a])
			if err != nil {
				t.Errorf("%s: %s: %v", id, a, err)
				continue
			}
			labels := map[string]string{"instance": "the-one", "target": "the-one"}
			var out strings.Builder
			if err := tmpl.Execute(&out, map[string]any{"Labels": labels, "Value": 4.0}); err != nil {
				t.Errorf("%s: %s: %v", id, a, err)
			}
			if s := out.String(); !strings.Contains(s, "the-one") || strings.ContainsAny(s, "<>{}") {
				t.Errorf("%s: %s renders as %q", id, a, s)
			}
		}
	}
}
