package remotewrite

import (
	"fmt"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"

	"watchkeeper/internal/sample"
)

// maxSection bounds the samples of one section, so that a large batch is no
// large request.
const maxSection = 2000

// encode returns a batch as raw requests, and how many samples each holds.
// The receiver's token says whose they are: customer stays behind.
func encode(b sample.Batch, more map[string]string, now time.Time) (raws [][]byte, counts []int, err error) {
	builder := labels.NewBuilder(labels.EmptyLabels())
	outside := func(l labels.Labels) labels.Labels {
		builder.Reset(l)
		builder.Del("customer")
		for name, v := range more {
			if l.Get(name) == "" {
				builder.Set(name, v)
			}
		}
		return builder.Labels()
	}
	for _, part := range parts(b) {
		w := prompb.WriteRequest{}
		for i, s := range sample.Flatten(part, now) {
			l := s.Labels
			if i > 0 && l.Get("source") != part.Source.Name {
				l = outside(l)
			}
			w.Timeseries = append(w.Timeseries, prompb.TimeSeries{
				Labels: prompb.FromLabels(l, nil), Samples: []prompb.Sample{{Timestamp: s.T, Value: s.V}},
			})
		}
		raw, err := w.Marshal()
		if err != nil {
			return nil, nil, fmt.Errorf("encode: %w", err)
		}
		raws, counts = append(raws, raw), append(counts, len(w.Timeseries))
	}
	return raws, counts, nil
}

// parts splits a batch. The last part has what says that the check is whole.
func parts(b sample.Batch) []sample.Batch {
	var out []sample.Batch
	for len(b.Samples) > maxSection {
		out = append(out, sample.Batch{Source: b.Source, FillIn: b.FillIn, Samples: b.Samples[:maxSection]})
		b.Samples = b.Samples[maxSection:]
	}
	for len(b.Ends) > maxSection {
		out = append(out, sample.Batch{Source: b.Source, FillIn: b.FillIn, Samples: b.Samples, Ups: b.Ups, Ends: b.Ends[:maxSection]})
		b.Samples, b.Ups, b.Ends = nil, nil, b.Ends[maxSection:]
	}
	return append(out, b)
}
