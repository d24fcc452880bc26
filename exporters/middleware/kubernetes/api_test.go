package kubernetes

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
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

func build(t testing.TB, cfg Config) *server.Collector {
	t.Helper()
	c, err := New("acme", cfg, metrics.NewSet(), servertest.Log)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAPI(t *testing.T) {
	servertest.Golden(t, "api.golden", servertest.Collect(t, build(t, newAPIServer(t).start(t))))
}

// However the lists are cut into pages, and when pages expire, every object is
// there once.
func TestPages(t *testing.T) {
	want := servertest.Values(servertest.Collect(t, build(t, newAPIServer(t).start(t))))
	for _, f := range []struct{ pageSize, expire int }{{1, 0}, {2, 0}, {3, 0}, {2, 1}, {2, 2}} {
		s := newAPIServer(t)
		s.pageSize, s.expire = f.pageSize, f.expire
		samples := servertest.Collect(t, build(t, s.start(t)))
		got := servertest.Values(samples)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%+v: (-want +got):\n%s", f, diff)
		}
		if len(samples) != len(got) {
			t.Errorf("%+v: %d samples of %d series", f, len(samples), len(got))
		}
	}
	s := newAPIServer(t)
	s.pageSize, s.expire = 1, 1_000
	servertest.WantReason(t, build(t, s.start(t)), server.ReasonStatus)
}

// More pods than a page, and more than are delivered: what is cut off is
// missed, and nothing ends for it.
func TestManyPods(t *testing.T) {
	s := newAPIServer(t)
	small := limits{items: 250, series: 700} // three pages
	var pods []json.RawMessage
	for i := range small.items + 1 {
		phase := "Running"
		if i == small.items-1 {
			phase = "Failed"
		}
		pods = append(pods, json.RawMessage(fmt.Sprintf(`{"metadata":{"namespace":"shop","name":"p-%05d"},"status":{"phase":%q,"containerStatuses":[
			{"name":"a","restartCount":0,"state":{"running":{}}},{"name":"b","restartCount":0,"state":{"running":{}}}]}}`, i, phase)))
	}
	s.objects["pods"] = pods
	set := metrics.NewSet()
	c, err := newCollector("acme", s.start(t), small, set, servertest.Log)
	if err != nil {
		t.Fatal(err)
	}
	samples := servertest.Collect(t, c)
	if len(samples) != small.series {
		t.Errorf("%d samples, want the limit of %d", len(samples), small.series)
	}
	// The one in trouble is not among those that the limit cuts off.
	if v := servertest.Values(samples)[fmt.Sprintf(`kubernetes_pod_failed{namespace="shop",pod="p-%05d"}`, small.items-1)]; v != 1 {
		t.Error("the failed pod is left out")
	}
	for _, part := range []string{"pods", "series"} {
		if n := set.GetOrCreateCounter(fmt.Sprintf(`watchkeeper_middleware_part_failures_total{kind="kubernetes",part=%q}`, part)).Get(); n != 1 {
			t.Errorf("%s missed %d times, want 1", part, n)
		}
	}
	s.change(func() { s.objects["pods"] = pods[1:] })
	if ends := servertest.CollectAt(t, c, servertest.At.Add(time.Minute)).Ends; len(ends) != 7 || ends[0].Labels.Get("pod") != "p-00000" {
		t.Errorf("%d series ended, want the 7 of the first pod", len(ends))
	}
}

// Deleted pods, nodes and workloads end their series, once; a workload that is
// scaled to zero ends the series that it then lacks.
func TestDeleted(t *testing.T) {
	s := newAPIServer(t)
	c := build(t, s.start(t))
	at := servertest.At
	check := func(want ...string) {
		t.Helper()
		var got []string
		at = at.Add(time.Minute)
		for _, e := range servertest.CollectAt(t, c, at).Ends {
			l := e.Labels
			got = append(got, strings.Join([]string{l.Get("__name__"), l.Get("node") + l.Get("workload") + l.Get("deployment") + l.Get("pod"), e.Reason}, " "))
		}
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("ended (-want +got):\n%s", diff)
		}
	}
	check()
	s.change(func() { s.objects = recorded(t).without("pods", "import-1").without("nodes", "node-3") })
	check("kubernetes_container_exit_code import-1 deleted", "kubernetes_container_restarts_total import-1 deleted",
		"kubernetes_container_state_info import-1 deleted", "kubernetes_container_terminated import-1 deleted", "kubernetes_container_waiting import-1 deleted",
		"kubernetes_node_condition node-3 deleted", "kubernetes_node_condition node-3 deleted", "kubernetes_node_condition node-3 deleted",
		"kubernetes_node_info node-3 deleted", "kubernetes_node_ready node-3 deleted", "kubernetes_node_unschedulable node-3 deleted",
		"kubernetes_pod_failed import-1 deleted")
	check()
	s.change(func() {
		for i, d := range s.objects["deployments"] {
			if metaOf(d).Name == "web" {
				s.objects["deployments"][i] = json.RawMessage(`{"metadata":{"namespace":"shop","name":"web"},"spec":{"replicas":0},"status":{}}`)
			}
		}
	})
	check("kubernetes_workload_desired_pods web wants no pods")
	// While the list cannot be read nobody knows what is gone.
	s.change(func() { s.forbidden["pods"], s.objects = true, s.objects.without("pods", "web-6d4-a") })
	check()
	s.change(func() { s.forbidden["pods"] = false })
	check("kubernetes_container_restarts_total web-6d4-a deleted", "kubernetes_container_restarts_total web-6d4-a deleted",
		"kubernetes_container_terminated web-6d4-a deleted", "kubernetes_container_terminated web-6d4-a deleted",
		"kubernetes_container_waiting web-6d4-a deleted", "kubernetes_container_waiting web-6d4-a deleted", "kubernetes_pod_failed web-6d4-a deleted")
}

// An account that may see some of it delivers that.
func TestForbidden(t *testing.T) {
	s := newAPIServer(t)
	s.forbidden["nodes"] = true
	values := servertest.Values(servertest.Collect(t, build(t, s.start(t))))
	if _, ok := values[`kubernetes_pod_failed{namespace="shop",pod="import-1"}`]; !ok {
		t.Errorf("delivered %v", values)
	}
	for resource := range kinds {
		s.forbidden[resource] = true
	}
	c := build(t, s.start(t))
	servertest.WantReason(t, c, server.ReasonDenied)
	if err := c.Collect(t.Context(), servertest.At, new(servertest.Sink)); !strings.Contains(err.Error(), `User "system:serviceaccount:monitoring:watchkeeper" cannot list`) {
		t.Errorf("error %v does not say what is lacking", err)
	}
}

func TestNamespaces(t *testing.T) {
	s := newAPIServer(t)
	s.forbidden["other/pods"], s.forbidden["nodes"] = true, true
	cfg := s.start(t)
	cfg.Namespaces = []string{"other", "kube-system"}
	values := servertest.Values(servertest.Collect(t, build(t, cfg)))
	for series, want := range map[string]bool{
		`kubernetes_pod_failed{namespace="kube-system",pod="coredns-5f-x"}`:                              true,
		`kubernetes_pod_failed{namespace="shop",pod="import-1"}`:                                         false,
		`kubernetes_workload_ready_pods{kind="daemonset",namespace="kube-system",workload="kube-proxy"}`: true,
		`kubernetes_workload_ready_pods{kind="deployment",namespace="shop",workload="web"}`:              false,
	} {
		if _, ok := values[series]; ok != want {
			t.Errorf("%s delivered is %t", series, ok)
		}
	}
	if slices.Contains(s.asked, "/api/v1/pods") {
		t.Error("asked for the pods of all namespaces")
	}
}

// A token is read at every check: that of a pod is replaced while it lives.
func TestToken(t *testing.T) {
	s := newAPIServer(t)
	cfg := s.start(t)
	cfg.TokenFile, cfg.TokenEnv = "", "KUBERNETES_TEST_TOKEN"
	t.Setenv("KUBERNETES_TEST_TOKEN", "s3cr3t")
	c := build(t, cfg)
	servertest.WantReason(t, c, server.ReasonAuth)
	t.Setenv("KUBERNETES_TEST_TOKEN", token)
	servertest.Collect(t, c)
	cfg.TokenFile, cfg.TokenEnv = filepath.Join(t.TempDir(), "none"), ""
	servertest.WantReason(t, build(t, cfg), server.ReasonConfig)
	cfg.CAFile, cfg.TokenFile = "", servertest.PasswordFile(t, token)
	servertest.WantReason(t, build(t, cfg), server.ReasonTLS)
}

// In a pod nothing needs to be configured; elsewhere the address does.
func TestInCluster(t *testing.T) {
	s := newAPIServer(t)
	cfg := s.start(t)
	host, port, _ := strings.Cut(strings.TrimPrefix(cfg.URL, "https://"), ":")
	cfg.URL = ""
	t.Setenv(inClusterHost, "")
	if _, err := New("acme", cfg, metrics.NewSet(), servertest.Log); err == nil || !strings.HasPrefix(err.Error(), "url: must not be empty outside a pod") {
		t.Errorf("error %v", err)
	}
	t.Setenv(inClusterHost, host)
	t.Setenv(inClusterPort, port)
	servertest.Collect(t, build(t, cfg))
	bare, err := Config{Settings: cfg.Settings}.inCluster()
	if err != nil || bare.TokenFile != inClusterToken || bare.CAFile != inClusterCA || bare.URL != "https://"+host+":"+port {
		t.Errorf("%+v, %v", bare, err)
	}
}

// A server that says it is not what it should be.
func TestNotAList(t *testing.T) {
	f := func(answer, reason string) {
		t.Helper()
		web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(answer)) }))
		defer web.Close()
		servertest.WantReason(t, build(t, Config{Settings: server.Settings{Name: "prod"}, URL: web.URL}), reason)
	}
	f(`{}`, server.ReasonFormat)
	f(`{"kind":"Status","status":"Success"}`, server.ReasonFormat)
	f(`{"kind":"NodeList","items":[{"metadata":7}]}`, server.ReasonFormat)
}

func TestFailures(t *testing.T) {
	servertest.HTTPFailures(t, func(t testing.TB, s server.Settings, h server.HTTP) exporters.Collector {
		cfg := Config{Settings: s, URL: h.URL, TLS: h.TLS}
		cfg.TokenFile = h.PasswordFile
		return build(t, cfg)
	})
}

func TestValidate(t *testing.T) {
	f := func(c Config, want string) {
		t.Helper()
		c.Name = "prod"
		got := ""
		if err := c.Validate(); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("error %q, want %q", got, want)
		}
	}
	f(Config{}, "")
	f(Config{URL: "https://h:6443", StateMetricsURL: "http://h:8080/metrics"}, "state_metrics_url: is set beside url; give one of them")
	f(Config{URL: "h:6443"}, `url: "h:6443": want http://host/… or https://host/…`)
	f(Config{StateMetricsURL: "http://mon:pw@h/"}, "state_metrics_url: holds credentials; give username and password_file or password_env instead")
	f(Config{StateMetricsURL: "http://h/metrics", Namespaces: []string{"shop"}}, "namespaces: goes with the API, not with state_metrics_url")
	f(Config{Namespaces: []string{"shop", "a/b"}}, `namespaces[1]: "a/b" is not a namespace's name`)
	f(Config{Namespaces: []string{"shop", "shop"}}, `namespaces[1]: "shop" is there twice`)
	f(Config{Token: server.Token{TokenFile: "a", TokenEnv: "b"}}, "token_env: is set beside token_file; give one of them")
	f(Config{TLS: server.TLS{CertFile: "a"}}, "key_file: cert_file and key_file go together")
}
