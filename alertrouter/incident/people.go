package incident

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// maxUserLen bounds the name of a person, in bytes.
const maxUserLen = 256

// Acknowledgement is the one that counts: the first since the incident opened
// or reopened.
type Acknowledgement struct {
	By      string
	At      time.Time // wall clock
	Already bool      // it was there before
}

// Acknowledge notes that a person answers for the incident, and returns the
// acknowledgement that counts: the first. A later one is logged as such. It
// returns ErrInvalid if user or comment cannot be recorded, ErrNotFound, or
// ErrClosed if there is nothing left to answer for.
func (s *Store) Acknowledge(ctx context.Context, now time.Time, id int64, user, comment string) (Acknowledgement, error) {
	var ack Acknowledgement
	if err := cmp.Or(checkUser(user), checkText("comment", comment)); err != nil {
		return ack, fmt.Errorf("acknowledge: %w", err)
	}
	err := s.inTx(ctx, func(tx *sql.Tx) (err error) {
		if ack, err = acknowledgement(ctx, tx, id); err != nil {
			return err
		}
		if ack.Already {
			return logEntry(ctx, tx, id, EntryAcknowledged, now, user, afterFirst(ack, comment))
		}
		ack.By, ack.At = cut(user, maxUserLen), now.UTC().Truncate(time.Millisecond)
		_, err = tx.ExecContext(ctx, `UPDATE incidents SET acknowledged_at = ?, acknowledged_by = ?, updated_at = ? WHERE id = ?`,
			now.UnixMilli(), ack.By, now.UnixMilli(), id)
		if err != nil {
			return err
		}
		return logEntry(ctx, tx, id, EntryAcknowledged, now, user, comment)
	})
	if err != nil {
		return Acknowledgement{}, fmt.Errorf("incident %d: acknowledge: %w", id, err)
	}
	return ack, nil
}

// acknowledgement reads who answers for an open incident so far.
func acknowledgement(ctx context.Context, tx *sql.Tx, id int64) (Acknowledgement, error) {
	var a Acknowledgement
	open, err := isOpen(ctx, tx, id)
	if err != nil {
		return a, err
	}
	if !open {
		return a, ErrClosed
	}
	var at sql.NullInt64
	err = tx.QueryRowContext(ctx, `SELECT acknowledged_at, acknowledged_by FROM incidents WHERE id = ?`, id).Scan(&at, &a.By)
	a.At, a.Already = fromMillis(at), at.Valid
	return a, err
}

// afterFirst is the log's detail of an acknowledgement that was not the first.
func afterFirst(first Acknowledgement, comment string) string {
	s := "already acknowledged by " + first.By
	if comment != "" {
		s += ": " + comment
	}
	return s
}

// Note appends a person's note to the incident's event log, also after it
// closed. It returns ErrInvalid or ErrNotFound.
func (s *Store) Note(ctx context.Context, now time.Time, id int64, user, text string) error {
	if err := cmp.Or(checkUser(user), checkText("text", text)); err != nil {
		return fmt.Errorf("note: %w", err)
	}
	if text == "" {
		return fmt.Errorf("note: %w: text: must not be empty", ErrInvalid)
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

func checkUser(user string) error {
	if strings.TrimSpace(user) == "" {
		return fmt.Errorf("%w: user: must not be empty", ErrInvalid)
	}
	return checkText("user", user)
}

// checkText refuses what would not be shown as one line of plain text: it is
// printed to terminals and logs, where control characters are commands, line
// breaks forge entries and bidirectional controls reorder what is read.
func checkText(field, s string) error {
	if !utf8.ValidString(s) {
		return fmt.Errorf("%w: %s: not valid UTF-8", ErrInvalid, field)
	}
	for _, c := range s {
		if unicode.In(c, unicode.Cc, unicode.Zl, unicode.Zp, unicode.Bidi_Control) {
			return fmt.Errorf("%w: %s: control character %U", ErrInvalid, field, c)
		}
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
