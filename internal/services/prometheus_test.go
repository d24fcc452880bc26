//go:build services

package services

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"watchkeeper/alertrouter/incident"
	"watchkeeper/internal/app/apptest"
)

// prometheus starts a real Prometheus server that scrapes itself every second,
// writes what it scraped to ours and pushes its alerts to ours.
func prometheus(t *testing.T, s *server) (address string) {
	t.Helper()
	address = freeAddress(t)
	dir := t.TempDir()
	ours := strings.TrimPrefix(s.URL(), "http://")
	write(t, dir+"/token", token)
	write(t, dir+"/rules.yml", `
groups:
- name: test
  rules:
  - {alert: ItselfUp, expr: 'up{job="prometheus"} == 1', labels: {severity: average}, annotations: {summary: "it scrapes itself"}}
`)
	write(t, dir+"/prometheus.yml", fmt.Sprintf(`
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [rules.yml]
scrape_configs:
- {job_name: prometheus, static_configs: [{targets: ["%s"]}]}
remote_write:
- url: %s
  authorization: {credentials_file: token}
alerting:
  alertmanagers:
  - {path_prefix: /alertmanager, authorization: {credentials_file: token}, static_configs: [{targets: ["%s"]}]}
`, address, s.IngestURL(), ours))
	launch(t, dir, "prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data", "--web.listen-address="+address)
	address = "http://" + address
	apptest.Until(t, "Prometheus is ready", func() bool { code, _ := apptest.Get(address + "/-/ready"); return code == http.StatusOK })
	return address
}

const receiving = `
ingest:
  listen: "127.0.0.1:0"
  senders: [{name: prom, customer: acme, token_file: token}]
`

// A real Prometheus writes to us: its series are the token's customer's, and
// every request of Grafana's data source is answered as Prometheus answers it.
func TestPrometheusWritesAndWeAnswerAsItDoes(t *testing.T) {
	t.Parallel()
	s := watch(t, receiving, nil)
	theirs := prometheus(t, s)

	// A time up to which we have all that it scraped; then nothing changes any more.
	first := time.Now().Add(5 * time.Second).Truncate(time.Second)
	at := first.Add(5 * time.Second)
	apptest.Until(t, "samples up to "+at.Format(time.TimeOnly), func() bool {
		var answer struct {
			Data struct {
				Result []struct {
					Metric map[string]string
					Value  [2]any
				}
			}
		}
		apptest.GetJSON(t, s.URL()+"/api/v1/query?query=timestamp(prometheus_build_info)", &answer)
		var newest float64
		for _, r := range answer.Data.Result {
			if r.Metric["customer"] != "acme" {
				t.Fatalf("series of the wrong customer: %v", r.Metric)
			}
			_, _ = fmt.Sscan(fmt.Sprint(r.Value[1]), &newest)
		}
		return newest > float64(at.Unix()+1)
	})

	instant := fmt.Sprintf("&time=%d", at.Unix())
	span := fmt.Sprintf("&start=%d&end=%d", first.Unix(), at.Unix())
	// No rate(): how far it reaches beyond the samples changed between releases.
	for _, q := range []string{
		"up", "process_open_fds", "irate(prometheus_tsdb_head_samples_appended_total[5s])", "max_over_time(process_open_fds[4500ms])",
		"sum by (handler) (prometheus_http_requests_total)", "topk(1, process_virtual_memory_bytes)", "up offset 1s",
		"count by (le) (prometheus_http_request_duration_seconds_bucket)",
		"absent(nonexistent)", "scalar(up)", `"text"`, "1+1", "vector(1) / 0", "up[5s]", "nonexistent",
		`label_replace(up, "x", "$1", "job", "(.*)")`,
	} {
		same(t, s, theirs, "/api/v1/query?query="+url.QueryEscape(q)+instant)
	}
	for _, q := range []string{"up", "deriv(process_resident_memory_bytes[4500ms])", "1+1", "nonexistent"} {
		same(t, s, theirs, "/api/v1/query_range?query="+url.QueryEscape(q)+span+"&step=1")
	}
	for _, path := range []string{
		"/api/v1/series?match[]=up" + span,
		"/api/v1/series?match[]=nonexistent" + span,
		"/api/v1/labels?match[]=up" + span,
		"/api/v1/label/__name__/values?match[]={__name__=~\"process_.*\"}" + span,
		"/api/v1/label/job/values?match[]=up" + span,
		"/api/v1/label/nonexistent/values?" + span[1:],
	} {
		same(t, s, theirs, path)
	}
}

// Wrong requests get Prometheus's status and error type.
func TestErrorsAreThoseOfPrometheus(t *testing.T) {
	t.Parallel()
	s := watch(t, receiving, nil)
	theirs := prometheus(t, s)
	for _, path := range []string{
		"/api/v1/query", "/api/v1/query?query=up{", "/api/v1/query?query=up&time=noon", "/api/v1/query?query=up&timeout=soon",
		"/api/v1/query?query=rate(up)", "/api/v1/query_range?query=up", "/api/v1/query_range?query=up&start=2&end=1&step=1",
		"/api/v1/query_range?query=up&start=0&end=1&step=0", "/api/v1/query_range?query=up&start=0&end=100000&step=1",
		"/api/v1/query_range?query=up[1m]&start=0&end=10&step=1", "/api/v1/series", "/api/v1/series?match[]={}", "/api/v1/labels?match[]={",
		"/api/v1/label/__name__/values?match[]=}", "/api/v1/query?query=label_replace(up,\"x\",\"y\",\"z\",\"(\")", "/api/v1/metadata?limit=some",
		"/api/v1/rules?type=other", "/api/v1/query?query=count_values(\"up\",up)by(up)%20and",
	} {
		ourCode, ours := apptest.Get(s.URL() + path)
		code, body := apptest.Get(theirs + path)
		a, b := asJSON(t, ours).(map[string]any), asJSON(t, body).(map[string]any)
		if ourCode != code || a["status"] != b["status"] || a["errorType"] != b["errorType"] {
			t.Errorf("%s:\nwe   %d %s\nthey %d %s", path, ourCode, ours, code, body)
		}
		if (a["error"] == nil) != (b["error"] == nil) {
			t.Errorf("%s: error text: we %v, they %v", path, a["error"], b["error"])
		}
	}
}

// same asks both servers by GET and by form POST and compares the answers,
// without the label that we add.
func same(t *testing.T, s *server, theirs, path string) {
	t.Helper()
	code, want := apptest.Get(theirs + path)
	ourCode, got := apptest.Get(s.URL() + path)
	if code != ourCode {
		t.Errorf("%s: we answer %d, Prometheus %d: %s", path, ourCode, code, got)
		return
	}
	if diff := cmp.Diff(bare(asJSON(t, want)), bare(asJSON(t, got))); diff != "" {
		t.Errorf("%s (-Prometheus +we):\n%s", path, diff)
	}
	address, form, _ := strings.Cut(path, "?")
	if strings.HasPrefix(address, "/api/v1/label/") {
		return // GET only
	}
	ourCode, posted := apptest.Post(t, s.URL()+address, "application/x-www-form-urlencoded", form)
	if ourCode != code {
		t.Errorf("POST %s: %d %s", path, ourCode, posted)
	} else if diff := cmp.Diff(asJSON(t, got), asJSON(t, posted)); diff != "" {
		t.Errorf("POST differs from GET %s:\n%s", path, diff)
	}
}

// bare drops the customer from an answer, as a label and from lists of labels,
// and puts series in order, of which Prometheus promises none.
func bare(v any) any {
	switch v := v.(type) {
	case map[string]any:
		delete(v, "customer")
		for k := range v {
			v[k] = bare(v[k])
		}
	case []any:
		out := make([]any, 0, len(v))
		for _, x := range v {
			if x != "customer" {
				out = append(out, bare(x))
			}
		}
		slices.SortStableFunc(out, func(a, b any) int { return strings.Compare(seriesOf(a), seriesOf(b)) })
		return out
	}
	return v
}

// seriesOf is the series that an entry of a result is about; "" for anything else.
func seriesOf(v any) string {
	entry, _ := v.(map[string]any)
	metric, is := entry["metric"]
	if !is {
		return ""
	}
	return fmt.Sprint(metric) // maps print in the order of their keys
}

// Alerts that a real Prometheus pushes become incidents of the token's customer.
func TestPrometheusPushesAlerts(t *testing.T) {
	t.Parallel()
	s := watch(t, receiving, nil)
	prometheus(t, s)
	apptest.Until(t, "an incident", func() bool { return len(s.incidents(t, "open=true")) == 1 })
	i := s.incidents(t, "")[0]
	if i.Customer != "acme" || i.Alert != "ItselfUp" || i.State != incident.Firing || i.Severity != "average" || i.Identity.Get("job") != "prometheus" {
		t.Errorf("incident: %+v", i)
	}
	apptest.Until(t, "the webhook", func() bool { return len(s.tickets.Messages()) > 0 })
	if a := s.tickets.Messages()[0].Alerts[0]; a.Labels["customer"] != "acme" || a.Annotations["summary"] != "it scrapes itself" {
		t.Errorf("told: %+v", a)
	}
}

// promtool's queries work against our server.
func TestPromtool(t *testing.T) {
	t.Parallel()
	s := watch(t, receiving, nil)
	prometheus(t, s)
	apptest.Until(t, "samples", func() bool {
		_, body := apptest.Get(s.URL() + "/api/v1/query?query=up")
		return strings.Contains(body, `"1"`)
	})
	now := time.Now()
	for _, test := range []struct {
		args []string
		says []string
	}{
		{[]string{"instant", s.URL(), "up"}, []string{`customer="acme"`, `job="prometheus"`, "=> 1 @"}},
		{[]string{"instant", s.URL(), "1+1"}, []string{"scalar: 2 @"}},
		{[]string{"range", "--start=" + fmt.Sprint(now.Add(-time.Minute).Unix()), "--end=" + fmt.Sprint(now.Unix()), "--step=1s", s.URL(), "up"}, []string{"up{", "1 @["}},
		{[]string{"series", "--match=up", s.URL()}, []string{`__name__="up"`, `customer="acme"`}},
		{[]string{"labels", s.URL(), "job"}, []string{"prometheus"}},
		{[]string{"labels", s.URL(), "__name__"}, []string{"process_open_fds", "up"}},
	} {
		out := called(t, "promtool", append([]string{"query"}, test.args...)...)
		for _, want := range test.says {
			if !strings.Contains(out, want) {
				t.Errorf("promtool query %s: no %q in\n%s", strings.Join(test.args, " "), want, out)
			}
		}
	}
}
