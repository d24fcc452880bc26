package sample_test

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"pgregory.net/rapid"

	"watchkeeper/internal/property"
	"watchkeeper/internal/sample"
)

// sameBits tells values apart as the store does: a stale marker is a NaN of its own.
var sameBits = cmp.Options{
	cmp.Comparer(func(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) }),
	cmp.Comparer(labels.Equal),
}

func TestSectionsAreTheBatches(t *testing.T) {
	property.Check(t, func(t *rapid.T) {
		now := time.UnixMilli(rapid.Int64Range(1_700_000_000_000, 1_900_000_000_000).Draw(t, "now"))
		var flat []sample.Sample
		var want []sample.Batch
		for range rapid.IntRange(0, 4).Draw(t, "batches") {
			b := drawBatch(t)
			flat = append(flat, sample.Flatten(b, now)...)
			want = append(want, asSent(b, now)...)
		}
		if diff := cmp.Diff(want, sample.Sections(flat), sameBits); diff != "" {
			t.Fatalf("sections (-want +got):\n%s", diff)
		}
	})
}

// asSent is a batch with its ends apart, each reason by itself, and the
// watermark of now.
func asSent(b sample.Batch, now time.Time) []sample.Batch {
	b.Source.Customer = ""
	if b.Watermark == sample.Current {
		b.Watermark = now.UnixMilli()
	}
	ends := b.Ends
	b.Ends = nil
	out := []sample.Batch{b}
	for _, e := range ends {
		last := &out[len(out)-1]
		if len(last.Ends) == 0 || last.Ends[0].Reason != e.Reason {
			out = append(out, sample.Batch{Source: b.Source, Watermark: b.Watermark, FillIn: b.FillIn})
			last = &out[len(out)-1]
		}
		last.Ends = append(last.Ends, e)
	}
	return out
}

func drawBatch(t *rapid.T) sample.Batch {
	at := rapid.Int64Range(1, 2_000_000_000_000)
	series := rapid.Map(rapid.SampledFrom([]string{"a", "b", "c"}), func(name string) labels.Labels {
		return labels.FromStrings(model.MetricNameLabel, name, "customer", "acme")
	})
	value := rapid.SampledFrom([]float64{0, 1, -1.5, math.Inf(1), math.Float64frombits(value.StaleNaN)})
	b := sample.Batch{
		Source:    sample.Source{Customer: "acme", Name: rapid.SampledFrom([]string{"host/web-1", "probe/60s"}).Draw(t, "source")},
		FillIn:    rapid.Bool().Draw(t, "fill-in"),
		Watermark: rapid.SampledFrom([]int64{0, sample.Current, 1_700_000_000_123}).Draw(t, "watermark"),
	}
	for range rapid.IntRange(0, 3).Draw(t, "samples") {
		b.Samples = append(b.Samples, sample.Sample{Labels: series.Draw(t, "series"), T: at.Draw(t, "t"), V: value.Draw(t, "v")})
	}
	for range rapid.IntRange(0, 2).Draw(t, "ups") {
		b.Ups = append(b.Ups, sample.Up{T: at.Draw(t, "up"), OK: rapid.Bool().Draw(t, "ok")})
	}
	for range rapid.IntRange(0, 3).Draw(t, "ends") {
		b.Ends = append(b.Ends, sample.End{Labels: series.Draw(t, "ended"), T: at.Draw(t, "end"), Reason: rapid.SampledFrom([]string{"deleted", "replaced"}).Draw(t, "reason")})
	}
	return b
}

// TestSectionsOfAnything holds what anybody may send to bounds: no panic, no
// sample lost, no fact made up.
func TestSectionsOfAnything(t *testing.T) {
	up := labels.FromStrings(model.MetricNameLabel, sample.UpMetric, "source", "host/web-1")
	mark := labels.FromStrings(model.MetricNameLabel, sample.WatermarkMetric)
	x := labels.FromStrings(model.MetricNameLabel, "x")
	got := sample.Sections([]sample.Sample{{Labels: up, T: 5, V: 1}, {Labels: x, T: 6}, {Labels: mark, T: 7, V: math.NaN()}, {Labels: x, T: 8}})
	want := []sample.Batch{
		{Samples: []sample.Sample{{Labels: up, T: 5, V: 1}, {Labels: x, T: 6}}},
		{Samples: []sample.Sample{{Labels: x, T: 8}}},
	}
	if diff := cmp.Diff(want, got, sameBits); diff != "" {
		t.Fatalf("sections (-want +got):\n%s", diff)
	}
}
