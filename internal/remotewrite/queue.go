package remotewrite

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/golang/snappy"
	"google.golang.org/protobuf/encoding/protowire"
)

const (
	// maxRawBytes closes a request: about 5,000 samples, far below what
	// receivers take at once.
	maxRawBytes = 1 << 20
	// openName is the file to which samples are added now.
	openName = "open"
	tmpName  = "tmp"
)

// queue is what waits to be sent, as files in a folder of its own: whole
// requests, ready to be posted, named NUMBER-SAMPLES, and one that is open, to
// which every write goes at once. So the death of the process loses nothing,
// and what was sent but not yet removed is sent again, which a receiver takes
// as what it has.
//
// Raw requests are protobuf messages of one repeated field: written one behind
// the other they are one message.
type queue struct {
	dir      string
	maxBytes int64
	now      func() time.Time
	wake     chan struct{} // holds one value while somebody has added

	mu          sync.Mutex
	next        uint64
	closed      []request // oldest first
	bytes       int64     // of closed
	open        *os.File
	openBytes   int64
	openSamples int
	lost        int  // samples given up since the start
	ended       bool // no more are taken
}

var errEnded = errors.New("the queue is closed")

// request is a closed file.
type request struct {
	number  uint64
	samples int
	bytes   int64
	since   time.Time // closed
}

func (r request) name() string { return fmt.Sprintf("%020d-%d", r.number, r.samples) }

// openQueue reads the folder, which it makes if need be.
func openQueue(dir string, maxBytes int64, now func() time.Time) (*queue, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("queue: %w", err)
	}
	q := &queue{dir: dir, maxBytes: maxBytes, now: now, wake: make(chan struct{}, 1)}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("queue: %w", err)
	}
	for _, e := range entries {
		var r request
		if n, _ := fmt.Sscanf(e.Name(), "%020d-%d", &r.number, &r.samples); n != 2 || e.Name() != r.name() {
			continue
		}
		info, err := e.Info()
		if err != nil {
			return nil, fmt.Errorf("queue: %w", err)
		}
		r.bytes, r.since = info.Size(), info.ModTime()
		q.closed = append(q.closed, r)
		q.bytes += r.bytes
		q.next = r.number + 1
	}
	if err := q.recover(); err != nil {
		return nil, fmt.Errorf("queue: %w", err)
	}
	return q, nil
}

// recover closes the request that was open when the last process ended. A
// write that was cut is cut off.
func (q *queue) recover() error {
	raw, err := os.ReadFile(q.path(openName))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	whole, samples := wholeFields(raw)
	if err := q.seal(raw[:whole], samples); err != nil {
		return err
	}
	_ = os.Remove(q.path(openName)) // should it stay, see close
	return nil
}

// wholeFields returns how many bytes at the beginning are whole fields, and
// how many those are.
func wholeFields(raw []byte) (length, fields int) {
	for length < len(raw) {
		_, typ, n := protowire.ConsumeField(raw[length:])
		if n < 0 || typ != protowire.BytesType {
			break
		}
		length += n
		fields++
	}
	return length, fields
}

func (q *queue) path(name string) string { return filepath.Join(q.dir, name) }

// add appends whole fields to the open request. With an error nothing is added.
func (q *queue) add(raw []byte, samples int) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ended {
		return errEnded
	}
	if q.open != nil && q.openBytes >= maxRawBytes {
		if err := q.close(); err != nil {
			return err
		}
	}
	if q.open == nil {
		if err := os.MkdirAll(q.dir, 0o700); err != nil { // somebody may have taken it away
			return err
		}
		f, err := os.OpenFile(q.path(openName), os.O_CREATE|os.O_TRUNC|os.O_APPEND|os.O_RDWR, 0o600)
		if err != nil {
			return err
		}
		q.open, q.openBytes, q.openSamples = f, 0, 0
	}
	if _, err := q.open.Write(raw); err != nil {
		return errors.Join(err, q.open.Truncate(q.openBytes))
	}
	q.openBytes += int64(len(raw))
	q.openSamples += samples
	select {
	case q.wake <- struct{}{}:
	default:
	}
	return nil
}

// close makes a request of the open file. The caller holds mu.
func (q *queue) close() error {
	raw := make([]byte, q.openBytes)
	n, err := q.open.ReadAt(raw, 0)
	if errors.Is(err, io.EOF) { // somebody has cut it
		whole, samples := wholeFields(raw[:n])
		q.lost += max(0, q.openSamples-samples)
		raw, q.openBytes, q.openSamples = raw[:whole], int64(whole), samples
	} else if err != nil {
		return err
	}
	if err := q.seal(raw, q.openSamples); err != nil {
		return err
	}
	// All is sealed: nothing that fails now may keep the file open, which would be
	// sealed again. Should it stay on the disk, the next add empties it; a start
	// before that sends it twice, which does no harm. Windows removes no open file.
	_ = q.open.Close()
	_ = os.Remove(q.path(openName))
	q.open = nil
	return nil
}

// seal writes a raw request as one to be posted, under its name all or nothing.
// The caller holds mu, or is the only one.
func (q *queue) seal(raw []byte, samples int) error {
	if len(raw) > 0 {
		if err := os.MkdirAll(q.dir, 0o700); err != nil { // somebody may have taken it away
			return err
		}
		body := snappy.Encode(nil, raw)
		r := request{number: q.next, samples: samples, bytes: int64(len(body)), since: q.now()}
		if err := writeSynced(q.path(tmpName), body); err != nil {
			return err
		}
		if err := os.Rename(q.path(tmpName), q.path(r.name())); err != nil {
			return err
		}
		q.next++
		q.closed = append(q.closed, r)
		q.bytes += r.bytes
		q.bound()
	}
	return nil
}

func writeSynced(name string, b []byte) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close())
}

// bound gives up the oldest requests beyond the limit. The caller holds mu.
func (q *queue) bound() {
	for q.bytes > q.maxBytes && len(q.closed) > 1 {
		q.lost += q.closed[0].samples
		_ = os.Remove(q.path(q.closed[0].name())) // the next start would find it and send it, which does no harm
		q.bytes -= q.closed[0].bytes
		q.closed = q.closed[1:]
	}
}

// oldest returns the oldest request and its body; false when nothing waits.
func (q *queue) oldest() (request, []byte, bool, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		if len(q.closed) == 0 && q.open != nil {
			if err := q.close(); err != nil {
				return request{}, nil, false, err
			}
		}
		if len(q.closed) == 0 {
			return request{}, nil, false, nil
		}
		r := q.closed[0]
		body, err := os.ReadFile(q.path(r.name()))
		if !errors.Is(err, os.ErrNotExist) {
			return r, body, err == nil, err
		}
		q.lost += r.samples // somebody took it away
		q.removed(r)
	}
}

// waits says whether a request is still to be sent: false once it was given up.
func (q *queue) waits(r request) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.ContainsFunc(q.closed, func(x request) bool { return x.number == r.number })
}

// done removes a request that needs not be sent any more.
func (q *queue) done(r request) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.removed(r)
	if err := os.Remove(q.path(r.name())); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func (q *queue) removed(r request) {
	i := slices.IndexFunc(q.closed, func(x request) bool { return x.number == r.number })
	if i < 0 {
		return // given up meanwhile
	}
	q.bytes -= q.closed[i].bytes
	q.closed = slices.Delete(q.closed, i, i+1)
}

// figures are what waits.
type figures struct {
	samples, lost int
	bytes         int64
	oldest        time.Time // zero: nothing waits in a closed request
}

func (q *queue) figures() figures {
	q.mu.Lock()
	defer q.mu.Unlock()
	f := figures{lost: q.lost, bytes: q.bytes}
	if q.open != nil {
		f.samples, f.bytes = q.openSamples, f.bytes+q.openBytes
	}
	for i, r := range q.closed {
		if i == 0 {
			f.oldest = r.since
		}
		f.samples += r.samples
	}
	return f
}

// end closes the open request; what waits stays for the next start. Nothing is
// added any more.
func (q *queue) end() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ended = true
	if q.open == nil {
		return nil
	}
	return q.close()
}

// limit changes what may wait.
func (q *queue) limit(maxBytes int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.maxBytes = maxBytes
	q.bound()
}
