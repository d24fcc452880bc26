package ruleset

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTimelines(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) < 20 {
		t.Fatalf("found %d timelines: %v", len(files), err)
	}
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			if err := RunTimeline(t.Context(), f, b); err != nil {
				t.Error(err)
			}
		})
	}
}

// The definition names each timeline at what it shows, and none that is not there.
func TestDefinitionNamesTheTimelines(t *testing.T) {
	doc, err := os.ReadFile("../docs/rules.md")
	if err != nil {
		t.Fatal(err)
	}
	text := regexp.MustCompile("(?s)```.*?```|`[^`]*`").ReplaceAllString(string(doc), "")
	named := map[string]bool{}
	for _, m := range regexp.MustCompile(`\[([a-z_,\s]+)\]`).FindAllStringSubmatch(text, -1) {
		for _, name := range strings.Split(m[1], ",") {
			named[strings.TrimSpace(name)] = true
		}
	}
	there := map[string]bool{}
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		there[strings.TrimSuffix(filepath.Base(f), ".txtar")] = true
	}
	if d := cmp.Diff(there, named); d != "" {
		t.Errorf("docs/rules.md (-timelines +named):\n%s", d)
	}
}

// wrongTimeline has nothing wrong until something is replaced in it.
const wrongTimeline = `# Two breaches fire.
-- rules.yml --
groups:
- name: g
  interval: 1m
  rules:
  - {alert: High, expr: percent >= 90, consecutive: 2, lateness: 10m}
-- other.yml --
groups: []
-- timeline --
load 1m
    percent{i="a"}  95 95 50
    percent{i="b"}  50 95 95
at 1m High{i="a"} firing none
at 2m High{i="a"} resolved
at 2m High{i="b"} firing
settled 1m High{i="a"} firing
settled 2m High{i="a"} resolved
settled 2m High{i="b"} firing
`

// A script that fails says where, what it wants and what the logs say instead.
func TestWrongTimelineSaysWhatIsWrong(t *testing.T) {
	f := func(old, replacement string, want ...string) {
		t.Helper()
		script := strings.Replace(wrongTimeline, old, replacement, 1)
		got := ""
		if err := RunTimeline(t.Context(), "x.txtar", []byte(script)); err != nil {
			got = err.Error()
		}
		if d := cmp.Diff(strings.Join(want, "\n"), got); d != "" {
			t.Errorf("%q for %q (-want +got):\n%s", replacement, old, d)
		}
	}
	f("", "")
	f("at 1m High", "at 2m High",
		`x.txtar:14: not said: at 2m High{i="a"} firing none`,
		`  of High{i="a"} the live log says: 0s pending, 1m firing, 2m resolved`,
		`x.txtar: not expected: at 1m High{i="a"} firing`)
	f("firing none", "firing amended",
		`x.txtar:14: not said: at 1m High{i="a"} firing amended`,
		`  of High{i="a"} the live log says: 0s pending, 1m firing, 2m resolved`,
		`x.txtar: not expected: at 1m High{i="a"} firing`)
	f(`settled 2m High{i="b"}`, `settled 2m Hihg{i="b"}`,
		`x.txtar:19: not said: settled 2m Hihg{i="b"} firing`,
		`  of Hihg{i="b"} the settled log says nothing; it speaks of High{i="a"}, High{i="b"}`,
		`x.txtar: not expected: settled 2m High{i="b"} firing`)
	f(`percent{i="a"}  95 95 50`, `percnet{i="a"}  95 95 50`,
		`x.txtar:14: not said: at 1m High{i="a"} firing none`,
		`  of High{i="a"} the live log says nothing; it speaks of High{i="b"}`,
		`x.txtar:15: not said: at 2m High{i="a"} resolved`,
		`x.txtar:17: not said: settled 1m High{i="a"} firing`,
		`  of High{i="a"} the settled log says nothing; it speaks of High{i="b"}`,
		`x.txtar:18: not said: settled 2m High{i="a"} resolved`)
	f("at 2m High{i=\"a\"} resolved\n", "",
		`x.txtar: not expected: at 2m High{i="a"} resolved`)
	f("load 1m", "load 1m delivr 5m", `x.txtar:11: load: unknown word "delivr"; known are offset, deliver, source, fillin`)
	f("load 1m", "late 2m percent{i=\"a\"} at 1m 95 until 5m\nload 1m", `x.txtar:11: late: unknown word "until"; known are source`)
	f("load 1m", "watermark 2m 1m source", `x.txtar:11: watermark: "source" needs a value`)
	f("resolved", "resolvd", `x.txtar:15: unknown state "resolvd"; known are inactive, pending, firing, no_data, resolved, ended`)
	f("consecutive", "consecutiv", `x.txtar:7: groups[0].rules[0]: unknown field "consecutiv"`)
	f(">= 90", ">>= 90", "x.txtar:7: groups[0].rules[0].expr: 1:10: parse error: unexpected <op:>=>")
	f("load 1m", "reload 1m new.yml\nload 1m", `x.txtar:11: reload: no section new.yml`)
	f("load 1m", "reload 1m other.yml failed\nload 1m", `x.txtar:11: reload of other.yml did not fail`)
	f("groups: []", "groups: {}")
	f("groups: []\n-- timeline --", "groups: {}\n-- timeline --\nreload 1m other.yml", `x.txtar:11: x.txtar:9: groups: must be a list`)
	f("load 1m", "stop 1m", `x.txtar:11: unknown line "stop"; known are load, late, up, watermark, end, restart, reload, advance, at, settled, next`)
	f(`settled 2m High{i="a"}`, `next 2m High{i="a"}`,
		`x.txtar:18: not said: next 2m High{i="a"} resolved`,
		`  of High{i="a"} the settled log says: 0s pending, 1m firing, 2m resolved`,
		`x.txtar: not expected: settled 2m High{i="a"} resolved`)
	f(`settled 2m High{i="b"}`, `next 2m High{i="b"}`)
	f(`settled 1m High{i="a"} firing
settled 2m High{i="a"} resolved`, `settled 2m High{i="a"} resolved
next 1m High{i="a"} firing`,
		`x.txtar:18: not said: next 1m High{i="a"} firing`,
		`  of High{i="a"} the settled log says: 0s pending, 1m firing, 2m resolved`,
		`x.txtar: not expected: settled 1m High{i="a"} firing`)
	f(`at 2m High{i="b"} firing
settled 1m`, `at 2m High{i="b"} firing
next 1m`, `x.txtar:17: next: want a settled line before it`)
}

// What a script expects and does not get is told apart from a script that cannot be played.
func TestTimelineErrorIsAboutWhatWasExpected(t *testing.T) {
	f := func(old, replacement string, unexpected bool) {
		t.Helper()
		err := RunTimeline(t.Context(), "x.txtar", []byte(strings.Replace(wrongTimeline, old, replacement, 1)))
		if got := errors.As(err, new(*TimelineError)); err == nil || got != unexpected {
			t.Errorf("%q for %q: a TimelineError: %v, want %v (%v)", replacement, old, got, unexpected, err)
		}
	}
	f("at 1m High", "at 2m High", true)
	f("load 1m", "reload 1m other.yml failed\nload 1m", true)
	f("load 1m", "stop 1m", false)
	f("consecutive", "consecutiv", false)
	f("load 1m", "reload 1m new.yml\nload 1m", false)
	f("-- timeline --", "-- story --", false)
}

// Batches of one second are all taken, each at its own millisecond.
func TestTimelineWithinASecond(t *testing.T) {
	script := `-- rules.yml --
groups: [{name: g, interval: 1s, rules: [{alert: A, expr: x > 5, consecutive: 2, lateness: 10s}]}]
-- timeline --
load 1s
    x{i="a"} 9 0 0
late 1s300ms x{i="a"} at 1s1ms 9
late 1s600ms x{i="a"} at 1s2ms 9
late 1s600ms x{i="b"} at 1s2ms 9
late 2s200ms x{i="b"} at 2s1ms 9
late 3s500ms x{i="b"} at 3s1ms 0
advance 20s
at 3s A{i="b"} firing
at 4s A{i="b"} resolved
`
	if err := RunTimeline(t.Context(), "x.txtar", []byte(script)); err != nil {
		t.Error(err)
	}
}
