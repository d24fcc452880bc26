// Package property runs property tests: rapid's, with a command that repeats a failure.
package property

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Check runs rapid.Check. Of a failure it prints the one command that repeats it from
// the project's folder: rapid keeps what it drew beside the test, and the next run of
// the test begins with that.
func Check(t *testing.T, prop func(*rapid.T)) {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			t.Log("repeat it, in the project's folder: " + command(t.Name()))
		}
	})
	rapid.Check(t, prop)
}

// command is how a test of the package in the working folder is run alone.
func command(test string) string {
	pkg := "."
	if wd, err := os.Getwd(); err == nil {
		pkg = packageOf(wd)
	}
	return fmt.Sprintf("go test -count=1 -run '^%s$' %s", strings.ReplaceAll(test, "/", "$/^"), pkg)
}

// packageOf is a folder as go test takes it in the folder of its module.
func packageOf(dir string) string {
	for root := dir; ; root = filepath.Dir(root) {
		if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
			rel, err := filepath.Rel(root, dir)
			if err != nil {
				return dir
			}
			return "./" + filepath.ToSlash(rel)
		}
		if root == filepath.Dir(root) {
			return dir
		}
	}
}
