//go:build unix

// Tests here remove files that are open, which Windows does not.

package remotewrite

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/google/go-cmp/cmp"
)

// field is a whole field of a raw request, told apart by its letter.
func field(letter byte) []byte { return []byte{0x0a, 0x01, letter} }

func newQueue(t *testing.T) *queue {
	t.Helper()
	q, err := openQueue(filepath.Join(t.TempDir(), "queue"), 1<<30, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = q.end() })
	return q
}

func (q *queue) put(t *testing.T, letters string) {
	t.Helper()
	for _, l := range []byte(letters) {
		if err := q.add(field(l), 1); err != nil {
			t.Fatalf("add: %v", err)
		}
	}
}

// take returns the letters of the oldest request, which it removes; "" when nothing waits.
func (q *queue) take(t *testing.T) string {
	t.Helper()
	r, body, ok, err := q.oldest()
	if err != nil {
		t.Fatalf("oldest: %v", err)
	}
	if !ok {
		return ""
	}
	raw, err := snappy.Decode(nil, body)
	if err != nil {
		t.Fatal(err)
	}
	if err := q.done(r); err != nil {
		t.Fatal(err)
	}
	return string(bytes.ReplaceAll(raw, []byte{0x0a, 0x01}, nil))
}

func TestWhatHappensToFilesStopsNoQueue(t *testing.T) {
	for name, tc := range map[string]struct {
		harm func(q *queue) error
		want string // what of a and b is still sent
		lost int
	}{
		"the open file is removed": {func(q *queue) error { return os.Remove(q.path(openName)) }, "ab", 0},
		"the folder is removed":    {func(q *queue) error { return os.RemoveAll(q.dir) }, "ab", 0},
		"the open file is cut":     {func(q *queue) error { return os.Truncate(q.path(openName), 4) }, "a", 1},
		"the open file is replaced by what cannot be removed": {func(q *queue) error {
			if err := os.Remove(q.path(openName)); err != nil {
				return err
			}
			return os.MkdirAll(filepath.Join(q.path(openName), "x"), 0o700)
		}, "ab", 0},
	} {
		t.Run(name, func(t *testing.T) {
			q := newQueue(t)
			q.put(t, "ab")
			if err := tc.harm(q); err != nil {
				t.Fatal(err)
			}
			got := []string{q.take(t), q.take(t)}
			if err := os.RemoveAll(q.path(openName)); err != nil {
				t.Fatal(err)
			}
			q.put(t, "c")
			got = append(got, q.take(t), q.take(t))
			if diff := cmp.Diff([]string{tc.want, "", "c", ""}, got); diff != "" {
				t.Errorf("sent (-want +got):\n%s", diff)
			}
			if f := q.figures(); f != (figures{lost: tc.lost}) {
				t.Errorf("figures %+v, want %d lost and nothing else", f, tc.lost)
			}
		})
	}
}

func TestClosedRequestsThatAreGoneAreCounted(t *testing.T) {
	q := newQueue(t)
	for _, letter := range "ab" {
		q.put(t, string(letter))
		q.mu.Lock()
		err := q.close()
		q.mu.Unlock()
		if err != nil {
			t.Fatal(err)
		}
	}
	q.put(t, "c")
	if err := os.RemoveAll(q.dir); err != nil {
		t.Fatal(err)
	}
	q.put(t, "d") // the file that was open is so still
	if got := q.take(t) + q.take(t); got != "cd" {
		t.Errorf("sent %q, want cd", got)
	}
	if f := q.figures(); f != (figures{lost: 2}) {
		t.Errorf("figures %+v, want 2 lost", f)
	}
}

// What the last process left open is sent once by the next.
func TestWhatWasOpenIsSentOnce(t *testing.T) {
	q := newQueue(t)
	if err := os.WriteFile(q.path(openName), field('a'), 0o600); err != nil {
		t.Fatal(err)
	}
	again, err := openQueue(q.dir, 1<<30, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	again.put(t, "b")
	if got := []string{again.take(t), again.take(t), again.take(t)}; !cmp.Equal(got, []string{"a", "b", ""}) {
		t.Errorf("sent %q", got)
	}
	if err := again.end(); err != nil {
		t.Fatal(err)
	}
}
