package inventory

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"watchkeeper/exporters/aliyun"
)

// cloud answers requests by a function.
type cloud struct {
	aliyun.Client
	answer func(r aliyun.Request) (string, error)
	calls  []aliyun.Request
}

func (c *cloud) Do(_ context.Context, r aliyun.Request) ([]byte, error) {
	c.calls = append(c.calls, r)
	text, err := c.answer(r)
	return []byte(text), err
}

// eips is an answer of DescribeEipAddresses.
func eips(total int, ids ...string) string {
	var rows []map[string]string
	for _, id := range ids {
		rows = append(rows, map[string]string{"AllocationId": id})
	}
	text, err := json.Marshal(map[string]any{"TotalCount": total, "EipAddresses": map[string]any{"EipAddress": rows}})
	if err != nil {
		panic(err)
	}
	return string(text)
}

func numbered(from, to int) (ids []string) {
	for n := from; n < to; n++ {
		ids = append(ids, "eip-"+strconv.Itoa(n))
	}
	return ids
}

// listOf lists a product whose pages are given in turn; the last one repeats.
func listOf(t *testing.T, product string, pages ...string) (listing, *cloud, error) {
	t.Helper()
	c := &cloud{}
	c.answer = func(aliyun.Request) (string, error) { return pages[min(len(c.calls), len(pages))-1], nil }
	l := lister{product: productOf(product), region: "cn-hangzhou", client: c}
	got, err := l.list(t.Context())
	return got, c, err
}

func TestPages(t *testing.T) {
	f := func(name string, wantIDs, wantCalls int, wantWhole bool, pages ...string) {
		t.Helper()
		got, c, err := listOf(t, "eip", pages...)
		if err != nil || len(got.resources) != wantIDs || len(c.calls) != wantCalls || got.whole != wantWhole {
			t.Errorf("%s: %d resources, %d calls, whole %v, error %v", name, len(got.resources), len(c.calls), got.whole, err)
		}
	}
	f("nothing", 0, 1, true, eips(0))
	f("a list without a list", 0, 1, true, `{"TotalCount":0}`)
	f("one page", 3, 1, true, eips(3, numbered(0, 3)...))
	f("two pages", 150, 2, true, eips(150, numbered(0, 100)...), eips(150, numbered(100, 150)...))
	f("fewer on a page than asked for", 150, 3, true, eips(150, numbered(0, 50)...), eips(150, numbered(50, 100)...), eips(150, numbered(100, 150)...))
	f("one came between: read again", 151, 4, true,
		eips(150, numbered(0, 100)...), eips(151, numbered(99, 150)...),
		eips(151, append(numbered(0, 99), "eip-new")...), eips(151, numbered(99, 150)...))
	f("one went between: read again", 149, 4, true,
		eips(150, numbered(0, 100)...), eips(149, numbered(101, 150)...), // eip-100 moved to the page that was read
		eips(149, numbered(1, 101)...), eips(149, numbered(101, 150)...))
	f("no count: a short page ends", 130, 2, true,
		strings.Replace(eips(0, numbered(0, 100)...), `"TotalCount":0`, `"x":0`, 1), strings.Replace(eips(0, numbered(100, 130)...), `"TotalCount":0`, `"x":0`, 1))
	f("count as a text, ids missing and too long", 2, 2, false,
		strings.Replace(eips(4, "eip-1", "", strings.Repeat("x", 200), "eip-2"), `:4}`, `:"4"}`, 1))
	f("counts more than it shows", 3, 4, false, eips(9, numbered(0, 3)...), eips(9), eips(9, numbered(0, 3)...), eips(9))
}

func TestListsThatDoNotEnd(t *testing.T) {
	f := func(name, product string, wantCalls int, words string, pages ...string) {
		t.Helper()
		_, c, err := listOf(t, product, pages...)
		if !errors.Is(err, aliyun.ErrAnswer) || !strings.Contains(err.Error(), words) || len(c.calls) != wantCalls {
			t.Errorf("%s: %d calls, error %v", name, len(c.calls), err)
		}
	}
	f("the same page again and again", "eip", 2, "repeats", eips(500, numbered(0, 100)...))
	f("a token that names its own page", "alb", 2, "itself", `{"LoadBalancers":[],"NextToken":"t"}`)
	f("no JSON", "eip", 1, "no JSON object", `[1]`)
	f("something else for a list", "eip", 1, "has no list", `{"EipAddresses":{"EipAddress":7}}`)

	endless := &cloud{}
	endless.answer = func(aliyun.Request) (string, error) {
		n := len(endless.calls)
		return fmt.Sprintf(`{"LoadBalancers":[{"LoadBalancerId":"alb-%d"}],"NextToken":"%d"}`, n, n), nil
	}
	l := lister{product: productOf("alb"), region: "cn-hangzhou", client: endless}
	if _, err := l.list(t.Context()); !errors.Is(err, aliyun.ErrAnswer) || len(endless.calls) != maxPages {
		t.Errorf("endless tokens: %d calls, error %v", len(endless.calls), err)
	}
}

func TestTokenPagesAndListsInTwoParts(t *testing.T) {
	got, c, err := listOf(t, "alb",
		`{"LoadBalancers":[{"LoadBalancerId":"alb-1"}],"NextToken":"t1","TotalCount":"3"}`,
		`{"LoadBalancers":[],"NextToken":"t2","TotalCount":3}`,
		`{"LoadBalancers":[{"LoadBalancerId":"alb-2"},{"LoadBalancerId":"alb-3"}],"TotalCount":3}`)
	if err != nil || len(got.resources) != 3 || !got.whole {
		t.Errorf("%d resources, whole %v, %v", len(got.resources), got.whole, err)
	}
	var tokens []string
	for _, r := range c.calls {
		tokens = append(tokens, r.Query["NextToken"]+"/"+r.Query["MaxResults"])
	}
	if want := []string{"/100", "t1/100", "t2/100"}; !slices.Equal(tokens, want) {
		t.Errorf("asked for %v", tokens)
	}
	got, c, err = listOf(t, "mongodb",
		`{"TotalCount":1,"DBInstances":{"DBInstance":[{"DBInstanceId":"dds-1"}]}}`, `{"TotalCount":1,"DBInstances":{"DBInstance":[{"DBInstanceId":"dds-2"}]}}`)
	if err != nil || len(got.resources) != 2 || !got.whole || c.calls[0].Query["DBInstanceType"] == c.calls[1].Query["DBInstanceType"] {
		t.Errorf("%d resources, %v, %+v", len(got.resources), err, c.calls)
	}
}

func TestEachProductIsComplete(t *testing.T) {
	for _, p := range products {
		r := p.request(p.action, "cn-beijing", nil)
		if p.stem == "" || p.rows == "" || p.id == "" || p.read == nil || p.paging.length == 0 || r.Version == "" || !strings.HasSuffix(r.Host, ".aliyuncs.com") {
			t.Errorf("%s: %+v", p.name, r)
		}
		if (p.paging.token == "") == (p.paging.number == "") {
			t.Errorf("%s: paging %+v", p.name, p.paging)
		}
		var r2 resource
		p.read(item{}, &r2) // an empty row is no reason to panic
	}
}

func TestListThatShiftsAgainAndAgainIsNotWhole(t *testing.T) {
	got, c, err := listOf(t, "eip",
		eips(150, numbered(0, 100)...), eips(149, numbered(101, 150)...), eips(149, numbered(1, 101)...), eips(148, numbered(102, 150)...))
	if err != nil || got.whole || len(c.calls) != 4 || len(got.resources) != 148 {
		t.Errorf("%d resources, whole %v, %d calls, %v", len(got.resources), got.whole, len(c.calls), err)
	}
}
