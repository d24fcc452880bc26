package loadtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/prompb"

	"watchkeeper/ruleset/contract"
)

// receiver decodes what it is sent, as a remote-write receiver does, and
// answers status.
type receiver struct {
	t       *testing.T
	status  int
	mu      sync.Mutex
	samples map[string][]prompb.Sample
	count   int64
	first   chan struct{} // closed by the first accepted request
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	if got := request.Header.Get("X-Prometheus-Remote-Write-Version"); got != "0.1.0" || request.Header.Get("Content-Encoding") != "snappy" {
		r.t.Errorf("headers %v", request.Header)
	}
	compressed, err := io.ReadAll(request.Body)
	if err != nil {
		r.t.Error(err)
	}
	message, err := snappy.Decode(nil, compressed)
	if err != nil {
		r.t.Error(err)
	}
	var write prompb.WriteRequest
	if err := write.Unmarshal(message); err != nil {
		r.t.Error(err)
	}
	if r.status != http.StatusNoContent {
		http.Error(w, "out of order sample", r.status)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, series := range write.Timeseries {
		key := ""
		for _, l := range series.Labels {
			key += l.Name + "=" + l.Value + ";"
		}
		r.samples[key] = append(r.samples[key], series.Samples...)
		r.count += int64(len(series.Samples))
	}
	select {
	case <-r.first:
	default:
		close(r.first)
	}
	w.WriteHeader(r.status)
}

func newReceiver(t *testing.T, status int) (*receiver, Config) {
	r := &receiver{t: t, status: status, samples: map[string][]prompb.Sample{}, first: make(chan struct{})}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	cfg := DefaultConfig()
	cfg.URL = server.URL + "/api/v1/write"
	cfg.Series, cfg.Rate, cfg.Duration, cfg.Batch = 100, 2000, model.Duration(250*time.Millisecond), 10
	cfg.PID = int32(os.Getpid())
	return r, cfg
}

func TestRunSendsWhatItCounts(t *testing.T) {
	r, cfg := newReceiver(t, http.StatusNoContent)
	before := time.Now()
	result, err := Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if result.SamplesAccepted != r.count || result.SamplesSent != r.count || r.count == 0 {
		t.Errorf("sent %d, accepted %d, received %d", result.SamplesSent, result.SamplesAccepted, r.count)
	}
	if limit := int64(cfg.Rate*time.Duration(cfg.Duration).Seconds()) + int64(cfg.Workers*cfg.Batch); r.count > limit {
		t.Errorf("%d samples are more than the rate allows, %d", r.count, limit)
	}
	if diff := cmp.Diff(map[string]int64{"204": result.Requests}, result.Statuses); diff != "" {
		t.Error(diff)
	}
	if !(result.LatencyP50 > 0 && result.LatencyP50 <= result.LatencyP99 && result.LatencyP99 <= result.LatencyMax) {
		t.Errorf("latencies %v %v %v", result.LatencyP50, result.LatencyP99, result.LatencyMax)
	}
	if result.Receiver == nil || result.Receiver.RSSBytes == 0 || result.Receiver.RSSPeakBytes < result.Receiver.RSSBytes {
		t.Errorf("receiver %+v, %s", result.Receiver, result.ReceiverUnknown)
	}
	for key, samples := range r.samples {
		for n, s := range samples {
			if n > 0 && s.Timestamp-samples[n-1].Timestamp != 60_000 {
				t.Fatalf("%s: %d follows %d", key, s.Timestamp, samples[n-1].Timestamp)
			}
			if s.Timestamp > before.Add(time.Minute).UnixMilli() || s.Timestamp < before.Add(-maxHistory).UnixMilli() {
				t.Fatalf("%s: %d is not in the last day", key, s.Timestamp)
			}
		}
	}
}

func TestRefusedSamplesAreNotAccepted(t *testing.T) {
	_, cfg := newReceiver(t, http.StatusBadRequest)
	result, err := Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if result.SamplesAccepted != 0 || result.SamplesSent == 0 || result.Statuses["400"] != result.Requests || result.FirstFailure != `status 400: "out of order sample\n"` {
		t.Errorf("%+v", result)
	}
}

func TestNobodyListens(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	_, cfg := newReceiver(t, http.StatusNoContent)
	cfg.URL, cfg.PID = server.URL, 0
	server.Close()
	result, err := Run(t.Context(), cfg)
	if err != nil || result.Statuses["error"] != result.Requests || result.Requests == 0 || result.Receiver != nil || result.ReceiverUnknown == "" {
		t.Errorf("%v %+v", err, result)
	}
}

func TestReceiverIsFoundByItsPort(t *testing.T) {
	_, cfg := newReceiver(t, http.StatusNoContent)
	if pid, err := listener(t.Context(), cfg.URL); err != nil || pid != int32(os.Getpid()) {
		t.Errorf("process %d, %v; this one is %d", pid, err, os.Getpid())
	}
}

// 192.0.2.1 is a documentation address: no connection may even be tried.
func TestOtherMachinesAreRefused(t *testing.T) {
	for _, address := range []string{"http://192.0.2.1:9371/api/v1/write", "http://[2001:db8::1]:9371/"} {
		_, cfg := newReceiver(t, http.StatusNoContent)
		cfg.URL = address
		result, err := Run(t.Context(), cfg)
		if !errors.Is(err, errNotLoopback) {
			t.Errorf("%s: %v, %+v", address, err, result)
		}
	}
}

func TestCancelledRunReturnsWhatItHas(t *testing.T) {
	r, cfg := newReceiver(t, http.StatusNoContent)
	cfg.Duration, cfg.Rate = model.Duration(time.Hour), 20
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan Result)
	go func() {
		result, err := Run(ctx, cfg)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
		done <- result
	}()
	<-r.first
	cancel()
	if result := <-done; result.SamplesSent == 0 {
		t.Errorf("%+v", result)
	}
}

func TestWorkload(t *testing.T) {
	w := workload{seed: 7, breaching: 0.25, interval: 60_000}
	const series, rounds = 4000, 20
	above, breaching := 0, 0
	for n := range series {
		over := 0
		for round := range int64(rounds) {
			value := w.value(n, round*w.interval)
			if again := w.value(n, round*w.interval); again != value {
				t.Fatalf("series %d: %v, then %v", n, value, again)
			}
			if value < 0 || value > 100 {
				t.Fatalf("series %d: %v is no percentage", n, value)
			}
			if value >= shapes[n%len(shapes)].limit {
				over++
			}
		}
		above += over
		if w.breaches(n) {
			breaching++
			if over != rounds/2 {
				t.Errorf("series %d is above its limit %d times of %d", n, over, rounds)
			}
		}
	}
	if share := float64(breaching) / series; share < 0.22 || share > 0.28 || above != breaching*rounds/2 {
		t.Errorf("%d of %d breach, %d samples above", breaching, series, above)
	}
	if diff := cmp.Diff(w.request(3, w.identities(3, 9), 60_000), w.request(3, w.identities(3, 9), 60_000)); diff != "" {
		t.Error(diff)
	}
	if other := (workload{seed: 8, interval: 60_000}); other.value(3, 60_000) == w.value(3, 60_000) {
		t.Error("two seeds, one value")
	}
}

// Names and dimensions are the contract's; labels are sorted and unique.
func TestSeriesAreShapedAsTheContracts(t *testing.T) {
	w := workload{seed: 1}
	seen := map[string]bool{}
	for n := range 100 {
		labels := w.labels(n)
		key := ""
		for k, l := range labels {
			if k > 0 && labels[k-1].Name >= l.Name {
				t.Errorf("labels of series %d are not sorted: %v", n, labels)
			}
			key += l.Name + "=" + l.Value + ";"
		}
		if seen[key] {
			t.Errorf("series %s is there twice", key)
		}
		seen[key] = true
	}
	for _, s := range shapes {
		metric, known := contract.LookupMetric(s.metric)
		if !known || metric.Unit != "percent" {
			t.Errorf("%s is not a percentage of the catalog", s.metric)
		}
		if s.dimension != "" && !strings.Contains(strings.Join(metric.Labels, ","), s.dimension) {
			t.Errorf("%s has no label %s", s.metric, s.dimension)
		}
	}
}

func TestQuantile(t *testing.T) {
	var sorted []time.Duration
	for n := 1; n <= 200; n++ {
		sorted = append(sorted, time.Duration(n)*time.Second)
	}
	for percent, want := range map[int]float64{50: 100, 99: 198, 100: 200} {
		if got := quantile(sorted, percent); got != want {
			t.Errorf("%d %%: %v, want %v", percent, got, want)
		}
	}
	if got := quantile(sorted[:1], 99); got != 1 {
		t.Errorf("one value: %v", got)
	}
	if got := quantile(nil, 50); got != 0 {
		t.Errorf("no value: %v", got)
	}
}

func TestConfig(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Fatal(err)
	}
	f := func(want string, change func(*Config)) {
		t.Helper()
		c := DefaultConfig()
		change(&c)
		if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	f("url:", func(c *Config) { c.URL = "127.0.0.1:9371" })
	f("series:", func(c *Config) { c.Series = 0 })
	f("rate:", func(c *Config) { c.Rate = 0 })
	f("rate:", func(c *Config) { c.Rate = math.NaN() })
	f("rate: needs 600000 s of history", func(c *Config) { c.Series, c.Rate = 10, 10_000; c.Duration = model.Duration(10 * time.Second) })
	f("duration:", func(c *Config) { c.Duration = 0 })
	f("interval: not whole milliseconds", func(c *Config) { c.Interval = model.Duration(time.Second + time.Microsecond) })
	f("batch:", func(c *Config) { c.Batch = 30_000 })
	f("workers:", func(c *Config) { c.Workers = 0 })
	f("breaching:", func(c *Config) { c.Breaching = 1.5 })
	f("timeout:", func(c *Config) { c.Timeout = 0 })
}

func TestPrinting(t *testing.T) {
	_, cfg := newReceiver(t, http.StatusNoContent)
	result, err := Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	var text, encoded bytes.Buffer
	if err := WriteTable(&text, result); err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"100 series", "accepted", "p99", "CPU s", "RSS"} {
		if !strings.Contains(text.String(), word) {
			t.Errorf("no %q in\n%s", word, text.String())
		}
	}
	if err := WriteJSON(&encoded, result); err != nil {
		t.Fatal(err)
	}
	var back Result
	if err := json.Unmarshal(encoded.Bytes(), &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(result, back); diff != "" {
		t.Error(diff)
	}
}
