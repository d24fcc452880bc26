package apache

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

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

// serve answers the form for machines only when it is asked for.
func serve(t testing.TB, page func() string) server.HTTP {
	t.Helper()
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !r.URL.Query().Has("auto") {
			_, _ = w.Write([]byte("<html>"))
			return
		}
		_, _ = w.Write([]byte(page()))
	}))
	t.Cleanup(web.Close)
	return server.HTTP{URL: web.URL + "/server-status"}
}

func TestSeries(t *testing.T) {
	page := string(servertest.Recorded(t, "status.txt"))
	servertest.Golden(t, "series.golden", servertest.Collect(t, build(t, server.Settings{Name: "web-1"}, serve(t, func() string { return page }))))
}

func TestFailures(t *testing.T) { servertest.HTTPFailures(t, build) }

func TestPages(t *testing.T) {
	page := string(servertest.Recorded(t, "status.txt"))
	f := func(what, page string, want status, ok bool) {
		t.Helper()
		got, err := parse(page)
		if (err == nil) != ok || got.uptime != want.uptime || got.cpuSeconds != want.cpuSeconds || got.cpuKnown != want.cpuKnown {
			t.Errorf("%s: %+v, error %v", what, got, err)
		}
	}
	f("CRLF", strings.ReplaceAll(page, "\n", "\r\n"), status{uptime: 7220, cpuSeconds: 2, cpuKnown: true}, true)
	f("a host name with a colon", "[::1]: x\n"+page, status{uptime: 7220, cpuSeconds: 2, cpuKnown: true}, true)
	f("old, without ServerUptimeSeconds", "Uptime: 5\nBusyWorkers: 1\nIdleWorkers: 7\n", status{uptime: 5}, true)
	f("ExtendedStatus off", "ServerUptimeSeconds: 5\nBusyWorkers: 1\n", status{uptime: 5}, true)
	f("the form for people", "<html><h1>Apache Server Status</h1>", status{}, false)
}

func TestPercentSince(t *testing.T) {
	began := time.Unix(1_790_000_000, 0)
	last := usage{at: began, seconds: 10, uptime: 100, start: 7}
	f := func(what string, now usage, cores int, want float64, ok bool) {
		t.Helper()
		got, gotOK := now.percentSince(last, cores)
		if got != want || gotOK != ok {
			t.Errorf("%s: %v %t, want %v %t", what, got, gotOK, want, ok)
		}
	}
	later := began.Add(time.Minute)
	f("half of four cores", usage{at: later, seconds: 130, uptime: 160, start: 7}, 4, 50, true)
	f("idle", usage{at: later, seconds: 10, uptime: 160, start: 7}, 4, 0, true)
	f("another parent", usage{at: later, seconds: 130, uptime: 160, start: 8}, 4, 0, false)
	f("restarted elsewhere", usage{at: later, seconds: 130, uptime: 5, start: 7}, 4, 0, false)
	f("a process ended", usage{at: later, seconds: 9, uptime: 160, start: 7}, 4, 0, false)
	f("no time passed", usage{at: began, seconds: 130, uptime: 100, start: 7}, 4, 0, false)
}

// CPU use of a server on another host grows from mod_status's seconds.
func TestRemoteCPU(t *testing.T) {
	user := 0.0
	h := serve(t, func() string {
		user += 1000
		return fmt.Sprintf("ServerUptimeSeconds: 5\nBusyWorkers: 1\nCPUUser: %v\nCPUSystem: 1\n", user)
	})
	c := buildWith(t, Config{Settings: server.Settings{Name: "web-1"}, HTTP: h, Cores: 2})
	first := servertest.Values(servertest.Collect(t, c))
	if v, ok := first[metricCPUUsedPercent]; ok {
		t.Errorf("%v %% at the first check: nothing to compare with", v)
	}
	if v := servertest.Values(servertest.Collect(t, c))[metricCPUUsedPercent]; v <= 0 {
		t.Errorf("%v %%, want a positive value", v)
	}
}

// This test's own process stands for Apache's parent.
func TestProcessesOfThisHost(t *testing.T) {
	pidFile := filepath.Join(t.TempDir(), "pid")
	if err := os.WriteFile(pidFile, []byte(strconv.Itoa(os.Getpid())), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := readProcesses(pidFile); err == nil || !strings.Contains(err.Error(), `is "apache.test"`) {
		t.Errorf("error %v, want one that names the process", err)
	}
	parentNames = append(parentNames, "apache.test")
	before, err := readProcesses(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	after := before
	for began := time.Now(); after.seconds-before.seconds < 0.05; {
		if time.Since(began) > 30*time.Second {
			t.Fatalf("used a core for 30 s and %v s are counted", after.seconds-before.seconds)
		}
		for spin := time.Now(); time.Since(spin) < 20*time.Millisecond; {
		}
		if after, err = readProcesses(pidFile); err != nil {
			t.Fatal(err)
		}
	}
	if after.start != before.start || after.start == 0 {
		t.Errorf("start %d, then %d", before.start, after.start)
	}
}
