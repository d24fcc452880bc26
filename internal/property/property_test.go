package property

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// failing makes the inner test fail; what it draws is kept in the folder that it names.
const failing = "PROPERTY_TEST_FAILS"

// TestInner is the property that TestCommandRepeatsAFailure sees fail.
func TestInner(t *testing.T) {
	if dir := os.Getenv(failing); dir != "" {
		t.Chdir(dir)
	}
	t.Run("sub", func(t *testing.T) {
		Check(t, func(rt *rapid.T) {
			if n := rapid.IntRange(0, 1000).Draw(rt, "n"); n > 500 && os.Getenv(failing) != "" {
				rt.Fatalf("%d is too much", n)
			}
		})
	})
}

// A failure tells the whole command, which runs that test alone from the module's folder.
func TestCommandRepeatsAFailure(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "some", "pkg")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "go.mod"), []byte("module m\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestInner$")
	cmd.Env = append(os.Environ(), failing+"="+dir)
	out, err := cmd.CombinedOutput()
	const want = "repeat it, in the project's folder: go test -count=1 -run '^TestInner$/^sub$' ./some/pkg\n"
	if err == nil || strings.Count(string(out), want) != 1 {
		t.Errorf("%v; want one line %q in\n%s", err, want, out)
	}
	if kept, err := filepath.Glob(filepath.Join(dir, "testdata/rapid/TestInner_sub/*.fail")); err != nil || len(kept) != 1 {
		t.Errorf("kept: %v, %v", kept, err)
	}
}
