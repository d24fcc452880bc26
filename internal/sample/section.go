package sample

import (
	"cmp"
	"math"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
)

// SectionsHeader is the HTTP header by which a sender of remote write says that
// its request is made of sections (see Flatten), in their order; its value is
// SectionsOrdered. Without it the names of a source's facts are refused.
const (
	SectionsHeader  = "X-Watchkeeper-Sections"
	SectionsOrdered = "ordered"
)

// Labels of the sample that begins a section.
const (
	sourceLabel = "source"
	fillInLabel = "fill_in"
	endedLabel  = "ended"
)

// Flatten turns a batch into plain samples, so that any protocol that carries
// samples in order carries batches: one section, and one more for each reason
// among the end marks. A section begins with the source's watermark, stamped
// with the time now; up-samples, samples and ends (as stale markers) follow.
//
// A source that delivers currently has delivered, at now, all up to now: that
// is its watermark on the way. However late the section arrives, the receiver
// waits for what was still to come.
func Flatten(b Batch, now time.Time) []Sample {
	out := make([]Sample, 0, 1+len(b.Ups)+len(b.Samples)+len(b.Ends))
	w := b.Watermark
	if w == Current {
		w = now.UnixMilli()
	}
	head := func(more ...string) Sample {
		more = append(more, model.MetricNameLabel, WatermarkMetric, sourceLabel, b.Source.Name)
		if b.FillIn {
			more = append(more, fillInLabel, "true")
		}
		return Sample{Labels: labels.FromStrings(more...), T: now.UnixMilli(), V: float64(w) / 1000}
	}
	out = append(out, head())
	up := labels.FromStrings(model.MetricNameLabel, UpMetric, sourceLabel, b.Source.Name)
	for _, u := range b.Ups {
		s := Sample{Labels: up, T: u.T}
		if u.OK {
			s.V = 1
		}
		out = append(out, s)
	}
	out = append(out, b.Samples...)
	reason := ""
	for i, e := range b.Ends {
		if i == 0 || e.Reason != reason {
			reason = e.Reason
			out = append(out, head(endedLabel, cmp.Or(reason, endedLabel)))
		}
		out = append(out, Sample{Labels: e.Labels, T: e.T + 1, V: math.Float64frombits(value.StaleNaN)})
	}
	return out
}

// Sections undoes Flatten for any number of batches in a row. The sources have
// no customer; samples before the first section are a batch without a source.
func Sections(flat []Sample) []Batch {
	var out []Batch
	var b *Batch
	ended := ""
	begin := func(next Batch) {
		out = append(out, next)
		b = &out[len(out)-1]
	}
	for _, s := range flat {
		switch s.Labels.Get(model.MetricNameLabel) {
		case WatermarkMetric:
			ended = s.Labels.Get(endedLabel)
			begin(Batch{
				Source: Source{Name: s.Labels.Get(sourceLabel)}, FillIn: s.Labels.Get(fillInLabel) != "", Watermark: watermark(s.V),
			})
		case UpMetric:
			if b != nil {
				b.Ups = append(b.Ups, Up{T: s.T, OK: s.V == 1})
				continue
			}
			fallthrough // nobody's: the store refuses the name
		default:
			if b == nil {
				begin(Batch{})
			}
			if ended != "" && value.IsStaleNaN(s.V) {
				b.Ends = append(b.Ends, End{Labels: s.Labels, T: s.T - 1, Reason: ended})
				continue
			}
			b.Samples = append(b.Samples, s)
		}
	}
	return out
}

// watermark is that of a sample's value, in ms; what is none leaves it as it was.
func watermark(v float64) int64 {
	ms := math.Round(v * 1000)
	if !(ms > 0 && ms < 1<<53) {
		return 0
	}
	return int64(ms)
}
