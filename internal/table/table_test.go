package table

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"watchkeeper/internal/property"
)

func TestWriteAlignsWideCharacters(t *testing.T) {
	var b strings.Builder
	err := Write(&b, []string{"ROW", "LITERAL", "N"}, [][]string{
		{"ecs-cpu", "每分钟检测一次", "3"},
		{"x", "a\x1b[31m\nb", "10"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := "" +
		"ROW      LITERAL         N\n" +
		"ecs-cpu  每分钟检测一次  3\n" +
		"x        a [31m b        10\n"
	if b.String() != want {
		t.Fatalf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestShorten(t *testing.T) {
	f := func(in string, n int, want string) {
		t.Helper()
		if got := Shorten(in, n); got != want {
			t.Errorf("Shorten(%q, %d) = %q, want %q", in, n, got, want)
		}
	}
	f("abc", 3, "abc")
	f("abcd", 3, "ab…")
	f("每分钟检测", 5, "每分…")
	f("每分", 4, "每分")
}

// On a narrow terminal the widest cells go on in further lines, words stay whole
// where they can, and nothing is lost.
func TestNarrowTerminal(t *testing.T) {
	f := func(limit int, rows [][]string, want ...string) {
		t.Helper()
		var b strings.Builder
		if err := write(&b, limit, nil, rows); err != nil {
			t.Fatal(err)
		}
		if got := strings.TrimSuffix(b.String(), "\n"); got != strings.Join(want, "\n") {
			t.Errorf("%d cells: got\n%s\nwant\n%s", limit, got, strings.Join(want, "\n"))
		}
	}
	checks := [][]string{
		{"  CHECK", "RUN", "WHY"},
		{"  10:00", "3", "breach 3 of 3: fires"},
		{"  10:01", "3", "not decided yet: counts for nothing"},
	}
	f(80, checks,
		"  CHECK  RUN  WHY",
		"  10:00  3    breach 3 of 3: fires",
		"  10:01  3    not decided yet: counts for nothing")
	f(32, checks,
		"  CHECK  RUN  WHY",
		"  10:00  3    breach 3 of 3:",
		"              fires",
		"  10:01  3    not decided yet:",
		"              counts for nothing")
	f(23, [][]string{{"每分钟检测一次, 连续三次>=90%", "cpu >= 90"}},
		"每分钟检测一  cpu >= 90",
		"次, 连续三次",
		">=90%")
	f(26, [][]string{{"a", `{__name__="host_cpu", i="a"}`}},
		`a  {__name__="host_cpu",`,
		`   i="a"}`)
	f(14, [][]string{{"a", "aliyun-es-cloud-snapshot"}},
		"a  aliyun-es-",
		"   cloud-",
		"   snapshot")
	f(80, [][]string{{"   a", "b"}}, "   a  b")
	// What cannot be had at all stays in one line.
	f(8, [][]string{{"abcdefgh", "abcdefgh"}}, "abcdefgh  abcdefgh")
}

// Whatever the cells and the width: no character is lost, and no line is too long
// if a row can be had in the width.
func TestNarrowTerminalLosesNothing(t *testing.T) {
	property.Check(t, func(t *rapid.T) {
		cell := rapid.StringMatching(`[ a-c连次,_=-]{0,60}`)
		rows := [][]string{{cell.Draw(t, "a"), cell.Draw(t, "b"), cell.Draw(t, "c")}}
		limit := rapid.IntRange(1, 100).Draw(t, "limit")
		widths := fit(rows, columnWidths(rows), limit)
		for i, c := range rows[0] {
			cut := wrap(c, widths[i])
			if got, want := strings.ReplaceAll(strings.Join(cut, ""), " ", ""), strings.ReplaceAll(c, " ", ""); got != want {
				t.Fatalf("%q became %q", c, cut)
			}
		}
		if limit < 8*3+2*len(gap) {
			return
		}
		for _, line := range lines(rows[0], widths) {
			if Width(line) > limit {
				t.Fatalf("%q has %d cells, want at most %d", line, Width(line), limit)
			}
		}
	})
}
