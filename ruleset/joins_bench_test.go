package ruleset

import (
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/internal/sample"
)

// BenchmarkJoins is the way of good samples through Ingest by the form of the join
// that reads them, beside a leaf of as many identities. A round is one sample of
// every series; the operands of an identity stand side by side in the batch, one
// metric after the other, or in a batch of each metric's own. ns/check is per
// identity and rule.
func BenchmarkJoins(b *testing.B) {
	const identities = 20_000
	for _, f := range []struct {
		name    string
		exprs   []string
		metrics []string
		perHost int // identities that share the series of the last metric; 1 where each has its own
	}{
		{"leaf", []string{"a >= 90"}, []string{"a"}, 1},
		{"arithmetic", []string{"a / b >= 9"}, []string{"a", "b"}, 1},
		{"comparison", []string{"a > b + 10"}, []string{"a", "b"}, 1},
		{"and", []string{"a >= 90 and b >= 90"}, []string{"a", "b"}, 1},
		{"ignoring", []string{"a / ignoring (host) b >= 9"}, []string{"a", "b"}, 1},
		{"three", []string{"a / (b + c) >= 9"}, []string{"a", "b", "c"}, 1},
		{"rules=3", []string{"a / b >= 9", "a / b >= 12", "a / b >= 15"}, []string{"a", "b"}, 1},
		{"leaves=2,rules=2", []string{"a >= 90", "b >= 90", "a / b >= 9", "a / b >= 12"}, []string{"a", "b"}, 1},
		{"offset", []string{"a - a offset 3m < 0"}, []string{"a"}, 1},
		{"group_left", []string{"a / on (host) group_left b >= 9"}, []string{"a", "b"}, 10},
		{"unless_on", []string{"a > 90 unless on (host) b"}, []string{"a", "b"}, 10},
	} {
		for _, order := range []string{"interleaved", "apart", "batches", "polls"} {
			if (order == "apart" || order == "batches") && len(f.metrics) == 1 {
				continue
			}
			b.Run(f.name+"/"+order, func(b *testing.B) {
				rules := "groups: [{name: g, interval: 1m, rules: ["
				for i, expr := range f.exprs {
					rules += fmt.Sprintf("{alert: A%d, expr: '%s', consecutive: 3},", i, expr)
				}
				series := func(m string, i int) labels.Labels {
					l := []string{model.MetricNameLabel, m, "customer", "acme", "host", fmt.Sprint(i / f.perHost), "instance", fmt.Sprint(i)}
					if m != "a" && f.perHost > 1 {
						l = l[:6]
					}
					return labels.FromStrings(l...)
				}
				byMetric := make([][]sample.Sample, len(f.metrics))
				var together []sample.Sample
				for i := range identities {
					for n, m := range f.metrics {
						if m == "a" || i%f.perHost == 0 {
							s := sample.Sample{Labels: series(m, i), V: 50}
							byMetric[n], together = append(byMetric[n], s), append(together, s)
						}
					}
				}
				batches := [][]sample.Sample{together}
				switch order {
				case "apart":
					batches = [][]sample.Sample{nil}
					for _, s := range byMetric {
						batches[0] = append(batches[0], s...)
					}
				case "batches":
					batches = byMetric
				}
				samples := 1
				if order == "polls" {
					samples = 5
				}
				benchBatches(b, newBenchEngine(b, rules+"]}]"), batches, samples, identities*len(f.exprs))
			})
		}
	}
}

// benchBatches measures rounds of batches, each from a source of its own, with so
// many samples of every series.
func benchBatches(b *testing.B, e *Engine, batches [][]sample.Sample, samples, checks int) {
	series := 0
	for n, batch := range batches {
		batches[n] = nil
		for _, s := range batch {
			series++
			s.Ref = uint64(series)
			for range samples {
				batches[n] = append(batches[n], s)
			}
		}
	}
	t := timelineStart.UnixMilli()
	round := func() {
		for n, batch := range batches {
			for i := range batch {
				batch[i].T = t + int64(i%samples+1)*60_000 - 1
			}
			src := sample.Source{Customer: "acme", Name: fmt.Sprint("bench/", n)}
			if err := e.Ingest(b.Context(), sample.Batch{Source: src, Watermark: sample.Current, Samples: batch}, time.UnixMilli(t+int64(samples)*60_000)); err != nil {
				b.Fatal(err)
			}
		}
		t += int64(samples) * 60_000
	}
	before := heap()
	for range 45 / samples { // the first checks have settled
		round()
	}
	perSeries := float64(heap()-before) / float64(series)
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		round()
	}
	perRound := float64(b.Elapsed().Nanoseconds()) / float64(b.N)
	b.ReportMetric(perRound/float64(series*samples), "ns/sample")
	b.ReportMetric(perRound/float64(checks*samples), "ns/check")
	b.ReportMetric(perSeries, "bytes/series")
}
