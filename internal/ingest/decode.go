package ingest

import (
	"errors"
	"fmt"
	"strings"

	"github.com/golang/snappy"
	remoteapi "github.com/prometheus/client_golang/exp/api/remote"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/metadata"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
	"google.golang.org/protobuf/encoding/protowire"

	"watchkeeper/internal/sample"
)

type version string

const (
	v1 version = "1.0"
	v2 version = "2.0"
)

var errTooLarge = errors.New("too large")

// decoded is a request in our words.
type decoded struct {
	samples []sample.Sample
	sent    int      // samples and histograms in the request
	refused []string // the first of those refused while decoding
	meta    []metricMetadata
	lines   map[uint64]string // of a push: where each series stands, by its labels' hash
}

// where says in which line of a push a series stands.
func (d *decoded) where(l labels.Labels) string {
	for _, l := range []labels.Labels{l, labels.NewBuilder(l).Del("customer").Labels()} {
		if line, ok := d.lines[l.Hash()]; ok {
			return line + ": "
		}
	}
	return ""
}

type metricMetadata struct {
	metric string
	metadata.Metadata
}

func (d *decoded) refuse(n int, format string, args ...any) {
	d.sent += n
	if len(d.refused) < maxNamed {
		d.refused = append(d.refused, fmt.Sprintf(format, args...))
	}
}

// versionOf reads the content type; none at all means 1.0.
func versionOf(contentType string) (version, error) {
	if contentType == "" {
		return v1, nil
	}
	t, err := remoteapi.ParseProtoMsg(contentType)
	switch {
	case err != nil:
		return "", err
	case t == remoteapi.WriteV2MessageType:
		return v2, nil
	}
	return v1, nil
}

// decode decompresses and decodes a body within the limits.
func (w *Writer) decode(v version, body []byte) (*decoded, error) {
	n, err := snappy.DecodedLen(body)
	if err != nil {
		return nil, fmt.Errorf("snappy: %w", err)
	}
	if n > w.cfg.MaxDecodedBytes {
		return nil, fmt.Errorf("%w: %d bytes decompressed, at most %d are taken", errTooLarge, n, w.cfg.MaxDecodedBytes)
	}
	raw, err := snappy.Decode(nil, body)
	if err != nil {
		return nil, fmt.Errorf("snappy: %w", err)
	}
	entries, err := countEntries(v, raw)
	if err != nil {
		return nil, fmt.Errorf("protobuf: %w", err)
	}
	if entries > w.cfg.MaxEntries {
		return nil, fmt.Errorf("%w: %d series, labels and samples, at most %d are taken", errTooLarge, entries, w.cfg.MaxEntries)
	}
	if v == v2 {
		return decodeV2(raw)
	}
	return decodeV1(raw)
}

func decodeV1(raw []byte) (*decoded, error) {
	var req prompb.WriteRequest
	if err := req.Unmarshal(raw); err != nil {
		return nil, fmt.Errorf("protobuf: %w", err)
	}
	if len(raw) > 0 && len(req.Timeseries) == 0 && len(req.Metadata) == 0 {
		return nil, errNotThis(v1)
	}
	d := &decoded{}
	b := labels.NewScratchBuilder(16)
	for _, ts := range req.Timeseries {
		l := ts.ToLabels(&b, nil)
		for _, x := range ts.Samples {
			d.samples = append(d.samples, sample.Sample{Labels: l, T: x.Timestamp, V: x.Value})
		}
		d.sent += len(ts.Samples)
		if n := len(ts.Histograms); n > 0 {
			d.refuse(n, "%s: native histograms are not stored", l)
		}
	}
	for _, m := range req.Metadata {
		d.meta = append(d.meta, metricMetadata{m.MetricFamilyName, metadata.Metadata{
			Type: typeV1(m.Type), Help: m.Help, Unit: m.Unit,
		}})
	}
	return d, nil
}

// errNotThis answers a message of the other version under a wrong content type:
// its fields are unknown and skipped, and it would look like an empty request.
func errNotThis(v version) error {
	return fmt.Errorf("protobuf: not a remote write %s request", v)
}

// typeV1 relies on the enum's names being the types in capitals.
func typeV1(t prompb.MetricMetadata_MetricType) model.MetricType {
	if name, ok := prompb.MetricMetadata_MetricType_name[int32(t)]; ok {
		return model.MetricType(strings.ToLower(name))
	}
	return model.MetricTypeUnknown
}

func decodeV2(raw []byte) (*decoded, error) {
	var req writev2.Request
	if err := req.Unmarshal(raw); err != nil {
		return nil, fmt.Errorf("protobuf: %w", err)
	}
	if len(raw) > 0 && len(req.Timeseries) == 0 && len(req.Symbols) == 0 {
		return nil, errNotThis(v2)
	}
	d := &decoded{}
	b := labels.NewScratchBuilder(16)
	for i, ts := range req.Timeseries {
		n := len(ts.Samples) + len(ts.Histograms)
		l, err := ts.ToLabels(&b, req.Symbols)
		if err != nil {
			d.refuse(n, "series %d of the request: %v", i, err)
			continue
		}
		for _, x := range ts.Samples {
			d.samples = append(d.samples, sample.Sample{Labels: l, T: x.Timestamp, V: x.Value})
		}
		d.sent += len(ts.Samples)
		switch {
		case len(ts.Histograms) > 0:
			d.refuse(len(ts.Histograms), "%s: native histograms are not stored", l)
		case n == 0:
			d.refuse(0, "%s: no samples", l)
		}
		if m, err := ts.ToMetadata(req.Symbols); err == nil && !m.IsEmpty() {
			d.meta = append(d.meta, metricMetadata{l.Get(model.MetricNameLabel), m})
		}
	}
	return d, nil
}

// Field numbers of the messages whose entries are counted.
const (
	v1Series         = 1
	v1SeriesExemplar = 3
	v2Series         = 5
)

// countEntries counts the embedded messages of a request before it is decoded:
// an empty one takes two bytes here and a hundred in memory.
func countEntries(v version, raw []byte) (n int, err error) {
	series := protowire.Number(v1Series)
	if v == v2 {
		series = v2Series
	}
	err = eachField(raw, func(num protowire.Number, body []byte) error {
		n++
		if num != series {
			return nil
		}
		return eachField(body, func(num protowire.Number, body []byte) error {
			n++
			if v == v1 && num == v1SeriesExemplar {
				return eachField(body, func(protowire.Number, []byte) error { n++; return nil })
			}
			return nil
		})
	})
	return n, err
}

// eachField calls f for each length-delimited field.
func eachField(raw []byte, f func(protowire.Number, []byte) error) error {
	for len(raw) > 0 {
		num, typ, n := protowire.ConsumeTag(raw)
		if n < 0 {
			return protowire.ParseError(n)
		}
		raw = raw[n:]
		if typ != protowire.BytesType {
			if n = protowire.ConsumeFieldValue(num, typ, raw); n < 0 {
				return protowire.ParseError(n)
			}
			raw = raw[n:]
			continue
		}
		body, n := protowire.ConsumeBytes(raw)
		if n < 0 {
			return protowire.ParseError(n)
		}
		if err := f(num, body); err != nil {
			return err
		}
		raw = raw[n:]
	}
	return nil
}
