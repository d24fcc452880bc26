package alertrouter

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
)

// BenchmarkHandle opens one incident per event, in storms of the given size.
func BenchmarkHandle(b *testing.B) {
	for _, size := range []int{1, 100, 5000} {
		b.Run(fmt.Sprintf("storm=%d", size), func(b *testing.B) {
			cfg := DefaultConfig()
			cfg.DataDir = b.TempDir()
			r, err := New(cfg, metrics.NewSet(), slog.New(slog.DiscardHandler))
			if err != nil {
				b.Fatal(err)
			}
			defer r.Close()
			w := &world{Router: r, start: time.Now()}
			n := 0
			b.ReportAllocs()
			for b.Loop() {
				events := make([]Event, size)
				for k := range events {
					n++
					events[k] = w.event(fmt.Sprintf("host-%d", n), StateFiring, 0)
				}
				if err := r.Handle(b.Context(), w.start, events); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "events/s")
		})
	}
}
