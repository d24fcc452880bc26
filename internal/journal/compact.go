package journal

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/VictoriaMetrics/metrics"
)

// compactSuffix ends the name of the file that a compaction writes. One that is
// found at a start is what a crash left; it is removed.
const compactSuffix = ".compact"

// maxTail is how many bytes may be left to copy while appends wait, unless they
// come faster than they are copied.
const (
	maxTail  = 256 << 10
	maxTails = 16
)

// files is what a compaction needs of the file system; tests break single calls.
type files struct {
	create  func(path string) (file, error)
	rename  func(from, to string) error
	syncDir func(path string) error
}

var osFiles = files{
	create: func(path string) (file, error) {
		return os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o640)
	},
	rename:  os.Rename,
	syncDir: syncDir,
}

type compactMetrics struct {
	runs, failed, dropped *metrics.Counter
}

func newCompactMetrics(set *metrics.Set) compactMetrics {
	return compactMetrics{
		runs:    set.GetOrCreateCounter("watchkeeper_journal_compactions_total"),
		failed:  set.GetOrCreateCounter("watchkeeper_journal_compactions_failed_total"),
		dropped: set.GetOrCreateCounter("watchkeeper_journal_records_dropped_total"),
	}
}

// ErrCompacting is returned by Compact while another compaction runs.
var ErrCompacting = errors.New("journal: a compaction is running")

// Compact writes the file anew without the records that keep refuses, and puts it
// in the place of the old one. Records that are appended meanwhile are kept
// unasked. Appends wait only while the last of those are copied.
//
// At every moment the file is the old one or the new one, whole and on disk, so a
// crash costs nothing. It ends early with ctx. After an error the old one goes on,
// unless nobody can say any more which of the two a crash would leave: then appends
// fail from there on.
func (j *Journal) Compact(ctx context.Context, keep func(Record) bool) error {
	if !j.compacting.TryLock() {
		return ErrCompacting
	}
	defer j.compacting.Unlock()
	j.compact.runs.Inc()
	dropped, err := j.compactFile(ctx, keep)
	if err != nil {
		j.compact.failed.Inc()
		return fmt.Errorf("journal: compact: %w", err)
	}
	j.compact.dropped.Add(dropped)
	return nil
}

func (j *Journal) compactFile(ctx context.Context, keep func(Record) bool) (dropped int, err error) {
	if err := j.writable(); err != nil {
		return 0, err
	}
	old, size, err := j.reader()
	if old == nil {
		return 0, err
	}
	defer old.Close()
	path := j.path + compactSuffix
	f, err := j.fs.create(path)
	if err != nil {
		return 0, err
	}
	c := compaction{old: old, new: f, at: size}
	if dropped, err = c.filter(ctx, j.path, keep); err == nil {
		err = j.follow(&c)
	}
	if err == nil {
		err = j.replace(&c, path)
	}
	if !c.done {
		err = errors.Join(err, f.Close(), os.Remove(path))
	}
	return dropped, err
}

// writable says why nothing can be appended.
func (j *Journal) writable() error {
	j.writing.Lock()
	defer j.writing.Unlock()
	if j.f == nil {
		return ErrReadOnly
	}
	return j.broken
}

// compaction is a new file that is being written.
type compaction struct {
	old  *os.File
	new  file
	at   int64 // up to where the old one is in the new one
	size int64 // of the new one
	done bool  // new is the journal
}

// filter copies the records that are to be kept of the old file up to at.
func (c *compaction) filter(ctx context.Context, path string, keep func(Record) bool) (dropped int, err error) {
	out := bufio.NewWriterSize(c.new, 1<<16)
	_, _, err = scan(path, io.NewSectionReader(c.old, 0, c.at), func(r Record, line []byte) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if !keep(r) {
			dropped++
			return nil
		}
		c.size += int64(len(line)) + 1
		if _, err := out.Write(line); err != nil {
			return err
		}
		return out.WriteByte('\n')
	})
	return dropped, errors.Join(err, out.Flush())
}

// follow copies what has been appended meanwhile until little is left, so that
// appends need not wait for it.
func (j *Journal) follow(c *compaction) error {
	for range maxTails {
		size := j.Size()
		if err := c.copyTo(size); err != nil {
			return err
		}
		if err := c.new.Sync(); err != nil {
			return err
		}
		if j.Size()-size <= maxTail {
			break
		}
	}
	return nil
}

func (c *compaction) copyTo(size int64) error {
	n, err := io.Copy(c.new, io.NewSectionReader(c.old, c.at, size-c.at))
	c.at += n
	c.size += n
	if err == nil && c.at != size {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// replace puts the new file in the place of the old one.
func (j *Journal) replace(c *compaction, path string) error {
	j.writing.Lock()
	defer j.writing.Unlock()
	switch {
	case j.f == nil:
		return ErrReadOnly // closed meanwhile
	case j.broken != nil:
		return j.broken
	}
	if c.at < j.size {
		if err := errors.Join(c.copyTo(j.size), c.new.Sync()); err != nil {
			return err
		}
	}
	if err := j.fs.rename(path, j.path); err != nil {
		return err
	}
	closed := j.f.Close()
	j.f, j.size, c.done = c.new, c.size, true
	if err := j.fs.syncDir(filepath.Dir(j.path)); err != nil {
		// A power cut may bring the old file back, without what is appended from now on.
		j.broken = fmt.Errorf("journal: sync its folder: %w; restart to go on", err)
		return j.broken
	}
	if closed != nil {
		return fmt.Errorf("close the old file: %w", closed) // all of it is in the new one
	}
	return nil
}
