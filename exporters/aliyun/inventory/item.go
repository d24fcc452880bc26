package inventory

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"
)

// item is a JSON object of an answer. Its methods take scalars as they come: the
// services write numbers as texts and texts as numbers, and leave fields out.
// A path names nested fields: "VpcAttributes.VpcId".
type item map[string]any

// parseItem decodes an answer; numbers keep their digits.
func parseItem(body []byte) (item, error) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var i item
	err := d.Decode(&i)
	return i, err
}

// at returns the value at a path, nil when there is none.
func (i item) at(path string) any {
	var v any = map[string]any(i)
	for name := range strings.SplitSeq(path, ".") {
		fields, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = fields[name]
	}
	return v
}

// text returns a scalar; the first that is not empty, of several paths.
func (i item) text(paths ...string) string {
	for _, path := range paths {
		if s := scalar(i.at(path)); s != "" {
			return s
		}
	}
	return ""
}

func scalar(v any) string {
	switch v := v.(type) {
	case string:
		return strings.TrimSpace(v)
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	}
	return ""
}

// first returns the first scalar of a list.
func (i item) first(path string) string {
	list, _ := i.at(path).([]any)
	for _, v := range list {
		if s := scalar(v); s != "" {
			return s
		}
	}
	return ""
}

// number returns a whole number; false when there is none.
func (i item) number(path string) (int, bool) {
	f, err := strconv.ParseFloat(scalar(i.at(path)), 64)
	if err != nil || math.Abs(f) > math.MaxInt32 {
		return 0, false
	}
	return int(f), true
}

// items returns the objects of a list, also of one that is JSON within a text;
// false when there is no list.
func (i item) items(path string) ([]item, bool) {
	v := i.at(path)
	if text, ok := v.(string); ok {
		if text == "" {
			return nil, true
		}
		wrapped, err := parseItem([]byte(`{"list":` + text + `}`))
		if err != nil {
			return nil, false
		}
		v = wrapped["list"]
	}
	list, ok := v.([]any)
	if !ok {
		return nil, v == nil
	}
	out := make([]item, 0, len(list))
	for _, e := range list {
		if fields, ok := e.(map[string]any); ok {
			out = append(out, fields)
		}
	}
	return out, true
}

// tags reads the forms in which products list tags.
func (i item) tags() map[string]string {
	list, _ := i.items("Tags")
	for _, path := range []string{"Tags.Tag", "tags"} {
		if len(list) == 0 {
			list, _ = i.items(path)
		}
	}
	if len(list) == 0 {
		return nil
	}
	out := make(map[string]string, len(list))
	for _, tag := range list {
		if key := tag.text("TagKey", "Key", "tagKey"); key != "" {
			out[key] = tag.text("TagValue", "Value", "tagValue")
		}
	}
	return out
}

// neverYear: from this year on, an expiry means that there is none; products say
// 2099 or 2999.
const neverYear = 2099

// firstYear: what is earlier is no time of a resource, but a 0 or a -1.
const firstYear = 2005

// layouts are the forms in which the services write a time. The last two have no
// zone: they are taken for UTC.
var layouts = []string{"2006-01-02T15:04Z", time.RFC3339, time.DateTime, time.DateOnly}

// when returns a time: in one of the layouts, or as a number of milliseconds or
// seconds since 1970. The zero time: none, or never.
func (i item) when(path string) time.Time {
	text := scalar(i.at(path))
	if n, err := strconv.ParseFloat(text, 64); err == nil {
		if n < 1e11 { // as milliseconds this would be 1973
			n *= 1000
		}
		if n > 1e14 {
			return time.Time{}
		}
		return sensible(time.UnixMilli(int64(n)).UTC())
	}
	for _, layout := range layouts {
		if t, err := time.Parse(layout, text); err == nil {
			return sensible(t.UTC())
		}
	}
	return time.Time{}
}

func sensible(t time.Time) time.Time {
	if t.Year() < firstYear || t.Year() >= neverYear {
		return time.Time{}
	}
	return t
}
