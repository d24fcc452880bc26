package watchkeeper

import (
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestFileNames keeps out what a shell's slip leaves behind and what other
// systems cannot check out.
func TestFileNames(t *testing.T) {
	good := regexp.MustCompile(`^[A-Za-z0-9_./@-]+$`)
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".git") {
			return filepath.SkipDir
		}
		if !good.MatchString(filepath.ToSlash(p)) {
			t.Errorf("file name %q", p)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
