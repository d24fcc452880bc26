package exporters

import (
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/internal/sample"
)

// Builder makes the samples of one resource at one check: they share identity
// labels and timestamp.
type Builder struct {
	identity []string
	t        int64
	samples  []sample.Sample
}

// NewBuilder returns a Builder for the check at `at`. identity holds pairs of
// label name and value, customer and instance among them.
func NewBuilder(at time.Time, identity ...string) *Builder {
	return &Builder{identity: identity, t: at.UnixMilli()}
}

// Add adds one sample with further labels as pairs of name and value. A label
// with an empty value is left out, which means the same in Prometheus's model;
// bytes that are not UTF-8 (a mount point may have them) are replaced.
func (b *Builder) Add(metric string, value float64, dims ...string) {
	b.samples = append(b.samples, sample.Sample{Labels: b.Labels(metric, dims...), T: b.t, V: value})
}

// Labels are those of the series to which Add would add.
func (b *Builder) Labels(metric string, dims ...string) labels.Labels {
	ls := make([]string, 0, 2+len(b.identity)+len(dims))
	ls = append(ls, model.MetricNameLabel, metric)
	for _, pairs := range [][]string{b.identity, dims} {
		for i := 0; i < len(pairs); i += 2 {
			if v := strings.ToValidUTF8(pairs[i+1], "�"); v != "" {
				ls = append(ls, pairs[i], v)
			}
		}
	}
	return labels.FromStrings(ls...)
}

// Samples returns what has been added.
func (b *Builder) Samples() []sample.Sample { return b.samples }

// Looked makes the batch of a check at which the source was read: samples, an
// up-sample of 1, and the watermark of a source that delivers currently.
func Looked(source sample.Source, at time.Time, samples []sample.Sample) sample.Batch {
	return sample.Batch{
		Source:    source,
		Samples:   samples,
		Ups:       []sample.Up{{T: at.UnixMilli(), OK: true}},
		Watermark: sample.Current,
	}
}
