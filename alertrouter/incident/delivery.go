package incident

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// maxAnswerLen bounds what is kept of a receiver's answer, in bytes.
const maxAnswerLen = 2048

// Notification is a message on its way to one integration of one receiver.
type Notification struct {
	ID             int64
	IdempotencyKey string
	Group          Group
	Integration    string
	Reason         string
	Alerts         []byte
	QueuedAt       time.Time // when the oldest change that it tells was queued
	Attempts       int       // attempts so far
}

// firstPending selects the pending notifications that no other one of the same
// group and integration is ahead of.
const firstPending = `SELECT MIN(p.id) FROM notifications p WHERE p.state = 'pending' GROUP BY p.group_id, p.integration`

// Due returns the notifications to be tried at now, the longest due first, at
// most limit. Messages of one group reach an integration in order: only the
// oldest that was neither accepted nor refused for good is ever due. Those to
// the receivers in except are left out.
func (s *Store) Due(ctx context.Context, now time.Time, except []string, limit int) ([]Notification, error) {
	args := []any{now.UnixMilli(), now.UnixMilli()}
	cond := ""
	for _, receiver := range except {
		cond += " AND n.receiver <> ?"
		args = append(args, receiver)
	}
	rows, err := s.read.QueryContext(ctx, `SELECT n.id, n.idempotency_key, n.integration, n.reason, n.alerts_json, n.queued_at, n.attempts,
			g.route_id, g.group_key, g.receiver, g.labels_json
		FROM notifications n JOIN alert_groups g ON g.id = n.group_id
		WHERE n.id IN (`+firstPending+`)
			AND n.due_at <= ? AND n.lease_until <= ?`+cond+`
		ORDER BY n.due_at, n.id LIMIT ?`, append(args, limit)...)
	if err != nil {
		return nil, fmt.Errorf("due notifications: %w", err)
	}
	defer rows.Close()
	var out []Notification
	for rows.Next() {
		n, err := scanNotification(rows)
		if err != nil {
			return nil, fmt.Errorf("due notifications: %w", err)
		}
		out = append(out, n)
	}
	return out, rows.Err()
}

func scanNotification(row scanner) (Notification, error) {
	var n Notification
	var alerts, lset string
	var queued sql.NullInt64
	err := row.Scan(&n.ID, &n.IdempotencyKey, &n.Integration, &n.Reason, &alerts, &queued, &n.Attempts,
		&n.Group.RouteID, &n.Group.GroupKey, &n.Group.Receiver, &lset)
	if err != nil {
		return n, err
	}
	n.Alerts, n.QueuedAt = []byte(alerts), fromMillis(queued)
	return n, decodeAll(column{lset, &n.Group.Labels})
}

// Claim leases a due notification to this process until the given time and
// tells whether it got it.
func (s *Store) Claim(ctx context.Context, id int64, now, until time.Time) (bool, error) {
	res, err := s.write.ExecContext(ctx, `UPDATE notifications SET lease_owner = ?, lease_until = ?
		WHERE id = ? AND state = 'pending' AND lease_until <= ?`, s.cfg.Instance, until.UnixMilli(), id, now.UnixMilli())
	if err != nil {
		return false, fmt.Errorf("notification %d: claim: %w", id, err)
	}
	n, err := res.RowsAffected()
	return n == 1, err
}

// releaseLeases ends the leases of a dead process of the same name.
func (s *Store) releaseLeases(ctx context.Context) error {
	_, err := s.write.ExecContext(ctx, `UPDATE notifications SET lease_until = 0 WHERE state = 'pending' AND lease_owner = ?`, s.cfg.Instance)
	if err != nil {
		return fmt.Errorf("release leases: %w", err)
	}
	return nil
}

// Attempt is how one try to deliver a notification ended.
type Attempt struct {
	At       time.Time
	Duration time.Duration
	Outcome  Outcome   // OutcomeAccepted, OutcomeRetry or OutcomeFailed
	Answer   string    // the error; empty when accepted
	RetryAt  time.Time // when to try again, for OutcomeRetry
}

// Settle writes an attempt to the ledger and ends the notification's lease;
// unless it is to be tried again, the notification is done.
func (s *Store) Settle(ctx context.Context, n Notification, a Attempt) error {
	a.Answer = cut(a.Answer, maxAnswerLen)
	err := s.inTx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO delivery_ledger
			(recorded_at, notification_id, receiver, integration, outcome, attempt, duration_ms, answer)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?)`, a.At.UnixMilli(), n.ID, n.Group.Receiver, n.Integration,
			a.Outcome, n.Attempts+1, a.Duration.Milliseconds(), a.Answer)
		if err != nil {
			return fmt.Errorf("delivery ledger: %w", err)
		}
		if a.Outcome == OutcomeRetry {
			_, err = tx.ExecContext(ctx, `UPDATE notifications SET attempts = attempts + 1, due_at = ?, lease_until = 0 WHERE id = ?`,
				a.RetryAt.UnixMilli(), n.ID)
			return err
		}
		return finish(ctx, tx, n, a)
	})
	if err != nil {
		return fmt.Errorf("notification %d: settle: %w", n.ID, err)
	}
	return nil
}

// finish ends a notification and tells the incidents' logs.
func finish(ctx context.Context, tx *sql.Tx, n Notification, a Attempt) error {
	state, typ, detail := "accepted", EntryNotified, "receiver "+n.Group.Receiver+" ("+n.Integration+") accepted"
	if a.Outcome == OutcomeFailed {
		state, typ, detail = "failed", EntryDeliveryFailed, "receiver "+n.Group.Receiver+" ("+n.Integration+"): "+a.Answer
	}
	_, err := tx.ExecContext(ctx, `UPDATE notifications SET attempts = attempts + 1, state = ?, finished_at = ?, lease_until = 0 WHERE id = ?`,
		state, a.At.UnixMilli(), n.ID)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO incident_events (incident_id, event_type, recorded_at, actor, detail, run, samples_json)
		SELECT incident_id, ?, ?, '', CASE told WHEN '' THEN ? ELSE told || ': ' || ? END, 0, '[]'
		FROM notification_incidents WHERE notification_id = ?`, typ, a.At.UnixMilli(), detail, detail, n.ID)
	if err != nil {
		return fmt.Errorf("event log: %w", err)
	}
	return nil
}

// Queue is the state of what waits to be told.
type Queue struct {
	Changes       int       // changes in the outbox
	Notifications int       // messages that no receiver has accepted yet
	OldestDue     time.Time // since when the oldest of both could have been accepted; zero: none is due
	Next          time.Time // when the next of all timers runs out; zero: none runs
}

// Queue reads the state of the outbox at now.
func (s *Store) Queue(ctx context.Context, now time.Time) (Queue, error) {
	var q Queue
	var outbox, repeat, queued, pending, expires sql.NullInt64
	err := s.read.QueryRowContext(ctx, `SELECT
			(SELECT COUNT(*) FROM outbox), (SELECT MIN(not_before) FROM outbox),
			(SELECT MIN(repeat_at) FROM alert_groups WHERE repeat_at IS NOT NULL),
			(SELECT COUNT(*) FROM notifications WHERE state = 'pending'),
			(SELECT MIN(queued_at) FROM notifications WHERE state = 'pending'),
			(SELECT MIN(CASE WHEN due_at > lease_until THEN due_at ELSE lease_until END) FROM notifications WHERE id IN (`+firstPending+`)),
			(SELECT MIN(expires_at) FROM incidents WHERE closed_at IS NULL AND expires_at IS NOT NULL AND state = 'firing')`).
		Scan(&q.Changes, &outbox, &repeat, &q.Notifications, &queued, &pending, &expires)
	if err != nil {
		return q, fmt.Errorf("outbox: %w", err)
	}
	q.OldestDue = earliest(outbox, queued)
	if q.OldestDue.After(now) {
		q.OldestDue = time.Time{}
	}
	q.Next = earliest(outbox, repeat, pending, expires)
	return q, nil
}

func earliest(ts ...sql.NullInt64) time.Time {
	var min sql.NullInt64
	for _, t := range ts {
		if t.Valid && (!min.Valid || t.Int64 < min.Int64) {
			min = t
		}
	}
	return fromMillis(min)
}

// Expired returns the outside alerts that were not pushed anew by now, as
// transitions to no-data, at most limit.
func (s *Store) Expired(ctx context.Context, now time.Time, limit int) ([]Transition, error) {
	rows, err := s.read.QueryContext(ctx, `SELECT `+incidentColumns+` FROM incidents i
		WHERE i.closed_at IS NULL AND i.state = 'firing' AND i.expires_at <= ? ORDER BY i.expires_at LIMIT ?`, now.UnixMilli(), limit)
	if err != nil {
		return nil, fmt.Errorf("expired alerts: %w", err)
	}
	incs, err := scanIncidents(rows)
	if err != nil {
		return nil, fmt.Errorf("expired alerts: %w", err)
	}
	ts := make([]Transition, 0, len(incs))
	for _, i := range incs {
		ts = append(ts, Transition{
			Customer: i.Customer, RuleID: i.RuleID, Alert: i.Alert, Identity: i.Identity, Source: i.Source,
			State: NoData, Check: i.Expires, At: now, Expires: i.Expires,
			Reason: "not pushed anew by " + i.Expires.Format(time.RFC3339),
		})
	}
	return ts, nil
}
