// Package servertest helps to test collectors of middleware: it collects once,
// compares what came with a golden file, and runs the failures that every
// collector must tell apart.
package servertest

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"watchkeeper/exporters"
	"watchkeeper/internal/sample"
)

var update = flag.Bool("update", false, "rewrite the golden files of collected series")

// At is the time of the first check of a test.
var At = time.UnixMilli(1_790_000_020_000).UTC()

// Log discards what a collector logs.
var Log = slog.New(slog.DiscardHandler)

// Sink keeps the batches it is given.
type Sink struct{ Batches []sample.Batch }

// Append implements exporters.Sink.
func (s *Sink) Append(_ context.Context, b sample.Batch) error {
	s.Batches = append(s.Batches, b)
	return nil
}

// Collect runs one check at At and returns its samples.
func Collect(t testing.TB, c exporters.Collector) []sample.Sample {
	t.Helper()
	return CollectAt(t, c, At).Samples
}

// CollectAt runs one check and returns its batch, which must say that the
// server was looked at.
func CollectAt(t testing.TB, c exporters.Collector, at time.Time) sample.Batch {
	t.Helper()
	var s Sink
	if err := c.Collect(t.Context(), at, &s); err != nil {
		t.Fatalf("%s: %v", c.Source().Name, err)
	}
	if len(s.Batches) != 1 {
		t.Fatalf("%s: %d batches, want 1", c.Source().Name, len(s.Batches))
	}
	b := s.Batches[0]
	if want := []sample.Up{{T: at.UnixMilli(), OK: true}}; !cmp.Equal(want, b.Ups) || b.Watermark != sample.Current {
		t.Fatalf("%s: up-samples %v and watermark %d, want %v and the current one", c.Source().Name, b.Ups, b.Watermark, want)
	}
	return b
}

// Values maps series to values. A series is written as its metric name and the
// labels besides customer, product and instance: `redis_db_keys{db="0"}`.
func Values(samples []sample.Sample) map[string]float64 {
	values := make(map[string]float64, len(samples))
	for _, s := range samples {
		values[series(s, "customer", "product", "instance")] = s.V
	}
	return values
}

// Golden compares all series with testdata/<name>; with -update it rewrites the file.
func Golden(t testing.TB, name string, samples []sample.Sample) {
	t.Helper()
	var lines []string
	for _, s := range samples {
		lines = append(lines, series(s)+" "+strconv.FormatFloat(s.V, 'g', -1, 64)+"\n")
	}
	slices.Sort(lines)
	got := strings.Join(lines, "")
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got); if it is meant so, run with -update:\n%s", path, diff)
	}
}

func series(s sample.Sample, without ...string) string {
	var pairs []string
	for name, value := range s.Labels.Map() {
		if name != "__name__" && !slices.Contains(without, name) {
			pairs = append(pairs, fmt.Sprintf("%s=%q", name, value))
		}
	}
	if len(pairs) == 0 {
		return s.Labels.Get("__name__")
	}
	slices.Sort(pairs)
	return s.Labels.Get("__name__") + "{" + strings.Join(pairs, ",") + "}"
}

// Recorded returns the content of testdata/<name>.
func Recorded(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
