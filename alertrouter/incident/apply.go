package incident

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// Target is one alert group through which an incident is told.
type Target struct {
	Group
	GroupWait      time.Duration // how long the first message of the group waits for company
	GroupInterval  time.Duration // how long after a message the next change is told
	RepeatInterval time.Duration // how long after a message the receiver is reminded
}

// Planner says through which groups an incident is told.
type Planner func(*Incident) []Target

// Apply writes what a list of transitions, in order, makes of the incidents:
// their new state, their event log and the outbox. All of it is durable when
// Apply returns nil, and none of it was written otherwise. A transition that
// was applied before changes nothing, for HandledRetention at least. now is the
// wall clock.
func (s *Store) Apply(ctx context.Context, now time.Time, ts []Transition, plan Planner) ([]Change, error) {
	var changes []Change
	err := s.inTx(ctx, func(tx *sql.Tx) error {
		a := s.applier(ctx, tx, now, plan)
		for n := range ts {
			if err := a.apply(ts[n]); err != nil {
				return fmt.Errorf("alert %q of rule %q: %w", ts[n].Alert, ts[n].RuleID, err)
			}
		}
		var err error
		changes, err = a.done()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("incident store: %w", err)
	}
	return changes, nil
}

// applier applies transitions inside one transaction.
type applier struct {
	ctx          context.Context
	tx           *statements
	now          time.Time
	plan         Planner
	reopenWithin time.Duration
	changes      []Change
	touched      map[silentSource]time.Time // sources whose silence may have begun or ended, and the check
}

// applier returns one for a transaction.
func (s *Store) applier(ctx context.Context, tx *sql.Tx, now time.Time, plan Planner) *applier {
	return &applier{ctx: ctx, tx: newStatements(tx), now: now, plan: plan, reopenWithin: s.cfg.ReopenWithin, touched: map[silentSource]time.Time{}}
}

// done tells what the changes made of silent sources, and returns all changes.
func (a *applier) done() ([]Change, error) {
	if err := a.tellSilentSources(); err != nil {
		return nil, fmt.Errorf("silent sources: %w", err)
	}
	return a.changes, nil
}

func (a *applier) apply(t Transition) error {
	if err := t.Validate(); err != nil {
		return err
	}
	t = t.bounded(a.now)
	seen, err := a.seen(t)
	if err != nil || seen {
		return err
	}
	last, err := a.last(t.Key())
	if err != nil {
		return err
	}
	if last != nil && last.Open() {
		return a.onOpen(last, t)
	}
	other, err := a.elsewhere(t)
	if err != nil {
		return err
	}
	if other != nil && t.State.Open() {
		other, err = a.move(other, t.Customer, t.Labels, t.Annotations, t.Check)
	}
	if err != nil {
		return err
	}
	if other != nil {
		return a.onOpen(other, t)
	}
	return a.onClosed(last, t)
}

// bounded cuts what is too long to keep and fills in the engine time.
func (t Transition) bounded(now time.Time) Transition {
	t.Reason = cut(t.Reason, maxTextLen)
	t.ContractLiteral = cut(t.ContractLiteral, maxTextLen)
	if t.At.IsZero() {
		t.At = now
	}
	return t
}

// seen notes the transition and tells whether it was handed over before.
func (a *applier) seen(t Transition) (bool, error) {
	key := t.dedupKey()
	if key == "" {
		return false, nil
	}
	res, err := a.tx.ExecContext(a.ctx, `INSERT INTO handled_transitions (transition_key, incident_key, handled_at) VALUES (?, ?, ?)
		ON CONFLICT (transition_key) DO NOTHING`, key, t.Key(), a.now.UnixMilli())
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return n == 0, err
}

// last returns the key's newest incident, or nil.
func (a *applier) last(key string) (*Incident, error) {
	row := a.tx.QueryRowContext(a.ctx, `SELECT `+incidentColumns+` FROM incidents i
		WHERE i.incident_key = ? ORDER BY i.id DESC LIMIT 1`, key)
	inc, err := scanIncident(row)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &inc, nil
}

// onOpen applies a transition of an alert whose incident is open.
func (a *applier) onOpen(inc *Incident, t Transition) error {
	was := inc.State
	switch {
	case !t.State.Open() && !t.Expires.IsZero() && t.Check.Before(inc.LastCheck):
		return nil // an outside alert's earlier end, pushed again
	case t.State == Firing && was == NoData:
		return a.change(inc, t, EntryBackToFiring)
	case t.State == Firing && !t.Expires.IsZero() && t.Labels.Get("severity") != inc.Severity:
		return a.regrade(inc, t)
	case t.State == Firing && !t.Expires.IsZero():
		return a.refresh(inc, t)
	case t.State == Firing:
		return a.change(inc, t, EntryUpdated)
	case t.State == NoData && was == NoData:
		return nil
	case t.State == NoData:
		return a.change(inc, t, EntryNoData)
	case t.Reason == ReasonAmended:
		return a.change(inc, t, EntryAmended)
	case t.State == Ended:
		return a.change(inc, t, EntryEnded)
	}
	return a.change(inc, t, EntryResolved)
}

// onClosed applies a transition of an alert without an open incident. last is
// its newest incident, or nil.
func (a *applier) onClosed(last *Incident, t Transition) error {
	switch {
	case !t.State.Open():
		return nil // what is not open cannot close
	case t.State == NoData && last != nil && !t.Check.After(last.LastCheck):
		return nil // silence from before the closing
	case t.State == Firing && last != nil && last.State == Resolved && t.Check.Sub(last.ResolvedAt) <= a.reopenWithin:
		return a.reopen(last, t)
	}
	return a.open(t)
}

// regrade notes that an alert that stands has another severity. Other people may answer
// for it now: it is told as news.
func (a *applier) regrade(inc *Incident, t Transition) error {
	was := inc.Severity
	inc.take(t, a.now)
	if err := a.update(inc); err != nil {
		return err
	}
	t.Reason = instead(inc.Severity, was)
	return a.record(inc, t, EntrySeverity)
}

// instead says what took a severity's place.
func instead(severity, was string) string {
	return fmt.Sprintf("%s instead of %s", cmp.Or(severity, "none"), cmp.Or(was, "none"))
}

func (a *applier) open(t Transition) error {
	inc := Incident{
		Key: t.Key(), Customer: t.Customer, RuleID: t.RuleID, Alert: t.Alert, Identity: t.Identity,
		StartedAt: t.Check.UTC(), OpenedAt: a.now.UTC(),
	}
	inc.take(t, a.now)
	inc.Samples = t.Samples
	id, err := a.insert(&inc)
	if err != nil {
		return err
	}
	inc.ID = id
	return a.record(&inc, t, EntryOpened)
}

func (a *applier) reopen(inc *Incident, t Transition) error {
	inc.take(t, a.now)
	inc.Samples = t.Samples
	inc.ResolvedAt, inc.ClosedAt = time.Time{}, time.Time{}
	inc.Reopened++
	// Who answered for the episode so far has not answered for its return.
	inc.AcknowledgedAt, inc.AcknowledgedBy = time.Time{}, ""
	if err := a.update(inc); err != nil {
		return err
	}
	return a.record(inc, t, EntryReopened)
}

// refresh notes that an outside alert was pushed again: no news, a later end.
func (a *applier) refresh(inc *Incident, t Transition) error {
	inc.Expires, inc.Annotations = t.Expires.UTC(), t.Annotations
	return a.update(inc)
}

func (a *applier) change(inc *Incident, t Transition, typ EntryType) error {
	was := inc.Labels
	inc.take(t, a.now)
	if !t.State.Open() {
		inc.ResolvedAt, inc.ClosedAt = t.Check.UTC(), a.now.UTC()
	}
	if err := a.update(inc); err != nil {
		return err
	}
	if err := a.record(inc, t, typ); err != nil || labels.Equal(was, inc.Labels) {
		return err
	}
	return a.relabelled(inc, t, was)
}

// take copies what a transition says about the alert as it is now. What the
// transition leaves out stays as it was, and so do the labels of an alert that does
// not fire: they are what its receivers know it by.
func (i *Incident) take(t Transition, now time.Time) {
	i.State, i.Reason, i.Run = t.State, t.Reason, t.Run
	i.LastCheck, i.Expires, i.UpdatedAt = t.Check.UTC(), t.Expires.UTC(), now.UTC()
	if t.Expires.IsZero() {
		i.Expires = time.Time{}
	}
	if t.State == Firing || i.ID == 0 {
		i.Value = Float(t.Value)
		if !t.Labels.IsEmpty() {
			i.Labels, i.Severity = t.Labels, t.Labels.Get("severity")
		}
	}
	if !t.Annotations.IsEmpty() {
		i.Annotations = t.Annotations
	}
	for _, c := range []struct{ into, from *string }{
		{&i.Source, &t.Source}, {&i.ContractRow, &t.ContractRow},
		{&i.ContractLiteral, &t.ContractLiteral}, {&i.GeneratorURL, &t.GeneratorURL},
	} {
		if *c.from != "" {
			*c.into = *c.from
		}
	}
}

// record writes the log entry of a change and what it makes of the outbox.
func (a *applier) record(inc *Incident, t Transition, typ EntryType) error {
	samples, err := samplesJSON(t.Samples)
	if err != nil {
		return fmt.Errorf("samples: %w", err)
	}
	_, err = a.tx.ExecContext(a.ctx, `INSERT INTO incident_events
		(incident_id, event_type, check_at, engine_at, recorded_at, actor, detail, value, run, samples_json)
		VALUES (?, ?, ?, ?, ?, '', ?, ?, ?, ?)`,
		inc.ID, typ, t.Check.UnixMilli(), t.At.UnixMilli(), a.now.UnixMilli(), t.Reason,
		nullFloat(t.Value), t.Run, samples)
	if err != nil {
		return fmt.Errorf("event log: %w", err)
	}
	if err := a.enqueue(inc, typ); err != nil {
		return fmt.Errorf("outbox: %w", err)
	}
	if inc.Source != "" && (inc.State == NoData && (typ == EntryNoData || typ == EntryOpened) || typ == EntryBackToFiring || !inc.Open()) {
		a.touched[silentSource{inc.Customer, inc.Source}] = t.Check
	}
	a.changes = append(a.changes, Change{Type: typ, Incident: *inc})
	return nil
}

// values are the columns that change during an incident's life, in the order
// of both insert and update.
func (i *Incident) values() ([]any, error) {
	lset, err := labelsJSON(i.Labels)
	if err != nil {
		return nil, err
	}
	annotations, err := labelsJSON(i.Annotations)
	if err != nil {
		return nil, err
	}
	samples, err := samplesJSON(i.Samples)
	if err != nil {
		return nil, err
	}
	return []any{
		i.Severity, lset, annotations, i.Source, i.ContractRow, i.ContractLiteral, i.State, nullFloat(float64(i.Value)),
		i.Run, i.Reason, samples, i.GeneratorURL, i.UpdatedAt.UnixMilli(), i.LastCheck.UnixMilli(), millis(i.Expires),
		millis(i.ResolvedAt), millis(i.ClosedAt), i.Reopened, millis(i.AcknowledgedAt), i.AcknowledgedBy,
	}, nil
}

func (a *applier) insert(i *Incident) (int64, error) {
	identity, err := labelsJSON(i.Identity)
	if err != nil {
		return 0, err
	}
	vals, err := i.values()
	if err != nil {
		return 0, err
	}
	var id int64
	err = a.tx.QueryRowContext(a.ctx, `INSERT INTO incidents
		(incident_key, customer, rule_id, alert_name, identity_json, started_at, opened_at,
		severity, labels_json, annotations_json, source, contract_row, contract_literal, state, value,
		run, reason, samples_json, generator_url, updated_at, last_check_at, expires_at,
		resolved_at, closed_at, reopened, acknowledged_at, acknowledged_by)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id`,
		append([]any{i.Key, i.Customer, i.RuleID, i.Alert, identity, i.StartedAt.UnixMilli(), i.OpenedAt.UnixMilli()}, vals...)...).Scan(&id)
	return id, err
}

func (a *applier) update(i *Incident) error {
	vals, err := i.values()
	if err != nil {
		return err
	}
	_, err = a.tx.ExecContext(a.ctx, `UPDATE incidents SET
		severity = ?, labels_json = ?, annotations_json = ?, source = ?, contract_row = ?, contract_literal = ?, state = ?, value = ?,
		run = ?, reason = ?, samples_json = ?, generator_url = ?, updated_at = ?, last_check_at = ?, expires_at = ?,
		resolved_at = ?, closed_at = ?, reopened = ?, acknowledged_at = ?, acknowledged_by = ?
		WHERE id = ?`, append(vals, i.ID)...)
	return err
}
