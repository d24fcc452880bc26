package kubernetes

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"

	"watchkeeper/exporters"
	"watchkeeper/exporters/middleware/server"
	"watchkeeper/exporters/middleware/server/servertest"
)

// serve answers with what body returns, as kube-state-metrics's page.
func serve(t testing.TB, body func() string) Config {
	t.Helper()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/metrics" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		_, _ = io.WriteString(w, body())
	}))
	t.Cleanup(web.Close)
	return Config{Settings: server.Settings{Name: "prod", Timeout: model.Duration(30 * time.Second)}, StateMetricsURL: web.URL + "/metrics"}
}

func fixed(text string) func() string { return func() string { return text } }

func recordedPage(t testing.TB) string { return string(servertest.Recorded(t, "state_metrics.txt")) }

// The page is kube-state-metrics's own of the cluster of the API's test: both
// ways must read the same, except for what the page does not tell.
func TestStateMetricsAgree(t *testing.T) {
	want := servertest.Values(servertest.Collect(t, build(t, newAPIServer(t).start(t))))
	for series, v := range want {
		switch {
		case strings.HasPrefix(series, metricInfo):
			delete(want, series)
		case strings.HasPrefix(series, metricContainerExitCode) && v != 0:
			want[series] = 1
		}
	}
	got := servertest.Values(servertest.Collect(t, build(t, serve(t, fixed(recordedPage(t))))))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("series (-API +kube-state-metrics):\n%s", diff)
	}
}

// A pod that is gone from the page is deleted; one of a resource that is not on
// the page at all is not.
func TestStateMetricsDeleted(t *testing.T) {
	text := recordedPage(t)
	set := metrics.NewSet()
	c, err := New("acme", serve(t, func() string { return text }), set, servertest.Log)
	if err != nil {
		t.Fatal(err)
	}
	keep := func(f func(line string) bool) string {
		var kept strings.Builder
		for line := range strings.Lines(recordedPage(t)) {
			if f(line) {
				kept.WriteString(line)
			}
		}
		return kept.String()
	}
	ended := func() map[string]int {
		pods := make(map[string]int)
		for _, e := range servertest.CollectAt(t, c, servertest.At).Ends {
			pods[e.Labels.Get("pod")+" "+e.Reason]++
		}
		return pods
	}
	ended()
	text = keep(func(line string) bool { return !strings.Contains(line, "kube_pod") })
	if got := ended(); len(got) != 0 {
		t.Errorf("without pods on the page: ended %v", got)
	}
	if n := set.GetOrCreateCounter(`watchkeeper_middleware_part_failures_total{kind="kubernetes",part="pods"}`).Get(); n != 1 {
		t.Errorf("missed %d times, want 1", n)
	}
	text = keep(func(line string) bool { return !strings.Contains(line, `pod="import-1"`) })
	if diff := cmp.Diff(map[string]int{"import-1 deleted": 6}, ended()); diff != "" {
		t.Errorf("ended (-want +got):\n%s", diff)
	}
	// All pods are gone, but the page would tell of others.
	text = keep(func(line string) bool { return !strings.Contains(line, `pod="`) })
	if got := ended(); len(got) != 6 {
		t.Errorf("ended %v, want the series of six pods", got)
	}
}

func TestStateMetricsFailures(t *testing.T) {
	f := func(name, text, reason string) {
		t.Run(name, func(t *testing.T) { servertest.WantReason(t, build(t, serve(t, fixed(text))), reason) })
	}
	f("another exporter", "# TYPE node_load1 gauge\nnode_load1 0.5\n", server.ReasonFormat)
	f("empty", "", server.ReasonFormat)
	f("garbage", "\x00\xff\x16\x03 garbage", server.ReasonFormat)
	f("broken sample", "# TYPE kube_pod_status_phase gauge\nkube_pod_status_phase{namespace=\"a\n", server.ReasonFormat)
	f("cut off", recordedPage(t)[:len(recordedPage(t))-10], server.ReasonFormat)
	f("a line without end", "kube_pod_status_phase{namespace=\""+strings.Repeat("x", 1<<20)+"\"} 1\n", server.ReasonFormat)
	t.Run("too large", func(t *testing.T) {
		f := func(maxBytes int64) (*server.Collector, error) {
			return newCollector("acme", serve(t, fixed(recordedPage(t))), limits{series: 1_000, pageBytes: maxBytes}, metrics.NewSet(), servertest.Log)
		}
		size := int64(len(recordedPage(t)))
		c, err := f(size - 1)
		if err != nil {
			t.Fatal(err)
		}
		servertest.WantReason(t, c, server.ReasonTooLarge)
		if c, err = f(size); err != nil {
			t.Fatal(err)
		}
		servertest.Collect(t, c)
	})
	t.Run("not there", func(t *testing.T) {
		cfg := serve(t, fixed(""))
		cfg.StateMetricsURL += "x"
		servertest.WantReason(t, build(t, cfg), server.ReasonStatus)
	})
	t.Run("refused", func(t *testing.T) {
		web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer "+token {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			_, _ = io.WriteString(w, recordedPage(t))
		}))
		defer web.Close()
		cfg := Config{Settings: server.Settings{Name: "prod"}, StateMetricsURL: web.URL}
		servertest.WantReason(t, build(t, cfg), server.ReasonAuth)
		cfg.TokenFile = servertest.PasswordFile(t, token)
		servertest.Collect(t, build(t, cfg))
	})
	t.Run("closed in the middle", func(t *testing.T) {
		web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000000")
			_, _ = io.WriteString(w, "# TYPE kube_pod_status_phase gauge\n")
		}))
		defer web.Close()
		servertest.WantReason(t, build(t, Config{Settings: server.Settings{Name: "prod"}, StateMetricsURL: web.URL}), server.ReasonClosed)
	})
	servertest.TCPFailures(t, func(t testing.TB, s server.Settings, address string) exporters.Collector {
		return build(t, Config{Settings: s, StateMetricsURL: "http://" + address + "/metrics"})
	})
}
