package inventory

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func parsed(t *testing.T, text string) item {
	t.Helper()
	i, err := parseItem([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func TestTimesInAllForms(t *testing.T) {
	second := time.Date(2027, 3, 1, 16, 0, 0, 0, time.UTC)
	f := func(json string, want time.Time) {
		t.Helper()
		if got := parsed(t, `{"End":`+json+`}`).when("End"); !got.Equal(want) {
			t.Errorf("%s: %v, want %v", json, got, want)
		}
	}
	f(`"2027-03-01T16:00Z"`, second)
	f(`"2027-03-01T16:00:00Z"`, second)
	f(`"2027-03-01T16:00:00.000Z"`, second)
	f(`"2027-03-02T00:00:00+08:00"`, second)
	f(`"2027-03-01 16:00:00"`, second)
	f(`"2027-03-01"`, second.Truncate(24*time.Hour))
	f(`1803916800000`, second)
	f(`"1803916800000"`, second)
	f(`1803916800`, second)
	f(`1.8039168e12`, second)
	for _, never := range []string{`"2099-12-31T15:59Z"`, `"2999-09-08T16:00:00Z"`, `32493801600000`, `""`, `null`, `0`, `"0"`, `-1`, `"never"`, `1e300`, `{}`, `true`} {
		f(never, time.Time{})
	}
	if got := (item{}).when("End"); !got.IsZero() {
		t.Errorf("of nothing: %v", got)
	}
}

func TestScalarsAsTheyCome(t *testing.T) {
	i := parsed(t, `{"a":{"b":" x ","n":8.0,"big":12345678901234567890,"ok":true,"none":null},"list":["","y"],"text":"[{\"id\":1},3]","bad":"[{"}`)
	for path, want := range map[string]string{"a.b": "x", "a.n": "8.0", "a.big": "12345678901234567890", "a.ok": "true", "a.none": "", "a": "", "a.b.c": "", "z.b": ""} {
		if got := i.text(path); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	if got := i.text("a.none", "a.b"); got != "x" {
		t.Errorf("first of two: %q", got)
	}
	if got := i.first("list"); got != "y" {
		t.Errorf("first of a list: %q", got)
	}
	if rows, ok := i.items("text"); !ok || len(rows) != 1 || rows[0].text("id") != "1" {
		t.Errorf("list within a text: %v %v", rows, ok)
	}
	if rows, ok := i.items("nothing"); !ok || rows != nil {
		t.Errorf("no list: %v %v", rows, ok)
	}
	for _, path := range []string{"bad", "a.n"} {
		if _, ok := i.items(path); ok {
			t.Errorf("%s is taken for a list", path)
		}
	}
	if n, ok := i.number("a.n"); !ok || n != 8 {
		t.Errorf("number %d %v", n, ok)
	}
	if _, ok := i.number("a.big"); ok {
		t.Error("a number of no use is taken")
	}
}

func TestTagsInAllForms(t *testing.T) {
	want := map[string]string{"env": "prod", "team": "8"}
	for _, text := range []string{
		`{"Tags":{"Tag":[{"TagKey":"env","TagValue":"prod"},{"TagKey":"team","TagValue":8},{"TagKey":"","TagValue":"x"}]}}`,
		`{"Tags":{"Tag":[{"Key":"env","Value":"prod"},{"Key":"team","Value":"8"}]}}`,
		`{"Tags":[{"Key":"env","Value":"prod"},{"Key":"team","Value":"8"}]}`,
		`{"tags":[{"tagKey":"env","tagValue":"prod"},{"tagKey":"team","tagValue":"8"}]}`,
	} {
		if diff := cmp.Diff(want, parsed(t, text).tags()); diff != "" {
			t.Errorf("%s: %s", text, diff)
		}
	}
	for _, text := range []string{`{}`, `{"Tags":null}`, `{"Tags":""}`, `{"Tags":{"Tag":null}}`, `{"Tags":7}`} {
		if got := parsed(t, text).tags(); got != nil {
			t.Errorf("%s: %v", text, got)
		}
	}
}
