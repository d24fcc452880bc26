package docker

import (
	"fmt"
	"maps"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/google/go-cmp/cmp"

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

// engine answers at a Unix socket for containers by id; pages may be changed
// between checks.
type engine map[string]string

const (
	list  = `[{"Id":"aaa","Names":["/other/web","/web"],"Image":"shop:1"},{"Id":"bbb","Names":["/batch"],"Image":"batch:2"},{"Id":"ccc","Names":["/ended"],"Image":"x"}]`
	begin = "2026-11-21T12:00:00Z"
)

func container1(second int, cpuSeconds float64, memory string) string {
	return fmt.Sprintf(`{"read":"2026-11-21T12:00:%02d.5Z","cpu_stats":{"cpu_usage":{"total_usage":%.0f},"online_cpus":4},"memory_stats":%s,
"pids_stats":{"current":3},"networks":{"eth0":{"rx_bytes":100,"tx_bytes":50},"eth1":{"rx_bytes":1,"tx_bytes":2}}}`, second, cpuSeconds*1e9, memory)
}

func newEngine(t testing.TB) (engine, exporters.Collector) {
	t.Helper()
	e := engine{
		"/info":                `{"ServerVersion":"20.10.24","NCPU":4,"ContainersRunning":2,"ContainersPaused":0,"ContainersStopped":1}`,
		"/containers/json":     list,
		"/containers/aaa/json": `{"RestartCount":2,"State":{"StartedAt":"` + begin + `"},"HostConfig":{"NanoCpus":500000000}}`,
		"/containers/bbb/json": `{"RestartCount":0,"State":{"StartedAt":"` + begin + `"},"HostConfig":{"NanoCpus":0,"CpuQuota":0}}`,
		// cgroup v2 and v1
		"/containers/aaa/stats": container1(0, 100, `{"usage":60000000,"limit":67108864,"stats":{"inactive_file":10000000}}`),
		"/containers/bbb/stats": container1(0, 50, `{"usage":60000000,"limit":16000000000,"stats":{"total_inactive_file":20000000,"inactive_file":1}}`),
	}
	socket := filepath.Join(t.TempDir(), "d.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		page, ok := e[r.URL.Path]
		if !ok {
			http.Error(w, `{"message":"No such container"}`, http.StatusNotFound)
			return
		}
		_, _ = w.Write([]byte(page))
	})}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { s.Close() })
	return e, buildWith(t, Config{Settings: server.Settings{Name: "host-1"}, Socket: socket})
}

func TestSeries(t *testing.T) {
	e, c := newEngine(t)
	first := servertest.Values(servertest.Collect(t, c))
	if v, ok := first[`docker_container_cpu_used_percent{container="web"}`]; ok {
		t.Errorf("%v %% at the first check", v)
	}
	// Ten seconds later: 4.5 s of half a core, 20 s of four cores.
	e["/containers/aaa/stats"] = container1(10, 104.5, `{"usage":60000000,"limit":67108864,"stats":{"inactive_file":10000000}}`)
	e["/containers/bbb/stats"] = container1(10, 70, `{"usage":60000000,"limit":16000000000,"stats":{"total_inactive_file":20000000,"inactive_file":1}}`)
	servertest.Golden(t, "series.golden", servertest.Collect(t, c))
}

// A container that is stopped ends its series; one that is created anew under
// its name goes on with them.
func TestStopped(t *testing.T) {
	e, c := newEngine(t)
	servertest.CollectAt(t, c, servertest.At)
	e["/containers/json"] = `[{"Id":"ddd","Names":["/web"],"Image":"shop:2"}]`
	e["/containers/ddd/json"], e["/containers/ddd/stats"] = e["/containers/aaa/json"], container1(9, 1, `{}`)
	b := servertest.CollectAt(t, c, servertest.At.Add(time.Minute))
	ended := make(map[string]bool)
	for _, end := range b.Ends {
		ended[end.Labels.Get("container")+" "+end.Reason] = true
	}
	if diff := cmp.Diff([]string{"batch stopped"}, slices.Collect(maps.Keys(ended))); diff != "" {
		t.Errorf("ended (-want +got):\n%s", diff)
	}
	if v, ok := servertest.Values(b.Samples)[`docker_container_cpu_used_percent{container="web"}`]; ok {
		t.Errorf("%v %% of a container that was not there before", v)
	}
}

func TestCores(t *testing.T) {
	f := func(nano, quota, period, want float64) {
		t.Helper()
		var i inspected
		i.HostConfig.NanoCpus, i.HostConfig.CpuQuota, i.HostConfig.CpuPeriod = nano, quota, period
		if got := i.cores(8); got != want {
			t.Errorf("%v, %v, %v: %v cores, want %v", nano, quota, period, got, want)
		}
	}
	f(0, 0, 0, 8)
	f(5e8, 0, 0, 0.5)
	f(0, 150_000, 100_000, 1.5)
	f(0, 200_000, 0, 2)
	f(0, -1, 100_000, 8)
}

func TestFailures(t *testing.T) {
	servertest.HTTPFailures(t, build)
	servertest.WantReason(t, buildWith(t, Config{Settings: server.Settings{Name: "host-1"}, Socket: filepath.Join(t.TempDir(), "none")}), server.ReasonConnect)
}

func TestOneContainerFails(t *testing.T) {
	e, c := newEngine(t)
	e["/containers/bbb/stats"] = "garbage"
	values := servertest.Values(servertest.Collect(t, c))
	if _, ok := values[`docker_container_memory_used_bytes{container="web"}`]; !ok {
		t.Errorf("the other container is not delivered: %v", values)
	}
	for series := range values {
		if strings.Contains(series, "batch") {
			t.Errorf("%s is delivered", series)
		}
	}
}
