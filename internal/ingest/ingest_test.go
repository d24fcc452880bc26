package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/golang/snappy"
	"github.com/google/go-cmp/cmp"
	"github.com/valyala/fasthttp"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/metadata"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"

	"watchkeeper/internal/sample"
	"watchkeeper/internal/storage"
)

var (
	clock  = time.Date(2026, 3, 1, 12, 30, 30, 0, time.UTC).UnixMilli()
	sender = Sender{Customer: "acme", Source: "remote-write/prom-1"}
	quiet  = slog.New(slog.DiscardHandler)
)

// recorder is a sink that keeps what it is given and may fail.
type recorder struct {
	mu      sync.Mutex
	batches []sample.Batch
	next    Appender
	err     error
}

func (r *recorder) Append(ctx context.Context, b sample.Batch) (storage.Result, error) {
	r.mu.Lock()
	r.batches = append(r.batches, b)
	r.mu.Unlock()
	if r.err != nil {
		return storage.Result{}, r.err
	}
	if r.next == nil {
		return storage.Result{Accepted: b}, nil
	}
	return r.next.Append(ctx, b)
}

func newStore(t testing.TB) *storage.Store {
	t.Helper()
	cfg := storage.DefaultConfig()
	cfg.Dir, cfg.MinFreeBytes = t.TempDir(), 0
	s, err := storage.Open(cfg, quiet, metrics.NewSet(), func() time.Time { return time.UnixMilli(clock) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func newWriter(t testing.TB, a Appender) *Writer {
	t.Helper()
	w, err := New(DefaultConfig(), a, quiet, metrics.NewSet())
	if err != nil {
		t.Fatal(err)
	}
	return w
}

type marshaler interface{ Marshal() ([]byte, error) }

func encode(t testing.TB, m marshaler) []byte {
	t.Helper()
	b, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return snappy.Encode(nil, b)
}

// point is one sample of series x{i=…}.
type point struct {
	series labels.Labels
	t      int64
	v      float64
}

func xs(i string) labels.Labels { return labels.FromStrings("__name__", "x", "i", i) }

const typeV2 = "application/x-protobuf;proto=io.prometheus.write.v2.Request"

func requestV1(t testing.TB, ps ...point) Request {
	req := &prompb.WriteRequest{}
	for _, p := range ps {
		req.Timeseries = append(req.Timeseries, prompb.TimeSeries{
			Labels:  prompb.FromLabels(p.series, nil),
			Samples: []prompb.Sample{{Timestamp: p.t, Value: p.v}},
		})
	}
	return Request{ContentType: "application/x-protobuf", ContentEncoding: "snappy", Body: encode(t, req)}
}

func requestV2(t testing.TB, ps ...point) Request {
	st := writev2.NewSymbolTable()
	req := &writev2.Request{}
	for _, p := range ps {
		req.Timeseries = append(req.Timeseries, writev2.TimeSeries{
			LabelsRefs: st.SymbolizeLabels(p.series, nil),
			Samples:    []writev2.Sample{{Timestamp: p.t, Value: p.v}},
		})
	}
	req.Symbols = st.Symbols()
	return Request{ContentType: typeV2, ContentEncoding: "snappy", Body: encode(t, req)}
}

var both = map[string]func(testing.TB, ...point) Request{"v1": requestV1, "v2": requestV2}

func TestGoodSamplesAreKeptAndBadOnesNamed(t *testing.T) {
	week := clock + 7*24*3600_000
	for name, request := range both {
		t.Run(name, func(t *testing.T) {
			w := newWriter(t, newStore(t))
			resp := w.Write(t.Context(), sender, request(t,
				point{xs("a"), clock, 1},
				point{xs("a"), clock, 2}, // a second value
				point{xs("b"), week, 1},
				point{xs("c"), clock, math.NaN()},
				point{labels.FromStrings("__name__", "x", "customer", "other"), clock, 1},
				point{labels.FromStrings("i", "nameless"), clock, 1},
			))
			if resp.Status != http.StatusBadRequest {
				t.Fatalf("answer %+v", resp)
			}
			for _, want := range []string{"4 of 6 samples refused", "conflicting duplicate", "too far in the future", "customer of another", "no metric name", `i="b"`} {
				if !strings.Contains(resp.Message, want) {
					t.Errorf("answer does not say %q: %s", want, resp.Message)
				}
			}
			if got := resp.Headers["X-Prometheus-Remote-Write-Samples-Written"]; name == "v2" && got != "2" || name == "v1" && got != "" {
				t.Errorf("samples written: %q", got)
			}
			// A sender that sends the same again loses and breaks nothing.
			resp = w.Write(t.Context(), sender, request(t, point{xs("a"), clock, 1}, point{xs("c"), clock, math.NaN()}))
			if resp.Status != http.StatusNoContent {
				t.Errorf("answer to the repeated %+v", resp)
			}
			if got := resp.Headers["X-Prometheus-Remote-Write-Samples-Written"]; name == "v2" && got != "2" {
				t.Errorf("duplicates written: %q", got)
			}
		})
	}
}

func TestABatchSaysWhoWhenAndHowFar(t *testing.T) {
	minute := time.Minute.Milliseconds()
	for name, request := range both {
		t.Run(name, func(t *testing.T) {
			rec := &recorder{}
			resp := newWriter(t, rec).Write(t.Context(), sender, request(t,
				point{xs("a"), minute * 10, 1}, point{xs("a"), minute*10 + 1, 2}, point{xs("b"), minute * 11, 3}, point{xs("b"), minute*12 + 5, 4}))
			if resp.Status != http.StatusNoContent {
				t.Fatalf("answer %+v", resp)
			}
			want := []sample.Batch{{
				Source:    sample.Source{Customer: "acme", Name: "remote-write/prom-1"},
				Samples:   []sample.Sample{{Labels: xs("a"), T: minute * 10, V: 1}, {Labels: xs("a"), T: minute*10 + 1, V: 2}, {Labels: xs("b"), T: minute * 11, V: 3}, {Labels: xs("b"), T: minute*12 + 5, V: 4}},
				Ups:       []sample.Up{{T: minute * 10, OK: true}, {T: minute * 11, OK: true}, {T: minute * 13, OK: true}},
				Watermark: sample.Current,
			}}
			if d := cmp.Diff(want, rec.batches, cmp.Comparer(labels.Equal)); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestHistogramsAreRefusedByName(t *testing.T) {
	w := newWriter(t, newStore(t))
	r1 := &prompb.WriteRequest{Timeseries: []prompb.TimeSeries{{
		Labels:     prompb.FromLabels(xs("h"), nil),
		Samples:    []prompb.Sample{{Timestamp: clock, Value: 1}},
		Histograms: []prompb.Histogram{{Timestamp: clock}},
	}}}
	st := writev2.NewSymbolTable()
	refs := st.SymbolizeLabels(xs("h"), nil)
	r2 := &writev2.Request{Timeseries: []writev2.TimeSeries{
		{LabelsRefs: refs, Histograms: []writev2.Histogram{{Timestamp: clock}}},
		{LabelsRefs: []uint32{99, 100}, Samples: []writev2.Sample{{Timestamp: clock}}},
		{LabelsRefs: refs},
	}, Symbols: st.Symbols()}
	for _, c := range []struct {
		req  Request
		want []string
	}{
		{Request{Body: encode(t, r1)}, []string{"1 of 2 samples refused", `i="h"`, "native histograms"}},
		{Request{Body: encode(t, r2), ContentType: typeV2}, []string{"2 of 2 samples refused", "native histograms", "series 1 of the request", "no samples"}},
	} {
		resp := w.Write(t.Context(), sender, c.req)
		for _, want := range c.want {
			if resp.Status != http.StatusBadRequest || !strings.Contains(resp.Message, want) {
				t.Errorf("answer %+v, want %q", resp, want)
			}
		}
	}
}

func TestMetadataIsKeptPerCustomerAndBounded(t *testing.T) {
	w := newWriter(t, &recorder{})
	w.meta.limit = 2
	r1 := &prompb.WriteRequest{Metadata: []prompb.MetricMetadata{{Type: prompb.MetricMetadata_COUNTER, MetricFamilyName: "a_total", Help: "A.", Unit: "s"}}}
	st := writev2.NewSymbolTable()
	r2 := &writev2.Request{Timeseries: []writev2.TimeSeries{{
		LabelsRefs: st.SymbolizeLabels(xs("a"), nil),
		Samples:    []writev2.Sample{{Timestamp: clock}},
		Metadata:   writev2.Metadata{Type: writev2.Metadata_METRIC_TYPE_GAUGE, HelpRef: st.Symbolize("X.")},
	}}}
	r2.Symbols = st.Symbols()
	for _, req := range []Request{{Body: encode(t, r1)}, {Body: encode(t, r2), ContentType: typeV2}} {
		if resp := w.Write(t.Context(), sender, req); resp.Status != http.StatusNoContent {
			t.Fatalf("answer %+v", resp)
		}
	}
	w.meta.add("other", []metricMetadata{{"b", metadata.Metadata{Help: "one too many"}}})
	want := map[string]metadata.Metadata{
		"a_total": {Type: model.MetricTypeCounter, Help: "A.", Unit: "s"},
		"x":       {Type: model.MetricTypeGauge, Help: "X."},
	}
	if d := cmp.Diff(want, w.Metadata("")); d != "" {
		t.Error(d)
	}
	if got := w.Metadata("other"); len(got) > 0 {
		t.Errorf("other sees %v", got)
	}
}

// answers are what both servers must say alike.
func TestBothServersAnswerAlike(t *testing.T) {
	good := requestV1(t, point{xs("a"), clock, 1})
	bomb := snappy.Encode(nil, make([]byte, 33<<20))
	many := snappy.Encode(nil, bytes.Repeat([]byte{1<<3 | 2, 0}, 1_000_001)) // empty series
	type call struct {
		name, method, contentType, encoding, token string
		body                                       []byte
		fail                                       error
		status                                     int
	}
	calls := []call{
		{name: "good", body: good.Body, status: 204},
		{name: "explicit v1", contentType: "application/x-protobuf;proto=prometheus.WriteRequest", body: good.Body, status: 204},
		{name: "get", method: "GET", status: 405},
		{name: "no token", token: "wrong", body: good.Body, status: 401},
		{name: "json", contentType: "application/json", body: good.Body, status: 415},
		{name: "unknown message", contentType: "application/x-protobuf;proto=x.Y", body: good.Body, status: 415},
		{name: "gzip", encoding: "gzip", body: good.Body, status: 415},
		{name: "not snappy", body: []byte("hello"), status: 400},
		{name: "no body", status: 400},
		{name: "not protobuf", body: snappy.Encode(nil, []byte{0xff, 0xff}), status: 400},
		{name: "v1 as v2", contentType: typeV2, body: good.Body, status: 400},
		{name: "empty", body: snappy.Encode(nil, nil), status: 204},
		{name: "body too large", body: make([]byte, 9<<20), status: 413},
		{name: "decoded too large", body: bomb, status: 413},
		{name: "too many entries", body: many, status: 413},
		{name: "disk full", body: good.Body, fail: fmt.Errorf("%w: 5 bytes", storage.ErrDiskFull), status: 503},
		{name: "broken", body: good.Body, fail: storage.ErrFailed, status: 500},
	}
	auth := func(token string) (Sender, bool) { return sender, token == "secret" }
	rec := &recorder{}
	w := newWriter(t, rec)
	slow := httptest.NewServer(w.HTTP(auth))
	defer slow.Close()
	fast := serve(t, w.FastHTTP(auth))
	for server, url := range map[string]string{"net/http": slow.URL, "fasthttp": fast} {
		for _, c := range calls {
			t.Run(server+"/"+c.name, func(t *testing.T) {
				rec.err = c.fail
				req, err := http.NewRequest(orElse(c.method, "POST"), url+Path, bytes.NewReader(c.body))
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Content-Type", orElse(c.contentType, "application/x-protobuf"))
				req.Header.Set("Content-Encoding", orElse(c.encoding, "snappy"))
				req.Header.Set("Authorization", "Bearer "+orElse(c.token, "secret"))
				resp, err := http.DefaultClient.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(resp.Body)
				if err = errors.Join(err, resp.Body.Close()); err != nil {
					t.Fatal(err)
				}
				if resp.StatusCode != c.status || (len(body) == 0) != (c.status == 204) {
					t.Errorf("%s: %s, want %d", resp.Status, body, c.status)
				}
				if (resp.Header.Get("Retry-After") != "") != (c.status == 503) {
					t.Errorf("Retry-After: %q", resp.Header.Get("Retry-After"))
				}
			})
		}
	}
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// serve runs a Server on a free port until the test ends and returns its URL.
func serve(t *testing.T, h fasthttp.RequestHandler) string {
	t.Helper()
	srv, err := NewServer(DefaultServerConfig(), DefaultConfig().MaxBodyBytes, h, quiet)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ctx, ln) }()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return "http://" + ln.Addr().String()
}

// gate is a sink that waits until it is opened.
type gate struct{ entered, open chan struct{} }

func (g *gate) Append(_ context.Context, b sample.Batch) (storage.Result, error) {
	g.entered <- struct{}{}
	<-g.open
	return storage.Result{Accepted: b}, nil
}

func TestStopLetsRequestsFinish(t *testing.T) {
	g := &gate{make(chan struct{}), make(chan struct{})}
	w := newWriter(t, g)
	srv, err := NewServer(DefaultServerConfig(), 1<<20, w.FastHTTP(Fixed(sender)), quiet)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ctx, ln) }()
	status := make(chan int, 1)
	body := requestV1(t, point{xs("a"), clock, 1}).Body
	go func() {
		resp, err := http.Post("http://"+ln.Addr().String()+Path, "application/x-protobuf", bytes.NewReader(body))
		if err != nil {
			t.Error(err)
			status <- 0
			return
		}
		_ = resp.Body.Close()
		status <- resp.StatusCode
	}()
	<-g.entered
	stop()
	close(g.open)
	if code := <-status; code != http.StatusNoContent {
		t.Errorf("status %d", code)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", ln.Addr().String()); err == nil {
		t.Error("still listening")
	}
}

func TestOccupiedPortIsAnError(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	cfg := DefaultServerConfig()
	cfg.ListenAddress = ln.Addr().String()
	srv, err := NewServer(cfg, 1, func(*fasthttp.RequestCtx) {}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	if err := srv.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("error %v", err)
	}
}

func TestBusyIsToldToComeBack(t *testing.T) {
	g := &gate{make(chan struct{}), make(chan struct{})}
	w := newWriter(t, g)
	w.cfg.MaxWait = 0
	w.slots = make(chan struct{}, 1)
	req := requestV1(t, point{xs("a"), clock, 1})
	first := make(chan Response)
	go func() { first <- w.Write(context.Background(), sender, req) }()
	<-g.entered
	if resp := w.Write(t.Context(), sender, req); resp.Status != http.StatusServiceUnavailable {
		t.Errorf("answer %+v", resp)
	}
	close(g.open)
	if resp := <-first; resp.Status != http.StatusNoContent {
		t.Errorf("answer %+v", resp)
	}
}

func FuzzWrite(f *testing.F) {
	for _, request := range both {
		req := request(f, point{xs("a"), clock, 1}, point{xs("b"), clock + 1, math.NaN()})
		raw, err := snappy.Decode(nil, req.Body)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw, req.ContentType == typeV2)
	}
	w := newWriter(f, newStore(f))
	f.Fuzz(func(t *testing.T, raw []byte, second bool) {
		req := Request{Body: snappy.Encode(nil, raw)}
		if second {
			req.ContentType = typeV2
		}
		for _, r := range []Request{req, {ContentType: req.ContentType, Body: raw}} {
			resp := w.Write(context.Background(), sender, r)
			switch resp.Status {
			case http.StatusNoContent, http.StatusBadRequest, http.StatusRequestEntityTooLarge:
			default:
				t.Fatalf("answer %+v", resp)
			}
		}
	})
}
