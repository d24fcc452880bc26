package elasticsearch

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/VictoriaMetrics/metrics"

	"watchkeeper/exporters"
	"watchkeeper/exporters/middleware/server"
	"watchkeeper/exporters/middleware/server/servertest"
)

func build(t testing.TB, s server.Settings, h server.HTTP) exporters.Collector {
	t.Helper()
	c, err := New("acme", Config{Settings: s, HTTP: h}, metrics.NewSet(), servertest.Log)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func cluster(t testing.TB, status string, nodesStatus int) exporters.Collector {
	t.Helper()
	health := strings.Replace(string(servertest.Recorded(t, "health.json")), "yellow", status, 1)
	nodes := servertest.Recorded(t, "nodes.json")
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/_cluster/health":
			_, _ = w.Write([]byte(health))
		case "/_nodes/stats/process,os,jvm,fs":
			w.WriteHeader(nodesStatus)
			_, _ = w.Write(nodes)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(web.Close)
	return build(t, server.Settings{Name: "logs"}, server.HTTP{URL: web.URL})
}

func TestSeries(t *testing.T) {
	servertest.Golden(t, "series.golden", servertest.Collect(t, cluster(t, "yellow", http.StatusOK)))
}

func TestStatus(t *testing.T) {
	for status, want := range map[string]float64{"green": 1, "yellow": 2, "red": 3} {
		values := servertest.Values(servertest.Collect(t, cluster(t, status, http.StatusInternalServerError)))
		if values[metricClusterStatus] != want {
			t.Errorf("%s is %v, want %v, also when the nodes do not answer", status, values[metricClusterStatus], want)
		}
	}
	servertest.WantReason(t, cluster(t, "purple", http.StatusOK), server.ReasonFormat)
}

func TestFailures(t *testing.T) { servertest.HTTPFailures(t, build) }
