package logfile

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
)

// tailBytes is how much before a position proves that a file is the one that
// was read up to there.
const tailBytes = 1024

// keepMissing is for how many checks a file that was not found is remembered: a
// rotation under way can hide it for a moment.
const keepMissing = 3

// fileID identifies a file whatever its name is; the number may be used again
// after the file was removed.
type fileID struct {
	Dev uint64 `json:"dev"`
	Ino uint64 `json:"ino"`
}

// record is how far one file has been read.
type record struct {
	fileID
	Path    string `json:"path"`
	Main    bool   `json:"main,omitempty"`    // it is written to: it matches the log's path
	Offset  int64  `json:"offset"`            // read up to here
	Size    int64  `json:"size"`              // when it was last seen
	TailLen int    `json:"tail_len"`          // length and hash of the bytes before Offset
	Tail    string `json:"tail,omitempty"`    //
	HeadLen int    `json:"head_len"`          // length and hash of the first bytes: of what was read, or of the file while nothing was
	Head    string `json:"head,omitempty"`    //
	Midline bool   `json:"midline,omitempty"` // Offset lies within a line that is counted or not ours; the rest of it is passed over
	Aside   bool   `json:"aside,omitempty"`   // appeared beside the file being written: a copy, not a part of the log
	Unsure  bool   `json:"unsure,omitempty"`  // aside, and nothing was read yet of the file that it is a copy of
	Missing int    `json:"missing,omitempty"` // checks since it was found
}

// setTail notes the bytes before Offset, the last of which are given.
func (r *record) setTail(before []byte) {
	before = lastBytes(before)
	r.TailLen, r.Tail = len(before), hashOf(before)
}

// isPrefixOf reports whether f is the file that was read up to Offset, or a
// copy of it, and returns the bytes before Offset.
func (r *record) isPrefixOf(f io.ReaderAt, size int64) ([]byte, bool) {
	if size < r.Offset || !r.beginsLike(f, size) {
		return nil, false
	}
	if r.TailLen == 0 {
		return nil, r.Offset == 0
	}
	if r.TailLen < 0 || r.TailLen > tailBytes || int64(r.TailLen) > r.Offset {
		return nil, false // not a state that this code wrote
	}
	b, err := bytesBefore(f, r.Offset, r.TailLen)
	if err != nil {
		return nil, false
	}
	return b, r.Tail == hashOf(b)
}

// beginsLike reports whether a file begins with the first bytes of the record's.
func (r *record) beginsLike(f io.ReaderAt, size int64) bool {
	if r.HeadLen < 0 || r.HeadLen > tailBytes || int64(r.HeadLen) > size {
		return false
	}
	if r.HeadLen == 0 {
		return true
	}
	b, err := bytesBefore(f, int64(r.HeadLen), r.HeadLen)
	return err == nil && r.Head == hashOf(b)
}

// isOf reports whether c, which has the number of the record's file, still is that
// file, and returns the bytes before Offset. The number of a removed file is soon
// used again, so that the content must agree; an empty file is known by its place.
func (r *record) isOf(c *candidate) ([]byte, bool) {
	if r.Offset == 0 && r.HeadLen == 0 && !(r.Main && c.Main) {
		return nil, false
	}
	return r.isPrefixOf(c.f, c.Size)
}

// setHead notes the first bytes: of what was read, or of the file while nothing was.
func (c *candidate) setHead() {
	n := min(c.Offset, tailBytes)
	if c.Offset == 0 {
		n = min(c.Size, tailBytes)
	}
	if int64(len(c.begin)) < n {
		b, err := bytesBefore(c.f, n, tailBytes)
		if err != nil {
			return // emptied a moment ago, which the tail will tell
		}
		c.begin = b
	}
	c.HeadLen, c.Head = int(n), hashOf(c.begin[:n])
}

func hashOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

func bytesBefore(f io.ReaderAt, offset int64, n int) ([]byte, error) {
	b := make([]byte, min(int64(n), offset))
	if _, err := f.ReadAt(b, offset-int64(len(b))); err != nil {
		return nil, err
	}
	return b, nil
}

func lastBytes(b []byte) []byte { return b[max(0, len(b)-tailBytes):] }

// candidate is a file that is there at a check, open until the check's end so
// that its number is not used again meanwhile.
type candidate struct {
	record
	f      *os.File
	begin  []byte     // the first bytes, as they were when the file was opened
	before []byte     // the bytes before Offset
	since  int64      // time of the last write, Unix ns
	known  bool       // it goes on from a record, or is set aside
	twin   *candidate // what it is a copy of, if contents told
}

// beginAt makes a candidate begin at a position.
func (c *candidate) beginAt(offset int64) error {
	c.Offset = offset
	before, err := bytesBefore(c.f, offset, tailBytes)
	if err != nil {
		return err
	}
	c.before = before
	c.setTail(before)
	c.Midline = len(before) > 0 && before[len(before)-1] != '\n'
	return nil
}

// goOn makes a candidate go on where a record stands.
func (c *candidate) goOn(r *record, before []byte) {
	c.Offset, c.TailLen, c.Tail, c.Midline = r.Offset, r.TailLen, r.Tail, r.Midline
	c.HeadLen, c.Head = r.HeadLen, r.Head
	c.before, c.known = before, true
}
