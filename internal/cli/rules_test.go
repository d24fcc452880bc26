package cli

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"watchkeeper/ruleset/contract"
	"watchkeeper/ruleset/replay"
)

// shipped is how many rules the default packs have: the contract's 90 rows and 7 of
// the pack watch.
const shipped = 99

// Without a server the default packs are listed: every row of the contract with
// its literal text.
func TestRulesListOfThePacks(t *testing.T) {
	t.Parallel()
	rules := decoded[[]listedRule](t, t.TempDir(), "rules", "list", "--format", "json")
	if len(rules) != shipped {
		t.Fatalf("%d rules, want %d", len(rules), shipped)
	}
	rows := map[string]string{}
	rules = slices.DeleteFunc(rules, func(r listedRule) bool { return r.Row == "" })
	if len(rules) != 90 {
		t.Errorf("%d rules of the contract, want 90", len(rules))
	}
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
	if n := strings.Count(text, "\n"); n < 92 || !strings.Contains(text, "ecs-cpu") || !strings.Contains(text, fmt.Sprintf("\n%d rules;", shipped)) {
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
		{ID: "r.yml:g/one", File: filepath.Join(dir, "r.yml"), Record: "one", Group: "g", Expr: "vector(1)", Interval: "30s", Mode: "plain"},
		{ID: "r.yml:g/A", File: filepath.Join(dir, "r.yml"), Alert: "A", Group: "g", Expr: "one > 0", Interval: "30s", For: "5m", Severity: "high", Mode: "plain"},
	}
	if diff := cmp.Diff(want, decoded[[]listedRule](t, dir, "rules", "list", "--config", config, "--format", "json")); diff != "" {
		t.Errorf("rules (-want +got):\n%s", diff)
	}
	if text := ok(t, dir, "rules", "list", "--config", config); !strings.Contains(text, "every 30s, for 5m") || !strings.Contains(text, "(records one)") || !strings.HasSuffix(text, "\n2 rules\n") {
		t.Errorf("table:\n%s", text)
	}
	if text := ok(t, dir, "check", "--config", config); !strings.Contains(text, "2 rules") {
		t.Errorf("check: %s", text)
	}
}

// The table tells why a rule is evaluated.
func TestRulesListTellsWhyARuleIsEvaluated(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := filepath.Join(dir, "w.yml")
	write(t, config, "rules: {packs: [], files: [r.yml]}\n")
	write(t, filepath.Join(dir, "r.yml"), "groups: [{name: g, interval: 1m, rules: [{alert: Top, expr: 'topk(1, percent) > 90', consecutive: 3}, {alert: High, expr: percent > 90, consecutive: 3}]}]")
	text := ok(t, dir, "rules", "list", "--config", config)
	if !strings.Contains(text, "\ng/Top: evaluated: aggregation topk") || strings.Contains(text, "g/High: evaluated") {
		t.Errorf("table:\n%s", text)
	}
}

// A failed script is an answer, one that cannot be played is not: the exit codes tell them apart.
func TestRulesTestExitCodes(t *testing.T) {
	t.Parallel()
	const script = "-- rules.yml --\ngroups: [{name: g, interval: 1m, rules: [{alert: High, expr: percent > 90, consecutive: 2}]}]\n-- timeline --\nload 1m\n    percent 95 95\n"
	dir := t.TempDir()
	write(t, filepath.Join(dir, "good.txtar"), script+"at 1m High firing\n")
	write(t, filepath.Join(dir, "wrong.txtar"), script+"at 2m High firing\n")
	write(t, filepath.Join(dir, "broken.txtar"), script+"stop 1m\n")
	for _, test := range []struct {
		files string
		code  int
		says  string
	}{
		{"good.txtar", exitOK, "ok  good.txtar"},
		{"good.txtar wrong.txtar", exitFound, "FAIL  wrong.txtar"},
		{"broken.txtar wrong.txtar good.txtar", exitFailed, "ERROR  broken.txtar\nFAIL   wrong.txtar\nok     good.txtar\n"},
	} {
		r := run(t, dir, append([]string{"rules", "test"}, strings.Fields(test.files)...)...)
		if r.code != test.code || !strings.Contains(r.stdout, test.says) {
			t.Errorf("%s: exit code %d, want %d and %q:\n%s%s", test.files, r.code, test.code, test.says, r.stdout, r.stderr)
		}
	}
}

// A rule file that the server would refuse is no good file, though each of its rules is one.
func TestRulesCheckRefusesWhatTheServerRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "mixed.yml"), `groups:
- name: g
  interval: 1m
  rules:
  - {alert: Counts, expr: "percent > 90", consecutive: 3}
  - {alert: Plain, expr: "percent > 90", for: 3m}
`)
	r := run(t, dir, "rules", "check", "mixed.yml")
	if r.code != exitFailed || !strings.Contains(r.stderr, "mixed.yml:6: groups[0].rules[1]: has no field consecutive") {
		t.Errorf("exit code %d, want %d: %s%s", r.code, exitFailed, r.stdout, r.stderr)
	}
}

// A condition is shown to its end: that is where the threshold stands.
func TestTablesHoldWholeConditions(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rules := decoded[[]listedRule](t, dir, "rules", "list", "--format", "json")
	deviations := decoded[struct {
		Shipped []struct {
			Expr    string `json:"expr"`
			Literal string `json:"literal_expr"`
		} `json:"shipped"`
	}](t, dir, "rules", "deviations", "--format", "json")
	list, differ := ok(t, dir, "rules", "list"), ok(t, dir, "rules", "deviations")
	if len(rules) != shipped || len(deviations.Shipped) != 10 {
		t.Errorf("%d rules, %d deviations", len(rules), len(deviations.Shipped))
	}
	for _, r := range rules {
		if !strings.Contains(list, r.Expr) {
			t.Errorf("rules list does not show %s", r.Expr)
		}
	}
	for _, d := range deviations.Shipped {
		if !strings.Contains(differ, d.Expr) || !strings.Contains(differ, d.Literal) {
			t.Errorf("rules deviations does not show %s, or %s", d.Expr, d.Literal)
		}
	}
}

func TestFiresAfter(t *testing.T) {
	t.Parallel()
	if got := firesAfter(1) + ", " + firesAfter(3); got != "1 breach fires, 3 breaches fire" {
		t.Error(got)
	}
}

// The contract's timelines, which hold no rules, are run with the shipped rule of the row
// that they are named after; other scripts without rules are an error.
func TestRulesTestOfTheContractsRows(t *testing.T) {
	t.Parallel()
	scripts, err := filepath.Glob("../../ruleset/contract/testdata/*.txt")
	if err != nil || len(scripts) != 90 {
		t.Fatalf("%d scripts: %v", len(scripts), err)
	}
	for i := range scripts {
		if scripts[i], err = filepath.Abs(scripts[i]); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	if out := ok(t, dir, append([]string{"rules", "test"}, scripts...)...); strings.Count(out, "ok  ") != 90 {
		t.Errorf("%s", out)
	}
	const story = `-- timeline --
load 1m
    aliyun_ecs_cpu_utilization_percent{instance="over"}  45 90x3 45
at 2m  ECSCPUUtilizationHigh{instance="over"}  firing
`
	write(t, filepath.Join(dir, "ecs-cpu.txt"), story)
	write(t, filepath.Join(dir, "mine.txt"), story)
	if r := run(t, dir, "rules", "test", "ecs-cpu.txt"); r.code != exitFound || !strings.Contains(r.stdout, `ecs-cpu.txt:4: not said: at 2m`) {
		t.Errorf("exit code %d: %s%s", r.code, r.stdout, r.stderr)
	}
	if r := run(t, dir, "rules", "test", "mine.txt"); r.code != exitFailed || !strings.Contains(r.stdout, "needs a section rules.yml") {
		t.Errorf("exit code %d: %s%s", r.code, r.stdout, r.stderr)
	}
}

// Who asks nobody does not say that nobody answers.
func TestExitCodesOfWhatAsksNobody(t *testing.T) {
	t.Parallel()
	for command, answers := range map[string]bool{"export": false, "deviations": false, "list": true} {
		if help := ok(t, t.TempDir(), "rules", command, "--help"); !strings.Contains(help, "Exit codes: 0 done; 2") || strings.Contains(help, "nobody answers") != answers {
			t.Errorf("rules %s:\n%s", command, help)
		}
	}
}

func TestHowAnExplainedAlertStands(t *testing.T) {
	t.Parallel()
	e := replay.Explanation{State: "firing", Run: 4, Consecutive: 3}
	if got := standing(e); got != "now firing, run 4 of 3" {
		t.Error(got)
	}
	e.NotJudged = "the limit of series per rule (5) refused it"
	if got := standing(e); got != "not judged: the limit of series per rule (5) refused it (the checks are what its samples say)" {
		t.Error(got)
	}
}
