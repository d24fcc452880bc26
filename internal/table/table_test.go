package table

import (
	"strings"
	"testing"
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
