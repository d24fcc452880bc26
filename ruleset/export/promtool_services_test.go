//go:build services

package export

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestPromtoolAccepts runs Prometheus's own checker over the exported pack.
func TestPromtoolAccepts(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Fatalf("promtool is needed: %v", err)
	}
	for _, target := range Targets() {
		file := filepath.Join(t.TempDir(), "rules.yml")
		f, err := os.Create(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := Write(f, target, shipped(t)); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.CommandContext(t.Context(), promtool, "check", "rules", file).CombinedOutput(); err != nil {
			t.Errorf("%s: promtool check rules: %v\n%s", target, err, out)
		}
	}
}
