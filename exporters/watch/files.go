package watch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// deep stands for any depth of folders in a pattern.
const deep = "/**/"

// Aspects of a file.
const (
	aspectContent = "content"
	aspectOwner   = "owner"
	aspectGroup   = "group"
	aspectMode    = "mode"
	aspectType    = "type"    // what it is: file, folder, link and where to
	aspectTouched = "touched" // the time of modification, with the content unchanged
)

// fileSet reads the files of a declared set.
type fileSet struct {
	set      FileSet
	maxFiles int
	maxHash  int64
	hashes   map[string]hashed // of the check before
}

// hashed is the hash of a file's content with what says that it has not changed
// since; the time of the last change of the inode cannot be set back.
type hashed struct {
	stamp string
	hash  string
}

func (f *fileSet) read(ctx context.Context) (snapshot, error) {
	names, err := f.names(ctx)
	if err != nil {
		return nil, err
	}
	s := make(snapshot, len(names))
	hashes := make(map[string]hashed, len(names))
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		aspects, err := f.file(name, hashes)
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed meanwhile
		}
		if err != nil {
			return nil, err
		}
		s[name] = aspects
	}
	f.hashes = hashes
	return s, nil
}

// names lists the files that match.
func (f *fileSet) names(ctx context.Context) ([]string, error) {
	var names []string
	seen := make(map[string]bool)
	add := func(name string) error {
		if !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
		if len(names) > f.maxFiles {
			return fmt.Errorf("more than %d files match", f.maxFiles)
		}
		return ctx.Err()
	}
	for _, pattern := range f.set.Paths {
		top, rest, isDeep := strings.Cut(pattern, deep)
		if !isDeep {
			top, rest = pattern, ""
		}
		found, err := filepath.Glob(top)
		if err != nil {
			return nil, err
		}
		for _, name := range found {
			if isDeep {
				err = below(name, rest, add)
			} else {
				err = add(name)
			}
			if err != nil {
				return nil, err
			}
		}
	}
	return names, nil
}

// below calls add for what matches a pattern in a folder or anywhere below it.
func below(top, pattern string, add func(string) error) error {
	depth := strings.Count(pattern, "/") + 1
	return filepath.WalkDir(top, func(name string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
			return nil // removed meanwhile, or not ours to see
		case err != nil:
			return err
		case d.IsDir():
			return nil
		}
		parts := strings.Split(filepath.ToSlash(strings.TrimPrefix(name, top)), "/")
		tail := strings.Join(parts[max(0, len(parts)-depth):], "/")
		if ok, err := filepath.Match(pattern, tail); err != nil || !ok {
			return err
		}
		return add(name)
	})
}

// file reads the aspects of one file. Content that may not be read is left out.
func (f *fileSet) file(name string, hashes map[string]hashed) (map[string]string, error) {
	link, err := os.Lstat(name)
	if err != nil {
		return nil, err
	}
	aspects := map[string]string{aspectType: link.Mode().Type().String()}
	if link.Mode()&fs.ModeSymlink != 0 {
		target, err := os.Readlink(name)
		if err != nil {
			return nil, err
		}
		aspects[aspectType] = "link to " + target
	}
	info, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return aspects, nil // a link to nowhere
	}
	if err != nil {
		return nil, err
	}
	stamp := ownership(info, aspects)
	aspects[aspectMode] = info.Mode().Perm().String() + strconv.FormatUint(uint64(info.Mode()&(fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky)), 8)
	if !info.Mode().IsRegular() {
		return aspects, nil
	}
	aspects[aspectTouched] = strconv.FormatInt(info.ModTime().UnixNano(), 10)
	if info.Size() > f.maxHash {
		aspects[aspectContent] = fmt.Sprintf("%d bytes, written %d", info.Size(), info.ModTime().UnixNano())
		return aspects, nil
	}
	stamp = fmt.Sprintf("%s %d %d", stamp, info.Size(), info.ModTime().UnixNano())
	h, ok := f.hashes[name]
	if !ok || h.stamp != stamp {
		sum, err := hashFile(name, f.maxHash)
		if err != nil {
			return aspects, nil // may not be read; the rest is known
		}
		h = hashed{stamp, sum}
	}
	hashes[name] = h
	aspects[aspectContent] = h.hash
	return aspects, nil
}

func hashFile(name string, limit int64) (string, error) {
	f, err := os.OpenFile(name, openFlags, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, io.LimitReader(f, limit)); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)[:16]), nil
}

// onlyTouched leaves out of changes that a file was touched where something else
// about it changed: writing sets the time too.
func onlyTouched(changes []change) []change {
	more := make(map[string]bool)
	for _, c := range changes {
		if c.reason == aspectContent || c.reason == aspectType {
			more[c.thing] = true
		}
	}
	var out []change
	for _, c := range changes {
		if c.reason != aspectTouched || !more[c.thing] {
			out = append(out, c)
		}
	}
	return out
}
