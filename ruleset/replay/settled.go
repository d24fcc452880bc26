package replay

import (
	"context"
	"fmt"
	"slices"
	"time"

	"watchkeeper/ruleset"
)

// Span is the part of a store that is replayed.
type Span struct {
	From, To time.Time // the checks in (From, To]
	// Begin is where the state is built from: the store's first sample, or later
	// where less will do. What an alert was before Begin is not known.
	Begin time.Time
	// Now is engine time: the wall clock of a running server, of a stopped one the
	// time of the newest thing it stored. Checks that had not settled by then
	// have no lines.
	Now time.Time
	// Customer, unless empty, is the only one whose alerts are returned.
	Customer string
}

// Settled returns the settled log of the checks in (From, To], in its order: what
// the live engine has logged or will log for them. The live log is not to be had from
// a store, which keeps no arrivals. Past may be nil; then no series has ended and no
// sample came too late.
func Settled(ctx context.Context, groups []ruleset.Group, q queryable, past Past, s Span) ([]ruleset.Entry, error) {
	if past == nil {
		past = noPast{}
	}
	now := s.To
	for _, g := range groups {
		for _, r := range g.Rules {
			if t := s.To.Add(r.Lateness + r.Interval); t.After(now) {
				now = t
			}
		}
	}
	if s.Now.Before(now) {
		now = s.Now
	}
	c := collector{from: s.From.UnixMilli(), to: s.To.UnixMilli(), customer: s.Customer}
	e, err := newEngine(groups, now.Sub(s.Begin)+time.Minute, q, pastJournal{past}, &c)
	if err != nil {
		return nil, err
	}
	if err := e.Recover(ctx, now, nil); err != nil {
		return nil, fmt.Errorf("replay: %w", err)
	}
	slices.SortStableFunc(c.entries, ruleset.CompareSettled)
	return c.entries, nil
}

// collector keeps the settled entries of a span.
type collector struct {
	from, to int64
	customer string
	entries  []ruleset.Entry
}

// isOf says whether an entry is of a customer; every one is of "".
func isOf(customer string, e ruleset.Entry) bool {
	return customer == "" || e.Identity.Get("customer") == customer
}

// Log implements ruleset.Sink.
func (c *collector) Log(_ context.Context, entries []ruleset.Entry) error {
	for _, e := range entries {
		if e.Log == ruleset.LogSettled && e.Check > c.from && e.Check <= c.to && isOf(c.customer, e) {
			c.entries = append(c.entries, e)
		}
	}
	return nil
}
