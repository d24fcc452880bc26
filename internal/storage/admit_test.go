package storage

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/prometheus/common/model"

	"watchkeeper/internal/sample"
)

// Who makes up names of sources gets as many as the limit says, also over restarts. Other customers are not concerned.
func TestSourcesOfACustomerAreBounded(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Dir, cfg.MinFreeBytes, cfg.MaxSourcesPerCustomer, cfg.Retention = t.TempDir(), 0, 5, model.Duration(24*time.Hour)
	now := time.UnixMilli(clock)
	start := func() *Store {
		s, err := Open(cfg, slog.New(slog.DiscardHandler), metrics.NewSet(), func() time.Time { return now })
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := start()
	deliver := func(customer string, n int) bool {
		t.Helper()
		src := sample.Source{Customer: customer, Name: fmt.Sprint("push/a/", n)}
		if s.Admit(src) != nil {
			return false
		}
		b := sample.Batch{Source: src, Ups: []sample.Up{{T: now.UnixMilli(), OK: true}}, Watermark: sample.Current}
		if _, err := s.Append(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		return true
	}
	for again := range 2 {
		taken := 0
		for n := range 100 {
			if deliver("acme", n) {
				taken++
			}
		}
		if taken != 5 || s.index.len() != 10+2*again || !deliver("shop", 1) {
			t.Errorf("%d sources were taken, %d series are known", taken, s.index.len())
		}
		if n := s.RefusedSources()["acme"]; n != 95 {
			t.Errorf("%d are counted as refused", n)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = start()
	}
	defer s.Close()
	if deliver("acme", 5) || !deliver("acme", 4) {
		t.Error("another one is taken, or one of the five is not")
	}
}
