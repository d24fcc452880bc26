package app

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"watchkeeper/ruleset"
	"watchkeeper/ruleset/replay"
)

// verdictLog keeps the rule engine's two logs as files of JSON lines, one for
// each log and month: live-2026-11.jsonl, settled-2026-11.jsonl. The lines are
// those of 'rules replay'. A settled line that comes again after a restart is
// the same line and is not written twice.
type verdictLog struct {
	dir string

	mu    sync.Mutex
	files map[string]*os.File
	lines map[string]map[lineSum]bool // settled lines by file, of the last months
}

type lineSum [sha256.Size]byte

// maxKnownMonths is how many months' settled lines are remembered; settling
// is forced after a day, so that older ones cannot come again.
const maxKnownMonths = 3

// logFolder is the folder of the logs in the data folder.
const logFolder = "log"

// openVerdictLog opens the folder and drops the files older than keep.
func openVerdictLog(dir string, now time.Time, keep time.Duration) (*verdictLog, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("verdict log: %w", err)
	}
	l := &verdictLog{dir: dir, files: map[string]*os.File{}, lines: map[string]map[lineSum]bool{}}
	if err := l.prune(now.Add(-keep)); err != nil {
		return nil, fmt.Errorf("verdict log: %w", err)
	}
	month := now.UTC().AddDate(0, 0, 1-now.UTC().Day())
	for n := -1; n <= 1; n++ { // the next one, too: samples may be ahead of the clock
		if err := l.remember(l.path(ruleset.LogSettled, month.AddDate(0, n, 0))); err != nil {
			return nil, fmt.Errorf("verdict log: %w", err)
		}
	}
	return l, nil
}

func (l *verdictLog) path(log ruleset.Log, t time.Time) string {
	return filepath.Join(l.dir, fmt.Sprintf("%s-%s.jsonl", log, t.UTC().Format("2006-01")))
}

// prune removes the files of months that ended before a time.
func (l *verdictLog) prune(before time.Time) error {
	names, err := filepath.Glob(filepath.Join(l.dir, "*-????-??.jsonl"))
	if err != nil {
		return err
	}
	for _, name := range names {
		base := strings.TrimSuffix(filepath.Base(name), ".jsonl")
		month, err := time.Parse("2006-01", base[len(base)-len("2006-01"):])
		if err == nil && month.AddDate(0, 1, 0).Before(before) {
			if err := os.Remove(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// remember reads the lines of a file; what a crash left half-written is cut off.
func (l *verdictLog) remember(name string) error {
	b, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	whole := 0
	for line := range bytes.Lines(b) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			break
		}
		l.known(name)[sha256.Sum256(line)] = true
		whole += len(line)
	}
	if whole < len(b) {
		return os.Truncate(name, int64(whole))
	}
	return nil
}

// write appends entries to their files. After an error the entries of a file
// that failed are not in it; the settled ones can be had by replay.
func (l *verdictLog) write(entries []ruleset.Entry) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := map[string][]byte{}
	added := map[string][]lineSum{}
	for _, e := range entries {
		name := l.path(e.Log, time.UnixMilli(e.Check))
		start := len(text[name])
		text[name] = replay.AppendLine(text[name], e)
		if e.Log != ruleset.LogSettled {
			continue
		}
		sum := sha256.Sum256(text[name][start:])
		if l.known(name)[sum] {
			text[name] = text[name][:start]
			continue
		}
		l.known(name)[sum] = true
		added[name] = append(added[name], sum)
	}
	var errs []error
	for name, b := range text {
		if err := l.append(name, b); err != nil {
			errs = append(errs, fmt.Errorf("verdict log: %w", err))
			for _, sum := range added[name] {
				delete(l.known(name), sum)
			}
		}
	}
	return errors.Join(errs...)
}

// append writes all of b or, with an error, nothing.
func (l *verdictLog) append(name string, b []byte) error {
	if len(b) == 0 {
		return nil
	}
	f, err := l.file(name)
	if err != nil {
		return err
	}
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if _, err := f.Write(b); err != nil {
		return errors.Join(err, f.Truncate(end))
	}
	return nil
}

// known returns the settled lines of a file.
func (l *verdictLog) known(name string) map[lineSum]bool {
	if l.lines[name] == nil {
		for len(l.lines) >= maxKnownMonths {
			delete(l.lines, slices.Min(slices.Collect(maps.Keys(l.lines))))
		}
		l.lines[name] = map[lineSum]bool{}
	}
	return l.lines[name]
}

// maxOpenLogs bounds the open files; late data can touch old months.
const maxOpenLogs = 8

func (l *verdictLog) file(name string) (*os.File, error) {
	if f := l.files[name]; f != nil {
		return f, nil
	}
	if len(l.files) >= maxOpenLogs {
		if err := l.closeFiles(); err != nil {
			return nil, err
		}
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return nil, err
	}
	l.files[name] = f
	return f, nil
}

func (l *verdictLog) closeFiles() error {
	var errs []error
	for name, f := range l.files {
		errs = append(errs, f.Close())
		delete(l.files, name)
	}
	return errors.Join(errs...)
}

// Close closes the files.
func (l *verdictLog) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closeFiles()
}
