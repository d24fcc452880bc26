package statefile_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"watchkeeper/internal/statefile"
)

type state struct {
	N map[string]int
}

func TestSaveAndLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "b", "s.json")
	var got state
	if found, err := statefile.Load(path, &got); found || err != nil {
		t.Fatalf("before the first save: %t, %v", found, err)
	}
	for i := range 3 {
		want := state{N: map[string]int{"x": i}}
		if err := statefile.Save(path, want); err != nil {
			t.Fatal(err)
		}
		var got state
		if found, err := statefile.Load(path, &got); !found || err != nil {
			t.Fatal(found, err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v: others can read it", info.Mode(), err)
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestAFileIsWrittenWhenItsContentChanges(t *testing.T) {
	f := statefile.File{Path: filepath.Join(t.TempDir(), "s.json")}
	save := func(n int) os.FileInfo {
		t.Helper()
		if err := f.Save(state{N: map[string]int{"x": n}}); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(f.Path)
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	first := save(1)
	if !os.SameFile(first, save(1)) {
		t.Error("the same content was written again")
	}
	if os.SameFile(first, save(2)) {
		t.Error("another content was not written")
	}
	if err := f.Save(func() {}); err == nil {
		t.Error("a function was saved")
	}
}

func TestFailedSaveKeepsTheOldContent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.json")
	if err := statefile.Save(path, state{N: map[string]int{"x": 1}}); err != nil {
		t.Fatal(err)
	}
	if err := statefile.Save(path, func() {}); err == nil {
		t.Fatal("a function was saved")
	}
	var got state
	if found, err := statefile.Load(path, &got); !found || err != nil || got.N["x"] != 1 {
		t.Errorf("%t %v %v", found, err, got)
	}
	// A folder in the file's place cannot be replaced.
	blocked := filepath.Join(t.TempDir(), "d")
	if err := os.MkdirAll(filepath.Join(blocked, "full"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := statefile.Save(blocked, state{}); err == nil {
		t.Fatal("a folder was replaced")
	}
	left, err := os.ReadDir(filepath.Dir(blocked))
	if err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestUnreadable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.json")
	if err := os.WriteFile(path, []byte(`{"N": `), 0o600); err != nil {
		t.Fatal(err)
	}
	var got state
	if _, err := statefile.Load(path, &got); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v, want an error that names the file", err)
	}
	if err := os.Truncate(path, statefile.MaxBytes+1); err != nil {
		t.Fatal(err)
	}
	if _, err := statefile.Load(path, &got); err == nil || !strings.Contains(err.Error(), "larger") {
		t.Errorf("got %v", err)
	}
}
