package java

import (
	"io"
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

// recorded answers bulk requests with the recording, changed by replacements.
func recorded(t testing.TB, replacements ...string) *server.Collector {
	t.Helper()
	page := strings.NewReplacer(replacements...).Replace(string(servertest.Recorded(t, "answers.json")))
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.URL.Path != "/jolokia" {
			http.NotFound(w, r)
			return
		}
		_, _ = io.WriteString(w, page)
	}))
	t.Cleanup(web.Close)
	c, err := New("acme", Config{
		Settings: server.Settings{Name: "shop"}, HTTP: server.HTTP{URL: web.URL + "/jolokia"},
		Attributes: []Attribute{
			{MBean: "java.lang:type=MemoryPool,name=Metaspace", Attribute: "Usage", Path: "used", Metric: "java_app_metaspace_used_bytes"},
			{MBean: "x:type=none", Attribute: "Value", Metric: "java_app_none"},
		},
	}, metrics.NewSet(), servertest.Log)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSeries(t *testing.T) {
	servertest.Golden(t, "series.golden", servertest.Collect(t, recorded(t)))
	bounded := servertest.Collect(t, recorded(t, `"max":-1`, `"max":24000000`))
	servertest.Golden(t, "bounded.golden", bounded)
}

// -1 is not a maximum and a negative load not a load: no samples.
func TestWhatTheJVMDoesNotKnow(t *testing.T) {
	values := servertest.Values(servertest.Collect(t, recorded(t, `"ProcessCpuLoad":0.125`, `"ProcessCpuLoad":-1`, `"max":97320960`, `"max":-1`)))
	for _, m := range []string{metricCPUUsedPercent, metricHeapMaxBytes, metricNonHeapMaxBytes} {
		if v, ok := values[m]; ok {
			t.Errorf("%s is %v, want no sample", m, v)
		}
	}
}

func TestRefused(t *testing.T) {
	servertest.WantReason(t, recorded(t, `"status":200},
{"request":{"mbean":"java.lang:type=Runtime"`, `"status":403,"error":"not allowed"},
{"request":{"mbean":"java.lang:type=Runtime"`), server.ReasonDenied)
	servertest.WantReason(t, recorded(t, `"HeapMemoryUsage":{`, `"Other":{`), server.ReasonFormat)
}

func TestFailures(t *testing.T) { servertest.HTTPFailures(t, build) }
