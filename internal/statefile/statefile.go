// Package statefile keeps what a collector must remember over a restart in a
// small JSON file. Save replaces the file as a whole: after a crash at any
// moment Load finds the content before or after, never a part.
package statefile

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// MaxBytes bounds a state file.
const MaxBytes = 64 << 20

// Load decodes the file at path into v and reports whether there was one. After
// an error v may hold a part of it.
func Load(path string, v any) (found bool, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("state: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, MaxBytes+1))
	if err != nil {
		return false, fmt.Errorf("state: %w", err)
	}
	if len(b) > MaxBytes {
		return false, fmt.Errorf("state %s: larger than %d bytes", path, MaxBytes)
	}
	if err := json.Unmarshal(b, v); err != nil {
		return false, fmt.Errorf("state %s: %w", path, err)
	}
	return true, nil
}

// File is a state file that is saved again and again by one goroutine.
type File struct {
	Path  string
	saved [sha256.Size]byte // hash of what was saved last; zero: nothing yet
}

// Save is the function Save, but writes only what is not what it wrote last.
func (f *File) Save(v any) error {
	b, err := encode(f.Path, v)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(b)
	if sum == f.saved {
		return nil
	}
	if err := write(f.Path, b); err != nil {
		return err
	}
	f.saved = sum
	return nil
}

// Save writes v to the file at path, for this user alone; folders are made. When it returns nil, the
// content survives a power cut.
func Save(path string, v any) error {
	b, err := encode(path, v)
	if err != nil {
		return err
	}
	return write(path, b)
}

func encode(path string, v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	if len(b) > MaxBytes {
		return nil, fmt.Errorf("state %s: larger than %d bytes", path, MaxBytes)
	}
	return b, nil
}

func write(path string, b []byte) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return fmt.Errorf("state: %w", err)
	}
	if err := replace(path, b); err != nil {
		return fmt.Errorf("state: %w", err)
	}
	return nil
}

func replace(path string, b []byte) error {
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, filepath.Base(path)+".tmp-*") // 0600
	if err != nil {
		return err
	}
	_, err = tmp.Write(b)
	if err == nil {
		err = tmp.Sync()
	}
	err = errors.Join(err, tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	return syncFolder(dir)
}

// syncFolder makes the rename durable. Not every system can.
func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	_ = d.Sync()
	return d.Close()
}
