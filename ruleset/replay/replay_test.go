package replay_test

import (
	"bytes"
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"watchkeeper/ruleset"
	"watchkeeper/ruleset/replay"
)

var update = flag.Bool("update", false, "rewrite the expected lines")

// sections cuts an archive of named files; the text before the first is its comment.
func sections(b []byte) map[string]string {
	out := map[string]string{}
	name := ""
	for _, line := range strings.SplitAfter(string(b), "\n") {
		if s, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "-- "); ok && strings.HasSuffix(s, " --") {
			name = strings.TrimSuffix(s, " --")
			continue
		}
		out[name] += line
	}
	return out
}

func parseRules(t testing.TB, text string) []ruleset.Group {
	t.Helper()
	groups, err := ruleset.Parse("rules.yml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return groups
}

// TestSamples replays every example twice and compares with the lines it expects.
func TestSamples(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d examples: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s := sections(text)
			run := func() string {
				var out bytes.Buffer
				opt := replay.Options{Load: func(name string) ([]ruleset.Group, error) { return ruleset.Parse(name, []byte(s[name])) }}
				if _, err := replay.Samples(context.Background(), parseRules(t, s["rules.yml"]), strings.NewReader(s["in.jsonl"]), &out, opt); err != nil {
					t.Fatal(err)
				}
				return out.String()
			}
			got := run()
			if again := run(); again != got {
				t.Fatalf("a second replay differs:\n%s", cmp.Diff(got, again))
			}
			if *update {
				before, _, _ := strings.Cut(string(text), "-- out.jsonl --\n")
				if err := os.WriteFile(file, []byte(before+"-- out.jsonl --\n"+got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if d := cmp.Diff(s["out.jsonl"], got); d != "" {
				t.Errorf("log lines differ (-want +got):\n%s", d)
			}
		})
	}
}

func TestLogsChosen(t *testing.T) {
	text, err := os.ReadFile("testdata/three_breaches.txtar")
	if err != nil {
		t.Fatal(err)
	}
	s := sections(text)
	run := func(logs replay.Logs) string {
		var out bytes.Buffer
		if _, err := replay.Samples(context.Background(), parseRules(t, s["rules.yml"]), strings.NewReader(s["in.jsonl"]), &out, replay.Options{Logs: logs}); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	live, settled := run(replay.LogsLive), run(replay.LogsSettled)
	if live == "" || settled == "" || live+settled != run(replay.LogsBoth) {
		t.Errorf("live and settled lines are not the two parts of both:\n%s\n%s", live, settled)
	}
}

func TestBadInput(t *testing.T) {
	groups := parseRules(t, `groups: [{name: g, interval: 1m, rules: [{alert: A, expr: a > 5, consecutive: 3}]}]`)
	bad := func(in, want string) {
		t.Helper()
		_, err := replay.Samples(context.Background(), groups, strings.NewReader(in), &bytes.Buffer{}, replay.Options{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q in it", in, err, want)
		}
	}
	bad("\n{", "line 2: not JSON: unexpected EOF")
	bad("hello", "line 1: not JSON: ")
	bad("[1]", "line 1: JSON array; want one object a line")
	bad(`{"time": "2026-03-01T10:00:00Z", "value": 1, "labels": [1]}`, "line 1: labels: must not be array")
	bad(`{"time":"2026-01-01T00:00:00Z","value":1,"labels":{"i":"x"}}`, "line 1: labels: need __name__")
	bad(`{"time":"2026-01-01T00:00:00Z","labels":{"__name__":"a"}}`, "line 1: value: missing")
	bad(`{"time":"yesterday","value":1,"labels":{"__name__":"a"}}`, `"yesterday" is not a time in RFC 3339`)
	bad(`{"time":"2026-01-01T00:00:00Z","value":"much","labels":{"__name__":"a"}}`, `"much" is neither a number nor`)
	bad(`{"tyme":"2026-01-01T00:00:00Z"}`, `unknown field "tyme"`)
	bad(`{"value":1}`, "want exactly one of time, advance")
	bad(`{"advance":"2026-01-01T00:00:00Z"} {}`, "more than one object")
	bad(`{"reload":"x.yml"}`, "needs arrive")
	bad(`{"time":"0001-01-01T00:00:00Z","value":9,"labels":{"__name__":"a"}}`, "lies before 1970")
	bad(`{"advance":"1970-01-01T00:00:00Z"}`+"\n"+`{"advance":"9999-01-01T00:00:00Z"}`, "line 2: time lies more than 1000000 checks")
}

// FuzzSamples holds the replay to its promises on any input: no panic, and the
// same lines again.
func FuzzSamples(f *testing.F) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(sections(text)["in.jsonl"])
	}
	groups := parseRules(f, `groups: [{name: g, interval: 12h, rules: [{alert: A, expr: cpu > 5 unless b, consecutive: 3, lateness: 36h}]}]`)
	f.Fuzz(func(t *testing.T, in string) {
		run := func() (string, error) {
			var out bytes.Buffer
			_, err := replay.Samples(context.Background(), groups, strings.NewReader(in), &out, replay.Options{})
			return out.String(), err
		}
		a, errA := run()
		b, errB := run()
		if a != b || (errA == nil) != (errB == nil) {
			t.Errorf("two replays differ: %v, %v\n%s", errA, errB, cmp.Diff(a, b))
		}
	})
}
