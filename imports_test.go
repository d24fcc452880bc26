package watchkeeper

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// intended lists, for each tree of packages, which of our own packages it may
// import beside its own sub-packages, and why. Imports run one way, from the
// way in to the way out of a sample. The longest matching tree counts.
var intended = []struct {
	tree   string
	may    []string
	reason string
}{
	{"cmd/watchkeeper", []string{"internal/cli"}, "the main only starts the command line"},
	{"exporters", []string{"internal/sample", "internal/promtext", "internal/statefile", "internal/strictyaml", "ruleset/contract/names"}, "collectors make batches and know nothing of who reads them"},
	{"ruleset/contract", []string{"internal/strictyaml", "ruleset"}, "packs are data in the rule file format"},
	{"ruleset/export", []string{"ruleset"}, "writes rules for other rulers"},
	{"ruleset/lint", []string{"ruleset"}, "reads rules with what the contract declares of metrics"},
	{"ruleset/override", []string{"ruleset", "internal/strictyaml"}, "splits rules; its file is YAML"},
	{"ruleset/aliyunaccount", []string{"ruleset"}, "a pack is data in the rule file format"},
	{"ruleset/dbpolicy", []string{"ruleset"}, "a pack is data in the rule file format"},
	{"ruleset/expiry", []string{"ruleset"}, "a pack is data in the rule file format"},
	{"ruleset/vantage", []string{"ruleset"}, "a pack is data in the rule file format"},
	{"ruleset/watch", []string{"ruleset"}, "a pack is data in the rule file format"},
	{"ruleset/coverage", []string{"ruleset", "internal/journal"}, "holds the stored series against rules, rows and overrides; the journal tells what ended"},
	{"ruleset", []string{"internal/sample", "internal/journal", "internal/strictyaml"}, "the engine reads batches, samples and the journal's records"},
	{"alertrouter", []string{"internal/strictyaml"}, "it knows alerts, not rules"},
	{"slo/report", []string{"slo", "internal/calendar", "internal/table"}, "renders what slo computes"},
	{"slo", []string{"internal/calendar", "internal/strictyaml"}, "it reads verdicts through its own small interface"},
	{"dashboards", []string{"ruleset/contract"}, "metric names only"},
	{"exporters/aliyun/aliyuntest", []string{"exporters", "internal/sample", "internal/sim"}, "what tests of collectors share: a simulated account"},
	{"loadtest/aliyunsoak", nil, "tests only"},
	{"loadtest/aliyunround", []string{"exporters", "internal/sample", "internal/sim", "internal/storage"}, "measures the cloud's collectors over a simulated account"},
	{"loadtest/rulebench", []string{"internal/alarm", "internal/sample", "internal/journal", "internal/storage", "ruleset"}, "measures the rule engine over the store, beside Prometheus's"},
	{"loadtest", []string{"internal/table"}, "a sender like any other"},
	{"docs", nil, "pages"},
	{"internal/alarm", nil, "a leaf"},
	{"internal/calendar", nil, "pure arithmetic"},
	{"internal/sample", nil, "the vocabulary"},
	{"internal/strictyaml", nil, "a leaf"},
	{"internal/table", nil, "a leaf"},
	{"internal/statefile", nil, "a leaf"},
	{"internal/promtext", nil, "a leaf"},
	{"internal/property", nil, "a leaf of tests"},
	{"internal/datadir", nil, "a leaf"},
	{"internal/journal", []string{"internal/sample"}, "records of inputs"},
	{"internal/storage", []string{"internal/sample", "internal/journal"}, "one way in, one way out"},
	{"internal/ingest", []string{"internal/sample", "internal/promtext", "internal/storage"}, "a way in"},
	{"internal/remotewrite", []string{"internal/sample"}, "a way out"},
	{"internal/sim", []string{"internal/sample"}, "a simulator knows the outside world only"},
	{"internal/api", []string{"alertrouter/incident", "docs", "slo"}, "it shows; what it shows it takes by interface"},
	{"internal/config", nil, "knows every part's configuration"},
	{"internal/app", nil, "builds and runs all parts"},
	{"internal/cli", nil, "calls all parts"},
	{"internal/demo", nil, "runs the app beside simulators"},
	{"internal/services", nil, "tests of the whole against real servers"},
}

// everything marks the trees that may import all of ours.
var everything = map[string]bool{"internal/config": true, "internal/app": true, "internal/cli": true, "internal/demo": true, "internal/services": true}

// heavy lists modules that take long to compile and link, and the only trees
// whose packages import them, so that most tests do without.
var heavy = []struct {
	module string
	except []string // light packages of it
	only   []string
	reason string
}{
	{"github.com/aliyun/alibaba-cloud-sdk-go", nil, []string{"exporters/aliyun/sdk"}, "the vendor's SDK: a hundred CPU seconds"},
	{"github.com/prometheus/prometheus/web", nil, []string{"internal/api"}, "Prometheus's HTTP API with OpenTelemetry and OpenAPI"},
	{"github.com/prometheus/prometheus/tsdb", []string{"github.com/prometheus/prometheus/tsdb/chunkenc", "github.com/prometheus/prometheus/tsdb/chunks"}, []string{"internal/storage", "internal/api"}, "the TSDB with three clouds' sign-in"},
	{"github.com/prometheus/prometheus/rules", nil, []string{"ruleset/promrules", "internal/api", "internal/app", "loadtest/rulebench"}, "Prometheus's rule manager"},
	{"github.com/prometheus/prometheus/scrape", nil, []string{"exporters/scrape", "internal/api"}, "Prometheus's scrape manager with OpenTelemetry"},
	{"github.com/prometheus/prometheus/discovery", nil, []string{"exporters/scrape", "ruleset/promrules"}, "service discovery: file and http only, never discovery/install"},
	{"github.com/prometheus/alertmanager", nil, []string{"alertrouter"}, "Alertmanager with a cloud's sign-in"},
	{"github.com/twmb/franz-go", nil, []string{"exporters/middleware/kafka"}, "Kafka's client"},
	{"github.com/microsoft/go-mssqldb", nil, []string{"exporters/middleware/sqlserver"}, "SQL Server's client"},
	{"go.mongodb.org/mongo-driver", nil, []string{"exporters/middleware/mongodb"}, "MongoDB's client"},
	{"github.com/jackc/pgx", nil, []string{"exporters/middleware/postgresql"}, "PostgreSQL's client"},
	{"modernc.org/sqlite", nil, []string{"alertrouter/incident"}, "SQLite"},
	{"github.com/grafana", []string{"github.com/grafana/regexp"}, []string{"dashboards"}, "Grafana's client and dashboard library"},
	{"github.com/spf13/cobra", nil, []string{"internal/cli"}, "the command line"},
}

func TestHeavyImports(t *testing.T) {
	for _, file := range goFiles(t) {
		dir := filepath.ToSlash(filepath.Dir(file))
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		for _, imp := range imports(t, file) {
			for _, h := range heavy {
				if within(imp, []string{h.module}) && !within(imp, h.except) && !within(dir, h.only) {
					t.Errorf("%s imports %s (%s); only %v may", file, imp, h.reason, h.only)
				}
			}
		}
	}
}

func TestImports(t *testing.T) {
	files := goFiles(t)
	if len(files) < 50 {
		t.Fatalf("found %d Go files: the test looks in the wrong place", len(files))
	}
	for _, file := range files {
		dir := filepath.ToSlash(filepath.Dir(file))
		if dir == "." || strings.HasSuffix(file, "_test.go") {
			continue
		}
		tree, may, ok := rule(dir)
		if !ok {
			t.Errorf("%s: package %s is not in the list of intended imports", file, dir)
			continue
		}
		if everything[tree] {
			continue
		}
		for _, imp := range ownImports(t, file) {
			if !within(imp, append(may, tree)) {
				t.Errorf("%s imports %s, which %s must not know", file, imp, tree)
			}
		}
	}
}

// TestPackageComments holds every package to exactly one package comment.
func TestPackageComments(t *testing.T) {
	comments := map[string][]string{}
	for _, file := range goFiles(t) {
		dir := filepath.ToSlash(filepath.Dir(file))
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		if _, seen := comments[dir]; !seen {
			comments[dir] = nil
		}
		if f.Doc != nil && !strings.HasPrefix(f.Doc.Text(), "go:build") {
			comments[dir] = append(comments[dir], file)
		}
	}
	for dir, files := range comments {
		if len(files) != 1 {
			t.Errorf("package %s has %d package comments, want 1: %v", dir, len(files), files)
		}
	}
}

func rule(dir string) (tree string, may []string, ok bool) {
	for _, r := range intended {
		if (dir == r.tree || strings.HasPrefix(dir, r.tree+"/")) && len(r.tree) > len(tree) {
			tree, may, ok = r.tree, r.may, true
		}
	}
	return tree, may, ok
}

func within(imp string, trees []string) bool {
	for _, tree := range trees {
		if imp == tree || strings.HasPrefix(imp, tree+"/") {
			return true
		}
	}
	return false
}

func ownImports(t *testing.T, file string) []string {
	t.Helper()
	var own []string
	for _, p := range imports(t, file) {
		if rest, ok := strings.CutPrefix(p, "watchkeeper/"); ok {
			own = append(own, path.Clean(rest))
		}
	}
	return own
}

func imports(t *testing.T, file string) []string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, spec := range f.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

func goFiles(t *testing.T) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && p != "." || d.Name() == "testdata" || d.Name() == "bin" || d.Name() == "data") {
			return filepath.SkipDir
		}
		if strings.HasSuffix(p, ".go") {
			files = append(files, p)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}
