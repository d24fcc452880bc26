// Package incident keeps incidents: what each is about, its append-only event
// log, who is to be told, what was tried and what was answered. Everything
// that belongs together is written in one SQL transaction, so that after a
// crash at any point there is either the whole of it or nothing.
//
// Incidents, their event logs, who was told and the delivery ledger are the
// record and are kept for good. What only serves the machinery is taken away by
// Prune: which transitions were handed over, and the full text of messages that
// were accepted or given up long ago.
package incident

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"time"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver "sqlite"
)

// ErrNewerSchema means that the database was written by a newer version of
// this program. Start that version; this one must not touch it.
var ErrNewerSchema = errors.New("database schema is newer than this program")

// ErrNotFound means that there is no such incident.
var ErrNotFound = errors.New("incident not found")

// ErrClosed means that the incident is closed already.
var ErrClosed = errors.New("incident is closed")

// ErrInvalid means that what a person wrote cannot be recorded as it is. Tell
// them why; the same again is refused again.
var ErrInvalid = errors.New("invalid")

//go:embed migrations/sqlite/*.sql
var migrations embed.FS

// Config configures the store.
type Config struct {
	// Path of the database file; its folder must exist.
	Path string
	// ReopenWithin is how long after its resolving check a firing check
	// reopens an incident instead of opening a new one.
	ReopenWithin time.Duration
	// Instance names this process as the holder of delivery leases. Leases
	// that a dead process of the same name left behind end when it opens the
	// store again.
	Instance string
}

// Store is the incident store. Its methods are safe for concurrent use.
type Store struct {
	cfg   Config
	write *sql.DB // one connection: SQLite has one writer
	read  *sql.DB
}

// Open opens or creates the store and brings its schema up to date. It returns
// ErrNewerSchema if a newer program wrote it.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	w, err := openDB(cfg.Path, "rw", 1)
	if err != nil {
		return nil, err
	}
	if err := migrate(ctx, w); err != nil {
		w.Close()
		return nil, fmt.Errorf("incident store %s: %w", cfg.Path, err)
	}
	r, err := openDB(cfg.Path, "ro", 4)
	if err != nil {
		w.Close()
		return nil, err
	}
	s := &Store{cfg: cfg, write: w, read: r}
	if err := s.releaseLeases(ctx); err != nil {
		s.Close()
		return nil, fmt.Errorf("incident store %s: %w", cfg.Path, err)
	}
	return s, nil
}

// Close closes the store.
func (s *Store) Close() error { return errors.Join(s.read.Close(), s.write.Close()) }

func openDB(path, mode string, conns int) (*sql.DB, error) {
	q := url.Values{}
	q.Add("_pragma", "busy_timeout(5000)")
	q.Add("_pragma", "foreign_keys(1)")
	if mode == "rw" {
		mode = "rwc"
		q.Add("_pragma", "journal_mode(WAL)")
		q.Add("_pragma", "synchronous(FULL)")
		q.Set("_txlock", "immediate")
	} else {
		q.Add("_pragma", "query_only(1)")
	}
	q.Set("mode", mode)
	u := url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}
	db, err := sql.Open("sqlite", u.String())
	if err != nil {
		return nil, fmt.Errorf("incident store %s: %w", path, err)
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return db, nil
}

func migrate(ctx context.Context, db *sql.DB) error {
	dir, err := fs.Sub(migrations, "migrations/sqlite")
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, dir, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	current, target, err := p.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("schema version: %w", err)
	}
	if current > target {
		return fmt.Errorf("%w: version %d, this program knows %d", ErrNewerSchema, current, target)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

// inTx runs f in one transaction; either all of it is durable afterwards or
// nothing.
func (s *Store) inTx(ctx context.Context, f func(*sql.Tx) error) error {
	if s.write == s.read {
		return ErrReadOnly
	}
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer tx.Rollback() // a no-op after Commit
	if err := f(tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// millis is how a time is stored; the zero time is NULL.
func millis(t time.Time) sql.NullInt64 {
	return sql.NullInt64{Int64: t.UnixMilli(), Valid: !t.IsZero()}
}

func fromMillis(v sql.NullInt64) time.Time {
	if !v.Valid {
		return time.Time{}
	}
	return time.UnixMilli(v.Int64).UTC()
}
