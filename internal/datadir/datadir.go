// Package datadir owns the folder in which a server keeps everything. Open
// takes it for one process; OpenReadOnly lets a command read the folder of a
// stopped server. The lock belongs to the process, not to the file: it is gone
// with the process, however that ended.
package datadir

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// lockName is the file whose lock stands for the folder; it holds the pid.
const lockName = "LOCK"

// ErrInUse says that another process holds the folder. Talk to that process
// (--url) or stop it; waiting does not help.
var ErrInUse = errors.New("in use")

// Dir is a locked data folder.
type Dir struct {
	path string
	lock *os.File // nil for a folder without a lock file, opened read-only
}

// Open creates the folder when it is not there and takes it for this process.
// It also proves that the folder can be written, so that a read-only file
// system or a full disk shows at the start and not at the first sample.
func Open(path string) (*Dir, error) {
	if err := os.MkdirAll(path, 0o750); err != nil {
		return nil, fmt.Errorf("data folder: create: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(path, lockName), os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, fmt.Errorf("data folder %q: not writable: %w", path, err)
	}
	if err := lockFile(f, true); err != nil {
		return nil, errors.Join(lockError(path, f, err, "stop it first, or give this one another folder"), f.Close())
	}
	if err := writePID(f); err != nil {
		return nil, errors.Join(fmt.Errorf("data folder %q: not writable: %w", path, err), f.Close())
	}
	return &Dir{path: path, lock: f}, nil
}

// OpenReadOnly opens the folder of a stopped server. Several readers may hold
// it at once; a server cannot start meanwhile.
func OpenReadOnly(path string) (*Dir, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("data folder %q: not a folder", path)
	}
	f, err := os.Open(filepath.Join(path, lockName))
	if errors.Is(err, fs.ErrNotExist) {
		// No server ever ran here (a copied folder, a backup): nothing to hold.
		return &Dir{path: path}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("data folder %q: %w", path, err)
	}
	if err := lockFile(f, false); err != nil {
		return nil, errors.Join(lockError(path, f, err, "ask the running server with --url"), f.Close())
	}
	return &Dir{path: path, lock: f}, nil
}

// Path returns the folder, or the path of an entry in it.
func (d *Dir) Path(elem ...string) string {
	return filepath.Join(append([]string{d.path}, elem...)...)
}

// Close gives the folder back. The lock file stays: removing it would let two
// processes lock two different files of the same name.
func (d *Dir) Close() error {
	if d.lock == nil {
		return nil
	}
	f := d.lock
	d.lock = nil
	if err := f.Close(); err != nil {
		return fmt.Errorf("data folder %q: unlock: %w", d.path, err)
	}
	return nil
}

func lockError(path string, f *os.File, err error, advice string) error {
	if !errors.Is(err, errHeld) {
		return fmt.Errorf("data folder %q: lock: %w", path, err)
	}
	return fmt.Errorf("data folder %q: %w by %s: %s", path, ErrInUse, holder(f), advice)
}

func holder(f *os.File) string {
	b, err := io.ReadAll(io.LimitReader(io.NewSectionReader(f, 0, 32), 32))
	if err != nil {
		return "another process"
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return "another process"
	}
	return fmt.Sprintf("process %d", pid)
}

func writePID(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	if _, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0); err != nil {
		return err
	}
	return f.Sync()
}
