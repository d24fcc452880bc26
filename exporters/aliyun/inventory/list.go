package inventory

import (
	"context"
	"fmt"
	"maps"
	"strconv"

	"watchkeeper/exporters/aliyun"
)

// Bounds of one list. A list beyond them does not end, or shows the same page
// for ever.
const (
	maxPages     = 2000
	maxResources = 100_000
)

// lister reads one product's list in one region.
type lister struct {
	product *product
	region  string
	client  aliyun.Client
}

// listing is what a list brought.
type listing struct {
	resources []resource
	// whole is false when the list shifted while it was paged: its count changed,
	// or it showed fewer resources than it counted. What it lacks may still exist.
	whole bool
	seen  map[string]bool
	rows  []int // of each query
}

// list reads the list, once more if it shifted while it was read.
func (l *lister) list(ctx context.Context) (got listing, err error) {
	for range 2 {
		if got, err = l.once(ctx); err != nil || got.whole {
			break
		}
	}
	return got, err
}

func (l *lister) once(ctx context.Context) (listing, error) {
	got := listing{whole: true, seen: map[string]bool{}}
	queries := l.product.queries
	if queries == nil {
		queries = []map[string]string{nil}
	}
	for _, q := range queries {
		if err := l.pages(ctx, q, &got); err != nil {
			return got, err
		}
	}
	return got, nil
}

// page is one page of a list.
type page struct {
	rows  []item
	total int // -1: not told
	token string
}

// pages reads all pages of one query into got.
func (l *lister) pages(ctx context.Context, query map[string]string, got *listing) error {
	rows, distinct, counted, token := 0, 0, -1, ""
	for n := 1; ; n++ {
		p, err := l.page(ctx, query, n, token)
		if err != nil {
			return err
		}
		if n == 1 {
			counted = p.total
		}
		// A resource that went moves the next one to a page that was read before.
		got.whole = got.whole && p.total == counted
		fresh := l.take(p.rows, got)
		rows += len(p.rows)
		distinct += fresh
		last, err := l.last(p, rows, fresh, token)
		if err != nil {
			return err
		}
		if last {
			got.rows = append(got.rows, rows)
			got.whole = got.whole && distinct >= p.total
			return nil
		}
		if n >= maxPages || len(got.resources) >= maxResources {
			return notEnding("it does not end (page %d, %d resources)", n, len(got.resources))
		}
		token = p.token
	}
}

// last tells whether p ends the list.
func (l *lister) last(p page, rows, fresh int, token string) (bool, error) {
	switch {
	case l.product.paging.token != "":
		if p.token != "" && p.token == token {
			return false, notEnding("a page names itself as the next one")
		}
		return p.token == "", nil
	case len(p.rows) == 0, p.total >= 0 && rows >= p.total:
		return true, nil
	case p.total < 0:
		return len(p.rows) < l.product.paging.length || fresh == 0, nil
	case fresh == 0:
		return false, notEnding("a page repeats earlier ones")
	}
	return false, nil
}

func notEnding(format string, args ...any) error {
	return &aliyun.Error{Kind: aliyun.ErrAnswer, Status: 200, Message: "list of resources: " + fmt.Sprintf(format, args...)}
}

// take adds the rows that were not there before, and returns their number. A
// list that shifts while it is paged shows a row twice.
func (l *lister) take(rows []item, got *listing) (fresh int) {
	for _, i := range rows {
		id := i.text(l.product.id)
		if id == "" || len(id) > maxLabel || got.seen[id] {
			continue
		}
		got.seen[id] = true
		r := resource{id: id, tags: i.tags()}
		l.product.read(i, &r)
		got.resources = append(got.resources, r)
		fresh++
	}
	return fresh
}

func (l *lister) page(ctx context.Context, query map[string]string, number int, token string) (page, error) {
	params := maps.Clone(query)
	if params == nil {
		params = map[string]string{}
	}
	pg := l.product.paging
	if pg.token != "" {
		params[pg.limit] = strconv.Itoa(pg.length)
		if token != "" {
			params[pg.token] = token
		}
	} else {
		params[pg.number], params[pg.size] = strconv.Itoa(number), strconv.Itoa(pg.length)
	}
	body, err := l.client.Do(ctx, l.product.request(l.product.action, l.region, params))
	if err != nil {
		return page{}, err
	}
	answer, err := parseItem(body)
	if err != nil {
		return page{}, notEnding("page %d is no JSON object", number)
	}
	p := page{total: -1, token: answer.text("NextToken")}
	rows, ok := answer.items(l.product.rows)
	if !ok {
		return page{}, notEnding("page %d has no list %s", number, l.product.rows)
	}
	p.rows = rows
	if total, ok := answer.number(l.product.total); ok && l.product.total != "" && total >= 0 {
		p.total = total
	}
	return p, nil
}
