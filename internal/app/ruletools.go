package app

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"sync"
	"time"

	"watchkeeper/internal/api"
	"watchkeeper/internal/storage"
	"watchkeeper/ruleset"
	"watchkeeper/ruleset/promrules"
	"watchkeeper/ruleset/replay"
)

// ruleTools answers questions about rules from a store, one at a time: each may
// read all of it.
type ruleTools struct {
	store  *storage.Store
	groups func() []ruleset.Group
	plain  func() []promrules.Group // that nobody can look back at
	engine *ruleset.Engine          // whose limits count; nil: there is none
	now    func() time.Time

	mu sync.Mutex // held while a question is answered
}

// NewRuleTools looks back at rules over a store. Now is engine time: the clock of a
// running server, Newest of a stopped one's store. Plain and the engine, which knows what
// limits keep from being judged, may be nil.
func NewRuleTools(store *storage.Store, groups func() []ruleset.Group, plain func() []promrules.Group, engine *ruleset.Engine, now func() time.Time) api.RuleTools {
	return &ruleTools{store: store, groups: groups, plain: plain, engine: engine, now: now}
}

// refused is who knows what limits refuse; nil: nothing, or nobody knows.
func (t *ruleTools) refused() ruleset.Refuser {
	if t.engine == nil {
		return nil
	}
	return t.engine.Refusing()
}

// Newest is the time of the newest thing that a store holds: when its server was
// last alive, as far as anything tells.
func Newest(store *storage.Store) time.Time {
	if t := store.MaxTime(); t != math.MinInt64 {
		return time.UnixMilli(t).UTC()
	}
	return time.UnixMilli(0).UTC()
}

// begin returns when the store's samples begin.
func (t *ruleTools) begin() time.Time {
	if first := t.store.MinTime(); first != math.MaxInt64 {
		return time.UnixMilli(first).UTC()
	}
	return t.now()
}

// Explain implements api.RuleTools.
func (t *ruleTools) Explain(ctx context.Context, w io.Writer, alert string, at time.Time, checks int) error {
	return t.alone(func() error {
		es, err := replay.Explain(ctx, t.groups(), t.store, t.store.Journal(), replay.Question{
			Alert: alert, At: at, Checks: checks, Now: t.now(), Begin: t.begin(), Refused: t.refused(),
		})
		switch {
		case errors.Is(err, replay.ErrNoAlert):
			if plain := t.plainRule(alert); plain != nil {
				err = plain
			}
			return api.Mark(err, api.ErrNotFound)
		case errors.Is(err, replay.ErrQuestion):
			return api.Mark(err, api.ErrInvalid)
		case err != nil:
			return err
		}
		return json.NewEncoder(w).Encode(es)
	})
}

// plainRule says why a plain rule cannot be explained, and where to look instead;
// nil when alert names none.
func (t *ruleTools) plainRule(alert string) error {
	if t.plain == nil {
		return nil
	}
	name, _, _ := strings.Cut(alert, "{")
	for _, g := range t.plain() {
		for _, r := range g.Rules {
			switch name {
			case r.Alert, g.Name + "/" + r.Alert, g.RuleID(r.Alert):
				return fmt.Errorf("%q is a Prometheus rule (group %s in %s): it counts no checks that could be explained; see its incidents and the series ALERTS{alertname=%q}", name, g.Name, g.File, r.Alert)
			case r.Record:
				return fmt.Errorf("%q is recorded by a Prometheus rule (group %s in %s): it is no alert", name, g.Name, g.File)
			}
		}
	}
	return nil
}

// Replay implements api.RuleTools.
func (t *ruleTools) Replay(ctx context.Context, w io.Writer, q api.ReplayRequest) error {
	groups, err := parseRules(q.Rules)
	if err != nil {
		return err
	}
	if !q.From.Before(q.To) {
		return api.Mark(fmt.Errorf("from %s is not before to %s", q.From.Format(time.RFC3339), q.To.Format(time.RFC3339)), api.ErrInvalid)
	}
	return t.alone(func() error {
		if err := t.known(ctx, q.Customer); err != nil {
			return err
		}
		entries, err := t.settled(ctx, groups, t.store.Journal(), replay.Span{From: q.From, To: q.To, Begin: q.Begin, Customer: q.Customer})
		if err != nil {
			return err
		}
		out := bufio.NewWriter(w)
		if err := replay.WriteLines(out, entries); err != nil {
			return err
		}
		return out.Flush()
	})
}

// Diff implements api.RuleTools.
func (t *ruleTools) Diff(ctx context.Context, w io.Writer, q api.DiffRequest) error {
	before, err := parseRules(q.Old)
	if err != nil {
		return err
	}
	after, err := parseRules(q.New)
	if err != nil {
		return err
	}
	if q.Until.IsZero() {
		q.Until = t.now()
	}
	if !q.Since.Before(q.Until) {
		return api.Mark(fmt.Errorf("since %s is not before until %s", q.Since.Format(time.RFC3339), q.Until.Format(time.RFC3339)), api.ErrInvalid)
	}
	span := replay.Span{From: q.Since, To: q.Until, Customer: q.Customer}
	return t.alone(func() error {
		if err := t.known(ctx, q.Customer); err != nil {
			return err
		}
		past := t.store.Journal()
		old, err := t.settled(ctx, before, replay.WithArrivals(past, before, after), span)
		if err != nil {
			return fmt.Errorf("old rules: %w", err)
		}
		next, err := t.settled(ctx, after, replay.WithArrivals(past, after, before), span)
		if err != nil {
			return fmt.Errorf("new rules: %w", err)
		}
		d := replay.Compare(old, next)
		d.Since, d.Until = q.Since.UTC(), q.Until.UTC()
		if first := t.store.MinTime(); first != math.MaxInt64 && first > d.Since.UnixMilli() {
			d.StoredSince = time.UnixMilli(first).UTC()
		}
		return json.NewEncoder(w).Encode(d)
	})
}

// known refuses a customer without samples: nothing can be said of one.
func (t *ruleTools) known(ctx context.Context, customer string) error {
	if customer == "" {
		return nil
	}
	has, err := HasSamples(ctx, t.store, customer)
	if err == nil && !has {
		err = api.Mark(fmt.Errorf("no sample of the customer %q is stored", customer), api.ErrNotFound)
	}
	return err
}

func (t *ruleTools) settled(ctx context.Context, groups []ruleset.Group, past replay.Past, span replay.Span) ([]ruleset.Entry, error) {
	if first := t.begin(); span.Begin.Before(first) {
		span.Begin = first
	}
	span.Now = t.now()
	return replay.Settled(ctx, groups, t.store, past, span)
}

// alone refuses a question while another one is being answered.
func (t *ruleTools) alone(fn func() error) error {
	if !t.mu.TryLock() {
		return api.Mark(errors.New("another replay, explanation or comparison is under way; try again"), api.ErrBusy)
	}
	defer t.mu.Unlock()
	return fn()
}

// parseRules reads rule files and leaves out what counts no checks.
func parseRules(files []api.RuleFile) ([]ruleset.Group, error) {
	var all []ruleset.Group
	for _, f := range files {
		groups, err := ruleset.Parse(f.Name, []byte(f.Text))
		if err != nil {
			return nil, api.Mark(err, api.ErrInvalid)
		}
		all = append(all, groups...)
	}
	counting, _ := replay.Counting(all)
	if len(counting) == 0 {
		return nil, api.Mark(errors.New("the rule files have no rule with consecutive"), api.ErrInvalid)
	}
	return counting, nil
}
