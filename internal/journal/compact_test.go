package journal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/VictoriaMetrics/metrics"
	"pgregory.net/rapid"

	"watchkeeper/internal/property"
)

func odd(r Record) bool { return r.T%2 == 1 }

func ends(ts ...int64) []Record {
	var rs []Record
	for _, t := range ts {
		rs = append(rs, end(t))
	}
	return rs
}

func mustAppend(t testing.TB, j *Journal, ts ...int64) {
	t.Helper()
	if err := j.Append(ends(ts...)...); err != nil {
		t.Fatal(err)
	}
}

// appending is a keep that appends more records while the file is written anew.
func appending(t testing.TB, j *Journal, ts ...int64) func(Record) bool {
	return func(r Record) bool {
		mustAppend(t, j, ts...)
		ts = nil
		return odd(r)
	}
}

func TestCompactionKeepsWhatIsAskedAndWhatComesMeanwhile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j, _ := open(t, path)
	mustAppend(t, j, 1, 2, 3, 4)
	before := j.Size()
	if err := j.Compact(t.Context(), appending(t, j, 6, 8)); err != nil {
		t.Fatal(err)
	}
	if j.Size() != before { // two dropped, two new
		t.Errorf("%d bytes, want %d", j.Size(), before)
	}
	mustAppend(t, j, 10)
	want := ends(1, 3, 6, 8, 10)
	diff(t, want, each(t, j))
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if err := j.Compact(t.Context(), odd); !errors.Is(err, ErrReadOnly) {
		t.Errorf("a closed journal: %v", err)
	}
	j, _ = open(t, path)
	diff(t, want, each(t, j))
}

// A reader that has begun reads the file as it was.
func TestReadersReadOnThroughACompaction(t *testing.T) {
	j, _ := open(t, filepath.Join(t.TempDir(), "journal"))
	mustAppend(t, j, 1, 2, 3)
	var got []Record
	err := j.Each(func(r Record) error {
		if len(got) == 0 {
			if err := j.Compact(t.Context(), func(Record) bool { return false }); err != nil {
				return err
			}
			mustAppend(t, j, 4)
		}
		got = append(got, r)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	diff(t, ends(1, 2, 3), got)
	diff(t, ends(4), each(t, j))
}

func TestOneCompactionAtATime(t *testing.T) {
	j, _ := open(t, filepath.Join(t.TempDir(), "journal"))
	mustAppend(t, j, 1)
	err := j.Compact(t.Context(), func(Record) bool {
		if err := j.Compact(t.Context(), odd); !errors.Is(err, ErrCompacting) {
			t.Errorf("a second one: %v", err)
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
}

// crashes takes a copy of the journal's folder around every step of a compaction,
// as a process that dies there would leave it. With lost, what was not synced is gone.
type crashes struct {
	t      testing.TB
	dir    string
	lost   bool
	synced int64
	copies []string
}

func (c *crashes) stop() {
	to := c.t.TempDir()
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		c.t.Fatal(err)
	}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(c.dir, e.Name()))
		if err != nil {
			c.t.Fatal(err)
		}
		if c.lost && filepath.Ext(e.Name()) == compactSuffix {
			b = b[:min(c.synced, int64(len(b)))]
		}
		if err := os.WriteFile(filepath.Join(to, e.Name()), b, 0o600); err != nil {
			c.t.Fatal(err)
		}
	}
	c.copies = append(c.copies, to)
}

func (c *crashes) around(step func() error) error {
	c.stop()
	err := step()
	c.stop()
	return err
}

// crashing is the new file of a compaction.
type crashing struct {
	file
	c       *crashes
	written int64
}

func (f *crashing) Write(b []byte) (n int, err error) {
	err = f.c.around(func() error {
		if _, err := f.file.Write(b[:len(b)/2]); err != nil {
			return err
		}
		f.c.stop()
		n = len(b)
		_, err := f.file.Write(b[len(b)/2:])
		return err
	})
	f.written += int64(n)
	return n, err
}

func (f *crashing) Sync() error {
	err := f.c.around(f.file.Sync)
	f.c.synced = f.written
	return err
}

func TestACrashAtAnyStepOfACompactionLosesNothing(t *testing.T) {
	for _, lost := range []bool{false, true} {
		t.Run(fmt.Sprintf("unsynced lost %v", lost), func(t *testing.T) {
			dir := t.TempDir()
			j, _ := open(t, filepath.Join(dir, "journal"))
			mustAppend(t, j, 1, 2, 3, 4)
			c := &crashes{t: t, dir: dir, lost: lost}
			j.fs.create = func(path string) (f file, err error) {
				err = c.around(func() error { f, err = osFiles.create(path); return err })
				return &crashing{file: f, c: c}, err
			}
			j.fs.rename = func(from, to string) error {
				return c.around(func() error {
					if fi, err := os.Stat(from); err != nil || fi.Size() != c.synced {
						t.Errorf("%v of %v bytes are synced before the rename: %v", c.synced, fi.Size(), err)
					}
					return os.Rename(from, to)
				})
			}
			j.fs.syncDir = func(path string) error { return c.around(func() error { return osFiles.syncDir(path) }) }
			if err := j.Compact(t.Context(), appending(t, j, 6)); err != nil {
				t.Fatal(err)
			}
			if len(c.copies) < 12 {
				t.Fatalf("only %d stops", len(c.copies))
			}
			long, short := 0, 0
			for _, dir := range c.copies {
				j, _ := open(t, filepath.Join(dir, "journal"))
				got := each(t, j)
				if len(got) <= 3 {
					short++
					diff(t, ends(1, 3, 6), got)
				} else {
					long++
					diff(t, ends(1, 2, 3, 4, 6)[:len(got)], got) // 6 is not appended yet at the first
				}
				mustAppend(t, j, 7)
				if err := j.Compact(t.Context(), odd); err != nil {
					t.Fatal(err)
				}
				if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
					t.Errorf("left behind: %v %v", left, err)
				}
			}
			if long == 0 || short == 0 {
				t.Errorf("%d stops before the rename, %d after it", long, short)
			}
		})
	}
}

// What fails leaves the old file in its place, and appends go on. Only when it is
// not known which file a power cut would leave, they do not.
func TestAFailedCompactionLeavesTheOldFile(t *testing.T) {
	broken := func(f faulty) func(string) (file, error) {
		return func(path string) (file, error) {
			var err error
			f.file, err = osFiles.create(path)
			return &f, err
		}
	}
	for name, c := range map[string]struct {
		fs     files
		goesOn bool
	}{
		"create":                       {files{create: func(string) (file, error) { return nil, errIO }}, true},
		"write, disk full":             {files{create: broken(faulty{write: 1})}, true},
		"write of what came meanwhile": {files{create: broken(faulty{write: 2})}, true},
		"sync":                         {files{create: broken(faulty{sync: 1})}, true},
		"rename":                       {files{rename: func(string, string) error { return errIO }}, true},
		"sync of the folder":           {files{syncDir: func(string) error { return errIO }}, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			set := metrics.NewSet()
			j, err := Open(filepath.Join(dir, "journal"), slog.New(slog.DiscardHandler), set)
			if err != nil {
				t.Fatal(err)
			}
			mustAppend(t, j, 1, 2, 3)
			if c.fs.create != nil {
				j.fs.create = c.fs.create
			}
			if c.fs.rename != nil {
				j.fs.rename = c.fs.rename
			}
			if c.fs.syncDir != nil {
				j.fs.syncDir = c.fs.syncDir
			}
			keep := appending(t, j, 4)
			if name == "create" {
				mustAppend(t, j, 4)
			}
			if err := j.Compact(t.Context(), keep); !errors.Is(err, errIO) {
				t.Fatalf("error %v", err)
			}
			if n := set.GetOrCreateCounter("watchkeeper_journal_compactions_failed_total").Get(); n != 1 {
				t.Errorf("%d failures counted", n)
			}
			want := ends(1, 2, 3, 4)
			if !c.goesOn {
				want = ends(1, 3, 4) // the new file is there
			}
			diff(t, want, each(t, j))
			if err := j.Append(end(5)); (err == nil) != c.goesOn {
				t.Fatalf("afterwards: %v", err)
			} else if err == nil {
				want = append(want, end(5))
			}
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
			j, _ = open(t, filepath.Join(dir, "journal"))
			diff(t, want, each(t, j))
			if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
				t.Errorf("left behind: %v %v", left, err)
			}
		})
	}
}

// A journal that cannot be appended to is not written anew either: what was not
// promised would become a record.
func TestABrokenJournalIsNotCompacted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j, _ := open(t, path)
	mustAppend(t, j, 1)
	j.f = &faulty{file: j.f, sync: 1}
	if err := j.Append(end(2)); !errors.Is(err, errIO) {
		t.Fatalf("error %v", err)
	}
	if err := j.Compact(t.Context(), odd); !errors.Is(err, errIO) {
		t.Errorf("error %v", err)
	}
}

// Whatever is appended, dropped and reopened in any order, the journal holds what
// it should, in order.
func TestCompactionsAgainstAList(t *testing.T) {
	property.Check(t, func(rt *rapid.T) {
		path := filepath.Join(t.TempDir(), "journal")
		j, _ := open(t, path)
		var want []Record
		next := int64(0)
		add := func(n int) {
			for range n {
				next++
				want = append(want, end(next))
				mustAppend(t, j, next)
			}
		}
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			switch rapid.IntRange(0, 2).Draw(rt, "step") {
			case 0:
				add(rapid.IntRange(0, 5).Draw(rt, "records"))
			case 1:
				mod, meanwhile := rapid.Int64Range(1, 4).Draw(rt, "drop each"), rapid.IntRange(0, 3).Draw(rt, "meanwhile")
				old := len(want)
				if err := j.Compact(t.Context(), func(r Record) bool { add(meanwhile); meanwhile = 0; return r.T%mod != 0 }); err != nil {
					rt.Fatal(err)
				}
				kept := slices.DeleteFunc(slices.Clone(want[:old]), func(r Record) bool { return r.T%mod == 0 })
				want = append(kept, want[old:]...)
			case 2:
				if err := j.Close(); err != nil {
					rt.Fatal(err)
				}
				j, _ = open(t, path)
			}
			if len(want) == 0 {
				want = nil
			}
			diff(t, want, each(t, j))
			if fi, err := os.Stat(path); err != nil || fi.Size() != j.Size() {
				rt.Fatalf("%v bytes, it says %d", fi.Size(), j.Size())
			}
			if t.Failed() {
				rt.FailNow()
			}
		}
	})
}

func TestAppendsWhileCompactionsRun(t *testing.T) {
	j, _ := open(t, filepath.Join(t.TempDir(), "journal"))
	var wg sync.WaitGroup
	for w := range int64(4) {
		wg.Go(func() {
			for i := range int64(50) {
				if err := j.Append(end(w*100 + 2*i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Go(func() {
		for range 20 {
			if err := j.Compact(t.Context(), func(Record) bool { return true }); err != nil {
				t.Error(err)
			}
			if err := j.Each(func(Record) error { return nil }); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Wait()
	seen := map[int64]int{}
	for _, r := range each(t, j) {
		seen[r.T]++
	}
	if len(seen) != 4*50 {
		t.Errorf("%d records", len(seen))
	}
	for ts, n := range seen {
		if n != 1 {
			t.Errorf("record %d stands there %d times", ts, n)
		}
	}
}

// A stop need not wait for a compaction.
func TestACompactionEndsWithItsContext(t *testing.T) {
	dir := t.TempDir()
	j, _ := open(t, filepath.Join(dir, "journal"))
	mustAppend(t, j, 1, 2, 3)
	ctx, stop := context.WithCancel(t.Context())
	err := j.Compact(ctx, func(Record) bool { stop(); return false })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	diff(t, ends(1, 2, 3), each(t, j))
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

// lateTail has a record appended during the first Sync of the new file: when all that
// came before is in it, and appends do not wait yet.
type lateTail struct {
	file
	during func()
	synced bool // since the last Write
}

func (f *lateTail) Write(b []byte) (int, error) {
	f.synced = false
	return f.file.Write(b)
}

func (f *lateTail) Sync() error {
	if f.during != nil {
		f.during()
		f.during = nil
	}
	f.synced = true
	return f.file.Sync()
}

// What is appended at the very last moment is in the new file, and synced, before
// that takes the old one's place.
func TestWhatComesAtTheLastMomentIsKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "journal")
	j, _ := open(t, path)
	mustAppend(t, j, 1, 2, 3)
	var f *lateTail
	j.fs.create = func(path string) (file, error) {
		created, err := osFiles.create(path)
		f = &lateTail{file: created, during: func() { mustAppend(t, j, 6) }}
		return f, err
	}
	j.fs.rename = func(from, to string) error {
		if !f.synced {
			t.Error("renamed with bytes that are not synced")
		}
		return os.Rename(from, to)
	}
	if err := j.Compact(t.Context(), odd); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, j, 7)
	diff(t, ends(1, 3, 6, 7), each(t, j))
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j, _ = open(t, path)
	diff(t, ends(1, 3, 6, 7), each(t, j))
}
