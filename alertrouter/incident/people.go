package incident

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Acknowledge notes that a person answers for the incident. It returns
// ErrNotFound, or ErrClosed if there is nothing left to answer for. A second
// acknowledgement is logged; the first one counts.
func (s *Store) Acknowledge(ctx context.Context, now time.Time, id int64, user, comment string) error {
	if user == "" {
		return errors.New("acknowledge: no user")
	}
	err := s.inTx(ctx, func(tx *sql.Tx) error {
		open, err := isOpen(ctx, tx, id)
		if err != nil {
			return err
		}
		if !open {
			return ErrClosed
		}
		_, err = tx.ExecContext(ctx, `UPDATE incidents SET acknowledged_at = ?, acknowledged_by = ?, updated_at = ?
			WHERE id = ? AND acknowledged_at IS NULL`, now.UnixMilli(), cut(user, 256), now.UnixMilli(), id)
		if err != nil {
			return err
		}
		return logEntry(ctx, tx, id, EntryAcknowledged, now, user, comment)
	})
	if err != nil {
		return fmt.Errorf("incident %d: acknowledge: %w", id, err)
	}
	return nil
}

// Note appends a person's note to the incident's event log, also after it
// closed.
func (s *Store) Note(ctx context.Context, now time.Time, id int64, user, text string) error {
	if user == "" || text == "" {
		return errors.New("note: user and text are needed")
	}
	err := s.inTx(ctx, func(tx *sql.Tx) error {
		if _, err := isOpen(ctx, tx, id); err != nil {
			return err
		}
		return logEntry(ctx, tx, id, EntryNote, now, user, text)
	})
	if err != nil {
		return fmt.Errorf("incident %d: note: %w", id, err)
	}
	return nil
}

func isOpen(ctx context.Context, tx *sql.Tx, id int64) (bool, error) {
	var closed sql.NullInt64
	err := tx.QueryRowContext(ctx, `SELECT closed_at FROM incidents WHERE id = ?`, id).Scan(&closed)
	if errors.Is(err, sql.ErrNoRows) {
		return false, ErrNotFound
	}
	return !closed.Valid, err
}
