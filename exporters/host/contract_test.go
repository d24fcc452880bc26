package host_test

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"watchkeeper/exporters/host"
	"watchkeeper/internal/sample"
	"watchkeeper/ruleset/contract"
)

// notEverywhere are metrics that not every host has.
var notEverywhere = []string{"host_ecs_info", "host_users"}

type sink struct{ batches []sample.Batch }

func (s *sink) Append(_ context.Context, b sample.Batch) error {
	s.batches = append(s.batches, b)
	return nil
}

// The rules find the host's series by the names and labels that the contract
// package declares.
func TestMetricsAreTheContracts(t *testing.T) {
	c, err := host.New("acme", host.DefaultConfig(), metrics.NewSet(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	var got sink
	for i := range 2 {
		if err := c.Collect(t.Context(), time.UnixMilli(int64(i+1)*60_000), &got); err != nil {
			t.Fatal(err)
		}
		// Utilization needs the counters, which tick a hundred times a second, to move.
		for began := time.Now(); time.Since(began) < 50*time.Millisecond; {
		}
	}
	delivered := make(map[string]bool)
	for _, s := range got.batches[1].Samples {
		name := s.Labels.Get("__name__")
		delivered[name] = true
		declared, ok := contract.LookupMetric(name)
		if !ok {
			t.Errorf("%s is not declared", name)
			continue
		}
		for l := range s.Labels.Map() {
			known := slices.Concat([]string{"__name__"}, contract.IdentityLabels, declared.Labels, declared.Info)
			if !slices.Contains(known, l) {
				t.Errorf("%s: label %q is not declared", name, l)
			}
		}
	}
	for _, m := range contract.Metrics() {
		if strings.HasPrefix(m.Name, "host_") && !delivered[m.Name] && !slices.Contains(notEverywhere, m.Name) {
			t.Errorf("%s is declared and not delivered", m.Name)
		}
	}
}
