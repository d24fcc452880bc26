package journal

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/VictoriaMetrics/metrics"
)

// maxLine bounds one record in the file, in bytes. Labels are bounded by the
// store long before.
const maxLine = 1 << 20

// ErrReadOnly is returned by Append on a journal opened by OpenReadOnly.
var ErrReadOnly = errors.New("journal: opened read-only")

// CorruptError says that a record before the last ones is damaged: not a torn
// write but a broken file. Restore it from a backup, or cut it at Offset and
// lose the records behind it.
type CorruptError struct {
	Path   string
	Offset int64 // of the damaged line, in bytes
	Err    error
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("journal %q: damaged at byte %d: %v", e.Path, e.Offset, e.Err)
}

func (e *CorruptError) Unwrap() error { return e.Err }

// file is what the journal needs of *os.File; tests break single calls of it.
type file interface {
	io.Writer
	Sync() error
	Truncate(size int64) error
	Seek(offset int64, whence int) (int64, error)
	Close() error
}

// Journal is the append-only file. Its methods may be called concurrently.
type Journal struct {
	path    string
	fs      files
	records *metrics.Counter
	syncs   *metrics.Counter
	failed  *metrics.Counter
	compact compactMetrics

	compacting sync.Mutex // one compaction at a time; taken before writing

	mu   sync.Mutex
	next *group // gathers records for the next write; nil when empty

	// writing guards the file and the fields below. It is held across write and
	// fsync: that is what makes the records of waiting callers gather in next.
	writing sync.Mutex
	f       file // nil when read-only
	size    int64
	broken  error // set once the file's state is unknown; all later appends fail with it
}

// group is the records of several callers that share one write and one fsync.
type group struct {
	buf  []byte
	n    int
	done chan struct{}
	err  error
}

// Open opens the journal at path, creating it when it is not there. A torn
// last write, which no caller was told had succeeded, is cut off and logged;
// damage before it is a *CorruptError.
func Open(path string, logger *slog.Logger, set *metrics.Set) (*Journal, error) {
	if err := os.Remove(path + compactSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("journal: remove an unfinished compaction: %w", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, fmt.Errorf("journal: open: %w", err)
	}
	good, total, err := scan(path, f, func(Record, []byte) error { return nil })
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if good < total {
		logger.Warn("cut a torn record off the journal", "path", path, "offset", good, "bytes", total-good)
		if err := f.Truncate(good); err != nil {
			return nil, errors.Join(fmt.Errorf("journal: cut torn record: %w", err), f.Close())
		}
	}
	if _, err := f.Seek(good, io.SeekStart); err != nil {
		return nil, errors.Join(fmt.Errorf("journal: %w", err), f.Close())
	}
	if err := errors.Join(f.Sync(), syncDir(filepath.Dir(path))); err != nil {
		return nil, errors.Join(fmt.Errorf("journal: sync: %w", err), f.Close())
	}
	return newJournal(path, f, good, set), nil
}

// OpenReadOnly opens the journal for Each alone and leaves the file as it is,
// a torn last write included. A file that is not there reads as empty.
func OpenReadOnly(path string) (*Journal, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return newJournal(path, nil, 0, metrics.NewSet()), nil
	}
	if err != nil {
		return nil, fmt.Errorf("journal: open: %w", err)
	}
	good, _, err := scan(path, f, func(Record, []byte) error { return nil })
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	return newJournal(path, nil, good, metrics.NewSet()), nil
}

func newJournal(path string, f file, size int64, set *metrics.Set) *Journal {
	j := &Journal{
		path:    path,
		fs:      osFiles,
		f:       f,
		size:    size,
		compact: newCompactMetrics(set),
		records: set.GetOrCreateCounter("watchkeeper_journal_records_appended_total"),
		syncs:   set.GetOrCreateCounter("watchkeeper_journal_syncs_total"),
		failed:  set.GetOrCreateCounter("watchkeeper_journal_syncs_failed_total"),
	}
	set.GetOrCreateGauge("watchkeeper_journal_size_bytes", func() float64 { return float64(j.Size()) })
	return j
}

// Size returns the length of the file in bytes.
func (j *Journal) Size() int64 {
	j.writing.Lock()
	defer j.writing.Unlock()
	return j.size
}

// Append adds the records, in order and next to each other, and returns when
// they are on disk. Callers that come while another one's records are being
// written share the next write. After an error none of the records is kept.
func (j *Journal) Append(rs ...Record) error {
	if len(rs) == 0 {
		return nil
	}
	var buf []byte
	for _, r := range rs {
		var err error
		if buf, err = appendLine(buf, r); err != nil {
			return fmt.Errorf("journal: %w", err)
		}
	}
	j.mu.Lock()
	leader := j.next == nil
	if leader {
		j.next = &group{done: make(chan struct{})}
	}
	g := j.next
	g.buf = append(g.buf, buf...)
	g.n += len(rs)
	j.mu.Unlock()

	if leader {
		j.write(g)
	}
	<-g.done
	return g.err
}

func (j *Journal) write(g *group) {
	defer close(g.done)
	j.writing.Lock()
	defer j.writing.Unlock()
	j.mu.Lock()
	j.next = nil
	j.mu.Unlock()

	switch {
	case j.f == nil:
		g.err = ErrReadOnly
		return
	case j.broken != nil:
		g.err = j.broken
		return
	}
	j.syncs.Inc()
	if g.err = j.writeSync(g.buf); g.err != nil {
		j.failed.Inc()
		return
	}
	j.size += int64(len(g.buf))
	j.records.Add(g.n)
}

func (j *Journal) writeSync(buf []byte) error {
	if _, err := j.f.Write(buf); err != nil {
		err = fmt.Errorf("journal: write: %w", err)
		if _, serr := j.f.Seek(j.size, io.SeekStart); serr != nil {
			j.broken = fmt.Errorf("%w (and cannot go back: %v)", err, serr)
		} else if terr := j.f.Truncate(j.size); terr != nil {
			j.broken = fmt.Errorf("%w (and cannot cut it off: %v)", err, terr)
		}
		return err
	}
	if err := j.f.Sync(); err != nil {
		// After a failed fsync the kernel may have dropped the pages and will
		// report success next time: nothing that follows could be trusted.
		j.broken = fmt.Errorf("journal: sync: %w; restart to go on", err)
		return j.broken
	}
	return nil
}

// Each calls f with every record that was on disk when it was called, oldest
// first, until f returns an error, which it returns.
func (j *Journal) Each(f func(Record) error) error {
	r, size, err := j.reader()
	if r == nil {
		return err
	}
	_, _, err = scan(j.path, io.NewSectionReader(r, 0, size), func(r Record, _ []byte) error { return f(r) })
	return errors.Join(err, r.Close())
}

// reader opens the file as it is now: a compaction that comes between leaves the
// reader with the file that it has. It is nil where there is nothing to read.
func (j *Journal) reader() (r *os.File, size int64, err error) {
	j.writing.Lock()
	defer j.writing.Unlock()
	if j.size == 0 {
		return nil, 0, nil
	}
	if r, err = os.Open(j.path); err != nil {
		return nil, 0, fmt.Errorf("journal: open: %w", err)
	}
	return r, j.size, nil
}

// Close closes the file. Records appended before are on disk already.
func (j *Journal) Close() error {
	j.writing.Lock()
	defer j.writing.Unlock()
	if j.f == nil {
		return nil
	}
	f := j.f
	j.f, j.broken = nil, nil
	if err := f.Close(); err != nil {
		return fmt.Errorf("journal: close: %w", err)
	}
	return nil
}

// scan reads records to the end and calls f with each and its line, without the
// line feed, which f must not keep. It returns the length of the readable part
// and of all; they differ when the end is torn.
func scan(path string, r io.Reader, f func(Record, []byte) error) (good, total int64, err error) {
	in := bufio.NewReaderSize(r, 1<<16)
	var bad error // the first unreadable line, at offset good
	for {
		line, n, rerr := readLine(in)
		total += n
		if n > 0 && bad == nil {
			rec, derr := decodeLine(line)
			if rerr == io.EOF {
				derr = errTorn // a line without its end was never synced
			}
			switch {
			case derr != nil:
				bad = derr
			default:
				good = total
				if err := f(rec, line); err != nil {
					return good, total, err
				}
			}
		} else if n > 0 && rerr == nil {
			if _, derr := decodeLine(line); derr == nil {
				return good, total, &CorruptError{Path: path, Offset: good, Err: bad}
			}
		}
		if rerr == io.EOF {
			break
		}
		if rerr != nil {
			return good, total, fmt.Errorf("journal: read: %w", rerr)
		}
	}
	if bad != nil && !errors.Is(bad, errTorn) {
		// The checksum is right, so it was written like this: not a torn write.
		return good, total, &CorruptError{Path: path, Offset: good, Err: bad}
	}
	return good, total, nil
}

// readLine returns a line without its line feed and the bytes it took. A line
// beyond maxLine is returned cut, which no checksum survives.
func readLine(in *bufio.Reader) (line []byte, n int64, err error) {
	for {
		part, err := in.ReadSlice('\n')
		n += int64(len(part))
		if len(line) < maxLine {
			line = append(line, part...)
		}
		if err == bufio.ErrBufferFull {
			continue
		}
		return bytes.TrimSuffix(line, []byte{'\n'}), n, err
	}
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
