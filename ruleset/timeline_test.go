package ruleset

import (
	"os"
	"path/filepath"
	"testing"
)

func TestTimelines(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) < 20 {
		t.Fatalf("found %d timelines: %v", len(files), err)
	}
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			if err := RunTimeline(t.Context(), f, b); err != nil {
				t.Error(err)
			}
		})
	}
}
