package cli

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"watchkeeper/internal/table"
)

// Every command explains itself with an example.
func TestHelpHasExamples(t *testing.T) {
	t.Parallel()
	// These end with 1 when they find something, and say so.
	finds := map[string]bool{
		"watchkeeper rules check": true, "watchkeeper rules test": true, "watchkeeper rules diff": true, "watchkeeper rules coverage": true,
		"watchkeeper aliyun plan": true, "watchkeeper customer add": true, "watchkeeper demo": true,
	}
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			visit(sub)
		}
		if c.HasSubCommands() || c.Name() == "help" || c.Parent() != nil && c.Parent().Name() == "completion" {
			return
		}
		args := append(strings.Fields(c.CommandPath())[1:], "--help")
		var out, errs strings.Builder
		if code := Run("test", args, &out, &errs); code != exitOK {
			t.Errorf("%s: exit code %d: %s", c.CommandPath(), code, &errs)
		}
		if strings.Count(out.String(), "Exit codes: 0 ") != 1 {
			t.Errorf("%s --help does not say how it ends:\n%s", c.CommandPath(), &out)
		}
		if finds[c.CommandPath()] != strings.Contains(out.String(), ", 1 ") {
			t.Errorf("%s --help does not say when the exit code is 1:\n%s", c.CommandPath(), &out)
		}
		before, rest, _ := strings.Cut(out.String(), "Examples:\n")
		_, after, _ := strings.Cut(rest, "\n\n") // examples may be longer, as lines of JSON may
		for line := range strings.Lines(before + after) {
			if w := table.Width(strings.TrimSuffix(line, "\n")); w > maxHelp && !strings.HasPrefix(line, "  {") {
				t.Errorf("%s --help: a line of %d columns: %s", c.CommandPath(), w, line)
			}
		}
		if !strings.Contains(out.String(), "Examples:\n  ") || !strings.Contains(out.String(), c.CommandPath()) {
			t.Errorf("%s --help shows no example:\n%s", c.CommandPath(), &out)
		}
	}
	visit(newRoot("test"))
}

func TestUsageErrors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ args, says string }{
		{"nonsense", "nonsense"},
		{"serve --nonsense", "--nonsense"},
		{"serve more", "more"},
		{"serve --log-level loud", "loud"},
		{"serve --config nowhere.yml", "nowhere.yml"},
		{"rules nonsense", "nonsense"},
		{"rules chek", "did you mean check?"},
		{"rules list more", `watchkeeper rules list takes no arguments, not ["more"]; see 'watchkeeper rules list --help'`},
		{"rules explain", "watchkeeper rules explain takes ALERT{labels}, not []; see"},
		{"rules diff one.yml", `takes OLD NEW, not ["one.yml"]`},
		{"rules diff a b --since 3", "want a time span like 90d or 12h"},
		{"rules coverage --url http://127.0.0.1:1 --data x", "--data and --url: give one of them; see"},
		{"rules export", "want prometheus, vmalert or mimir"},
		{"rules check --config c.yml r.yml", "give one of them"},
		{"rules list --format xml", "table or json"},
		{"rules list --url http://127.0.0.1:1 --data x", "url"},
		{"incidents show first", `"first"`},
		{"incidents list --since yesterday", "yesterday"},
		{"incidents list --url localhost:9370", "localhost:9370"},
		{"slo report --cycle 2026-10", "contract"},
		{"slo report --contract nowhere.yml --cycle 2026-10", "nowhere.yml"},
		{"import nowhere.om", "nowhere.om"},
		{"dashboards build", "out"},
	} {
		var out, errs strings.Builder
		code := Run("test", strings.Fields(test.args), &out, &errs)
		if code != exitFailed {
			t.Errorf("%s: exit code %d, want %d", test.args, code, exitFailed)
		}
		if msg := errs.String(); !strings.HasPrefix(msg, "watchkeeper: ") || strings.Count(msg, "\n") != 1 || !strings.Contains(msg, test.says) {
			t.Errorf("%s: %q, want one line that says %q", test.args, msg, test.says)
		}
	}
}

// A command that could not do what it was asked for ends with 2.
func TestFailures(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ args, says string }{
		{"incidents list --url http://127.0.0.1:1", "no answer from http://127.0.0.1:1"},
		{"rules list --url http://127.0.0.1:1", "is 'watchkeeper serve' running there?"},
		{"rules coverage --url http://127.0.0.1:1", "is 'watchkeeper serve' running there?"},
		{"rules explain CPUHigh --url http://127.0.0.1:1", "is 'watchkeeper serve' running there?"},
		{"rules coverage --data nowhere", "nowhere"},
		{"rules explain CPUHigh --data nowhere", "nowhere"},
		{"rules check nowhere.yml", "nowhere.yml"},
		{"rules check --config nowhere.yml", "nowhere.yml"},
		{"rules check .", "is a directory"},
		{"rules check /dev/null", "/dev/null holds no rule group"},
		{"rules check /dev/zero", "larger than 67108864 bytes"},
		{"rules test /dev/zero", "larger than 67108864 bytes"},
		{"rules test nowhere.txtar", "nowhere.txtar"},
		{"rules diff nowhere.yml nowhere.yml", "nowhere.yml"},
		{"rules deviations --overrides nowhere.yml", "nowhere.yml"},
		{"incidents list --data nowhere", "nowhere"},
		{"loadtest --to http://192.0.2.1/api/v1/write", "192.0.2.1"},
		{"loadtest --to http://127.0.0.1:1/api/v1/write --duration 100ms", "nothing was accepted: "},
	} {
		var out, errs strings.Builder
		if code := Run("test", strings.Fields(test.args), &out, &errs); code != exitFailed || !strings.Contains(errs.String(), test.says) {
			t.Errorf("%s: exit code %d, %q; want %d and %q", test.args, code, &errs, exitFailed, test.says)
		}
	}
}

// check ends with 2 and one line that names file, line and path.
func TestCheck(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, config, says string }{
		{"good", "customers: [{name: acme, host: {interval: 1m}}]\n", ""},
		{"empty", "", ""},
		{"unknown key", "data_dir: d\nstorge: {}\n", "watchkeeper.yml:2: storge"},
		{"nested unknown key", "customers:\n- name: acme\n  host:\n    intervall: 1m\n", "watchkeeper.yml:4: customers[0].host.intervall"},
		{"repeated key", "data_dir: d\ndata_dir: e\n", "watchkeeper.yml:2: data_dir"},
		{"wrong type", "storage:\n  max_series: many\n", "watchkeeper.yml:2: storage.max_series"},
		{"bad duration", "storage: {}\ncustomers:\n- name: acme\n  host: {interval: 1 minute}\n", "watchkeeper.yml:4: customers[0].host.interval"},
		{"too short", "customers:\n- {name: acme, host: {interval: 10ms}}\n", "watchkeeper.yml:2: customers[0].host.interval"},
		{"bad customer", "customers: [{name: ACME}]\n", "watchkeeper.yml:1: customers[0].name"},
		{"not YAML", "a: [\n", "watchkeeper.yml:"},
		{"open to the world", "ingest: {listen: 0.0.0.0:9371, open: {customer: acme}}\n", "watchkeeper.yml:1: ingest.open"},
		{"no such receiver", "alertmanager:\n  route: {receiver: pager}\n  receivers: [{name: tickets}]\n", "watchkeeper.yml:2: alertmanager"},
		{"no such rule file", "rules: {files: [nowhere.yml]}\n", "rules.files[0]"},
	} {
		dir := folder(t, map[string]string{"watchkeeper.yml": test.config})
		var out, errs strings.Builder
		code := Run("test", []string{"check", "--config", filepath.Join(dir, "watchkeeper.yml")}, &out, &errs)
		if test.says == "" {
			if code != exitOK || !strings.Contains(out.String(), "is good: ") {
				t.Errorf("%s: exit code %d: %s%s", test.name, code, &out, &errs)
			}
			continue
		}
		if msg := errs.String(); code != exitFailed || strings.Count(msg, "\n") != 1 || !strings.Contains(msg, test.says) {
			t.Errorf("%s: exit code %d, %q; want %d and one line with %q", test.name, code, msg, exitFailed, test.says)
		}
	}
}

// What check refuses, serve refuses before it touches anything.
func TestServeRefusesWrongConfiguration(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{"watchkeeper.yml": "data_dir: data\nnonsense: 1\n"})
	r := run(t, dir, "serve", "--config", "watchkeeper.yml")
	if r.code != exitFailed || !strings.Contains(r.stderr, "watchkeeper.yml:2: nonsense") || strings.Count(r.stderr, "\n") != 1 {
		t.Errorf("exit code %d: %q", r.code, r.stderr)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "data")); left != nil {
		t.Error("it made the data folder")
	}
}
