package storage

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/tsdb"

	"watchkeeper/internal/journal"
)

// OpenReadOnly opens the store of a stopped server in dir for reading and
// changes nothing there: the write-ahead log is copied aside, since reading it
// may repair it; blocks are linked. The TSDB's own read-only mode leaves out
// the part of the log that an out-of-order block overlaps, so it will not do.
// Append fails with ErrReadOnly. The caller holds the folder's lock.
func OpenReadOnly(dir string, logger *slog.Logger) (*Store, error) {
	sandbox, err := os.MkdirTemp("", "watchkeeper-read-")
	if err != nil {
		return nil, fmt.Errorf("storage: open read-only: %w", err)
	}
	s, err := openReadOnly(dir, sandbox, logger)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("storage: open read-only: %w", err), os.RemoveAll(sandbox))
	}
	return s, nil
}

func openReadOnly(dir, sandbox string, logger *slog.Logger) (*Store, error) {
	if err := borrow(filepath.Join(dir, tsdbDir), sandbox); err != nil {
		return nil, err
	}
	cfg := DefaultConfig()
	cfg.Dir = dir
	s := newStore(cfg, logger, metrics.NewSet(), time.Now)
	s.sandbox, s.broken = sandbox, ErrReadOnly
	opts := tsdbOptions(cfg)
	opts.RetentionDuration = 0 // nothing is deleted
	var err error
	if s.db, err = tsdb.Open(sandbox, logger, s.wbl, opts, s.stats); err != nil {
		return nil, err
	}
	s.db.DisableCompactions()
	if s.journal, err = journal.OpenReadOnly(filepath.Join(dir, journalFile)); err != nil {
		return nil, errors.Join(err, s.db.Close())
	}
	if err := s.load(); err != nil {
		return nil, errors.Join(err, s.db.Close())
	}
	return s, nil
}

// borrow makes a folder that reads like from: blocks are links, the rest, which
// the TSDB writes to when it opens, is copied.
func borrow(from, to string) error {
	entries, err := os.ReadDir(from)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%q holds no samples: %w", filepath.Dir(from), err)
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		put := copyFile
		if _, err := ulid.ParseStrict(e.Name()); err == nil {
			put = os.Symlink
		}
		if err := mirror(filepath.Join(from, e.Name()), filepath.Join(to, e.Name()), put); err != nil {
			return err
		}
	}
	return nil
}

// mirror makes the folders of from in to and puts every file with put.
func mirror(from, to string, put func(from, to string) error) error {
	from, err := filepath.Abs(from) // a link is read from elsewhere
	if err != nil {
		return err
	}
	return filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if e.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o750)
		}
		return put(path, filepath.Join(to, rel))
	})
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
