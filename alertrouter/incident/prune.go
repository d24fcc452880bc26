package incident

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// HandledRetention is how long, on the wall clock, it is known that a
// transition was handed over, counted from then and from the close of its
// incident. The rule engine hands over again what it recovers at a start, which
// reaches back a day or so.
const HandledRetention = 7 * 24 * time.Hour

// Pruned counts what one Prune took away.
type Pruned struct {
	Handled  int // transitions forgotten to have been handed over
	Messages int // notifications without their message now
}

// Prune takes away, in one short transaction each, at most limit handled
// transitions older than HandledRetention, and the messages of at most limit
// notifications that ended longer than messageRetention before now. The
// notifications stay, with their keys and the ledger.
func (s *Store) Prune(ctx context.Context, now time.Time, messageRetention time.Duration, limit int) (Pruned, error) {
	var p Pruned
	err := s.inTx(ctx, func(tx *sql.Tx) (err error) {
		// An incident that is open needs its transitions whatever their age: it
		// may be open for weeks, and its opening must not be news again.
		before := now.Add(-HandledRetention).UnixMilli()
		p.Handled, err = affected(tx.ExecContext(ctx, `DELETE FROM handled_transitions WHERE transition_key IN (
			SELECT h.transition_key FROM handled_transitions h WHERE h.handled_at < ? AND NOT EXISTS (
				SELECT 1 FROM incidents i WHERE i.incident_key = h.incident_key AND (i.closed_at IS NULL OR i.closed_at >= ?))
			ORDER BY h.handled_at LIMIT ?)`, before, before, limit))
		return err
	})
	if err != nil {
		return Pruned{}, fmt.Errorf("incident store: prune handled transitions: %w", err)
	}
	err = s.inTx(ctx, func(tx *sql.Tx) (err error) {
		p.Messages, err = affected(tx.ExecContext(ctx, `UPDATE notifications SET alerts_json = '[]' WHERE id IN (
			SELECT id FROM notifications WHERE finished_at IS NOT NULL AND alerts_json <> '[]' AND finished_at < ?
			ORDER BY finished_at LIMIT ?)`, now.Add(-messageRetention).UnixMilli(), limit))
		return err
	})
	if err != nil {
		return p, fmt.Errorf("incident store: prune messages: %w", err)
	}
	return p, nil
}

func affected(res sql.Result, err error) (int, error) {
	if err != nil {
		return 0, err
	}
	n, err := res.RowsAffected()
	return int(n), err
}
