package storage

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"

	"watchkeeper/internal/sample"
)

const (
	benchSeries = 10_000
	benchBatch  = 1_000
)

func benchLabels() []labels.Labels {
	ls := make([]labels.Labels, benchSeries)
	for i := range ls {
		ls[i] = labels.FromStrings("__name__", fmt.Sprintf("aliyun_ecs_metric_%d", i%20), "customer", "acme",
			"product", "ecs", "region", "cn-hangzhou", "instance", fmt.Sprintf("i-bp1%09d", i/20))
	}
	return ls
}

// In-order samples through Append, in batches of a thousand series.
func BenchmarkAppend(b *testing.B) {
	s := open(b)
	ls := benchLabels()
	batch := sample.Batch{Source: acme, Samples: make([]sample.Sample, benchBatch), Watermark: sample.Current}
	n, ts := 0, clock-50*minute
	b.ReportAllocs()
	for b.Loop() {
		if n%benchSeries == 0 {
			ts += 1000
		}
		for i := range batch.Samples {
			batch.Samples[i] = sample.Sample{Labels: ls[(n+i)%benchSeries], T: ts, V: float64(n)}
		}
		n += benchBatch
		if res, err := s.Append(context.Background(), batch); err != nil || res.RefusedTotal > 0 {
			b.Fatal(err, res.Refused)
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "samples/s")
}

// The floor: the same samples straight into the TSDB, by label set as in Append
// and by reference.
func BenchmarkTSDBFloor(b *testing.B) {
	for _, byRef := range []bool{false, true} {
		b.Run(fmt.Sprintf("ref=%v", byRef), func(b *testing.B) {
			db, err := tsdb.Open(filepath.Join(b.TempDir(), tsdbDir), discard, nil, tsdbOptions(DefaultConfig()), nil)
			if err != nil {
				b.Fatal(err)
			}
			defer db.Close()
			ls := benchLabels()
			refs := make([]storage.SeriesRef, benchSeries)
			n, ts := 0, clock-50*minute
			b.ReportAllocs()
			for b.Loop() {
				if n%benchSeries == 0 {
					ts += 1000
				}
				app := db.AppenderV2(context.Background())
				for i := range benchBatch {
					k := (n + i) % benchSeries
					ref, err := app.Append(refs[k], ls[k], 0, ts, float64(n), nil, nil, storage.AOptions{})
					if err != nil {
						b.Fatal(err)
					}
					if byRef {
						refs[k] = ref
					}
				}
				n += benchBatch
				if err := app.Commit(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "samples/s")
		})
	}
}
