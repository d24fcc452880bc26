package ruleset

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// linesOf plays a script of one rule and returns what a log says: "CHECK STATE VALUE RUN REASON",
// of the live log after its engine time.
func linesOf(t *testing.T, log Log, rule string, script ...string) []string {
	t.Helper()
	const head = "-- rules.yml --\ngroups:\n- name: g\n  interval: 1m\n  rules:\n  - {alert: A, lateness: 10m, %s}\n-- timeline --\n%s\n"
	tl, err := parseTimeline("x.txtar", fmt.Appendf(nil, head, rule, strings.Join(script, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	entries, err := tl.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, en := range entries {
		if en.Log != log {
			continue
		}
		line := strings.TrimSpace(fmt.Sprint(clock(en.Check), " ", en.To, " ", en.Value, " ", en.Run, " ", en.Reason))
		if log == LogLive {
			line = clock(en.At) + ": " + line
		}
		out = append(out, line)
	}
	return out
}

// docs/rules.md says what stands in the fields of a line where the check is not a breach.
func TestValueOfAGoodCheck(t *testing.T) {
	f := func(expr, a, b, want string) {
		t.Helper()
		script := []string{"load 1m", "    a{i=\"x\"} 9 " + a, "    b{i=\"x\"} 1 " + b, "advance 1m"}
		got := linesOf(t, LogSettled, fmt.Sprintf("expr: %q, consecutive: 1", expr), script...)
		if len(got) != 2 || got[1] != "1m resolved "+want+" 1" {
			t.Errorf("%s: the log says %q, want the second line with %s", expr, got, want)
		}
	}
	f("a > 2", "1", "_", "1")
	f("2 < a", "1", "_", "1")
	f("(a < 20) > 2", "30", "_", "30")
	f("(a > bool 2) == 1", "1", "_", "0")
	f("a > b", "1", "3", "1")
	f("a - b > 2", "4", "3", "1")
	f("a > 2 and b < 5", "9", "8", "9")
	f("a > 2 and b < 5", "1", "3", "1")
	f("a > 2 unless b > 5", "9", "7", "9")
	f("a > 2 unless b > 5", "1", "3", "1")
	f("a > 2 or b > 5", "1", "3", "3")
	f("(a or b) > 2", "1", "9", "1")
	f("count by (i) (a) > b - 1", "9", "3", "1")
	f("(a > 2) + b > 5", "1", "3", "NaN")
	f("count by (i) (a > 2) >= 1", "1", "_", "NaN")
	f("abs(a) > 2", "1", "_", "NaN")
}

func TestRunOfALineThatCloses(t *testing.T) {
	f := func(rule, values, more string, want ...string) {
		t.Helper()
		script := []string{"load 1m", "    a{i=\"x\"} " + values, more, "advance 12m"}
		got := linesOf(t, LogSettled, `expr: "a > 2", `+rule, script...)
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s, %s, %s (-want +got):\n%s", rule, values, more, d)
		}
	}
	f("consecutive: 2", "9 9 9 1", "", "0s pending 9 1", "1m firing 9 2", "3m resolved 1 3")
	f("consecutive: 2, resolve_after: 2", "9 9 9 1 1", "", "0s pending 9 1", "1m firing 9 2", "4m resolved 1 0")
	f("consecutive: 2", "9 9 9", `end 2m30s a{i="x"} deleted`, "0s pending 9 1", "1m firing 9 2", "3m ended NaN 3 deleted")
	f("consecutive: 2", "9 9 9", `end 2m a{i="x"} deleted`, "0s pending 9 1", "1m firing 9 2", "2m ended 9 3 deleted")
	f("consecutive: 2, resolve_after: 2", "9 9 1", `end 2m30s a{i="x"} deleted`, "0s pending 9 1", "1m firing 9 2", "3m ended NaN 0 deleted")
	f("consecutive: 3", "9 9", `end 1m30s a{i="x"} deleted`, "0s pending 9 1", "2m inactive NaN 2")
	f("consecutive: 3", "9 9", "late 1m30s a{i=\"x\"} at 1m30s NaN\nend 1m40s a{i=\"x\"} deleted", "0s pending 9 1", "2m inactive NaN 2 nan")
	f("consecutive: 3, max_gap: 1", "9 9", "", "0s pending 9 1", "3m inactive NaN 2")
	f("consecutive: 1, max_gap: 1, no_data_after: 2", "9 9", "", "0s firing 9 1", "3m no_data NaN 2")
	f("consecutive: 1, max_gap: 0, no_data_after: 2", "9 9", "", "0s firing 9 1", "3m no_data NaN 0")
	f("consecutive: 1, max_gap: 1, no_data_after: 2", "9 9 _ _ 9", "advance 5m", "0s firing 9 1", "3m no_data NaN 2", "4m firing 9 1", "6m no_data NaN 1")
	f("consecutive: 2, missing: breach", "9", "", "0s pending 9 1", "1m firing NaN 2")
}

func TestLineOfAnAlertThatIsTakenBack(t *testing.T) {
	f := func(rule, values, late string, want ...string) {
		t.Helper()
		script := []string{"load 1m", "    a{i=\"x\"} " + values, late, "advance 8m"}
		got := linesOf(t, LogLive, `expr: "a > 2", no_data_after: 99, `+rule, script...)
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s, %s (-want +got):\n%s", rule, values, d)
		}
	}
	f("consecutive: 3", "_ 9 _ 9 9", `late 7m30s a{i="x"} at 2m 1`,
		"1m: 1m pending 9 1", "4m: 4m firing 9 3", "7m30s: 6m pending NaN 2 amended", "8m: 7m inactive NaN 2")
	f("consecutive: 3, missing_after: 5m", "_ 9 _ 9 9", `late 6m30s a{i="x"} at 2m 1`,
		"1m: 1m pending 9 1", "4m: 4m firing 9 3", "6m30s: 4m pending 9 2 amended", "12m: 7m inactive NaN 2")
	f("consecutive: 1", "_ 9", `late 4m30s a{i="x"} at 59s 1`,
		"1m: 1m firing 9 1")
	f("consecutive: 1", "", `late 20s a{i="x"} at 20s 9`+"\n"+`late 4m30s a{i="x"} at 40s 1`,
		"1m: 1m firing 9 1", "4m30s: 3m inactive NaN 0 amended")
}
