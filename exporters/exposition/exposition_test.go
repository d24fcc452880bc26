package exposition_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"pgregory.net/rapid"

	"watchkeeper/exporters/exposition"
	"watchkeeper/internal/property"
	"watchkeeper/internal/sample"
)

var (
	begin = time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	host  = sample.Source{Customer: "acme", Name: "host/web-1"}
	slow  = sample.Source{Customer: "acme", Name: "aliyun/expiry"}
)

// page is an exposition on a clock that the test sets.
type page struct {
	*exposition.Exposition
	t   testing.TB
	now time.Time
	set *metrics.Set
}

func newPage(t testing.TB, maxSeries int) *page {
	t.Helper()
	p := &page{t: t, now: begin, set: metrics.NewSet()}
	cfg := exposition.DefaultConfig()
	cfg.MaxSeries = maxSeries
	var err error
	p.Exposition, err = exposition.New(cfg, exposition.Deps{
		Now: func() time.Time { return p.now },
		Interval: func(s sample.Source) time.Duration {
			if s == slow {
				return time.Hour
			}
			return time.Minute
		},
		Describe: func(name string) (exposition.Metadata, bool) {
			return exposition.Metadata{Type: "gauge", Help: "Load \\ of\nthe host."}, name == "host_load1"
		},
	}, p.set)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *page) add(b sample.Batch) {
	p.t.Helper()
	if err := p.Append(context.Background(), b); err != nil {
		p.t.Fatal(err)
	}
}

// value adds one sample of a source.
func (p *page) value(src sample.Source, t time.Time, v float64, ls ...string) {
	p.add(sample.Batch{Source: src, Samples: []sample.Sample{{Labels: labels.FromStrings(ls...), T: t.UnixMilli(), V: v}}})
}

func (p *page) is(want string) {
	p.t.Helper()
	got := string(p.AppendText(nil))
	if d := cmp.Diff(want, got); d != "" {
		p.t.Errorf("page (-want +got):\n%s", d)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	if _, err := parser.TextToMetricFamilies(strings.NewReader(got)); err != nil {
		p.t.Errorf("not the text format: %v in\n%s", err, got)
	}
}

func TestPage(t *testing.T) {
	p := newPage(t, 100)
	p.is("")
	p.add(sample.Batch{Source: host, Ups: []sample.Up{{T: begin.UnixMilli(), OK: true}}, Samples: []sample.Sample{
		{Labels: labels.FromStrings("__name__", "host_load1", "customer", "acme", "instance", "web-1"), T: 1000, V: 0.25},
		{Labels: labels.FromStrings("__name__", "disk", "customer", "acme", "path", "C:\\a \"b\"\nc"), T: 1000, V: math.Inf(1)},
		{Labels: labels.FromStrings("__name__", "disk", "customer", "acme", "path", "/"), T: 2000, V: math.NaN()},
		{Labels: labels.FromStrings("__name__", "http.requests", "a.b", "c"), T: 1000, V: 1e21},
	}})
	p.is(`disk{customer="acme",path="/"} NaN 2000
disk{customer="acme",path="C:\\a \"b\"\nc"} +Inf 1000
# HELP host_load1 Load \\ of\nthe host.
# TYPE host_load1 gauge
host_load1{customer="acme",instance="web-1"} 0.25 1000
http_requests{customer="acme",a_b="c"} 1e+21 1000
# HELP watchkeeper_exporter_source_up Whether the last check of a source could look.
# TYPE watchkeeper_exporter_source_up gauge
watchkeeper_exporter_source_up{customer="acme",source="host/web-1"} 1
`)
	p.add(sample.Batch{Source: host, Ups: []sample.Up{{T: begin.UnixMilli() + 1}}})
	if text := string(p.AppendText(nil)); !strings.Contains(text, `source="host/web-1"} 0`) {
		t.Errorf("a check that failed:\n%s", text)
	}
}

// The newest sample of a series is shown, in whatever order they come.
func TestNewest(t *testing.T) {
	p := newPage(t, 100)
	p.value(host, begin, 2, "__name__", "a", "customer", "acme")
	p.value(host, begin.Add(-time.Minute), 1, "__name__", "a", "customer", "acme")
	p.is(fmt.Sprintf("a{customer=\"acme\"} 2 %d\n", begin.UnixMilli()))
}

// What ended goes at once, what is no longer delivered after the limit, what
// comes once an hour not between.
func TestGone(t *testing.T) {
	p := newPage(t, 100)
	for _, name := range []string{"stays", "ends", "stale", "forgotten", "back"} {
		p.value(host, begin, 1, "__name__", name, "customer", "acme")
	}
	p.value(slow, begin, 1, "__name__", "hourly", "customer", "acme")
	p.add(sample.Batch{Source: host, Ends: []sample.End{
		{Labels: labels.FromStrings("__name__", "ends", "customer", "acme"), T: begin.UnixMilli()},
		{Labels: labels.FromStrings("__name__", "back", "customer", "acme"), T: begin.UnixMilli() - 1}, // before its newest
		{Labels: labels.FromStrings("__name__", "never", "customer", "acme"), T: begin.UnixMilli()},
	}})
	p.value(host, begin, math.Float64frombits(value.StaleNaN), "__name__", "stale", "customer", "acme")
	ms := begin.UnixMilli()
	p.is(fmt.Sprintf("back{customer=\"acme\"} 1 %d\nforgotten{customer=\"acme\"} 1 %[1]d\nhourly{customer=\"acme\"} 1 %[1]d\nstays{customer=\"acme\"} 1 %[1]d\n", ms))
	p.now = begin.Add(6 * time.Minute)
	p.value(host, p.now, 2, "__name__", "stays", "customer", "acme")
	p.is(fmt.Sprintf("hourly{customer=\"acme\"} 1 %d\nstays{customer=\"acme\"} 2 %d\n", ms, p.now.UnixMilli()))
	p.now = begin.Add(3 * time.Hour)
	p.is("")
}

func TestLimit(t *testing.T) {
	p := newPage(t, 2)
	for i := range 5 {
		p.value(host, begin, float64(i), "__name__", "a", "customer", "acme", "i", fmt.Sprint(i))
	}
	if n := strings.Count(string(p.AppendText(nil)), "\n"); n != 2 {
		t.Errorf("%d series are shown, the limit is 2", n)
	}
	if n := p.set.GetOrCreateCounter("watchkeeper_exporter_samples_dropped_total").Get(); n != 3 {
		t.Errorf("%d dropped, want 3", n)
	}
	p.value(host, begin.Add(time.Second), 9, "__name__", "a", "customer", "acme", "i", "0")
	if !strings.Contains(string(p.AppendText(nil)), "} 9 ") {
		t.Error("at the limit the series that are kept must go on")
	}
}

// Whatever the labels are, the page is read back as what was delivered.
func TestReadBack(t *testing.T) {
	property.Check(t, func(r *rapid.T) {
		p := newPage(t, 1000)
		want := map[string]float64{}
		for range rapid.IntRange(0, 10).Draw(r, "series") {
			name := rapid.SampledFrom([]string{"a", "b_total", "c:d", "_e"}).Draw(r, "name")
			v := rapid.Float64().Draw(r, "value")
			label := strings.ToValidUTF8(rapid.String().Draw(r, "label"), "?")
			p.value(host, begin, v, "__name__", name, "customer", "acme", "l", label)
			want[name+"\x00"+label] = v
		}
		parser := expfmt.NewTextParser(model.UTF8Validation)
		families, err := parser.TextToMetricFamilies(bytes.NewReader(p.AppendText(nil)))
		if err != nil {
			r.Fatal(err)
		}
		got := map[string]float64{}
		for name, f := range families {
			for _, m := range f.GetMetric() {
				label := ""
				for _, l := range m.GetLabel() {
					if l.GetName() == "l" {
						label = l.GetValue()
					}
				}
				got[name+"\x00"+label] = m.GetUntyped().GetValue()
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			r.Error(d)
		}
	})
}

func serve(t *testing.T, p *page) (address string, stop func() error) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := exposition.NewServer(p.Exposition, func(w io.Writer) { p.set.WritePrometheus(w) }, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, ln) }()
	stop = func() error { cancel(); err := <-ended; ended <- err; return err }
	t.Cleanup(func() { _ = stop() })
	return "http://" + ln.Addr().String(), stop
}

func TestServer(t *testing.T) {
	p := newPage(t, 100)
	p.value(host, begin, 1, "__name__", "a", "customer", "acme")
	address, stop := serve(t, p)
	for _, test := range []struct {
		method, path string
		code         int
		holds        string
	}{
		{"GET", "/metrics", 200, "a{customer=\"acme\"} 1 "},
		{"GET", "/metrics", 200, "watchkeeper_exporter_series 1\n"},
		{"GET", "/-/healthy", 200, "healthy"},
		{"GET", "/", 200, "/metrics"},
		{"GET", "/other", 404, "not found"},
		{"POST", "/metrics", 405, "only GET"},
	} {
		req, err := http.NewRequest(test.method, address+test.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req) // asks for gzip and reads it
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != test.code || !strings.Contains(string(body), test.holds) {
			t.Errorf("%s %s: %d %v %s", test.method, test.path, resp.StatusCode, err, body)
		}
		if test.path == "/metrics" && test.code == 200 && resp.Header.Get("Content-Type") != exposition.ContentType {
			t.Errorf("content type %q", resp.Header.Get("Content-Type"))
		}
	}
	http.DefaultClient.CloseIdleConnections()
	if err := stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
	if _, err := http.Get(address + "/-/healthy"); err == nil {
		t.Error("it answers after the stop")
	}
}

func TestConfig(t *testing.T) {
	for _, cfg := range []exposition.Config{{StaleAfter: time.Millisecond, MaxSeries: 1}, {StaleAfter: time.Minute}} {
		if cfg.Validate() == nil {
			t.Errorf("%+v is taken", cfg)
		}
	}
}

const benchSeries = 100_000

func benchPage(b *testing.B) (*page, sample.Batch) {
	p := newPage(b, benchSeries)
	batch := sample.Batch{Source: host}
	for i := range benchSeries {
		batch.Samples = append(batch.Samples, sample.Sample{T: begin.UnixMilli(), V: float64(i) / 7, Labels: labels.FromStrings(
			"__name__", fmt.Sprintf("metric_%d_total", i%500), "customer", "acme", "product", "host",
			"instance", fmt.Sprintf("web-%d.example.com", i/500), "device", "eth0")})
	}
	p.add(batch)
	return p, batch
}

// BenchmarkPage writes a page of 100,000 series.
func BenchmarkPage(b *testing.B) {
	p, _ := benchPage(b)
	var text []byte
	b.ReportAllocs()
	for b.Loop() {
		text = p.AppendText(text[:0])
	}
	b.ReportMetric(float64(len(text)), "B/page")
	b.ReportMetric(benchSeries*float64(b.N)/b.Elapsed().Seconds(), "series/s")
}

// BenchmarkAppend takes one sample of each of 100,000 series.
func BenchmarkAppend(b *testing.B) {
	p, batch := benchPage(b)
	b.ReportAllocs()
	for b.Loop() {
		p.add(batch)
	}
	b.ReportMetric(benchSeries*float64(b.N)/b.Elapsed().Seconds(), "samples/s")
}

// BenchmarkServed is a scrape over HTTP, compressed as Prometheus asks for it.
func BenchmarkServed(b *testing.B) {
	p, _ := benchPage(b)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- exposition.NewServer(p.Exposition, nil, slog.New(slog.DiscardHandler)).Serve(ctx, ln) }()
	defer func() { cancel(); <-ended }()
	for b.Loop() {
		resp, err := http.Get("http://" + ln.Addr().String() + "/metrics")
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			b.Fatal(err)
		}
		resp.Body.Close()
	}
	http.DefaultClient.CloseIdleConnections()
}
