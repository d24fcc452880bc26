package dashboards

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"watchkeeper/internal/sample"
	"watchkeeper/ruleset/contract"
)

func TestMain(m *testing.M) {
	plugins.RegisterDefaultPlugins()
	os.Exit(m.Run())
}

func TestDashboardsAreStrictlyValid(t *testing.T) {
	seen := map[string]bool{}
	for _, d := range All() {
		text, err := d.JSON()
		if err != nil {
			t.Fatal(err)
		}
		var model dashboard.Dashboard
		if err := model.UnmarshalJSONStrict(text); err != nil {
			t.Fatalf("%s: %v", d.UID, err)
		}
		if err := model.Validate(); err != nil {
			t.Fatalf("%s: %v", d.UID, err)
		}
		if model.Uid == nil || *model.Uid != d.UID || model.Title == nil || *model.Title != d.Title {
			t.Errorf("%s: the model's uid or title differs", d.UID)
		}
		if seen[d.UID] {
			t.Errorf("uid %s is there twice", d.UID)
		}
		seen[d.UID] = true
		var names []string
		for _, v := range model.Templating.List {
			names = append(names, v.Name)
		}
		if diff := cmp.Diff([]string{"datasource", "customer"}, names); diff != "" {
			t.Errorf("%s: variables %s", d.UID, diff)
		}
	}
}

// target is one query of a panel.
type target struct{ Expr, LegendFormat string }

// targets are the queries of a dashboard's JSON, by panel title.
func targets(t *testing.T, d Dashboard) map[string][]target {
	t.Helper()
	text, err := d.JSON()
	if err != nil {
		t.Fatal(err)
	}
	var stored struct {
		Panels []struct {
			Title, Type string
			Targets     []target
		}
	}
	if err := json.Unmarshal(text, &stored); err != nil {
		t.Fatal(err)
	}
	found := map[string][]target{}
	for _, p := range stored.Panels {
		found[p.Title] = append(found[p.Title], p.Targets...)
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("panel %q asks nothing", p.Title)
		}
	}
	return found
}

// Every query parses, asks for known metrics only, and for one customer only;
// every legend names labels that the metric has.
func TestQueries(t *testing.T) {
	variables := strings.NewReplacer("$__range", "24h", "$customer", "acme")
	for _, d := range All() {
		for title, queries := range targets(t, d) {
			for _, q := range queries {
				where := d.UID + ", panel " + title
				parsed, err := parser.NewParser(parser.Options{}).ParseExpr(variables.Replace(q.Expr))
				if err != nil {
					t.Errorf("%s: %v", where, err)
					continue
				}
				for _, matchers := range parser.ExtractSelectors(parsed) {
					checkSelector(t, where, q.LegendFormat, matchers)
				}
			}
		}
	}
	if sourceUpMetric != sample.UpMetric {
		t.Errorf("the source metric is %s", sample.UpMetric)
	}
}

var legendLabel = regexp.MustCompile(`\{\{(\w+)\}\}`)

func checkSelector(t *testing.T, where, legend string, matchers []*labels.Matcher) {
	t.Helper()
	name, tenant := "", ""
	for _, m := range matchers {
		switch m.Name {
		case model.MetricNameLabel:
			name = m.Value
		case "customer":
			tenant = m.Value
		}
	}
	if tenant != "acme" {
		t.Errorf("%s: %s is asked for every customer", where, name)
	}
	// The product's own series, by name, with their labels.
	known, there := map[string][]string{alertsMetric: nil, sourceUpMetric: {"customer", "source"}}[name]
	if metric, declared := contract.LookupMetric(name); declared {
		known, there = append(slices.Clone(contract.IdentityLabels), metric.Labels...), true
	}
	if !there {
		t.Errorf("%s: unknown metric %q", where, name)
	}
	for _, label := range legendLabel.FindAllStringSubmatch(legend, -1) {
		if !slices.Contains(known, label[1]) {
			t.Errorf("%s: %s has no label %s", where, name, label[1])
		}
	}
}

func TestOverviewShowsWhatItPromises(t *testing.T) {
	found := targets(t, All()[0])
	for _, title := range []string{"Availability of sites", "Firing alerts", "ECS CPU", "ECS memory", "ECS disk", "Host CPU", "Host load per core", "Probe codes", "Probe latency", "Sources"} {
		if len(found[title]) == 0 {
			t.Errorf("no panel %q", title)
		}
	}
}

func TestBuildIsDeterministic(t *testing.T) {
	one, two := filepath.Join(t.TempDir(), "new", "folder"), t.TempDir()
	first, err := Build(one)
	if err != nil {
		t.Fatal(err)
	}
	second, err := Build(two)
	if err != nil {
		t.Fatal(err)
	}
	if len(first) != len(All()) || len(second) != len(first) {
		t.Fatalf("files %v and %v", first, second)
	}
	for n := range first {
		a, err := os.ReadFile(first[n])
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(second[n])
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a, b) || !json.Valid(a) || filepath.Base(first[n]) != All()[n].UID+".json" {
			t.Errorf("%s and %s differ or are not JSON", first[n], second[n])
		}
	}
}

func TestBuildSaysWhereItFailed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Build(filepath.Join(file, "below")); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("%v", err)
	}
}
