package promtext_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"watchkeeper/internal/promtext"
)

// lines renders what Parse says, one line for each sample and refusal.
func lines(t *testing.T, text string) []string {
	t.Helper()
	samples, bad, err := promtext.Parse([]byte(text), 100)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, s := range samples {
		l := fmt.Sprintf("%d %s %g", s.Line, s.Labels, s.V)
		if s.HasT {
			l += fmt.Sprintf(" @%d", s.T)
		}
		out = append(out, l)
	}
	for _, b := range bad {
		out = append(out, b.Error())
	}
	return out
}

func TestParse(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"plain", "a 1\nb{x=\"y\"} 2.5 1790000000000\n", []string{`1 {__name__="a"} 1`, `2 {__name__="b", x="y"} 2.5 @1790000000000`}},
		{"comments, empty lines, CRLF", "# HELP a b\n# TYPE a counter\n\r\na 1\r\n# EOF", []string{`4 {__name__="a"} 1`}},
		{"histogram", "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 3\nh_sum 4\nh_count 3\n",
			[]string{`2 {__name__="h_bucket", le="+Inf"} 3`, `3 {__name__="h_sum"} 4`, `4 {__name__="h_count"} 3`}},
		{"escapes", `a{p="C:\\x \"q\"\n"} 1` + "\n", []string{`1 {__name__="a", p="C:\\x \"q\"\n"} 1`}},
		{"an empty label is none", "a{x=\"\"} 1\n", []string{`1 {__name__="a"} 1`}},
		{"bad lines are named, the others kept", "a 1\nb one\nc 3\n9x 4\n",
			[]string{`1 {__name__="a"} 1`, `3 {__name__="c"} 3`, `line 2: expected float as value, got "one"`, `line 4: invalid metric name`}},
		{"unfinished", "a 1\nb 12", []string{`1 {__name__="a"} 1`, `line 2: ends without a line break: the text is not complete`}},
		{"twice", "a{x=\"1\",y=\"2\"} 1\na{y=\"2\",x=\"1\"} 2\n",
			[]string{`1 {__name__="a", x="1", y="2"} 1`, `line 2: {__name__="a", x="1", y="2"} is in line 1 already`}},
		{"one series at two times", "a 1 1000\na 2 2000\n", []string{`1 {__name__="a"} 1 @1000`, `2 {__name__="a"} 2 @2000`}},
		{"infinite", "a +Inf\n", []string{`1 {__name__="a"} +Inf`}},
		{"nothing", "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if d := cmp.Diff(c.want, lines(t, c.text)); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestNaN(t *testing.T) {
	s, bad, err := promtext.Parse([]byte("a NaN\n"), 1)
	if err != nil || len(bad) > 0 || len(s) != 1 || !math.IsNaN(s[0].V) {
		t.Errorf("%v %v %v", s, bad, err)
	}
}

func TestLimits(t *testing.T) {
	if _, _, err := promtext.Parse([]byte("a 1\nb 1\nc 1\n"), 2); !errors.Is(err, promtext.ErrTooMany) {
		t.Errorf("got %v", err)
	}
	_, bad, err := promtext.Parse([]byte("a{x=\""+strings.Repeat("y", 70<<10)+"\"} 1\n"), 2)
	if err != nil || len(bad) != 1 || !strings.Contains(bad[0].Error(), "longer") {
		t.Errorf("%v %v", bad, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("a 1\nb{x=\"y\"} 2 3\n")
	f.Add("a{")
	f.Fuzz(func(t *testing.T, text string) {
		samples, bad, err := promtext.Parse([]byte(text), 50)
		if err != nil {
			return
		}
		last := 0
		for _, s := range samples {
			if s.Line <= last || s.Labels.Get("__name__") == "" {
				t.Fatalf("%+v after line %d", s, last)
			}
			last = s.Line
		}
		if n := strings.Count(text, "\n") + 1; len(samples)+len(bad) > n {
			t.Fatalf("%d results of %d lines", len(samples)+len(bad), n)
		}
	})
}
