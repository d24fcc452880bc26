package remotewrite

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/golang/snappy"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"

	"watchkeeper/internal/sample"
)

// central is a receiver of remote write.
type central struct {
	*httptest.Server
	mu      sync.Mutex
	batches []sample.Batch
	headers []http.Header
	answer  func(n int) (int, string) // of the n-th request; nil: 204
	n       int
}

func newCentral(t *testing.T) *central {
	c := &central{}
	c.Server = httptest.NewServer(http.HandlerFunc(c.take))
	t.Cleanup(c.Close)
	return c
}

func (c *central) take(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	raw, err := snappy.Decode(nil, body)
	var req prompb.WriteRequest
	if err == nil {
		err = req.Unmarshal(raw)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusTeapot)
		return
	}
	c.n++
	status, text := http.StatusNoContent, ""
	if c.answer != nil {
		status, text = c.answer(c.n)
	}
	if status/100 == 2 || status == http.StatusBadRequest {
		c.headers = append(c.headers, r.Header.Clone())
		var flat []sample.Sample
		b := labels.NewScratchBuilder(8)
		for _, ts := range req.Timeseries {
			flat = append(flat, sample.Sample{Labels: ts.ToLabels(&b, nil), T: ts.Samples[0].Timestamp, V: ts.Samples[0].Value})
		}
		c.batches = append(c.batches, sample.Sections(flat)...)
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text)
}

func (c *central) answers(f func(n int) (int, string)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answer = f
}

// values are those of the metric x, in the order of their first arrival: what was
// cut off between answer and note comes again.
func (c *central) values() []float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []float64
	for _, b := range c.batches {
		for _, s := range b.Samples {
			if !slices.Contains(out, s.V) {
				out = append(out, s.V)
			}
		}
	}
	return out
}

func (c *central) requests() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

type logBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Buffer.Write(p)
}

func (l *logBuffer) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.String()
}

// place is one that sends.
type place struct {
	*Manager
	log  *logBuffer
	set  *metrics.Set
	stop func()
}

func start(t *testing.T, dir string, cfgs map[Key]Config) *place {
	t.Helper()
	p := &place{log: &logBuffer{}, set: metrics.NewSet()}
	p.Manager = New(dir, p.set, time.Now, slog.New(slog.NewTextHandler(p.log, nil)))
	p.pace = pace{gather: time.Millisecond, retryMin: 5 * time.Millisecond, retryMax: 20 * time.Millisecond, mark: 50 * time.Millisecond}
	if err := p.Apply(cfgs); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = p.Run(ctx) })
	p.stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
		if err := p.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	t.Cleanup(p.stop)
	return p
}

var acme = Key{"acme", "central"}

func to(c *central, more ...func(*Config)) map[Key]Config {
	cfg := Config{}
	cfg.SetDefaults()
	cfg.Name, cfg.URL = "central", c.URL+"/api/v1/write"
	for _, f := range more {
		f(&cfg)
	}
	return map[Key]Config{acme: cfg}
}

func batch(v float64) sample.Batch {
	at := time.Now().UnixMilli()
	return sample.Batch{
		Source:  sample.Source{Customer: "acme", Name: "probe/60s"},
		Samples: []sample.Sample{{Labels: labels.FromStrings("__name__", "x", "customer", "acme", "instance", "shop"), T: at, V: v}},
		Ups:     []sample.Up{{T: at, OK: true}}, Watermark: sample.Current,
	}
}

func (p *place) send(t *testing.T, v float64) {
	t.Helper()
	if err := p.Append(batch(v)); err != nil {
		t.Fatal(err)
	}
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
	}
}

func (c *central) until(t *testing.T, want ...float64) {
	t.Helper()
	until(t, fmt.Sprint("values ", want), func() bool { return len(c.values()) >= len(want) })
	if diff := cmp.Diff(want, c.values()); diff != "" {
		t.Fatalf("values (-want +got):\n%s", diff)
	}
}

func (p *place) metric(t *testing.T, name string) string {
	t.Helper()
	var b bytes.Buffer
	p.set.WritePrometheus(&b)
	for line := range strings.Lines(b.String()) {
		if strings.HasPrefix(line, name) {
			return strings.TrimSpace(line[strings.LastIndexByte(strings.TrimSpace(line), ' '):])
		}
	}
	t.Fatalf("no metric %s in\n%s", name, b.String())
	return ""
}

func TestABatchArrivesAsItWas(t *testing.T) {
	c := newCentral(t)
	dir := t.TempDir()
	token := filepath.Join(dir, "token")
	if err := os.WriteFile(token, []byte("0123456789abcdef\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, filepath.Join(dir, "queue"), to(c, func(cfg *Config) {
		cfg.TokenFile, cfg.Labels = token, map[string]string{"vantage": "hangzhou", "instance": "never"}
	}))
	b := batch(7)
	b.Ends = []sample.End{{Labels: labels.FromStrings("__name__", "y", "customer", "acme"), T: b.Samples[0].T, Reason: "deleted"}}
	before := time.Now().UnixMilli()
	if err := p.Append(b); err != nil {
		t.Fatal(err)
	}
	if err := p.Append(sample.Batch{Source: sample.Source{Customer: "other", Name: "host/a"}}); err != nil {
		t.Fatal(err)
	}
	until(t, "two sections", func() bool { c.mu.Lock(); defer c.mu.Unlock(); return len(c.batches) >= 2 })
	c.mu.Lock()
	defer c.mu.Unlock()
	if got := c.headers[0].Get("Authorization"); got != "Bearer 0123456789abcdef" {
		t.Errorf("Authorization: %q", got)
	}
	w := c.batches[0].Watermark
	if w < before || w > time.Now().UnixMilli() {
		t.Errorf("watermark %d is not the time of the batch's arrival in the queue, after %d", w, before)
	}
	src := sample.Source{Name: "probe/60s"}
	want := []sample.Batch{
		{Source: src, Watermark: w, Ups: b.Ups, Samples: []sample.Sample{{
			Labels: labels.FromStrings("__name__", "x", "instance", "shop", "vantage", "hangzhou"), T: b.Samples[0].T, V: 7}}},
		{Source: src, Watermark: w, Ends: []sample.End{{
			Labels: labels.FromStrings("__name__", "y", "instance", "never", "vantage", "hangzhou"), T: b.Samples[0].T, Reason: "deleted"}}},
	}
	if diff := cmp.Diff(want, c.batches[:2], cmp.Comparer(labels.Equal)); diff != "" {
		t.Errorf("sections (-want +got):\n%s", diff)
	}
}

func TestAnOutageAndARestartLoseNothing(t *testing.T) {
	c := newCentral(t)
	c.answers(func(int) (int, string) { return http.StatusServiceUnavailable, "starting" })
	dir := t.TempDir()
	p := start(t, dir, to(c))
	p.send(t, 1)
	until(t, "two attempts", func() bool { return c.requests() >= 2 })
	p.send(t, 2)
	p.stop()
	if !strings.Contains(p.log.text(), "HTTP status 503: starting") {
		t.Errorf("log does not say why nothing is delivered:\n%s", p.log.text())
	}

	p = start(t, dir, to(c))
	p.send(t, 3)
	c.answers(nil)
	c.until(t, 1, 2, 3)
	until(t, "an empty queue", func() bool { return p.metric(t, "watchkeeper_remotewrite_queue_samples") == "0" })
}

func TestDeathWhileAddingLosesNothingThatWasAdded(t *testing.T) {
	dir := t.TempDir()
	q, err := openQueue(dir, 1<<30, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	for v := range 2 {
		raws, counts, err := encode(batch(float64(v)), nil, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if err := q.add(raws[0], counts[0]); err != nil {
			t.Fatal(err)
		}
	}
	// Killed in the middle of a third write, and while the first file was sealed once.
	f, err := os.OpenFile(filepath.Join(dir, openName), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte{0x0a, 0x40, 0x0a, 0x05}); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, tmpName), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := newCentral(t)
	p := start(t, filepath.Dir(filepath.Dir(linkTo(t, dir))), to(c))
	c.until(t, 0, 1)
	// It counts them when it has the answer.
	until(t, "samples to be counted", func() bool { return p.metric(t, "watchkeeper_remotewrite_samples_sent_total") != "0" })
}

// linkTo makes a queue's folder that of the customer acme's receiver.
func linkTo(t *testing.T, queue string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), acme.Customer, acme.Name)
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(queue, dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestWhatARefusalCosts(t *testing.T) {
	for _, tc := range []struct {
		status int
		hint   string
		lost   bool
	}{
		{http.StatusBadRequest, "refuses some samples for good", true},
		{http.StatusUnauthorized, "compare token_file", false},
		{http.StatusNotFound, "/api/v1/write", false},
		{http.StatusRequestEntityTooLarge, "raise the limit", false},
		{http.StatusFound, "/api/v1/write", false},
		{http.StatusTooManyRequests, "HTTP status 429", false},
	} {
		t.Run(http.StatusText(tc.status), func(t *testing.T) {
			c := newCentral(t)
			c.answers(func(n int) (int, string) {
				if n == 1 {
					return tc.status, "sample x: bad"
				}
				return http.StatusNoContent, ""
			})
			p := start(t, t.TempDir(), to(c))
			p.send(t, 1)
			until(t, "the request is done", func() bool { return p.metric(t, "watchkeeper_remotewrite_queue_samples") == "0" })
			if !tc.lost && c.requests() < 2 {
				t.Errorf("the request was not sent again")
			}
			if len(c.values()) == 0 {
				t.Error("nothing arrived")
			}
			if log := p.log.text(); !strings.Contains(log, tc.hint) || !strings.Contains(log, "sample x: bad") {
				t.Errorf("log does not say %q and what was answered:\n%s", tc.hint, log)
			}
		})
	}
}

func TestTheQueueIsBounded(t *testing.T) {
	dir := t.TempDir()
	q, err := openQueue(dir, 3000, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	for range 40 {
		raw := bytes.Repeat([]byte{0x0a, 0x02, 0x0a, 0x00}, maxRawBytes/4)
		if err := q.add(raw, 1); err != nil {
			t.Fatal(err)
		}
	}
	f := q.figures()
	if f.bytes-maxRawBytes > 3000+60_000 || f.lost == 0 || f.lost+f.samples != 40 {
		t.Errorf("queue holds %d bytes and %d samples, lost %d of 40", f.bytes, f.samples, f.lost)
	}
	if err := q.end(); err != nil {
		t.Fatal(err)
	}
	if err := q.add([]byte{0x0a, 0}, 1); err == nil {
		t.Error("an ended queue takes samples")
	}
	again, err := openQueue(dir, 1<<30, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	if g := again.figures(); g.samples != q.figures().samples {
		t.Errorf("after a restart %d samples wait, before %d", g.samples, q.figures().samples)
	}
}

func TestALargeBatchIsManySections(t *testing.T) {
	b := batch(0)
	for i := range 2*maxSection + 10 {
		b.Samples = append(b.Samples, sample.Sample{Labels: labels.FromStrings("__name__", "x", "n", fmt.Sprint(i)), T: 1, V: 1})
	}
	raws, counts, err := encode(b, nil, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if len(raws) != 3 {
		t.Fatalf("%d requests, want 3", len(raws))
	}
	if last := counts[2]; last != 11+2 { // watermark and up-sample with the last
		t.Errorf("the last part has %d samples, want 13; all: %v", last, counts)
	}
}

func TestASeldomSourceKeepsItsWatermark(t *testing.T) {
	c := newCentral(t)
	p := start(t, t.TempDir(), to(c))
	p.send(t, 1)
	var first int64
	until(t, "a later watermark without a sample", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		if len(c.batches) == 0 {
			return false
		}
		first = c.batches[0].Watermark
		last := c.batches[len(c.batches)-1]
		return last.Watermark > first && len(last.Samples)+len(last.Ups) == 0
	})
}

func TestReloadKeepsWhatWaits(t *testing.T) {
	down, c := newCentral(t), newCentral(t)
	down.answers(func(int) (int, string) { return http.StatusInternalServerError, "" })
	p := start(t, t.TempDir(), to(down))
	p.send(t, 1)
	until(t, "an attempt", func() bool { return down.requests() > 0 })
	if err := p.Apply(to(c)); err != nil { // another address
		t.Fatal(err)
	}
	c.until(t, 1)
	if err := p.Apply(nil); err != nil { // no receiver
		t.Fatal(err)
	}
	p.send(t, 2)
	if err := p.Apply(to(c)); err != nil {
		t.Fatal(err)
	}
	p.send(t, 3)
	c.until(t, 1, 3)
	bad := to(c, func(cfg *Config) { cfg.CAFile = "missing.pem" })
	if err := p.Apply(bad); err == nil {
		t.Error("a missing certificate file was taken")
	}
	p.send(t, 4)
	c.until(t, 1, 3, 4)
}

func TestWhatOthersSentIsNotSentOn(t *testing.T) {
	for name, want := range map[string]bool{
		"push/place-1/probe/60s": true, "push/prom-1": false, "rules/alerts": true, "probe/60s": false, "scrape/push/a": false,
	} {
		if got := relayed(sample.Source{Name: name}); got != want {
			t.Errorf("relayed(%s) = %v", name, got)
		}
	}
}
