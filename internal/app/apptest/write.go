package apptest

import (
	"bytes"
	"net/http"
	"testing"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"

	"watchkeeper/internal/sample"
)

// Point is one sample to send.
type Point struct {
	Series labels.Labels
	T      int64 // Unix ms
	V      float64
}

// WriteV1 sends points by remote write 1.0 and returns status and answer.
func WriteV1(t testing.TB, address, token string, points ...Point) (int, string) {
	t.Helper()
	return writeV1(t, address, token, points)
}

// WriteSections sends points that are sections (sample.Flatten), as another
// watchkeeper does.
func WriteSections(t testing.TB, address, token string, points ...Point) (int, string) {
	t.Helper()
	return writeV1(t, address, token, points, sample.SectionsHeader, sample.SectionsOrdered)
}

func writeV1(t testing.TB, address, token string, points []Point, header ...string) (int, string) {
	t.Helper()
	b, err := messageV1(points)
	if err != nil {
		t.Fatal(err)
	}
	return write(t, address, token, "application/x-protobuf", b, header...)
}

func messageV1(points []Point) ([]byte, error) {
	req := &prompb.WriteRequest{}
	for _, p := range points {
		req.Timeseries = append(req.Timeseries, prompb.TimeSeries{
			Labels:  prompb.FromLabels(p.Series, nil),
			Samples: []prompb.Sample{{Timestamp: p.T, Value: p.V}},
		})
	}
	return req.Marshal()
}

// TryWriteV1 is WriteV1 to a server that may be gone.
func TryWriteV1(address string, points ...Point) (status int, err error) {
	b, err := messageV1(points)
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequest(http.MethodPost, address, bytes.NewReader(snappy.Encode(nil, b)))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	req.Header.Set("Content-Encoding", "snappy")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

// WriteV2 sends points by remote write 2.0 and returns status and answer.
func WriteV2(t testing.TB, address, token string, points ...Point) (int, string) {
	t.Helper()
	symbols := writev2.NewSymbolTable()
	req := &writev2.Request{}
	for _, p := range points {
		req.Timeseries = append(req.Timeseries, writev2.TimeSeries{
			LabelsRefs: symbols.SymbolizeLabels(p.Series, nil),
			Samples:    []writev2.Sample{{Timestamp: p.T, Value: p.V}},
		})
	}
	req.Symbols = symbols.Symbols()
	b, err := req.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return write(t, address, token, "application/x-protobuf;proto=io.prometheus.write.v2.Request", b)
}

func write(t testing.TB, address, token, contentType string, message []byte, header ...string) (int, string) {
	t.Helper()
	header = append(header, "Content-Encoding", "snappy")
	if token != "" {
		header = append(header, "Authorization", "Bearer "+token)
	}
	return Post(t, address, contentType, string(snappy.Encode(nil, message)), header...)
}
