package scrape

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/prometheus/prometheus/model/value"
	"go.yaml.in/yaml/v3"

	"watchkeeper/internal/sample"
)

// recorder is a sink that keeps what it is given.
type recorder struct {
	mu      sync.Mutex
	batches []sample.Batch
	refuse  error
	offered int
}

func (r *recorder) Append(_ context.Context, b sample.Batch) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.offered++
	if r.refuse != nil {
		return r.refuse
	}
	r.batches = append(r.batches, b)
	return nil
}

func (r *recorder) all() []sample.Batch {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.batches)
}

func (r *recorder) setRefuse(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refuse = err
}

// exporter is a server whose page a test changes.
type exporter struct {
	*httptest.Server
	page    atomic.Pointer[http.HandlerFunc]
	scrapes atomic.Int64
}

func newExporter(t *testing.T, text string) *exporter {
	t.Helper()
	e := &exporter{}
	e.set(text)
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.scrapes.Add(1)
		(*e.page.Load())(w, r)
	}))
	t.Cleanup(e.Close)
	return e
}

func (e *exporter) set(text string) {
	e.handle(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		_, _ = w.Write([]byte(text))
	})
}

func (e *exporter) handle(h http.HandlerFunc) { e.page.Store(&h) }

func (e *exporter) address() string { return strings.TrimPrefix(e.URL, "http://") }

// world is a running manager.
type world struct {
	t    *testing.T
	m    *Manager
	sink *recorder
	set  *metrics.Set
	log  *logBuffer
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func run(t *testing.T, js ...Job) *world {
	t.Helper()
	w := &world{t: t, sink: &recorder{}, set: metrics.NewSet(), log: &logBuffer{}}
	w.m = New(w.sink, w.set, slog.New(slog.NewTextHandler(w.log, nil)))
	w.m.discovery = 50 * time.Millisecond
	if err := w.m.Apply(js); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.m.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
		if t.Failed() {
			t.Logf("log:\n%s", w.log)
		}
	})
	return w
}

// until waits for a condition on what was delivered.
func (w *world) until(what string, ok func(all []sample.Batch) bool) []sample.Batch {
	w.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		all := w.sink.all()
		if ok(all) {
			return all
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("not within a minute: %s; last batches: %+v\nlog:\n%s", what, all[max(0, len(all)-2):], w.log)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// good waits for n good scrapes and returns the batch of the last.
func (w *world) good(n int) sample.Batch {
	w.t.Helper()
	var last sample.Batch
	w.until(fmt.Sprintf("%d good scrapes", n), func(all []sample.Batch) bool {
		got := 0
		for _, b := range all {
			if len(b.Ups) == 1 && b.Ups[0].OK && len(b.Ends) == 0 {
				got++
				last = b
			}
		}
		return got >= n
	})
	return last
}

// failed waits for a scrape that fails for a reason and returns all batches of
// failed scrapes. On a busy machine another scrape may time out before it.
func (w *world) failed(want string) []sample.Batch {
	w.t.Helper()
	var failed []sample.Batch
	w.until("a scrape that fails with reason "+want, func(all []sample.Batch) bool {
		failed = slices.DeleteFunc(all, func(b sample.Batch) bool { return len(b.Ups) != 1 || b.Ups[0].OK })
		return len(failed) > 0 && w.counter(fmt.Sprintf(`watchkeeper_scrape_failures_total{reason=%q}`, want)) > 0
	})
	for _, b := range failed {
		if v, ok := find(b, "up"); !ok || v.V != 0 {
			w.t.Errorf("up: %+v", v)
		}
	}
	return failed
}

func (w *world) counter(name string) uint64 { return w.set.GetOrCreateCounter(name).Get() }

func find(b sample.Batch, name string) (sample.Sample, bool) {
	for _, s := range b.Samples {
		if s.Labels.Get("__name__") == name {
			return s, true
		}
	}
	return sample.Sample{}, false
}

// oneJob makes a job that scrapes addresses each 200 ms; more is added to it.
func oneJob(t *testing.T, more string, addresses ...string) Job {
	t.Helper()
	return pacedJob(t, "200ms", more, addresses...)
}

// pacedJob makes a job with an interval and the same time-out.
func pacedJob(t *testing.T, pace, more string, addresses ...string) Job {
	t.Helper()
	targets, err := json.Marshal(addresses)
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("- job_name: test\n  scrape_interval: %s\n  scrape_timeout: %[1]s\n", pace)
	if len(addresses) > 0 {
		text += fmt.Sprintf("  static_configs: [{targets: %s}]\n", targets)
	}
	return customerJob(t, "acme", text+more)
}

func customerJob(t *testing.T, customer, text string) Job {
	t.Helper()
	var nodes []yaml.Node
	if err := yaml.Unmarshal([]byte(text), &nodes); err != nil {
		t.Fatal(err)
	}
	js, err := Jobs(customer, nodes, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return js[0]
}

func TestScrapeBecomesOneBatch(t *testing.T) {
	e := newExporter(t, `# HELP requests_total Requests.
# TYPE requests_total counter
requests_total{code="200",customer="evil",instance="inner"} 7
temperature 21.5
temperature 99
watchkeeper_source_up{source="x"} 1
`)
	w := run(t, oneJob(t, "  metric_relabel_configs: [{source_labels: [__name__], regex: dropped, action: drop}]\n", e.address()))
	b := w.good(2)
	if b.Source != (sample.Source{Customer: "acme", Name: "scrape/test/" + e.address()}) || b.Watermark != sample.Current {
		t.Errorf("source %+v, watermark %d", b.Source, b.Watermark)
	}
	s, ok := find(b, "requests_total")
	if !ok || s.V != 7 || s.Labels.Get("customer") != "acme" || s.Labels.Get("exported_customer") != "evil" ||
		s.Labels.Get("exported_instance") != "inner" || s.Labels.Get("instance") != e.address() || s.Labels.Get("job") != "test" {
		t.Errorf("requests_total: %+v", s)
	}
	if s, _ := find(b, "temperature"); s.V != 21.5 {
		t.Errorf("of a value given twice the first counts, got %v", s.V)
	}
	if _, ok := find(b, "watchkeeper_source_up"); ok || w.counter(`watchkeeper_scrape_samples_dropped_total{reason="reserved_name"}`) == 0 {
		t.Error("a reserved name must be dropped and counted")
	}
	for _, name := range []string{"up", "scrape_duration_seconds", "scrape_samples_scraped", "scrape_samples_post_metric_relabeling", "scrape_series_added"} {
		s, ok := find(b, name)
		if !ok || s.T != b.Ups[0].T || s.Labels.Get("customer") != "acme" {
			t.Errorf("%s: %+v, up-sample at %d", name, s, b.Ups[0].T)
		}
	}
	seen := map[string]bool{}
	for _, s := range b.Samples {
		if k := s.Labels.String(); seen[k] {
			t.Errorf("%s twice in a batch", k)
		} else {
			seen[k] = true
		}
	}
}

func TestHonorLabelsKeepsTheCustomerOurs(t *testing.T) {
	e := newExporter(t, "up2{customer=\"evil\",instance=\"inner\"} 1\n")
	w := run(t, oneJob(t, "  honor_labels: true\n", e.address()))
	s, _ := find(w.good(1), "up2")
	if s.Labels.Get("customer") != "acme" || s.Labels.Get("exported_customer") != "evil" || s.Labels.Get("instance") != "inner" {
		t.Errorf("labels: %s", s.Labels)
	}
}

func TestRelabellingDropsTargetsAndSeries(t *testing.T) {
	kept, dropped := newExporter(t, "a 1\nb 2\n"), newExporter(t, "a 1\n")
	w := run(t, oneJob(t, fmt.Sprintf(`  relabel_configs: [{source_labels: [__address__], regex: %q, action: drop}]
  metric_relabel_configs: [{source_labels: [__name__], regex: b, action: drop}]
`, dropped.address()), kept.address(), dropped.address()))
	b := w.good(2)
	if _, ok := find(b, "b"); ok {
		t.Error("a series that relabelling drops was delivered")
	}
	if _, ok := find(b, "a"); !ok {
		t.Error("no series a")
	}
	if n := dropped.scrapes.Load(); n != 0 {
		t.Errorf("a target that relabelling drops was scraped %d times", n)
	}
}

// Timestamps of the target count, or the scrape's, as the configuration says.
func TestHonorTimestamps(t *testing.T) {
	own := time.Now().Add(-10 * time.Second).UnixMilli()
	e := newExporter(t, fmt.Sprintf("a 1 %d\n", own))
	w := run(t, oneJob(t, "", e.address()), customerJob(t, "acme", fmt.Sprintf(
		"- {job_name: ignores, honor_timestamps: false, scrape_interval: 200ms, scrape_timeout: 200ms, static_configs: [{targets: [%q]}]}\n", e.address())))
	for job, isOwn := range map[string]bool{"test": true, "ignores": false} {
		w.until("a sample of "+job, func(all []sample.Batch) bool {
			for _, b := range all {
				if s, ok := find(b, "a"); ok && s.Labels.Get("job") == job {
					if (s.T == own) != isOwn {
						t.Errorf("%s: timestamp %d, the target's is %d", job, s.T, own)
					}
					return true
				}
			}
			return false
		})
	}
}

// What fails has one reason, an up-sample of 0, and ends no series.
func TestFailures(t *testing.T) {
	text := func(s string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			_, _ = w.Write([]byte(s))
		}
	}
	many := strings.Builder{}
	for i := range 100 {
		fmt.Fprintf(&many, "m{i=\"%d\"} 1\n", i)
	}
	for _, test := range []struct {
		name, config, reason string
		page                 http.HandlerFunc
	}{
		{"hung", "", failureTimeout, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }},
		{"half an answer", "", failureTimeout, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			_, _ = w.Write([]byte("a 1\n"))
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}},
		{"10 MB", "  body_size_limit: 1MB\n", failureSize, text(strings.Repeat("a 1\n", 10<<20/4))},
		{"garbage", "", failureFormat, text("<html><body>It works!</body></html>")},
		{"cut off", "", failureFormat, text("a 1\nb{c=\"")},
		{"no exposition", "", failureFormat, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write([]byte("<p>"))
		}},
		{"status", "", failureStatus, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusInternalServerError) }},
		{"too many samples", "  sample_limit: 50\n", failureLimit, text(many.String())},
		{"too many labels", "  label_limit: 4\n", failureLimit, text("a{b=\"1\",c=\"2\",d=\"3\"} 1\n")},
		{"TLS", "  scheme: https\n", failureTLS, text("a 1\n")},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			e := newExporter(t, "")
			e.handle(test.page)
			pace := "3s" // for the slowest of machines
			if test.reason == failureTimeout {
				pace = "200ms"
			}
			w := run(t, pacedJob(t, pace, test.config, e.address()))
			for _, b := range w.failed(test.reason) {
				for _, s := range b.Samples {
					if value.IsStaleNaN(s.V) || strings.HasPrefix(s.Labels.Get("__name__"), "m") || s.Labels.Get("__name__") == "a" {
						t.Errorf("delivered of a failed scrape: %+v", s)
					}
				}
			}
			if !strings.Contains(w.log.String(), "scrape failed") {
				t.Errorf("not logged:\n%s", w.log)
			}
		})
	}
	t.Run("nobody listens", func(t *testing.T) {
		t.Parallel()
		e := newExporter(t, "")
		address := e.address()
		e.Close()
		run(t, pacedJob(t, "3s", "", address)).failed(failureConnect)
	})
}

func stales(b sample.Batch, name string) int {
	n := 0
	for _, s := range b.Samples {
		if s.Labels.Get("__name__") == name && value.IsStaleNaN(s.V) {
			n++
		}
	}
	return n
}

// A series that a good scrape no longer has gets a stale marker, once; a failed
// scrape ends none, and the first good one after it tells which are gone.
func TestVanishedSeries(t *testing.T) {
	e := newExporter(t, "a 1\nb 1\nc 1\n")
	w := run(t, oneJob(t, "", e.address()))
	w.good(2)
	e.set("a 1\nb 1\n")
	count := func(all []sample.Batch, name string) int {
		n := 0
		for _, b := range all {
			n += stales(b, name)
		}
		return n
	}
	w.until("c is stale", func(all []sample.Batch) bool { return count(all, "c") > 0 })
	e.handle(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "down", http.StatusBadGateway) })
	w.failed(failureStatus)
	if all := w.sink.all(); count(all, "a")+count(all, "b") != 0 {
		t.Error("a failed scrape marked series stale")
	}
	e.set("a 1\n")
	all := w.until("b is stale", func(all []sample.Batch) bool { return count(all, "b") > 0 })
	for _, b := range all {
		if stales(b, "b") > 0 && (len(b.Ups) != 1 || !b.Ups[0].OK) {
			t.Errorf("b ended at a scrape that failed: %+v", b)
		}
	}
	before := len(all)
	all = w.until("three more scrapes", func(all []sample.Batch) bool { return len(all) >= before+3 })
	if count(all, "a") != 0 || count(all, "b") != 1 || count(all, "c") != 1 {
		t.Errorf("stale markers: a %d, b %d, c %d; want 0, 1, 1", count(all, "a"), count(all, "b"), count(all, "c"))
	}
}

// A target that file discovery drops ends its series, with those about the
// scrape; the others go on.
func TestTargetRemoved(t *testing.T) {
	stays, goes := newExporter(t, "a 1\n"), newExporter(t, "a 1\nb 2\n")
	file := filepath.Join(t.TempDir(), "targets.json")
	targets := func(addresses ...string) {
		t.Helper()
		b, err := json.Marshal([]map[string]any{{"targets": addresses, "labels": map[string]string{"env": "prod"}}})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file+".new", b, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
	targets(stays.address(), goes.address())
	w := run(t, oneJob(t, fmt.Sprintf("  file_sd_configs: [{files: [%q], refresh_interval: 1s}]\n", file)))
	name := func(e *exporter) string { return "scrape/test/" + e.address() + `{env="prod"}` }
	w.until("both are scraped", func(all []sample.Batch) bool {
		seen := map[string]bool{}
		for _, b := range all {
			seen[b.Source.Name] = true
		}
		return seen[name(stays)] && seen[name(goes)]
	})
	targets(stays.address())
	ended := map[string]bool{}
	w.until("the series end", func(all []sample.Batch) bool {
		for _, b := range all {
			for _, e := range b.Ends {
				if b.Source.Name != name(goes) || e.Reason != ReasonGone {
					t.Fatalf("end mark %+v of %s", e, b.Source.Name)
				}
				ended[e.Labels.Get("__name__")] = true
			}
		}
		return len(ended) > 0
	})
	if !ended["a"] || !ended["b"] || !ended["up"] || !ended["scrape_duration_seconds"] || len(ended) != 7 {
		t.Errorf("ended: %v", ended)
	}
	later := time.Now().Add(settle + time.Minute)
	gone := sample.Source{Customer: "acme", Name: name(goes)}
	if !w.m.Gone(gone, later) || w.m.Gone(gone, time.Now()) || w.m.Gone(sample.Source{Customer: "acme", Name: name(stays)}, later) ||
		w.m.Gone(sample.Source{Customer: "acme", Name: "host/web"}, later) || w.m.Gone(sample.Source{Customer: "shop", Name: name(goes)}, later) {
		t.Error("only a source of ours without a target is gone, and only after a while")
	}
}

// HTTP discovery finds targets.
func TestHTTPDiscovery(t *testing.T) {
	e := newExporter(t, "a 1\n")
	sd := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `[{"targets": [%q]}]`, e.address())
	}))
	t.Cleanup(sd.Close)
	w := run(t, oneJob(t, fmt.Sprintf("  http_sd_configs: [{url: %q}]\n", sd.URL)))
	if _, ok := find(w.good(1), "a"); !ok {
		t.Error("no series a")
	}
}

// Two customers may scrape the same target under the same job name.
func TestTwoCustomers(t *testing.T) {
	e := newExporter(t, "a 1\n")
	text := fmt.Sprintf("- {job_name: test, scrape_interval: 200ms, scrape_timeout: 200ms, static_configs: [{targets: [%q]}]}\n", e.address())
	w := run(t, customerJob(t, "acme", text), customerJob(t, "shop", text))
	for _, customer := range []string{"acme", "shop"} {
		w.until("a sample of "+customer, func(all []sample.Batch) bool {
			return slices.ContainsFunc(all, func(b sample.Batch) bool {
				s, ok := find(b, "a")
				return ok && b.Source.Customer == customer && s.Labels.Get("customer") == customer
			})
		})
	}
}

// What the sink refuses is counted and logged, and the next scrape goes on; a
// marker that was refused comes again.
func TestSinkRefuses(t *testing.T) {
	e := newExporter(t, "a 1\nb 1\n")
	w := run(t, oneJob(t, "", e.address()))
	w.good(2)
	w.sink.setRefuse(errors.New("disk full"))
	e.set("a 1\n")
	failures := func() uint64 { return w.counter("watchkeeper_scrape_commit_failures_total") }
	w.until("refusals", func([]sample.Batch) bool { return failures() >= 2 })
	if !strings.Contains(w.log.String(), "disk full") {
		t.Errorf("not logged:\n%s", w.log)
	}
	w.sink.setRefuse(nil)
	w.until("b is stale", func(all []sample.Batch) bool {
		return slices.ContainsFunc(all, func(b sample.Batch) bool { return stales(b, "b") == 1 })
	})
	if w.counter("watchkeeper_scrape_commits_total") <= failures() {
		t.Error("a failure counter must have its attempts counter")
	}
}

// A reload leaves an unchanged job alone, stops one that is gone, changes one
// in place, and with an error changes nothing.
func TestApply(t *testing.T) {
	same, changes, goes := newExporter(t, "a 1\n"), newExporter(t, "a 1\nb 1\n"), newExporter(t, "a 1\n")
	job := func(name, more string, e *exporter) Job {
		return customerJob(t, "acme", fmt.Sprintf("- job_name: %s\n  scrape_interval: 200ms\n  scrape_timeout: 200ms\n  static_configs: [{targets: [%q]}]\n%s", name, e.address(), more))
	}
	w := run(t, job("same", "", same), job("changes", "", changes), job("goes", "", goes))
	from := func(name string, n int) {
		t.Helper()
		w.until(name+" is scraped", func(all []sample.Batch) bool {
			got := 0
			for _, b := range all {
				if strings.HasPrefix(b.Source.Name, "scrape/"+name+"/") {
					got++
				}
			}
			return got >= n
		})
	}
	for _, name := range []string{"same", "changes", "goes"} {
		from(name, 2)
	}
	old, _ := w.m.current()
	unchanged := old[jobKey{"acme", "same"}]

	broken := job("broken", "  tls_config: {ca_file: missing.pem}\n", same)
	if err := w.m.Apply([]Job{job("same", "", same), job("changes", "", changes), broken, broken}); err == nil {
		t.Fatal("a job twice is taken")
	}
	now, _ := w.m.current()
	if len(now) != 3 {
		t.Fatalf("after a refused change %d jobs run", len(now))
	}

	if err := w.m.Apply([]Job{job("same", "", same), job("changes", "  metric_relabel_configs: [{source_labels: [__name__], regex: b, action: drop}]\n", changes)}); err != nil {
		t.Fatal(err)
	}
	stopped := goes.scrapes.Load()
	mark := len(w.sink.all())
	w.until("b is no longer delivered, and ends", func(all []sample.Batch) bool {
		return slices.ContainsFunc(all[mark:], func(b sample.Batch) bool { return stales(b, "b") > 0 })
	})
	now, _ = w.m.current()
	if now[jobKey{"acme", "same"}] != unchanged || len(now) != 2 {
		t.Errorf("jobs after the reload: %v", now)
	}
	if n := goes.scrapes.Load(); n != stopped {
		t.Errorf("a removed job scraped %d times more", n-stopped)
	}
	for _, b := range w.sink.all()[mark:] {
		if s, ok := find(b, "b"); ok && !value.IsStaleNaN(s.V) {
			t.Errorf("dropped by the new configuration and delivered: %+v", s)
		}
		if len(b.Ends) > 0 {
			t.Errorf("end marks of a target that goes on: %+v", b.Ends)
		}
	}
}

// A target whose every scrape fails with other series must not fill the memory.
func TestFailuresDoNotGrow(t *testing.T) {
	e := newExporter(t, "")
	var n atomic.Int64
	e.handle(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		for range 20 {
			fmt.Fprintf(w, "m{i=\"%d\"} 1\n", n.Add(1))
		}
		fmt.Fprint(w, "}")
	})
	w := run(t, oneJob(t, "", e.address()))
	w.until("five failures", func(all []sample.Batch) bool { return len(all) >= 5 })
	js, _ := w.m.current()
	target := js[jobKey{"acme", "test"}].target(sample.Source{Customer: "acme", Name: "scrape/test/" + e.address()})
	target.mu.Lock()
	defer target.mu.Unlock()
	if len(target.series) > 25 || len(target.byRef) != len(target.series) {
		t.Errorf("%d series are remembered", len(target.series))
	}
}

func TestLongNamesStayDifferent(t *testing.T) {
	a, b := bounded(strings.Repeat("x", 1000)+"a"), bounded(strings.Repeat("x", 1000)+"b")
	if a == b || len(a) > maxSourceBytes || bounded("short") != "short" {
		t.Errorf("%q, %q", a, b)
	}
}
