package tomcat

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/VictoriaMetrics/metrics"
	"github.com/google/go-cmp/cmp"

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

// recordings maps queries to files of what Tomcat 10.1 answered.
var recordings = map[string]string{
	"Catalina:type=Server":                       "server.txt",
	"java.lang:type=Memory":                      "memory.txt",
	"java.lang:type=Runtime":                     "runtime.txt",
	"java.lang:type=OperatingSystem":             "system.txt",
	"Catalina:type=GlobalRequestProcessor,*":     "requests.txt",
	"Catalina:type=ThreadPool,name=*":            "threads.txt",
	"Catalina:type=WebResourceRoot,name=Cache,*": "cache.txt",
	"Catalina:type=Cache,*":                      "cache7.txt",
	"Catalina:type=Manager,*":                    "sessions.txt",
	"java.lang:type=GarbageCollector,*":          "gc.txt",
}

// proxy answers with recordings, changed by edit.
func proxy(t testing.TB, edit func(query, answer string) string) exporters.Collector {
	t.Helper()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query().Get("qry")
		answer := "Error - javax.management.MalformedObjectNameException: " + query + "\r\n\tat x\r\n"
		if file, ok := recordings[query]; ok && r.URL.Path == "/manager/jmxproxy/" {
			answer = string(servertest.Recorded(t, file))
		}
		_, _ = io.WriteString(w, edit(query, answer))
	}))
	t.Cleanup(web.Close)
	return build(t, server.Settings{Name: "app-1"}, server.HTTP{URL: web.URL + "/manager"})
}

func asItIs(_, answer string) string { return answer }

func TestSeries(t *testing.T) {
	servertest.Golden(t, "series.golden", servertest.Collect(t, proxy(t, asItIs)))
}

// A JVM that knows no maximum says -1, and one that has just started a negative
// load: neither is a sample.
func TestWhatTheJVMDoesNotKnow(t *testing.T) {
	c := proxy(t, func(_, answer string) string {
		answer = strings.ReplaceAll(answer, "max=97320960", "max=-1")
		lines := strings.Split(answer, "\r\n")
		for i, l := range lines {
			if strings.HasPrefix(l, "ProcessCpuLoad: ") {
				lines[i] = "ProcessCpuLoad: -1.0"
			}
			if strings.HasPrefix(l, "SystemCpuLoad: ") {
				lines[i] = "SystemCpuLoad: NaN"
			}
		}
		return strings.Join(lines, "\r\n")
	})
	values := servertest.Values(servertest.Collect(t, c))
	for _, m := range []string{metricHeapMaxBytes, metricNonHeapMaxBytes, metricCPUUsedPercent, metricSystemCPUUsedPercent} {
		if v, ok := values[m]; ok {
			t.Errorf("%s is %v, want no sample", m, v)
		}
	}
	if values[metricHeapUsedBytes] == 0 || values[metricUptimeSeconds] == 0 {
		t.Errorf("heap and uptime are missing: %v", values)
	}
}

func TestPartsRefused(t *testing.T) {
	c := proxy(t, func(query, answer string) string {
		if strings.Contains(query, "ThreadPool") {
			return "Error - java.lang.SecurityException\r\n"
		}
		return answer
	})
	values := servertest.Values(servertest.Collect(t, c))
	if _, ok := values[`tomcat_threads{connector="http-nio-127.0.0.1-23082"}`]; ok || values[metricUptimeSeconds] == 0 {
		t.Errorf("got %v", values)
	}
}

func TestErrorInTheText(t *testing.T) {
	servertest.WantReason(t, proxy(t, func(string, string) string {
		return "Error - java.lang.SecurityException: no\r\n\tat somewhere\r\n"
	}), server.ReasonFormat)
}

func TestFailures(t *testing.T) { servertest.HTTPFailures(t, build) }

func TestNames(t *testing.T) {
	f := func(name, key, want string) {
		t.Helper()
		if got := (bean{name: name}).key(key); got != want {
			t.Errorf("%s of %s is %q, want %q", key, name, got, want)
		}
	}
	f(`Catalina:type=ThreadPool,name="http-nio-127.0.0.1-21082"`, "name", "http-nio-127.0.0.1-21082")
	f(`Catalina:type=ThreadPool,name="a,type=b",x=y`, "type", "ThreadPool")
	f(`Catalina:type=ThreadPool,name="a,type=b",x=y`, "x", "y")
	f(`Catalina:type=WebResourceRoot,host=localhost,context=/app,name=Cache`, "context", "/app")
	f(`java.lang:type=Memory`, "name", "")
	f(``, "name", "")
}

func TestComposite(t *testing.T) {
	want := map[string]string{"committed": "1", "init": "2", "max": "-1", "used": "4"}
	for _, text := range []string{
		"{committed=1, init=2, max=-1, used=4}",
		"javax.management.openmbean.CompositeDataSupport(compositeType=…,contents={committed=1, init=2, max=-1, used=4})",
	} {
		if diff := cmp.Diff(want, composite(text)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("OK - Number of results: 1\r\n\r\nName: a:b=\"c\r\nx: {a=1\r\n")
	f.Fuzz(func(t *testing.T, answer string) {
		beans, err := parse(answer)
		if err != nil {
			return
		}
		for _, b := range beans {
			b.key("name")
			composite(b.text["x"])
		}
	})
}
