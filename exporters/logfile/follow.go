package logfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxFiles bounds the files of one log, rotated ones included.
const maxFiles = 256

// maxCompare bounds how much of two files is compared.
const maxCompare = 64 << 10

// compressed are the ends of names of files that are passed over.
var compressed = []string{".gz", ".bz2", ".xz", ".zst", ".lz4", ".zip", ".Z", ".tmp"}

// follow reads what was added to a log since the check before, wherever
// rotation has put it.
//
//	rename and create    app.log → app.log.1, a new app.log: the old one is known
//	                     by its number and read to its end, the new one from its start
//	copy and truncate    app.log copied to app.log.1, then emptied: the copy holds what
//	                     was read before our position, so it is read from there on, and
//	                     app.log from its start
func (l *log) follow(ctx context.Context) error {
	files, err := l.open()
	defer func() {
		for _, c := range files {
			_ = c.f.Close()
		}
	}()
	if err != nil {
		return err
	}
	orphans := l.recognise(files)
	if err := l.place(files, orphans); err != nil {
		return err
	}
	l.fresh = false
	l.remember(files, orphans)
	err = l.readAll(ctx, files)
	for _, c := range files {
		// Should the other be emptied before anything was read of it, this one is all there is.
		c.Unsure = c.twin != nil && c.twin.Offset == 0
		c.setHead()
	}
	return err
}

// open opens the files of the log. Those being written come first: one that is
// renamed meanwhile is then found under its new name, and never missed.
func (l *log) open() ([]*candidate, error) {
	var files []*candidate
	seen := make(map[fileID]bool)
	for i, pattern := range append([]string{l.Path}, l.rotated()...) {
		names, err := filepath.Glob(pattern)
		if err != nil {
			return files, err
		}
		for _, name := range names {
			if i > 0 && slices.ContainsFunc(compressed, func(end string) bool { return strings.HasSuffix(name, end) }) {
				continue
			}
			c, err := openFile(name)
			if i > 0 && errors.Is(err, fs.ErrPermission) {
				l.hidden.Inc() // perhaps no part of the log at all
				continue
			}
			if err != nil {
				return files, err
			}
			if c == nil {
				continue
			}
			if seen[c.fileID] {
				_ = c.f.Close()
				continue
			}
			seen[c.fileID] = true
			c.Main = i == 0
			files = append(files, c)
			if len(files) > maxFiles {
				return files, fmt.Errorf("more than %d files", maxFiles)
			}
		}
	}
	return files, nil
}

// openFile opens a regular file; nil for what is none, or has just gone.
func openFile(name string) (*candidate, error) {
	f, err := os.OpenFile(name, openFlags, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(err, f.Close())
	}
	c := &candidate{
		record: record{fileID: idOf(info), Path: name, Size: info.Size()},
		f:      f, since: info.ModTime().UnixNano(),
	}
	if c.begin, err = bytesBefore(f, min(c.Size, tailBytes), tailBytes); err != nil {
		c.Size = 0 // emptied a moment ago
	}
	return c, nil
}

// recognise lets the files go on where their records stand, and returns the
// records whose file is not there or holds something else now.
func (l *log) recognise(files []*candidate) (orphans []*record) {
	byID := make(map[fileID]*candidate, len(files))
	for _, c := range files {
		byID[c.fileID] = c
	}
	for _, r := range l.records {
		c, found := byID[r.fileID]
		switch {
		case found && r.Aside:
			if !c.Main && !r.Unsure && r.Offset > 0 {
				_, c.Aside = r.isPrefixOf(c.f, c.Size)
			}
			continue
		case found && !c.known:
			if before, ok := r.isOf(c); ok {
				c.goOn(r, before)
				continue
			}
			r.Missing = keepMissing // what it held is gone
		}
		if !r.Aside {
			orphans = append(orphans, r)
		}
	}
	return orphans
}

// place says where the files that no record knows begin. Orphans that a file
// holds a copy of are struck out (Missing < 0).
func (l *log) place(files []*candidate, orphans []*record) error {
	for _, c := range files {
		if c.known {
			continue
		}
		wasAside := c.Aside
		c.Aside = false
		r, before := copyOf(c, orphans)
		var err error
		switch {
		case r != nil && r.Missing >= 0:
			r.Missing = -1
			c.goOn(r, before)
		case r != nil, wasAside, !c.Main && (l.fresh || l.beside(c, files)):
			c.Aside, c.known = true, true
			err = c.beginAt(c.Size)
		case l.fresh && l.Start == startEnd:
			err = c.beginAt(c.Size)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", c.Path, err)
		}
	}
	return nil
}

// copyOf returns the orphan whose content a file begins with.
func copyOf(c *candidate, orphans []*record) (*record, []byte) {
	for _, r := range orphans {
		if r.Offset == 0 {
			continue
		}
		if before, ok := r.isPrefixOf(c.f, c.Size); ok {
			return r, before
		}
	}
	return nil, nil
}

// beside reports whether a rotated file is a copy that somebody made of one that
// is still whole, perhaps still makes, and after which that one will be emptied.
// A file in its place of which something was read cannot have been rotated, so
// what appears beside it is a copy; else the contents are compared.
func (l *log) beside(c *candidate, files []*candidate) bool {
	for _, m := range files {
		switch {
		case m == c || m.Aside || !m.Main && !m.known:
		case len(l.Rotated) == 0 && !strings.HasPrefix(c.Path, l.mainOf(m)):
		case m.Main && m.known && m.Offset > 0:
			return true
		case isBeginOf(c, m):
			c.twin = m
			return true
		}
	}
	return false
}

// mainOf is what the names of the files begin with that rotation makes of m.
func (l *log) mainOf(m *candidate) string {
	if m.Main {
		return m.Path
	}
	return "" // it was renamed; its content decides
}

// isBeginOf reports whether all of c, as far as is looked, is what m begins with.
func isBeginOf(c, m *candidate) bool {
	info, err := m.f.Stat()
	if err != nil || info.Size() < c.Size {
		return false
	}
	n := min(c.Size, maxCompare)
	x, errX := bytesBefore(c.f, n, int(n))
	y, errY := bytesBefore(m.f, n, int(n))
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// remember makes the records of this check and counts what may be lost.
func (l *log) remember(files []*candidate, orphans []*record) {
	l.records = l.records[:0:0]
	for _, c := range files {
		l.records = append(l.records, &c.record)
	}
	for _, r := range orphans {
		switch {
		case r.Missing < 0: // found again as a copy
		case r.Missing >= keepMissing && l.present(files, r.fileID):
			if r.Main && r.Offset > 0 {
				l.Gaps[gapTruncated]++
			}
		case r.Missing < keepMissing:
			r.Missing++
			l.records = append(l.records, r)
		case r.Main || r.Size > r.Offset:
			l.Gaps[gapVanished]++
		}
	}
}

func (l *log) present(files []*candidate, id fileID) bool {
	return slices.ContainsFunc(files, func(c *candidate) bool { return c.fileID == id })
}

// readAll reads the files, the oldest first.
func (l *log) readAll(ctx context.Context, files []*candidate) error {
	slices.SortStableFunc(files, func(a, b *candidate) int {
		if a.Main != b.Main {
			if b.Main {
				return -1
			}
			return 1
		}
		return int(min(1, max(-1, a.since-b.since)))
	})
	budget := l.MaxBytesPerCheck
	for _, c := range files {
		if c.Aside {
			continue
		}
		if err := l.read(ctx, c, &budget); err != nil {
			return fmt.Errorf("%s: %w", c.Path, err)
		}
	}
	return nil
}
