package iis

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"

	"watchkeeper/exporters/middleware/server"
	"watchkeeper/exporters/middleware/server/servertest"
)

// services stand in for the service control manager.
type services map[string]service

func (s services) query(name string) (service, error) {
	found, ok := s[name]
	if !ok {
		return service{}, server.Failed(server.ReasonStatus, "service %s: The specified service does not exist as an installed service.", name)
	}
	return found, nil
}

func (services) close() {}

func build(t testing.TB, cfg Config, connect func() (manager, error)) *server.Collector {
	t.Helper()
	cfg.Name = "web-1"
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	return newCollector("acme", cfg, connect, metrics.NewSet(), servertest.Log)
}

func having(s services) func() (manager, error) { return func() (manager, error) { return s, nil } }

func TestSeries(t *testing.T) {
	c := build(t, Config{Services: []string{"W3SVC", "WAS", "FTPSVC"}}, having(services{
		"W3SVC":  {4, 2, servertest.At.Add(-time.Hour)},
		"WAS":    {4, 3, servertest.At.Add(-2 * time.Hour)},
		"FTPSVC": {1, 4, time.Time{}},
	}))
	servertest.Golden(t, "series.golden", servertest.Collect(t, c))
}

// The process outlives a restart of the web service alone: the uptime begins
// anew all the same when a check saw the service down. A process that is younger counts.
func TestUptime(t *testing.T) {
	started := servertest.At.Add(-time.Hour)
	now := services{"W3SVC": {4, 2, started}}
	c := build(t, Config{}, having(now))
	at := servertest.At
	check := func(s service) any {
		t.Helper()
		now["W3SVC"] = s
		at = at.Add(time.Minute)
		if v, ok := servertest.Values(servertest.CollectAt(t, c, at).Samples)[metricUptimeSeconds]; ok {
			return v
		}
		return nil
	}
	var got []any
	got = append(got,
		check(service{4, 2, started}),
		check(service{3, 2, started}), // stopping
		check(service{1, 2, time.Time{}}),
		check(service{4, 2, started}),
		check(service{4, 2, started}),
		check(service{4, 2, at.Add(50 * time.Second)}),
		check(service{4, 2, at.Add(time.Hour)}), // a clock that was set back
		check(service{4, 2, time.Time{}}),       // a process that may not be looked at
	)
	want := []any{3660.0, nil, nil, 60.0, 120.0, 10.0, 0.0, nil}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("uptime (-want +got):\n%s", diff)
	}
}

// One service that is not installed is missed; when none is, the check fails.
func TestNotInstalled(t *testing.T) {
	have := services{"W3SVC": {4, 2, servertest.At.Add(-time.Hour)}}
	values := servertest.Values(servertest.Collect(t, build(t, Config{Services: []string{"FTPSVC", "W3SVC"}}, having(have))))
	want := map[string]float64{`iis_service_state{service="W3SVC"}`: 4, `iis_service_start_type{service="W3SVC"}`: 2, "iis_uptime_seconds": 3600}
	if diff := cmp.Diff(want, values); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
	servertest.WantReason(t, build(t, Config{}, having(nil)), server.ReasonStatus)
	servertest.WantReason(t, build(t, Config{}, func() (manager, error) {
		return nil, server.Failed(server.ReasonDenied, "service control manager: Access is denied.")
	}), server.ReasonDenied)
}

// A service control manager that does not answer is a failed check on time, and
// asked by one check only.
func TestHung(t *testing.T) {
	hung, asked := make(chan struct{}), make(chan struct{}, 10)
	defer close(hung)
	cfg := Config{}
	cfg.Timeout = model.Duration(50 * time.Millisecond)
	c := build(t, cfg, func() (manager, error) { asked <- struct{}{}; <-hung; return services{}, nil })
	servertest.WantReason(t, c, server.ReasonTimeout)
	<-asked
	servertest.WantReason(t, c, server.ReasonTimeout)
	if len(asked) != 0 {
		t.Error("asked again while the first question waits for its answer")
	}
}

func TestOtherSystems(t *testing.T) {
	cfg := Config{Settings: server.Settings{Name: "web-1"}}
	_, err := New("acme", cfg, metrics.NewSet(), servertest.Log)
	if runtime.GOOS == "windows" {
		if err != nil {
			t.Error(err)
		}
		return
	}
	if err == nil || !strings.Contains(err.Error(), "iis is read on the Windows host itself; this is "+runtime.GOOS) {
		t.Errorf("error %v", err)
	}
	if _, err := connect(); err == nil {
		t.Error("connected to a service control manager on " + runtime.GOOS)
	}
}

func TestValidate(t *testing.T) {
	f := func(services []string, want string) {
		t.Helper()
		got := ""
		if err := (Config{Settings: server.Settings{Name: "a"}, Services: services}).Validate(); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("error %q, want %q", got, want)
		}
	}
	f(nil, "")
	f([]string{"W3SVC", "WAS"}, "")
	f([]string{"W3SVC", "w3svc"}, `services[1]: "w3svc" is there twice`)
	f([]string{""}, `services[0]: "" is not a service's name`)
	f([]string{`a\b`}, `services[0]: "a\\b" is not a service's name`)
	f(make([]string, 21), "services: more than 20")
}
