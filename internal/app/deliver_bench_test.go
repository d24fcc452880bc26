package app

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/internal/sample"
	"watchkeeper/internal/storage"
	"watchkeeper/ruleset"
)

// BenchmarkDeliver delivers batches of 1000 series: in time; an hour old, of a source that says so,
// so that nothing is late; and with one sample that is late for one rule.
func BenchmarkDeliver(b *testing.B) {
	groups, err := ruleset.Parse("rules.yml", []byte(`groups:
- {name: g, interval: 1m, rules: [{alert: A, expr: a > 5, consecutive: 3, lateness: 30m}]}`))
	if err != nil {
		b.Fatal(err)
	}
	for _, kind := range []string{"in time", "backfill", "late"} {
		b.Run(kind, func(b *testing.B) {
			cfg, log, now := storage.DefaultConfig(), slog.New(slog.DiscardHandler), time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
			cfg.Dir, cfg.MinFreeBytes = b.TempDir(), 0
			clock := func() time.Time { return now }
			store, err := storage.Open(cfg, log, metrics.NewSet(), clock)
			if err != nil {
				b.Fatal(err)
			}
			defer store.Close()
			engine, err := ruleset.New(ruleset.DefaultConfig(), groups, store, records{store.Journal()}, noSink{}, metrics.NewSet(), log)
			if err != nil {
				b.Fatal(err)
			}
			p := NewPipeline(store, engine, clock, metrics.NewSet(), log)
			batch := sample.Batch{Source: sample.Source{Customer: "acme", Name: "src/a"}, Watermark: sample.Current}
			for i := range 1000 {
				batch.Samples = append(batch.Samples, sample.Sample{Labels: labels.FromStrings(model.MetricNameLabel, "a", "customer", "acme", "i", fmt.Sprint(i))})
			}
			deliver := func() {
				now = now.Add(time.Second)
				t := now
				if kind == "backfill" {
					t = now.Add(-time.Hour)
					batch.Watermark = t.UnixMilli()
				}
				for i := range batch.Samples {
					batch.Samples[i].T, batch.Samples[i].V = t.UnixMilli(), 1
				}
				if kind == "late" {
					batch.Samples[7].T = t.Add(-time.Hour).UnixMilli()
				}
				res, err := p.Deliver(b.Context(), batch)
				if err != nil || len(res.Accepted.Samples) != 1000 {
					b.Fatal(len(res.Accepted.Samples), err)
				}
			}
			deliver()
			b.ReportAllocs()
			for b.Loop() {
				deliver()
			}
		})
	}
}

// BenchmarkMayBeLate is what a batch of 1000 samples in time costs before it is stored.
func BenchmarkMayBeLate(b *testing.B) {
	groups, err := ruleset.Parse("rules.yml", []byte(`groups:
- {name: g, interval: 1m, rules: [{alert: A, expr: a > 5, consecutive: 3, lateness: 30m}]}`))
	if err != nil {
		b.Fatal(err)
	}
	engine, err := ruleset.New(ruleset.DefaultConfig(), groups, nil, nil, noSink{}, metrics.NewSet(), slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	p := NewPipeline(nil, engine, func() time.Time { return now }, metrics.NewSet(), slog.New(slog.DiscardHandler))
	batch := sample.Batch{Samples: make([]sample.Sample, 1000)}
	for i := range batch.Samples {
		batch.Samples[i].T = now.UnixMilli()
	}
	b.ReportAllocs()
	for b.Loop() {
		arrived := p.arrive()
		if engine.MayBeLate(batch, arrived) {
			b.Fatal("late")
		}
		p.judgeTime(arrived)
		p.land(arrived)
	}
}
