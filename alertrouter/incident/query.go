package incident

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
)

// MaxListed is the most incidents that one List returns.
const MaxListed = 1000

// Filter selects incidents. The zero value selects all.
type Filter struct {
	Customer string    // exact; empty: all
	States   []State   // any of them; empty: all
	Open     bool      // open ones only
	Severity string    // exact; empty: all
	RuleID   string    // exact; empty: all
	Since    time.Time // opened at or after
	Before   int64     // cursor: ids below; 0: from the newest
	Limit    int       // at most MaxListed, which is also the default
}

// List returns the incidents that match, newest first. The id of the last one
// is the Before of the next page.
func (s *Store) List(ctx context.Context, f Filter) ([]Incident, error) {
	where, args := f.where()
	limit := f.Limit
	if limit <= 0 || limit > MaxListed {
		limit = MaxListed
	}
	rows, err := s.read.QueryContext(ctx, `SELECT `+incidentColumns+` FROM incidents i`+where+` ORDER BY i.id DESC LIMIT ?`,
		append(args, limit)...)
	if err != nil {
		return nil, fmt.Errorf("list incidents: %w", err)
	}
	incs, err := scanIncidents(rows)
	if err != nil {
		return nil, fmt.Errorf("list incidents: %w", err)
	}
	return incs, nil
}

func (f Filter) where() (string, []any) {
	var conds []string
	var args []any
	add := func(cond string, a ...any) {
		conds = append(conds, cond)
		args = append(args, a...)
	}
	if f.Customer != "" {
		add("i.customer = ?", f.Customer)
	}
	if f.Open {
		add("i.closed_at IS NULL")
	}
	if f.Severity != "" {
		add("i.severity = ?", f.Severity)
	}
	if f.RuleID != "" {
		add("i.rule_id = ?", f.RuleID)
	}
	if !f.Since.IsZero() {
		add("i.opened_at >= ?", f.Since.UnixMilli())
	}
	if f.Before > 0 {
		add("i.id < ?", f.Before)
	}
	if len(f.States) > 0 {
		var states []any
		for _, st := range f.States {
			states = append(states, st)
		}
		add("i.state IN (?"+strings.Repeat(", ?", len(states)-1)+")", states...)
	}
	if len(conds) == 0 {
		return "", nil
	}
	return " WHERE " + strings.Join(conds, " AND "), args
}

// OpenIncidents returns all open incidents, oldest first.
func (s *Store) OpenIncidents(ctx context.Context) ([]Incident, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT `+incidentColumns+` FROM incidents i WHERE i.closed_at IS NULL ORDER BY i.id`)
	if err != nil {
		return nil, fmt.Errorf("open incidents: %w", err)
	}
	incs, err := scanIncidents(rows)
	if err != nil {
		return nil, fmt.Errorf("open incidents: %w", err)
	}
	return incs, nil
}

// ClosedSince returns the closed incidents whose last check is not before since,
// oldest first.
func (s *Store) ClosedSince(ctx context.Context, since time.Time) ([]Incident, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT `+incidentColumns+` FROM incidents i WHERE i.closed_at IS NOT NULL AND i.last_check_at >= ? ORDER BY i.id`, since.UnixMilli())
	if err != nil {
		return nil, fmt.Errorf("closed incidents: %w", err)
	}
	incs, err := scanIncidents(rows)
	if err != nil {
		return nil, fmt.Errorf("closed incidents: %w", err)
	}
	return incs, nil
}

// Get returns one incident with its event log and delivery ledger, or
// ErrNotFound.
func (s *Store) Get(ctx context.Context, id int64) (*Detail, error) {
	inc, err := scanIncident(s.read.QueryRowContext(ctx, `SELECT `+incidentColumns+` FROM incidents i WHERE i.id = ?`, id))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("incident %d: %w", id, err)
	}
	d := &Detail{Incident: inc, Events: []Entry{}, Ledger: []Delivery{}}
	if err := s.events(ctx, d); err != nil {
		return nil, fmt.Errorf("incident %d: event log: %w", id, err)
	}
	if err := s.ledger(ctx, d); err != nil {
		return nil, fmt.Errorf("incident %d: delivery ledger: %w", id, err)
	}
	return d, nil
}

func (s *Store) events(ctx context.Context, d *Detail) error {
	rows, err := s.read.QueryContext(ctx, `SELECT id, incident_id, event_type, check_at, engine_at, recorded_at, actor, detail, value, run, samples_json
		FROM incident_events WHERE incident_id = ? ORDER BY id`, d.ID)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var e Entry
		var check, engine, recorded sql.NullInt64
		var value sql.NullFloat64
		var samples string
		if err := rows.Scan(&e.ID, &e.IncidentID, &e.Type, &check, &engine, &recorded, &e.Actor, &e.Detail, &value, &e.Run, &samples); err != nil {
			return err
		}
		if err := decodeAll(column{samples, &e.Samples}); err != nil {
			return err
		}
		e.Check, e.EngineAt, e.RecordedAt, e.Value = fromMillis(check), fromMillis(engine), fromMillis(recorded), fromNullFloat(value)
		d.Events = append(d.Events, e)
	}
	return rows.Err()
}

func (s *Store) ledger(ctx context.Context, d *Detail) error {
	rows, err := s.read.QueryContext(ctx, `SELECT l.id, l.recorded_at, COALESCE(n.idempotency_key, ''), l.receiver, l.integration, l.outcome, l.attempt, l.duration_ms, l.answer
		FROM delivery_ledger l LEFT JOIN notifications n ON n.id = l.notification_id
		WHERE l.incident_id = ? OR l.notification_id IN (SELECT notification_id FROM notification_incidents WHERE incident_id = ?)
		ORDER BY l.id`, d.ID, d.ID)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var l Delivery
		var at sql.NullInt64
		var ms int64
		if err := rows.Scan(&l.ID, &at, &l.IdempotencyKey, &l.Receiver, &l.Integration, &l.Outcome, &l.Attempt, &ms, &l.Answer); err != nil {
			return err
		}
		l.At, l.Duration = fromMillis(at), time.Duration(ms)*time.Millisecond
		d.Ledger = append(d.Ledger, l)
	}
	return rows.Err()
}

// Groups returns the alert groups that have open incidents.
func (s *Store) Groups(ctx context.Context) ([]GroupState, error) {
	ids, err := s.openGroups(ctx)
	if err != nil {
		return nil, fmt.Errorf("alert groups: %w", err)
	}
	out := make([]GroupState, 0, len(ids))
	for _, id := range ids {
		g, err := s.GroupState(ctx, id)
		if err != nil {
			return nil, err
		}
		out = append(out, *g)
	}
	return out, nil
}

func (s *Store) openGroups(ctx context.Context) ([]int64, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT DISTINCT m.group_id FROM group_members m
		JOIN incidents i ON i.id = m.incident_id WHERE i.closed_at IS NULL ORDER BY m.group_id`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var ids []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}
