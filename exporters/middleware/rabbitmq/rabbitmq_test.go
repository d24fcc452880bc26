package rabbitmq

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/VictoriaMetrics/metrics"

	"watchkeeper/exporters"
	"watchkeeper/exporters/middleware/server"
	"watchkeeper/exporters/middleware/server/servertest"
)

func build(t testing.TB, s server.Settings, h server.HTTP) exporters.Collector {
	t.Helper()
	return buildWith(t, Config{Settings: s, HTTP: h})
}

func buildWith(t testing.TB, cfg Config) exporters.Collector {
	t.Helper()
	c, err := New("acme", cfg, metrics.NewSet(), servertest.Log)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// api answers with recorded pages; health is the status of the health checks.
type api struct {
	nodes  string
	health int
}

func (a api) serve(t testing.TB) server.HTTP {
	t.Helper()
	pages := map[string][]byte{
		"/api/overview": servertest.Recorded(t, "overview.json"),
		"/api/nodes":    servertest.Recorded(t, a.nodes),
		"/api/queues":   servertest.Recorded(t, "queues.json"),
	}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		page, ok := pages[r.URL.Path]
		switch {
		case ok:
			_, _ = w.Write(page)
		case r.URL.Path == "/api/health/checks/local-alarms":
			w.WriteHeader(a.health)
		case r.URL.Path == "/api/health/checks/virtual-hosts":
			_, _ = w.Write([]byte(`{"status":"ok"}`))
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(web.Close)
	return server.HTTP{URL: web.URL}
}

var settings = server.Settings{Name: "mq"}

func TestSeries(t *testing.T) {
	servertest.Golden(t, "series.golden", servertest.Collect(t, build(t, settings, api{"nodes.json", 200}.serve(t))))
}

// For some seconds after its start the node answers without figures: there are
// no samples of what it does not know, and no zeros.
func TestStarting(t *testing.T) {
	c := buildWith(t, Config{Settings: settings, HTTP: api{"nodes_starting.json", 200}.serve(t), Queues: -1})
	servertest.Golden(t, "starting.golden", servertest.Collect(t, c))
}

func TestHealth(t *testing.T) {
	f := func(what string, a api, localOnly bool, want map[string]float64) {
		t.Helper()
		values := servertest.Values(servertest.Collect(t, buildWith(t, Config{Settings: settings, HTTP: a.serve(t), LocalOnly: localOnly})))
		for _, node := range []string{"rabbit@mq-1", "rabbit@mq-2"} {
			got, ok := values[`rabbitmq_health_code{node="`+node+`"}`]
			wanted, wantedOK := want[node]
			if got != wanted || ok != wantedOK {
				t.Errorf("%s: %s has code %v (%t), want %v (%t)", what, node, got, ok, wanted, wantedOK)
			}
		}
	}
	f("one node is down", api{"nodes.json", 200}, false, map[string]float64{"rabbit@mq-1": 0, "rabbit@mq-2": 1})
	f("the node that answers alone", api{"nodes.json", 200}, true, map[string]float64{"rabbit@mq-1": 0})
	f("its check fails", api{"nodes.json", 503}, true, map[string]float64{"rabbit@mq-1": 1})
	f("a server that knows no such check", api{"nodes.json", 404}, true, map[string]float64{"rabbit@mq-1": 0})
}

// A node that the cluster forgets ends its series.
func TestNodeForgotten(t *testing.T) {
	list := `[{"name":"rabbit@mq-1","running":true},{"name":"rabbit@mq-2","running":false}]`
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/api/overview":
			_, _ = w.Write([]byte(`{"node":"rabbit@mq-1"}`))
		case "/api/nodes":
			_, _ = w.Write([]byte(list))
		}
	}))
	defer web.Close()
	c := buildWith(t, Config{Settings: settings, HTTP: server.HTTP{URL: web.URL}, Queues: -1})
	servertest.CollectAt(t, c, servertest.At)
	list = `[{"name":"rabbit@mq-1","running":true}]`
	ends := servertest.CollectAt(t, c, servertest.At).Ends
	if len(ends) != 2 { // health and running
		t.Errorf("%d series ended, want 2", len(ends))
	}
	for _, e := range ends {
		if e.Labels.Get("node") != "rabbit@mq-2" || e.Reason != "deleted" {
			t.Errorf("ended: %s, %s", e.Labels, e.Reason)
		}
	}
}

// A health check that cannot be asked is not a verdict about the node.
func TestHealthRefused(t *testing.T) {
	servertest.WantReason(t, build(t, settings, api{"nodes.json", 401}.serve(t)), server.ReasonAuth)
	servertest.WantReason(t, build(t, settings, api{"nodes.json", 500}.serve(t)), server.ReasonStatus)
}

func TestFailures(t *testing.T) { servertest.HTTPFailures(t, build) }
