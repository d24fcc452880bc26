package nginx

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

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

func serve(t testing.TB, page string) server.HTTP {
	t.Helper()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(page)) }))
	t.Cleanup(web.Close)
	return server.HTTP{URL: web.URL + "/nginx_status"}
}

func TestSeries(t *testing.T) {
	page := string(servertest.Recorded(t, "status.txt"))
	servertest.Golden(t, "series.golden", servertest.Collect(t, build(t, server.Settings{Name: "web-1"}, serve(t, page))))
}

func TestFailures(t *testing.T) { servertest.HTTPFailures(t, build) }

func TestPages(t *testing.T) {
	f := func(what, page string, ok bool) {
		t.Helper()
		if _, err := parse(page); (err == nil) != ok {
			t.Errorf("%s: error %v", what, err)
		}
	}
	whole := string(servertest.Recorded(t, "status.txt"))
	f("CRLF", "Active connections: 1\r\nserver accepts handled requests\r\n 2 2 2\r\nReading: 0 Writing: 1 Waiting: 0\r\n", true)
	f("Tengine", "Active connections: 1\nserver accepts handled requests request_time\n 2 2 2 40\nReading: 0 Writing: 1 Waiting: 0\n", true)
	f("cut off", whole[:len(whole)-6], false)
	f("negative", "Active connections: -1\nserver accepts handled requests\n 2 2 2\nReading: 0 Writing: 1 Waiting: 0\n", false)
	f("something follows", whole+"<html>", false)
}

// The pid file names a process that is not Nginx, or none: the page's figures
// are delivered, the uptime is not.
func TestForeignProcess(t *testing.T) {
	page := string(servertest.Recorded(t, "status.txt"))
	f := func(what, content string) {
		t.Helper()
		path := filepath.Join(t.TempDir(), "nginx.pid")
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		set := metrics.NewSet()
		c, err := New("acme", Config{Settings: server.Settings{Name: "web-1"}, HTTP: serve(t, page), PIDFile: path}, set, servertest.Log)
		if err != nil {
			t.Fatal(err)
		}
		values := servertest.Values(servertest.Collect(t, c))
		if _, ok := values[metricUptimeSeconds]; ok || values[metricConnectionsActive] != 291 {
			t.Errorf("%s: got %v", what, values)
		}
		if n := set.GetOrCreateCounter(`watchkeeper_middleware_part_failures_total{kind="nginx",part="uptime"}`).Get(); n != 1 {
			t.Errorf("%s: %d missed parts counted, want 1", what, n)
		}
	}
	f("another program", strconv.Itoa(os.Getpid()))
	f("no number", "nginx\n")
	f("too large", "99999999999")
	f("nobody", "2147483600")
}

func TestUptimeIsNeverNegative(t *testing.T) {
	masterNames = append(masterNames, "nginx.test")
	path := filepath.Join(t.TempDir(), "pid")
	if err := os.WriteFile(path, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	if d, err := masterUptime(t.Context(), path, now.Add(-24*time.Hour)); err != nil || d != 0 {
		t.Errorf("a day before the start: %s, %v", d, err)
	}
	if d, err := masterUptime(t.Context(), path, now.Add(time.Hour)); err != nil || d < time.Hour || d > 2*time.Hour {
		t.Errorf("in an hour: %s, %v", d, err)
	}
}
