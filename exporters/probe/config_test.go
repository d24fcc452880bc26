package probe

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"

	"watchkeeper/internal/strictyaml"
)

func load(t *testing.T, path string) (Config, error) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	cfg := DefaultConfig()
	doc, err := strictyaml.Decode(filepath.Base(path), data, &cfg)
	if err != nil {
		return cfg, err
	}
	return cfg, doc.At(cfg.Validate())
}

func TestGoodConfig(t *testing.T) {
	cfg, err := load(t, "testdata/targets.good.yml")
	if err != nil {
		t.Fatal(err)
	}
	if len(cfg.Targets) != 8 || cfg.Targets[0].HTTP.ExpectStatus[1] != 301 || *cfg.Targets[0].HTTP.MaxRedirects != 0 {
		t.Errorf("decoded %+v", cfg)
	}
}

// Each file holds one mistake and, in its first line, the message it gets.
func TestBadConfigs(t *testing.T) {
	files, err := filepath.Glob("testdata/*.bad.yml")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d files (%v)", len(files), err)
	}
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		first, _, _ := strings.Cut(string(data), "\n")
		want := strings.TrimPrefix(first, "# ")
		if _, err := load(t, path); err == nil || err.Error() != want {
			t.Errorf("%s:\n got %v\nwant %s", path, err, want)
		}
	}
}

func TestHowManyTargets(t *testing.T) {
	f := func(n int, timeout time.Duration, want string) {
		t.Helper()
		cfg := DefaultConfig()
		for i := range n {
			cfg.Targets = append(cfg.Targets, Target{Name: fmt.Sprint(i), TCP: "192.0.2.1:80", Timeout: model.Duration(timeout)})
		}
		err := cfg.Validate()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%d targets with time-outs of %s: %v, want %q", n, timeout, err, want)
		}
	}
	f(5_000, 0, "")
	f(20_000, 4*time.Second, "")
	f(20_000, 0, "targets: the 20000 targets with interval 1m take too long when all time out")
	f(20_001, time.Second, "targets: more than 20000")
}
