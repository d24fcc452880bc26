package events

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"watchkeeper/exporters/aliyun"
)

// maxPages bounds every list: more would be an endless one.
const maxPages = 1000

// request names an action of a product with its parameters.
func (r *reader) request(product, version, action string, query map[string]string) aliyun.Request {
	return aliyun.Request{Product: product, Version: version, Action: action, Region: r.region, Host: aliyun.Host(product, r.region), Query: query}
}

func (r *reader) ecs(action string, query map[string]string) aliyun.Request {
	query["RegionId"] = r.region
	return r.request("Ecs", "2014-05-26", action, query)
}

func (r *reader) rds(action string, query map[string]string) aliyun.Request {
	query["RegionId"] = r.region
	return r.request("Rds", "2014-08-15", action, query)
}

// numbered reads pages by PageNumber (or another name) until one holds fewer
// than size items.
func (r *reader) numbered(ctx context.Context, request aliyun.Request, number string, size int, page func(body []byte) (items int, err error)) error {
	for n := 1; n <= maxPages; n++ {
		request.Query = maps.Clone(request.Query)
		request.Query[number] = strconv.Itoa(n)
		body, err := r.client.Do(ctx, request)
		if err != nil {
			return err
		}
		items, err := page(body)
		if err != nil {
			return fmt.Errorf("%s in %s: %w", request.Action, r.region, err)
		}
		if items < size {
			return nil
		}
	}
	return endless(request)
}

// tokened reads pages by NextToken until there is none. A page that returns
// false ends the reading.
func (r *reader) tokened(ctx context.Context, request aliyun.Request, page func(body []byte) (more bool, err error)) error {
	token := ""
	for range maxPages {
		request.Query = maps.Clone(request.Query)
		if token != "" {
			request.Query["NextToken"] = token
		}
		body, err := r.client.Do(ctx, request)
		if err != nil {
			return err
		}
		var next struct{ NextToken string }
		if err := decode(body, &next); err != nil {
			return fmt.Errorf("%s in %s: %w", request.Action, r.region, err)
		}
		more, err := page(body)
		if err != nil {
			return fmt.Errorf("%s in %s: %w", request.Action, r.region, err)
		}
		switch next.NextToken {
		case "":
			return nil
		case token:
			return endless(request)
		}
		if !more {
			return nil
		}
		token = next.NextToken
	}
	return endless(request)
}

func endless(request aliyun.Request) error {
	return &aliyun.Error{Kind: aliyun.ErrAnswer, Status: 200, Message: "paging of " + request.Action + " does not end"}
}

func decode(body []byte, v any) error {
	if err := json.Unmarshal(body, v); err != nil {
		return &aliyun.Error{Kind: aliyun.ErrAnswer, Status: 200, Message: "unexpected answer: " + err.Error()}
	}
	return nil
}

// word is a text that the service also writes as a number or a boolean.
type word string

// UnmarshalJSON takes any scalar.
func (w *word) UnmarshalJSON(b []byte) error {
	b = bytes.TrimSpace(b)
	switch {
	case bytes.Equal(b, []byte("null")):
		*w = ""
	case len(b) > 0 && b[0] == '"':
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		*w = word(strings.TrimSpace(s))
	case len(b) > 0 && (b[0] == '{' || b[0] == '['):
		return fmt.Errorf("want a text, found %c", b[0])
	default:
		*w = word(b)
	}
	return nil
}

// number is the word's integer, 0 when it is none.
func (w word) number() int64 {
	n, _ := strconv.ParseInt(string(w), 10, 64)
	return n
}

// layouts are the forms in which the services write times, all UTC.
var layouts = []string{"2006-01-02T15:04:05Z", "2006-01-02T15:04Z", "2006-01-02 15:04:05"}

// moment is a time in any of the forms, zero when it is empty or unreadable.
func (w word) moment() time.Time {
	if ms := w.number(); ms > 0 {
		return time.UnixMilli(ms).UTC()
	}
	for _, layout := range layouts {
		if t, err := time.Parse(layout, string(w)); err == nil {
			return t
		}
	}
	return time.Time{}
}

// bounded shortens a label's value that a stranger may choose.
func bounded(text string) string {
	const longest = 128
	if text = strings.ToValidUTF8(text, "?"); len(text) > longest {
		text = strings.ToValidUTF8(text[:longest], "")
	}
	return text
}
