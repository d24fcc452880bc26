package promrules_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"watchkeeper/ruleset/promrules"
)

// posted is an alert as Alertmanager's API v2 takes it.
type posted struct {
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     time.Time         `json:"startsAt"`
	EndsAt       time.Time         `json:"endsAt"`
	GeneratorURL string            `json:"generatorURL"`
	Agent        string            `json:"-"` // header User-Agent of the post
}

// alertmanager takes posts and hands each alert to the first channel; the
// second tells each connection that the sender closed.
func alertmanager(t *testing.T) (address string, alerts chan posted, closed chan struct{}) {
	t.Helper()
	alerts, closed = make(chan posted, 1000), make(chan struct{}, 1000)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/am/api/v2/alerts" || r.Method != http.MethodPost {
			http.Error(w, "not here", http.StatusNotFound)
			return
		}
		var batch []posted
		if err := json.NewDecoder(r.Body).Decode(&batch); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		for _, a := range batch {
			a.Agent = r.UserAgent()
			alerts <- a
		}
	}))
	srv.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			closed <- struct{}{}
		}
	}
	srv.Start()
	t.Cleanup(srv.Close)
	return strings.TrimPrefix(srv.URL, "http://"), alerts, closed
}

func withAlerting(t *testing.T, text string) promrules.Config {
	t.Helper()
	cfg := promrules.DefaultConfig()
	cfg.ExternalURL = "https://watch.example.com"
	if err := yaml.Unmarshal([]byte(text), &cfg.Alerting); err != nil {
		t.Fatal(err)
	}
	return cfg
}

// next waits for a post that is as wanted.
func next(t *testing.T, alerts chan posted, ok func(posted) bool) posted {
	t.Helper()
	for {
		select {
		case a := <-alerts:
			if ok(a) {
				return a
			}
		case <-time.After(2 * time.Minute):
			t.Fatal("no such post")
		}
	}
}

const fastRules = `
groups:
- name: disk
  interval: 20ms
  rules:
  - {alert: DiskFull, expr: disk_used_percent > 90, labels: {severity: high}, annotations: {summary: full}}
`

// fast runs fastRules in real time: posts go over real connections.
func fast(t *testing.T, cfg promrules.Config) *server {
	store := openStore(t, t.TempDir())
	t.Cleanup(func() { store.Close() })
	s := newServer(t, store, cfg)
	s.update(fastRules)
	return s.start()
}

func TestOutsideAlertmanagerIsToldFiringAndResolved(t *testing.T) {
	address, alerts, closed := alertmanager(t)
	s := fast(t, withAlerting(t, fmt.Sprintf(`
alert_relabel_configs:
- {target_label: site, replacement: hangzhou}
alertmanagers:
- path_prefix: /am
  static_configs: [{targets: [%q]}]
`, address)))
	s.put("acme", 95, disk...)
	fired := next(t, alerts, func(posted) bool { return true })
	want := map[string]string{"alertname": "DiskFull", "customer": "acme", "instance": "a", "severity": "high", "site": "hangzhou"}
	if diff := cmp.Diff(want, fired.Labels); diff != "" {
		t.Error(diff)
	}
	if !fired.EndsAt.After(time.Now()) || fired.Annotations["summary"] != "full" || !strings.HasPrefix(fired.GeneratorURL, "https://watch.example.com/graph?") {
		t.Errorf("firing: %+v", fired)
	}
	s.put("acme", 50, disk...)
	resolved := next(t, alerts, func(a posted) bool { return !a.EndsAt.After(time.Now()) })
	if !resolved.StartsAt.Equal(fired.StartsAt) || !resolved.EndsAt.After(fired.StartsAt) {
		t.Errorf("resolved: %+v, fired: %+v", resolved, fired)
	}
	s.stop()
	waitFor(t, closed, "the connection is not closed after Run")
	for len(alerts) > 0 {
		t.Errorf("told again within the resend delay: %+v", <-alerts)
	}
}

// External labels are put on what leaves, unless the alert has the label, and
// templates know them; the alert itself does not bear them.
func TestExternalLabels(t *testing.T) {
	address, alerts, _ := alertmanager(t)
	cfg := withAlerting(t, fmt.Sprintf(`alertmanagers: [{path_prefix: /am, static_configs: [{targets: [%q]}]}]`, address))
	cfg.ExternalLabels = map[string]string{"site": "hangzhou", "severity": "low"}
	s := fast(t, cfg)
	s.update(strings.Replace(fastRules, "summary: full", "summary: 'full in {{ $externalLabels.site }}'", 1))
	s.put("acme", 95, disk...)
	fired := next(t, alerts, func(posted) bool { return true })
	want := map[string]string{"alertname": "DiskFull", "customer": "acme", "instance": "a", "severity": "high", "site": "hangzhou"}
	if diff := cmp.Diff(want, fired.Labels); diff != "" {
		t.Error(diff)
	}
	if fired.Annotations["summary"] != "full in hangzhou" {
		t.Errorf("annotations: %v", fired.Annotations)
	}
	if fired.Agent != "watchkeeper" {
		t.Errorf("posted by %q", fired.Agent)
	}
	s.stop()
	if told := s.takeTold(); len(told) == 0 || told[0].Labels.Get("site") != "" {
		t.Errorf("told: %+v", told)
	}
	cfg.ExternalLabels = nil
	if err := promrules.Check(cfg, nil); err != nil {
		t.Error(err)
	}
}

func TestAlertmanagersChangeWhileRunning(t *testing.T) {
	first, before, closed := alertmanager(t)
	second, after, _ := alertmanager(t)
	block := `alertmanagers: [{path_prefix: /am, static_configs: [{targets: [%q]}]}]`
	s := fast(t, withAlerting(t, fmt.Sprintf(block, first)))
	s.put("acme", 95, disk...)
	next(t, before, func(posted) bool { return true })

	s.cfg = withAlerting(t, fmt.Sprintf(block, second))
	s.update(fastRules)
	if got := s.runner.Alertmanagers(); len(got) == 1 && got[0].Host != second {
		t.Errorf("Alertmanagers: %v", got)
	}
	s.put("acme", 50, disk...)
	next(t, after, func(a posted) bool { return !a.EndsAt.After(time.Now()) })
	s.stop()
	waitFor(t, closed, "the connection to the first Alertmanager is not closed")
	if len(before) > 0 {
		t.Errorf("the first Alertmanager was told %+v", <-before)
	}
}

func TestHangingAlertmanagerHoldsUpNothing(t *testing.T) {
	asked, hang := make(chan struct{}, 1), make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case asked <- struct{}{}:
		default:
		}
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	}))
	defer srv.Close()
	defer close(hang)

	cfg := withAlerting(t, fmt.Sprintf(`alertmanagers: [{timeout: 1h, static_configs: [{targets: [%q]}]}]`, strings.TrimPrefix(srv.URL, "http://")))
	cfg.ResendDelay = 0
	cfg.AlertQueueCapacity = 3
	store := openStore(t, t.TempDir())
	defer store.Close()
	s := newServer(t, store, cfg)
	s.runner.SetGrace(100 * time.Millisecond)
	s.update(fastRules)
	s.start()
	s.put("acme", 95, disk...)
	<-asked
	// Rules go on, and what waits is bounded: the oldest is dropped.
	for !s.metricAbove("watchkeeper_promrules_alertmanager_dropped_total", 2) {
		time.Sleep(5 * time.Millisecond)
	}
	if s.metricAbove("watchkeeper_promrules_alertmanager_queued_alerts", 3) {
		t.Error("more alerts are queued than the queue may hold")
	}
	done := make(chan struct{})
	go func() { s.stop(); close(done) }()
	waitFor(t, done, "Run does not end while an Alertmanager hangs")
}

func waitFor(t *testing.T, c chan struct{}, otherwise string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(2 * time.Minute):
		t.Fatal(otherwise)
	}
}

// metricAbove tells whether a metric of the server is larger than v.
func (s *server) metricAbove(name string, v float64) bool {
	s.t.Helper()
	var b strings.Builder
	s.set.WritePrometheus(&b)
	for line := range strings.Lines(b.String()) {
		var got float64
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			if _, err := fmt.Sscan(rest, &got); err != nil {
				s.t.Fatal(err)
			}
			return got > v
		}
	}
	s.t.Fatalf("no metric %s", name)
	return false
}
