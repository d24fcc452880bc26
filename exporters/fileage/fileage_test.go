package fileage_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/google/go-cmp/cmp"

	"watchkeeper/exporters/fileage"
	"watchkeeper/internal/sample"
)

type sink struct{ batch sample.Batch }

func (s *sink) Append(_ context.Context, b sample.Batch) error {
	s.batch = b
	return nil
}

func TestNewest(t *testing.T) {
	dir := t.TempDir()
	at := time.UnixMilli(1_790_000_020_000)
	put := func(name string, size int, age time.Duration) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), make([]byte, size), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(filepath.Join(dir, name), at, at.Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	cfg := fileage.DefaultConfig()
	cfg.Instance = "db-1"
	cfg.Sets = []fileage.Set{{Name: "orders", Path: filepath.Join(dir, "orders-*.sql*"), MinBytes: 100, Ignore: "*.tmp"}}
	c, err := fileage.New("acme", cfg, metrics.NewSet(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	step := func(what string, want map[string]float64) {
		t.Helper()
		var s sink
		if err := c.Collect(t.Context(), at, &s); err != nil {
			t.Fatal(err)
		}
		got := map[string]float64{}
		for _, x := range s.batch.Samples {
			got[strings.TrimPrefix(x.Labels.Get("__name__"), "fileage_")] = x.V
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", what, d)
		}
	}
	step("no backup", map[string]float64{"files": 0})
	put("orders-1.sql", 1000, 48*time.Hour)
	put("orders-2.sql", 2000, time.Hour)
	put("orders-3.sql", 10, time.Minute)       // broken off
	put("orders-4.sql.tmp", 5000, time.Second) // being written
	put("customers-1.sql", 5000, time.Second)  // another's
	if err := os.Mkdir(filepath.Join(dir, "orders-5.sql"), 0o755); err != nil {
		t.Fatal(err)
	}
	newest := float64(at.Add(-time.Hour).Unix())
	step("the newest that counts", map[string]float64{"files": 2, "newest_age_seconds": 3600, "newest_size_bytes": 2000, "newest_timestamp_seconds": newest})
	put("orders-6.sql", 3000, -time.Minute)
	step("from the future", map[string]float64{"files": 3, "newest_age_seconds": 0, "newest_size_bytes": 3000, "newest_timestamp_seconds": float64(at.Add(time.Minute).Unix())})
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	step("no folder: nothing is known", map[string]float64{})
}

func TestRefusedConfigurations(t *testing.T) {
	good := fileage.Set{Name: "a", Path: "/backup/*"}
	for want, sets := range map[string][]fileage.Set{
		"sets[0].name":      {{Path: "/x"}},
		"sets[0].path":      {{Name: "a", Path: "["}},
		"sets[0].ignore":    {{Name: "a", Path: "/x", Ignore: "["}},
		"sets[0].min_bytes": {{Name: "a", Path: "/x", MinBytes: -1}},
		"sets[1].name":      {good, good},
	} {
		c := fileage.DefaultConfig()
		c.Sets = sets
		if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
