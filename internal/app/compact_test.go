package app

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/internal/journal"
	"watchkeeper/internal/sample"
	"watchkeeper/internal/storage"
	"watchkeeper/ruleset"
	"watchkeeper/ruleset/replay"
)

// noSink takes what the rule engine tells.
type noSink struct{}

func (noSink) Log(context.Context, []ruleset.Entry) error { return nil }

// However much of the journal is dropped, what the store still has samples of is
// judged as before: settled log and explanations are the same, byte for byte.
func TestCompactionChangesNoVerdict(t *testing.T) {
	const step = 5 * time.Minute
	groups, err := ruleset.Parse("rules.yml", []byte(`groups:
- {name: g, interval: 5m, rules: [
  {alert: A, expr: a > 5, consecutive: 2, lateness: 30m, no_data_after: 3},
  {alert: B, expr: a > 5 and b > 5, consecutive: 1, lateness: 30m},
  {alert: C, expr: max by (i) (a) > 5, consecutive: 2, lateness: 30m}]}`))
	if err != nil {
		t.Fatal(err)
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	dir, now := t.TempDir(), time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	cfg := storage.DefaultConfig()
	cfg.Dir, cfg.MinFreeBytes, cfg.Retention, cfg.OutOfOrderWindow = dir, 0, model.Duration(24*time.Hour), model.Duration(2*time.Hour)
	open := func() *storage.Store {
		s, err := storage.Open(cfg, slog.New(slog.DiscardHandler), metrics.NewSet(), func() time.Time { return now })
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	store := open()
	engine, err := ruleset.New(ruleset.DefaultConfig(), groups, store, records{store.Journal()}, noSink{}, metrics.NewSet(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	p := NewPipeline(store, engine, func() time.Time { return now }, metrics.NewSet(), slog.New(slog.DiscardHandler))
	series := func(metric string, i, generation int) labels.Labels {
		return labels.FromStrings(model.MetricNameLabel, metric, "customer", "acme", "i", fmt.Sprint(i, "-", generation))
	}
	for n := range 45 * 12 {
		now = now.Add(step)
		for _, metric := range []string{"a", "b"} {
			b := sample.Batch{Source: sample.Source{Customer: "acme", Name: "src/" + metric}, Watermark: sample.Current, Ups: []sample.Up{{T: now.UnixMilli(), OK: r.IntN(20) > 0}}}
			for i := range 3 {
				l := series(metric, i, n/(40*(i+1))) // pods come and go
				switch x := r.IntN(20); {
				case x == 0: // nothing
				case x == 1: // late
					b.Samples = append(b.Samples, sample.Sample{Labels: l, T: now.Add(-time.Hour).UnixMilli() + int64(n), V: float64(r.IntN(10))})
				default:
					b.Samples = append(b.Samples, sample.Sample{Labels: l, T: now.UnixMilli() - int64(r.IntN(60_000)), V: float64(r.IntN(10))})
				}
				if r.IntN(30) == 0 {
					b.Ends = append(b.Ends, sample.End{Labels: l, T: now.UnixMilli(), Reason: "deleted"})
				}
			}
			if _, err := p.Deliver(t.Context(), b); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.Tick(t.Context(), now); err != nil {
			t.Fatal(err)
		}
		if n%(6*12) == 0 {
			if err := store.DB().Compact(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	var all remembered
	if err := store.Journal().Each(func(r journal.Record) error { all = append(all, r); return nil }); err != nil {
		t.Fatal(err)
	}
	size := store.Journal().Size()
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	store = open()
	defer store.Close()
	if n := store.Journal().Size(); n > size*3/4 {
		t.Errorf("the journal has %d of %d bytes: too little has expired for this test", n, size)
	}
	told := func(past replay.Past) []string {
		begin := time.UnixMilli(store.MinTime())
		entries, err := replay.Settled(t.Context(), groups, store, past, replay.Span{From: begin, To: now, Begin: begin, Now: now})
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, e := range entries {
			out = append(out, string(replay.AppendLine(nil, e)))
		}
		explained, err := replay.Explain(t.Context(), groups, store, past, replay.Question{Alert: "A", Now: now, Begin: begin, Checks: 100})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range explained {
			out = append(out, fmt.Sprintf("%+v", e))
		}
		return out
	}
	want := told(all)
	if len(want) < 100 {
		t.Errorf("only %d lines", len(want))
	}
	if diff := cmp.Diff(want, told(store.Journal())); diff != "" {
		t.Errorf("(-with all records +compacted):\n%s", diff)
	}
}

// remembered is a journal in memory.
type remembered []journal.Record

func (rs remembered) Each(fn func(journal.Record) error) error {
	for _, r := range rs {
		if err := fn(r); err != nil {
			return err
		}
	}
	return nil
}
