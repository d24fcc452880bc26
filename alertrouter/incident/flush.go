package incident

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// ErrGroupMoved means that somebody else flushed the group meanwhile. Read it
// again.
var ErrGroupMoved = errors.New("alert group was flushed by somebody else")

// Message is one notification to be written for delivery.
type Message struct {
	IdempotencyKey string
	Integration    string // of the group's receiver, e.g. "webhook[0]"
	Reason         string // why now, in Alertmanager's words
	Alerts         []byte // the alerts as they are told, JSON
	Incidents      []int64
}

// Flush is what became of a group whose time had come.
type Flush struct {
	Messages []Message        // one per integration of the receiver; none if nothing is told
	Told     map[int64]string // incident id: what is told now, ToldFiring or ToldResolved
	Muted    map[int64]string // incident id: what mutes it; others are not muted
	Held     map[int64]bool   // incidents whose changes stay in the outbox, because of a mute
	Recheck  time.Time        // when held changes are looked at again
	RepeatAt time.Time        // when a reminder is due; zero: none
}

// CommitFlush writes what became of a group since it was read as g: the
// messages, what is told by them, the ledger's lines about what was muted. It
// returns ErrGroupMoved if the group was flushed since.
func (s *Store) CommitFlush(ctx context.Context, now time.Time, g *GroupState, f Flush) error {
	err := s.inTx(ctx, func(tx *sql.Tx) error {
		c := &flusher{ctx: ctx, tx: tx, now: now, g: g, f: f}
		for _, step := range []func() error{c.advance, c.messages, c.told, c.muted, c.outbox} {
			if err := step(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("alert group %d: flush: %w", g.ID, err)
	}
	return nil
}

// flusher writes one flush inside one transaction.
type flusher struct {
	ctx context.Context
	tx  *sql.Tx
	now time.Time
	g   *GroupState
	f   Flush
}

func (c *flusher) exec(q string, args ...any) error {
	_, err := c.tx.ExecContext(c.ctx, q, args...)
	return err
}

// advance moves the group on, unless somebody else did.
func (c *flusher) advance() error {
	last := millis(c.g.LastFlush)
	if len(c.f.Messages) > 0 {
		last = millis(c.now)
	}
	res, err := c.tx.ExecContext(c.ctx, `UPDATE alert_groups SET version = version + 1, last_flush_at = ?, repeat_at = ?
		WHERE id = ? AND version = ?`, last, millis(c.f.RepeatAt), c.g.ID, c.g.version)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n == 1 {
		return err
	}
	return ErrGroupMoved
}

func (c *flusher) messages() error {
	queued := c.g.Oldest
	if queued.IsZero() {
		queued = c.now
	}
	for _, m := range c.f.Messages {
		var id int64
		err := c.tx.QueryRowContext(c.ctx, `INSERT INTO notifications
			(idempotency_key, group_id, receiver, integration, reason, alerts_json, state, queued_at, due_at)
			VALUES (?, ?, ?, ?, ?, ?, 'pending', ?, ?) RETURNING id`,
			m.IdempotencyKey, c.g.ID, c.g.Receiver, m.Integration, m.Reason, string(m.Alerts),
			queued.UnixMilli(), c.now.UnixMilli()).Scan(&id)
		if err != nil {
			return err
		}
		for _, inc := range m.Incidents {
			if err := c.exec(`INSERT INTO notification_incidents (notification_id, incident_id, told) VALUES (?, ?, ?)`,
				id, inc, c.f.Told[inc]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *flusher) told() error {
	for id, told := range c.f.Told {
		if err := c.exec(`UPDATE group_members SET told = ? WHERE group_id = ? AND incident_id = ?`, told, c.g.ID, id); err != nil {
			return err
		}
	}
	return nil
}

// muted writes to log and ledger who was not told, and by what, each time that
// this changes.
func (c *flusher) muted() error {
	for _, m := range c.g.Members {
		by := c.f.Muted[m.Incident.ID]
		if by == m.MutedBy {
			continue
		}
		if err := c.exec(`UPDATE group_members SET muted_by = ? WHERE group_id = ? AND incident_id = ?`, by, c.g.ID, m.Incident.ID); err != nil {
			return err
		}
		if by == "" {
			continue
		}
		if err := logEntry(c.ctx, c.tx, m.Incident.ID, EntryMuted, c.now, "", "receiver "+c.g.Receiver+": muted by "+by); err != nil {
			return err
		}
		err := c.exec(`INSERT INTO delivery_ledger (recorded_at, incident_id, receiver, integration, outcome, attempt, duration_ms, answer)
			VALUES (?, ?, ?, '', ?, 0, 0, ?)`, c.now.UnixMilli(), m.Incident.ID, c.g.Receiver, OutcomeMuted, "muted by "+by)
		if err != nil {
			return err
		}
	}
	return nil
}

// outbox takes out the changes that were seen when the group was read, and
// leaves the held ones for later.
func (c *flusher) outbox() error {
	for _, m := range c.g.Members {
		if !m.Changed {
			continue
		}
		id := m.Incident.ID
		if c.f.Held[id] {
			if err := c.exec(`UPDATE outbox SET not_before = ? WHERE group_id = ? AND incident_id = ? AND id <= ? AND not_before < ?`,
				c.f.Recheck.UnixMilli(), c.g.ID, id, c.g.maxOutbox, c.f.Recheck.UnixMilli()); err != nil {
				return err
			}
			continue
		}
		if err := c.exec(`DELETE FROM outbox WHERE group_id = ? AND incident_id = ? AND id <= ?`, c.g.ID, id, c.g.maxOutbox); err != nil {
			return err
		}
	}
	return nil
}

// logEntry appends one line to an incident's event log.
func logEntry(ctx context.Context, tx *sql.Tx, id int64, typ EntryType, at time.Time, actor, detail string) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO incident_events
		(incident_id, event_type, recorded_at, actor, detail, run, samples_json) VALUES (?, ?, ?, ?, ?, 0, '[]')`,
		id, typ, at.UnixMilli(), cut(actor, 256), cut(detail, maxTextLen))
	if err != nil {
		return fmt.Errorf("event log: %w", err)
	}
	return nil
}
