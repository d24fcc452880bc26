package app

import (
	"log/slog"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/internal/sample"
	"watchkeeper/internal/storage"
)

// Two sources may deliver series of one name; each has its own newest sample.
func TestNewestSampleOfASource(t *testing.T) {
	now := time.Date(2026, 11, 21, 4, 0, 0, 0, time.UTC)
	cfg := storage.DefaultConfig()
	cfg.Dir = t.TempDir()
	store, err := storage.Open(cfg, slog.New(slog.DiscardHandler), metrics.NewSet(), func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	deliver := func(customer, source, instance string, age time.Duration) {
		t.Helper()
		b := sample.Batch{Source: sample.Source{Customer: customer, Name: source}, Samples: []sample.Sample{{
			Labels: labels.FromStrings("__name__", "m", "customer", customer, "instance", instance), T: now.Add(-age).UnixMilli(), V: 1,
		}}}
		if res, err := store.Append(t.Context(), b); err != nil || res.RefusedTotal > 0 {
			t.Fatal(err, res.Refused)
		}
	}
	deliver("acme", "a", "i-1", 3*time.Hour)
	deliver("acme", "a", "i-2", 2*time.Hour)
	deliver("acme", "b", "i-3", time.Hour)
	deliver("other", "a", "i-1", time.Minute)
	f := func(source string, since, want time.Duration) {
		t.Helper()
		got, err := Memory{store, func() time.Time { return now }}.Newest(t.Context(), sample.Source{Customer: "acme", Name: source}, now.Add(-since))
		if err != nil || want < 0 != got.IsZero() || want >= 0 && !got.Equal(now.Add(-want)) {
			t.Errorf("%s since %s: %s, %v", source, since, got, err)
		}
	}
	f("a", 4*time.Hour, 2*time.Hour)
	f("a", 90*time.Minute, -1)
	f("b", 4*time.Hour, time.Hour)
	f("c", 4*time.Hour, -1)
}
