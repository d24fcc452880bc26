package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"

	"watchkeeper/alertrouter/incident"
	"watchkeeper/internal/sample"
	"watchkeeper/internal/storage"
)

// epoch is the time of the newest stored sample.
var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// parts are stand-ins for what the API shows, and what was asked of them.
type parts struct {
	ready, reload error
	acknowledged  string
}

func (*parts) RuleGroups() []RuleGroup {
	since := epoch
	return []RuleGroup{
		{Name: "ecs", File: "contract/aliyun-ecs.yml", Interval: 60, LastEvaluation: epoch, Rules: []Rule{{
			State: "firing", Name: "CPUHigh", Query: "cpu >= 90", Duration: 120, Type: "alerting", Health: "ok", LastEvaluation: epoch,
			Labels: labels.FromStrings("severity", "average"), Annotations: labels.FromStrings("summary", "CPU"),
			Alerts: []Alert{{
				Labels: labels.FromStrings("alertname", "CPUHigh", "instance", "a"), State: "firing", ActiveAt: &since, Value: "9.5e+01",
				AlertState: "no_data", Run: new(3), Of: 3, Row: "ecs-cpu", Literal: "连续三次>=90%",
			}},
			ID: "ecs-cpu", Consecutive: 3, Row: "ecs-cpu", Literal: "连续三次>=90%",
		}}},
		{Name: "port", File: "contract/port.yml", Interval: 60, LastEvaluation: epoch, Rules: []Rule{{
			State: "inactive", Name: "PortDown", Query: "code != 0", Type: "alerting", Health: "ok", Labels: labels.FromStrings("severity", "high"), Alerts: []Alert{}, LastEvaluation: epoch,
		}}},
	}
}

// RuleGroupsOf shows that those of one customer are asked for: nobody has any.
func (*parts) RuleGroupsOf(string) []RuleGroup { return nil }

func (*parts) customers(_ context.Context, name string) (bool, error) { return name != "acne", nil }

func (*parts) Alertmanagers() []*url.URL {
	return []*url.URL{{Scheme: "http", Host: "am:9093", Path: "/api/v2/alerts"}}
}

func (*parts) DroppedAlertmanagers() []*url.URL { return nil }

func (*parts) Metadata() map[string]MetricMetadata {
	return map[string]MetricMetadata{
		"cpu": {Type: model.MetricTypeGauge, Help: "Utilization.", Unit: "percent"}, "code": {Type: model.MetricTypeGauge, Help: "Code."},
	}
}

func (*parts) List(_ context.Context, f incident.Filter) ([]incident.Incident, error) {
	if f.Customer == "broken" {
		return nil, errors.New("database is locked")
	}
	if f.Customer != "" && f.Customer != "acme" {
		return nil, nil
	}
	return []incident.Incident{{ID: 1, Customer: "acme", State: incident.Firing, Alert: "CPUHigh"}}[:min(1, f.Limit)], nil
}

func (*parts) Get(_ context.Context, id int64) (*incident.Detail, error) {
	if id != 1 {
		return nil, incident.ErrNotFound
	}
	return &incident.Detail{Incident: incident.Incident{ID: 1, Customer: "acme"}}, nil
}

func (p *parts) acknowledge(_ context.Context, id int64, user, comment string) (incident.Acknowledgement, error) {
	switch {
	case strings.Contains(comment, "\n"):
		return incident.Acknowledgement{}, incident.ErrInvalid
	case id == 1:
		already := p.acknowledged != ""
		p.acknowledged = user + ": " + comment
		return incident.Acknowledgement{By: user, Already: already}, nil
	case id == 2:
		return incident.Acknowledgement{}, incident.ErrClosed
	}
	return incident.Acknowledgement{}, incident.ErrNotFound
}

func (*parts) report(_ context.Context, w io.Writer, file, cycle, format string) error {
	if cycle == "" {
		return fmt.Errorf("%w: cycle: is empty", ErrInvalid)
	}
	if file == "broken" {
		return errors.New("database is locked")
	}
	_, err := fmt.Fprintf(w, `{"file":%q,"cycle":%q,"format":%q}`, file, cycle, format)
	return err
}

// newServer serves the API over a store with a few samples.
func newServer(t *testing.T) (*parts, *httptest.Server) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	set := metrics.NewSet()
	cfg := storage.DefaultConfig()
	cfg.Dir, cfg.MinFreeBytes = t.TempDir(), 0
	store, err := storage.Open(cfg, log, set, func() time.Time { return epoch })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	b := sample.Batch{Source: sample.Source{Customer: "acme", Name: "test"}}
	for i, name := range []string{"a", "b"} {
		for n := range 3 {
			b.Samples = append(b.Samples, sample.Sample{
				Labels: labels.FromStrings("__name__", "cpu", "customer", "acme", "instance", name),
				T:      epoch.Add(time.Duration(n-2) * time.Minute).UnixMilli(), V: float64(10*i + n),
			})
		}
	}
	if res, err := store.Append(t.Context(), b); err != nil || res.RefusedTotal > 0 {
		t.Fatal(res, err)
	}
	p := &parts{}
	answer := func(text string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) })
	}
	srv := httptest.NewServer(New(Deps{
		Engine: promql.NewEngine(promql.EngineOpts{Logger: log, MaxSamples: 1000, Timeout: time.Minute, LookbackDelta: 5 * time.Minute, EnableAtModifier: true, EnableNegativeOffset: true}),
		Store:  store, Admin: store.Admin(), DataDir: cfg.Dir, LookbackDelta: 5 * time.Minute, ListenAddress: "127.0.0.1:9370", Version: "v1", Started: epoch,
		Rules: p, Customers: p.customers, Metadata: p, Incidents: p, Acknowledge: p.acknowledge, Report: p.report,
		Sources: func() any { return []string{"one"} },
		Write:   answer("write"), Alertmanager: answer("alertmanager"), OutsideAlertmanagers: p, Metrics: func(w io.Writer) { set.WritePrometheus(w) },
		Ready: func() error { return p.ready }, Reload: func(context.Context) error { return p.reload },
	}, set, log))
	t.Cleanup(srv.Close)
	return p, srv
}

// call sends a request; a form makes it a POST.
func call(t *testing.T, srv *httptest.Server, path, form string) (int, string, http.Header) {
	t.Helper()
	method, contentType := http.MethodGet, ""
	if form != "" {
		method, contentType = http.MethodPost, "application/x-www-form-urlencoded"
		if strings.HasPrefix(form, "{") {
			contentType = "application/json"
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), method, srv.URL+path, strings.NewReader(form))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	resp, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body), resp.Header
}

// Every request of Grafana's Prometheus data source, by GET and, where Grafana
// posts forms, by POST, is answered to the byte as Prometheus answers it.
func TestGrafanaRequests(t *testing.T) {
	t.Parallel()
	_, srv := newServer(t)
	at := fmt.Sprint(epoch.Unix())
	const get, form = false, true
	for _, test := range []struct {
		path, query string
		post        bool
		want        string
	}{
		// The health check of "save & test".
		{"/api/v1/query", "query=1%2B1&time=4", form, `{"status":"success","data":{"resultType":"scalar","result":[4,"2"]}}`},
		{"/api/v1/query", "query=cpu&time=" + at, form, `{"status":"success","data":{"resultType":"vector","result":[` +
			`{"metric":{"__name__":"cpu","customer":"acme","instance":"a"},"value":[` + at + `,"2"]},` +
			`{"metric":{"__name__":"cpu","customer":"acme","instance":"b"},"value":[` + at + `,"12"]}]}}`},
		{"/api/v1/query", "query=cpu%7Binstance=%22a%22%7D%5B2m%5D&time=" + at, form, `{"status":"success","data":{"resultType":"matrix","result":[` +
			`{"metric":{"__name__":"cpu","customer":"acme","instance":"a"},"values":[[` + seconds(-1) + `,"1"],[` + at + `,"2"]]}]}}`},
		{"/api/v1/query", "query=nothing&time=" + at, form, `{"status":"success","data":{"resultType":"vector","result":[]}}`},
		{"/api/v1/query", "query=%22text%22&time=" + at, form, `{"status":"success","data":{"resultType":"string","result":[` + at + `,"text"]}}`},
		{"/api/v1/query_range", "query=sum(cpu)&step=60&start=" + seconds(-1) + "&end=" + at, form, `{"status":"success","data":{"resultType":"matrix","result":[` +
			`{"metric":{},"values":[[` + seconds(-1) + `,"12"],[` + at + `,"14"]]}]}}`},
		{"/api/v1/series", "match[]=cpu&start=" + seconds(-9) + "&end=" + at, form, `{"status":"success","data":[` +
			`{"__name__":"cpu","customer":"acme","instance":"a"},{"__name__":"cpu","customer":"acme","instance":"b"}]}`},
		{"/api/v1/labels", "match[]=cpu&start=" + seconds(-9) + "&end=" + at, form, `{"status":"success","data":["__name__","customer","instance"]}`},
		{"/api/v1/label/instance/values", "match[]=cpu&start=" + seconds(-9) + "&end=" + at, get, `{"status":"success","data":["a","b"]}`},
		{"/api/v1/label/__name__/values", "match[]=cpu&start=" + seconds(-9) + "&end=" + at, get, `{"status":"success","data":["cpu"]}`},
		{"/api/v1/metadata", "", get, `{"status":"success","data":{"code":[{"type":"gauge","help":"Code.","unit":""}],"cpu":[{"type":"gauge","help":"Utilization.","unit":"percent"}]}}`},
		{"/api/v1/metadata", "metric=cpu", get, `{"status":"success","data":{"cpu":[{"type":"gauge","help":"Utilization.","unit":"percent"}]}}`},
		{"/api/v1/metadata", "limit=1", get, `{"status":"success","data":{"code":[{"type":"gauge","help":"Code.","unit":""}]}}`},
		{"/api/v1/alertmanagers", "", get, `{"status":"success","data":{"activeAlertmanagers":[{"url":"http://am:9093/api/v2/alerts"}],"droppedAlertmanagers":[]}}`},
		{"/api/v1/query_exemplars", "query=cpu&start=" + seconds(-9) + "&end=" + at, form, `{"status":"success","data":[]}`},
	} {
		code, body, header := call(t, srv, test.path+"?"+test.query, "")
		if code != http.StatusOK || strings.TrimSpace(body) != test.want {
			t.Errorf("GET %s?%s: %d\ngot  %s\nwant %s", test.path, test.query, code, body, test.want)
		}
		if !strings.HasPrefix(header.Get("Content-Type"), "application/json") {
			t.Errorf("GET %s: content type %q", test.path, header.Get("Content-Type"))
		}
		if test.post {
			if code, posted, _ := call(t, srv, test.path, test.query); code != http.StatusOK || posted != body {
				t.Errorf("POST %s %s: %d\ngot  %s\nwant %s", test.path, test.query, code, posted, body)
			}
		}
	}
	// By this Grafana chooses what it uses.
	_, body, _ := call(t, srv, "/api/v1/status/buildinfo", "")
	var info struct {
		Status string
		Data   struct{ Version, Revision string }
	}
	if err := json.Unmarshal([]byte(body), &info); err != nil || info.Status != "success" || info.Data.Version != prometheusCompat || info.Data.Revision != "v1" {
		t.Errorf("buildinfo: %s %v", body, err)
	}
}

// seconds is the time of minute n as the API prints it.
func seconds(n int) string { return fmt.Sprint(epoch.Add(time.Duration(n) * time.Minute).Unix()) }

// Wrong requests have Prometheus's status and error type.
func TestErrorShapes(t *testing.T) {
	t.Parallel()
	_, srv := newServer(t)
	for _, test := range []struct {
		path string
		code int
		kind string
	}{
		{"/api/v1/query", 400, "bad_data"},
		{"/api/v1/query?query=cpu{", 400, "bad_data"},
		{"/api/v1/query?query=cpu&time=noon", 400, "bad_data"},
		{"/api/v1/query?query=cpu&timeout=soon", 400, "bad_data"},
		{"/api/v1/query_range?query=cpu&start=2&end=1&step=1", 400, "bad_data"},
		{"/api/v1/query_range?query=cpu&start=0&end=100000&step=1", 400, "bad_data"},
		{"/api/v1/query_range?query=cpu&start=0&end=10&step=0", 400, "bad_data"},
		{"/api/v1/query?query=" + url.QueryEscape("label_replace(cpu, \"instance\", \"\", \"instance\", \".*\")") + "&time=" + seconds(0), 422, "execution"},
		{"/api/v1/query?query=" + url.QueryEscape("max_over_time(vector(1)[1h:1s])") + "&time=" + seconds(0), 422, "execution"},
		{"/api/v1/series", 400, "bad_data"},
		{"/api/v1/labels?match[]={", 400, "bad_data"},
		{"/api/v1/metadata?limit=some", 400, "bad_data"},
		{"/api/v1/rules?type=other", 400, "bad_data"},
		{"/api/v1/rules?match[]={", 400, "bad_data"},
		{"/api/v1/rules?exclude_alerts=perhaps", 400, "bad_data"},
	} {
		code, body, _ := call(t, srv, test.path, "")
		var e struct{ Status, ErrorType, Error string }
		if err := json.Unmarshal([]byte(body), &e); err != nil || code != test.code || e.Status != "error" || e.ErrorType != test.kind || e.Error == "" {
			t.Errorf("%s: %d %s, want %d with the type %s", test.path, code, body, test.code, test.kind)
		}
	}
}

func TestRulesAndAlerts(t *testing.T) {
	t.Parallel()
	_, srv := newServer(t)
	for query, want := range map[string]string{
		"": "CPUHigh PortDown", "type=alert": "CPUHigh PortDown", "type=record": "", "rule_name[]=PortDown": "PortDown",
		"rule_group[]=ecs": "CPUHigh", "file[]=contract/port.yml": "PortDown", "match[]={severity=\"high\"}": "PortDown",
		"match[]={severity=\"high\"}&match[]={severity=\"average\"}": "CPUHigh PortDown", "rule_name[]=None": "",
	} {
		code, body, _ := call(t, srv, "/api/v1/rules?"+query, "")
		var got struct {
			Status string
			Data   struct{ Groups []RuleGroup }
		}
		if err := json.Unmarshal([]byte(body), &got); err != nil || code != http.StatusOK {
			t.Fatalf("%s: %d %s %v", query, code, body, err)
		}
		var names []string
		for _, g := range got.Data.Groups {
			for _, r := range g.Rules {
				names = append(names, r.Name)
			}
		}
		if strings.Join(names, " ") != want {
			t.Errorf("%q: rules %v, want %s", query, names, want)
		}
		if got.Data.Groups == nil {
			t.Errorf("%q: groups are null, clients want a list: %s", query, body)
		}
	}
	if _, body, _ := call(t, srv, "/api/v1/rules?exclude_alerts=true", ""); strings.Contains(body, "activeAt") {
		t.Errorf("alerts are not excluded: %s", body)
	}
	_, body, _ := call(t, srv, "/api/v1/alerts", "")
	want := `{"status":"success","data":{"alerts":[{"labels":{"alertname":"CPUHigh","instance":"a"},"annotations":{},"state":"firing","activeAt":"2026-03-01T12:00:00Z","value":"9.5e+01",` +
		`"alertState":"no_data","run":3,"of":3,"contractRow":"ecs-cpu","contractLiteral":"连续三次\u003e=90%"}]}}` + "\n"
	if diff := cmp.Diff(want, body); diff != "" {
		t.Errorf("alerts (-want +got):\n%s", diff)
	}
}

func TestOwnEndpoints(t *testing.T) {
	t.Parallel()
	p, srv := newServer(t)
	for _, test := range []struct {
		path, form string
		code       int
		says       string
	}{
		{"/", "", 200, "/api/incidents"},
		{"/nowhere", "", 404, ""},
		{"/-/healthy", "", 200, "healthy"},
		{"/-/ready", "", 200, "ready"},
		{"/-/reload", "", 405, ""},
		{"/-/reload", "x", 200, "reloaded"},
		{"/api/v1/write", "x", 200, "write"},
		{"/alertmanager/api/v2/alerts", "", 200, "alertmanager"},
		{"/api/sources", "", 200, `["one"]`},
		{"/api/incidents", "", 200, `"id":1`},
		{"/api/incidents?customer=other", "", 200, `{"incidents":[]}`},
		{"/api/incidents?customer=acne", "", 404, `{"error":"nothing is known of the customer \"acne\": mend the name, or look whether anything is delivered"}`},
		{"/api/v1/rules?customer=acne", "", 404, `{"error":"nothing is known of the customer \"acne\": mend the name, or look whether anything is delivered"}`},
		{"/api/v1/rules?customer=acme", "", 200, `{"status":"success","data":{"groups":[]}}`},
		{"/api/incidents?customer=broken", "", 500, `{"error":"database is locked"}`},
		{"/api/incidents?limit=1", "", 200, `"next":1`},
		{"/api/incidents?limit=0", "", 400, "limit"},
		{"/api/incidents?limit=1000000", "", 400, "limit"},
		{"/api/incidents?since=yesterday", "", 400, "yesterday"},
		{"/api/incidents?state=open", "", 400, "want firing, no_data, resolved or ended"},
		{"/api/incidents?open=perhaps", "", 400, "perhaps"},
		{"/api/incidents?before=-1", "", 400, "before"},
		{"/api/incidents/1", "", 200, `"events"`},
		{"/api/incidents/7", "", 404, `{"error":"no incident 7"}`},
		{"/api/incidents/first", "", 400, "first"},
		{"/api/incidents/1/acknowledge", `{"user":"li.wei","comment":"looking"}`, 200, `"already_acknowledged":false`},
		{"/api/incidents/1/acknowledge", `{"user":"li.wei","comment":"looking"}`, 200, `"already_acknowledged":true`},
		{"/api/incidents/1/acknowledge", `{"user":"li.wei","comment":"a\nb"}`, 400, "error"},
		{"/api/incidents/2/acknowledge", `{"user":"li.wei"}`, 409, "error"},
		{"/api/incidents/7/acknowledge", `{"user":"li.wei"}`, 404, "no incident 7"},
		{"/api/incidents/1/acknowledge", `{"comment":"looking"}`, 400, "user"},
		{"/api/incidents/1/acknowledge", `{"who":"li.wei"}`, 400, "who"},
		{"/api/incidents/1/acknowledge", `{"user":"li.wei"}{}`, 400, "more than one"},
		{"/graph?g0.expr=vector(1)&g0.tab=1", "", 200, `"resultType":"vector"`},
		{"/graph", "", 200, "/api/v1/query"},
		{"/api/slo/report?cycle=2026-02", "contract", 200, `{"file":"contract","cycle":"2026-02","format":""}`},
		{"/api/slo/report?cycle=2026-02&format=pdf", "contract", 400, "json or table"},
		{"/api/slo/report", "contract", 400, "cycle: is empty"},
		{"/api/slo/report?cycle=2026-02", "broken", 500, "database is locked"},
		{"/api/slo/report?cycle=2026-02", strings.Repeat("x", maxBody+1), 400, "too large"},
	} {
		code, body, _ := call(t, srv, test.path, test.form)
		if code != test.code || !strings.Contains(body, test.says) {
			t.Errorf("%s %.60s: %d %s, want %d and %q", test.path, test.form, code, body, test.code, test.says)
		}
	}
	if p.acknowledged != "li.wei: looking" {
		t.Errorf("acknowledged %q", p.acknowledged)
	}
	p.ready, p.reload = errors.New("starting"), errors.New("watchkeeper.yml:3: storage: unknown field")
	if code, body, _ := call(t, srv, "/-/ready", ""); code != http.StatusServiceUnavailable || !strings.Contains(body, "starting") {
		t.Errorf("not ready: %d %s", code, body)
	}
	if code, body, _ := call(t, srv, "/-/reload", "x"); code != http.StatusInternalServerError || body != "nothing was changed: watchkeeper.yml:3: storage: unknown field\n" {
		t.Errorf("reload that fails: %d %s", code, body)
	}
	_, body, _ := call(t, srv, "/metrics", "")
	for _, want := range []string{`watchkeeper_api_requests_total{code="2xx"}`, `watchkeeper_api_requests_total{code="4xx"}`, `watchkeeper_api_requests_total{code="5xx"}`} {
		if !strings.Contains(body, want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}
}

// What changes something is not to be had from a web page of another origin.
func TestOtherOriginsAreRefused(t *testing.T) {
	t.Parallel()
	p, srv := newServer(t)
	for _, path := range []string{"/-/reload", "/api/incidents/1/acknowledge", "/alertmanager/api/v2/silences"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL+path, strings.NewReader(`{"user":"evil"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Origin", "https://evil.example")
		resp, err := srv.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusForbidden {
			t.Errorf("%s from another origin: %d, want 403", path, resp.StatusCode)
		}
	}
	if p.acknowledged != "" {
		t.Error("an incident was acknowledged from another origin")
	}
}
