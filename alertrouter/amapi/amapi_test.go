package amapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"watchkeeper/alertrouter"
	"watchkeeper/alertrouter/incident"
)

const routing = `
route:
  receiver: duty
  group_by: [alertname]
  routes: [{receiver: night, matchers: [team="night"], group_by: [instance], continue: true}]
receivers: [{name: duty}, {name: night}]
inhibit_rules:
- source_matchers: [severity="disaster"]
  target_matchers: [severity="average"]
  equal: [instance]
`

type server struct {
	*alertrouter.Router
	t   *testing.T
	url string
	cfg alertrouter.Config
}

func newServer(t *testing.T, customer func(*http.Request) string) *server {
	t.Helper()
	cfg := alertrouter.DefaultConfig()
	cfg.DataDir, cfg.Routing = t.TempDir(), routing
	r, err := alertrouter.New(cfg, metrics.NewSet(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	h, err := New(Config{Prefix: "/alertmanager", Customer: customer}, r, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return &server{Router: r, t: t, url: srv.URL + "/alertmanager/api/v2", cfg: cfg}
}

func (s *server) do(method, path, body string, want int) []byte {
	s.t.Helper()
	req, err := http.NewRequest(method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	if resp.StatusCode != want {
		s.t.Fatalf("%s %s: status %d, want %d: %s", method, path, resp.StatusCode, want, out)
	}
	return out
}

func (s *server) get(path string, into any) {
	s.t.Helper()
	if err := json.Unmarshal(s.do("GET", path, "", 200), into); err != nil {
		s.t.Fatal(err)
	}
}

// push posts one alert as a Prometheus server does.
func (s *server) push(labels string, starts, ends time.Time) {
	s.t.Helper()
	s.do("POST", "/alerts", fmt.Sprintf(`[{"labels": {%s}, "annotations": {"summary": "s"}, "startsAt": %q, "endsAt": %q, "generatorURL": "http://prom-a:9090/graph"}]`,
		labels, starts.Format(time.RFC3339Nano), ends.Format(time.RFC3339Nano)), 200)
}

func (s *server) incidents() []incident.Incident {
	s.t.Helper()
	all, err := s.Incidents().List(s.t.Context(), incident.Filter{})
	if err != nil {
		s.t.Fatal(err)
	}
	return all
}

type gettable struct {
	Labels map[string]string
	Status struct {
		State                   string
		SilencedBy, InhibitedBy []string
	}
	EndsAt    time.Time
	Receivers []struct{ Name string }
}

func TestPushedAlertBecomesAnIncident(t *testing.T) {
	s := newServer(t, nil)
	now := time.Now()
	const up = `"alertname": "Down", "instance": "a", "customer": "acme", "team": "night"`
	s.push(up, now.Add(-time.Minute), now.Add(4*time.Minute))
	s.push(up, now.Add(-time.Minute), now.Add(5*time.Minute)) // pushed again: no news
	all := s.incidents()
	if len(all) != 1 || all[0].RuleID != "outside/Down" || all[0].Customer != "acme" || all[0].State != incident.Firing || all[0].Source != "outside/prom-a:9090" {
		t.Fatalf("incidents = %+v", all)
	}
	var alerts []gettable
	s.get("/alerts", &alerts)
	if len(alerts) != 1 || alerts[0].Labels["instance"] != "a" || alerts[0].Status.State != "active" || len(alerts[0].Receivers) != 1 {
		t.Errorf("alerts = %+v", alerts)
	}
	if end := alerts[0].EndsAt; end.UnixMilli() != now.Add(5*time.Minute).UnixMilli() {
		t.Errorf("it ends at %s, its sender said %s", end, now.Add(5*time.Minute))
	}
	var groups []struct {
		Labels   map[string]string
		Receiver struct{ Name string }
		Alerts   []gettable
	}
	s.get("/alerts/groups", &groups)
	if len(groups) != 1 || groups[0].Receiver.Name != "night" || groups[0].Labels["instance"] != "a" || len(groups[0].Alerts) != 1 {
		t.Errorf("groups = %+v", groups)
	}
	s.push(up, now.Add(-time.Minute), now.Add(-time.Second))
	s.push(up, now.Add(-time.Minute), now.Add(-time.Second))
	d, err := s.Incidents().Get(t.Context(), 1)
	if err != nil || d.State != incident.Resolved || len(d.Events) != 2 {
		t.Errorf("incident = %+v, %v", d, err)
	}
}

func TestLapsedAlertIsNoDataNotResolved(t *testing.T) {
	s := newServer(t, nil)
	now := time.Now()
	const up = `"alertname": "Down", "instance": "a"`
	s.push(up, now.Add(-time.Minute), now.Add(4*time.Minute))
	later := now.Add(5 * time.Minute)
	lapsed, err := s.Incidents().Expired(t.Context(), later, 10)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Handle(t.Context(), later, lapsed); err != nil {
		t.Fatal(err)
	}
	all := s.incidents()
	if len(all) != 2 || all[1].State != incident.NoData || all[0].Alert != incident.SourceSilent {
		t.Fatalf("incidents = %+v", all)
	}
	s.push(up, now.Add(-time.Minute), now.Add(9*time.Minute)) // it is back
	all = s.incidents()
	if all[1].State != incident.Firing || all[0].State != incident.Resolved {
		t.Errorf("incidents = %+v", all)
	}
}

func TestCustomerOfTheListenerWins(t *testing.T) {
	s := newServer(t, func(*http.Request) string { return "acme" })
	now := time.Now()
	s.push(`"alertname": "Down", "customer": "bolt"`, now, now.Add(time.Minute))
	if all := s.incidents(); all[0].Customer != "acme" || all[0].Labels.Get("customer") != "acme" {
		t.Errorf("incident = %+v", all[0])
	}
}

func TestSilencesMuteAndSurvive(t *testing.T) {
	s := newServer(t, nil)
	now := time.Now()
	s.push(`"alertname": "Down", "instance": "a"`, now, now.Add(time.Minute))
	var made struct{ SilenceID string }
	body := fmt.Sprintf(`{"matchers": [{"name": "instance", "value": "a", "isRegex": false}], "startsAt": %q, "endsAt": %q, "createdBy": "li", "comment": "c"}`,
		now.Format(time.RFC3339Nano), now.Add(time.Hour).Format(time.RFC3339Nano))
	if err := json.Unmarshal(s.do("POST", "/silences", body, 200), &made); err != nil {
		t.Fatal(err)
	}
	var alerts []gettable
	s.get("/alerts", &alerts)
	if len(alerts) != 1 || alerts[0].Status.State != "suppressed" || alerts[0].Status.SilencedBy[0] != made.SilenceID {
		t.Errorf("alerts = %+v", alerts)
	}
	s.do("DELETE", "/silence/"+made.SilenceID, "", 200)
	s.get("/alerts", &alerts)
	if alerts[0].Status.State != "active" {
		t.Errorf("alerts = %+v", alerts)
	}
	s.do("DELETE", "/silence/00000000-0000-0000-0000-000000000000", "", 404)
}

func TestInhibitedAlert(t *testing.T) {
	s := newServer(t, nil)
	now := time.Now()
	s.push(`"alertname": "Gone", "instance": "a", "severity": "disaster"`, now, now.Add(time.Minute))
	s.push(`"alertname": "Slow", "instance": "a", "severity": "average"`, now, now.Add(time.Minute))
	var alerts []gettable
	s.get("/alerts?filter="+`alertname%3D%22Slow%22`, &alerts)
	if len(alerts) != 1 || alerts[0].Status.State != "suppressed" || len(alerts[0].Status.InhibitedBy) != 1 {
		t.Errorf("alerts = %+v", alerts)
	}
}

func TestStatusAndReceiversFollowAReload(t *testing.T) {
	s := newServer(t, nil)
	var receivers []struct{ Name string }
	s.get("/receivers", &receivers)
	if len(receivers) != 2 {
		t.Errorf("receivers = %+v", receivers)
	}
	s.cfg.Routing = "route: {receiver: other}\nreceivers: [{name: other}]\n"
	if err := s.Reload(s.cfg); err != nil {
		t.Fatal(err)
	}
	s.get("/receivers", &receivers)
	if len(receivers) != 1 || receivers[0].Name != "other" {
		t.Errorf("receivers = %+v", receivers)
	}
	var status struct {
		Config      struct{ Original string }
		VersionInfo struct{ Version, GoVersion string }
	}
	s.get("/status", &status)
	if !strings.Contains(status.Config.Original, "receiver: other") || status.VersionInfo.Version != release() || status.VersionInfo.GoVersion == "" {
		t.Errorf("status = %+v", status)
	}
}

// pushMany is the body of a push of n alerts, named by the prefix.
func pushMany(prefix string, n int) string {
	var b strings.Builder
	for k := range n {
		fmt.Fprintf(&b, `,{"labels": {"alertname": "Down", "instance": "%s-%d"}}`, prefix, k)
	}
	return "[" + b.String()[1:] + "]"
}

// An event that comes while a large push is written waits for one chunk of it,
// not for all.
func TestLargePushLetsOthersIn(t *testing.T) {
	s := newServer(t, nil)
	const pushed = 5 * pushChunk
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 20 { // a slow machine does not take it in one request's time: its sender sends it again
			resp, err := http.Post(s.url+"/alerts", "application/json", strings.NewReader(pushMany("a", pushed)))
			if err != nil {
				t.Errorf("push: %v", err)
				return
			}
			resp.Body.Close()
			switch resp.StatusCode {
			case http.StatusOK:
				return
			case http.StatusServiceUnavailable:
			default:
				t.Errorf("push: %s", resp.Status)
				return
			}
		}
		t.Error("the push is never taken whole")
	}()
	for len(s.incidents()) == 0 { // the first chunk
		select {
		case <-done:
			t.Fatal("the push is over and nothing was seen of it")
		default:
		}
	}
	now := time.Now()
	err := s.Handle(t.Context(), now, []alertrouter.Event{{RuleID: "ours", Alert: "Ours", State: alertrouter.StateFiring, Check: now}})
	if err != nil {
		t.Fatal(err)
	}
	<-done
	ours, err := s.Incidents().List(t.Context(), incident.Filter{RuleID: "ours"})
	if err != nil || len(ours) != 1 || ours[0].ID > pushed {
		t.Errorf("our incident came after the push: %+v, %v", ours, err)
	}
	open, err := s.Incidents().OpenIncidents(t.Context())
	if err != nil || len(open) != pushed+1 {
		t.Errorf("%d incidents, %v", len(open), err)
	}
}

func TestTooManyAlertsAreRefusedAsAWhole(t *testing.T) {
	s := newServer(t, nil)
	if out := s.do("POST", "/alerts", pushMany("a", maxPushed+1), 413); !bytes.Contains(out, []byte("more than 10000 alerts")) {
		t.Errorf("answer = %s", out)
	}
	if all := s.incidents(); len(all) != 0 {
		t.Errorf("%d incidents", len(all))
	}
}

func TestBadInput(t *testing.T) {
	s := newServer(t, nil)
	s.do("POST", "/alerts", `[{"labels": {}}]`, 400)
	s.do("POST", "/alerts", `{`, 400)
	s.do("GET", "/alerts?filter=%7B%7B", "", 400)
	s.do("POST", "/alerts", `[{"labels": {"a": "`+strings.Repeat("x", maxBody)+`"}}]`, 400)
	if all := s.incidents(); len(all) != 0 {
		t.Errorf("incidents = %+v", all)
	}
}

// An alert of ours has an end while it stands, as one that was pushed without: its
// clients take the zero time for one long gone.
func TestOwnAlertEndsLater(t *testing.T) {
	s := newServer(t, nil)
	before := time.Now()
	if err := s.Handle(t.Context(), before, []alertrouter.Event{{RuleID: "ours", Alert: "Ours", State: alertrouter.StateFiring, Check: before}}); err != nil {
		t.Fatal(err)
	}
	var alerts []gettable
	s.get("/alerts", &alerts)
	var groups []struct{ Alerts []gettable }
	s.get("/alerts/groups", &groups)
	if len(alerts) != 1 || len(groups) != 1 {
		t.Fatalf("%+v, %+v", alerts, groups)
	}
	for _, a := range append(alerts, groups[0].Alerts...) {
		if in := a.EndsAt.Sub(before); in < 5*time.Minute-time.Millisecond || in > 5*time.Minute+time.Since(before) {
			t.Errorf("it ends in %s, want resolve_timeout", in)
		}
	}
}

func TestRelease(t *testing.T) {
	info := &debug.BuildInfo{Deps: []*debug.Module{{Path: "github.com/prometheus/prometheus", Version: "v0.315.0"}, {Path: "github.com/prometheus/alertmanager", Version: "v0.34.2"}}}
	if got := releaseIn(info); got != "0.34.2" {
		t.Errorf("%q", got)
	}
	if got := releaseIn(nil); got != "" {
		t.Errorf("%q of a program that does not know", got)
	}
}
