package inventory

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"watchkeeper/exporters/aliyun"
)

const (
	// detailLifetime is how long a resource's details are used before they are
	// asked for again: storage and expiry change by people's orders only.
	detailLifetime = time.Hour
	// maxDetailCalls of one check; what is left comes in the next.
	maxDetailCalls = 100
)

// detail is an action that tells of single resources what the list does not.
type detail struct {
	action    string
	parameter string // that takes the ids, comma-separated
	batch     int    // ids in one call
	rows      string // path of the list in the answer; "" when the answer is the one row
	id        string
	wanted    func(*resource) bool
	read      func(item, *extra)
}

// extra is what details say of a resource.
type extra struct {
	at        time.Time // asked
	storageGB string
	expires   time.Time
}

func (e extra) addTo(r *resource) {
	if e.storageGB != "" {
		r.storageGB = e.storageGB
	}
	if !e.expires.IsZero() {
		r.expires = e.expires
	}
}

// details adds what the details say, and asks for those that are due. An error
// is one of asking; what was known is added all the same.
func (c *collector) details(ctx context.Context, at time.Time, got listing) error {
	d := c.list.product.detail
	if d == nil {
		return nil
	}
	var due []string
	for i := range got.resources {
		if r := &got.resources[i]; d.wanted(r) && !at.Before(c.extras[r.id].at.Add(detailLifetime)) {
			due = append(due, r.id)
		}
	}
	slices.SortStableFunc(due, func(a, b string) int { return c.extras[a].at.Compare(c.extras[b].at) })
	err := c.ask(ctx, at, d, due)
	for id := range c.extras {
		if !got.seen[id] && got.whole {
			delete(c.extras, id)
		}
	}
	for i := range got.resources {
		r := &got.resources[i]
		if e, ok := c.extras[r.id]; ok {
			e.addTo(r)
		}
	}
	return err
}

func (c *collector) ask(ctx context.Context, at time.Time, d *detail, due []string) error {
	var errs error
	calls := 0
	for ids := range slices.Chunk(due, d.batch) {
		if calls++; calls > maxDetailCalls {
			break
		}
		p := c.list.product
		body, err := c.list.client.Do(ctx, p.request(d.action, c.list.region, map[string]string{d.parameter: strings.Join(ids, ",")}))
		switch {
		case errors.Is(err, aliyun.ErrParameter): // one of them was deleted a moment ago
			errs = err
			continue
		case err != nil:
			return err
		}
		answer, err := parseItem(body)
		if err != nil {
			return notEnding("details are no JSON object")
		}
		rows := []item{answer}
		if d.rows != "" {
			var ok bool
			if rows, ok = answer.items(d.rows); !ok {
				return notEnding("details hold no list %s", d.rows)
			}
		}
		for _, row := range rows {
			if id := row.text(d.id); slices.Contains(ids, id) {
				e := extra{at: at}
				d.read(row, &e)
				c.extras[id] = e
			}
		}
	}
	return errs
}
