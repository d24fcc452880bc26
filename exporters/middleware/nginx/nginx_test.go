package nginx

import (
	"fmt"
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

// A counter of connections that falls stands for a restart, however long nobody
// answered in between; where the master's uptime is known it is not needed.
func TestCounterThatFalls(t *testing.T) {
	accepts := 100
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if accepts < 0 {
			http.Error(w, "down", http.StatusBadGateway)
			return
		}
		fmt.Fprintf(w, "Active connections: 1\nserver accepts handled requests\n %d %d %d\nReading: 0 Writing: 1 Waiting: 0\n", accepts, accepts, accepts)
	}))
	t.Cleanup(web.Close)
	c := build(t, server.Settings{Name: "web-1"}, server.HTTP{URL: web.URL})
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	check := func(counter int, want float64, known bool) {
		t.Helper()
		at, accepts = at.Add(time.Minute), counter
		got, ok := servertest.Values(servertest.CollectAt(t, c, at).Samples)[metricRestartSeenAgeSeconds]
		if got != want || ok != known {
			t.Errorf("counter at %d: age %v, %t; want %v, %t", counter, got, ok, want, known)
		}
	}
	check(100, 0, false)
	check(101, 0, false)
	accepts, at = -1, at.Add(3*time.Hour)
	servertest.WantReason(t, c, server.ReasonStatus)
	check(7, 0, true)
	check(8, 60, true)
	check(200, 120, true)
	check(1, 0, true)

	masterNames = append(masterNames, "nginx.test")
	path := filepath.Join(t.TempDir(), "pid")
	if err := os.WriteFile(path, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	var err error
	cfg := Config{Settings: server.Settings{Name: "web-2"}, HTTP: server.HTTP{URL: web.URL}, PIDFile: path}
	if c, err = New("acme", cfg, metrics.NewSet(), servertest.Log); err != nil {
		t.Fatal(err)
	}
	check(9, 0, false)
	check(3, 0, false)
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
