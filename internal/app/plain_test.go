package app_test

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/alertrouter/incident"
	"watchkeeper/internal/app"
	"watchkeeper/internal/app/apptest"
	"watchkeeper/internal/datadir"
)

// theirAlert is an alert as an outside Alertmanager is told it.
type theirAlert struct {
	Labels       map[string]string
	GeneratorURL string
}

// outside starts an Alertmanager that keeps the alerts it is told.
func outside(t *testing.T) (address string, told chan theirAlert) {
	t.Helper()
	told = make(chan theirAlert, 1000)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var alerts []theirAlert
		if err := json.NewDecoder(r.Body).Decode(&alerts); err != nil || r.URL.Path != "/api/v2/alerts" {
			http.Error(w, fmt.Sprint(r.URL.Path, err), http.StatusBadRequest)
			return
		}
		for _, a := range alerts {
			select {
			case told <- a:
			default: // repetitions nobody waits for
			}
		}
	}))
	t.Cleanup(srv.Close)
	return strings.TrimPrefix(srv.URL, "http://"), told
}

// What an outside Alertmanager is told leads back here: the link in it, made
// without external_url from the address that is listened on, shows what the
// expression yields. The API lists that Alertmanager.
func TestPlainRulesTellAnOutsideAlertmanager(t *testing.T) {
	t.Parallel()
	address, told := outside(t)
	file := filepath.Join(files(t, map[string]string{
		"watchkeeper.yml": listeners + fmt.Sprintf(`
rules:
  packs: []
  files: [rules.yml]
  plain:
    external_labels: {site: lab}
    alerting: {alertmanagers: [{static_configs: [{targets: [%q]}]}]}
`, address),
		"rules.yml": `
groups:
- name: plain
  interval: 1s
  rules:
  - {alert: Always, expr: "vector(1) > 0", labels: {severity: high}}
`}), "watchkeeper.yml")
	s := serve(t, file)
	var a theirAlert
	apptest.Until(t, "the outside Alertmanager is told", func() bool {
		select {
		case a = <-told:
			return true
		default:
			return false
		}
	})
	if a.Labels["alertname"] != "Always" || a.Labels["site"] != "lab" || a.Labels["customer"] != "default" {
		t.Errorf("told: %+v", a)
	}
	if !strings.HasPrefix(a.GeneratorURL, s.URL()+"/graph?") {
		t.Fatalf("link %q does not lead to %s", a.GeneratorURL, s.URL())
	}
	if code, body := apptest.Get(a.GeneratorURL); code != http.StatusOK || !strings.Contains(body, `"resultType":"vector","result":[{"metric":{},`) {
		t.Errorf("link %s: %d %s", a.GeneratorURL, code, body)
	}
	if _, body := apptest.Get(s.URL() + "/api/v1/alertmanagers"); !strings.Contains(body, `"activeAlertmanagers":[{"url":"http://`+address+`/api/v2/alerts"}]`) {
		t.Errorf("Alertmanagers: %s", body)
	}
	if code, text := reload(s); code != http.StatusOK {
		t.Errorf("reload: %d %s", code, text)
	}
}

// A stopped server's folder lists plain rules as the server did. A rule that is
// gone at the next start ends its alerts.
func TestPlainRulesOverARestart(t *testing.T) {
	t.Parallel()
	const rules = "groups: [{name: plain, interval: 1s, rules: [{record: one, expr: vector(1)}, {alert: Always, expr: one > 0, labels: {severity: high}}]}]"
	dir := files(t, map[string]string{"watchkeeper.yml": listeners + "rules: {packs: [], files: [rules.yml]}\n", "rules.yml": rules})
	file := filepath.Join(dir, "watchkeeper.yml")
	s := serve(t, file)
	s.incident(incident.Firing)
	for alert, says := range map[string]string{
		"Always": `\"Always\" is a Prometheus rule (group plain in `, `plain/Always{severity="high"}`: "is a Prometheus rule", "one": "it is no alert", "None": "no rule with consecutive is named",
	} {
		code, body := apptest.Get(s.URL() + "/api/rules/explain?" + url.Values{"alert": {alert}}.Encode())
		if code != http.StatusNotFound || !strings.Contains(body, says) {
			t.Errorf("explain %s: %d %s", alert, code, body)
		}
	}
	s.stop()

	folder, err := datadir.OpenReadOnly(filepath.Join(dir, "data"))
	if err != nil {
		t.Fatal(err)
	}
	groups, err := app.ReadRules(folder)
	if err := errors.Join(err, folder.Close()); err != nil {
		t.Fatal(err)
	}
	var listed []string
	for _, g := range groups {
		for _, r := range g.Rules {
			listed = append(listed, r.ID+" "+r.Type+" "+r.Mode)
		}
	}
	if diff := cmp.Diff([]string{"rules.yml:plain/one recording plain", "rules.yml:plain/Always alerting plain"}, listed); diff != "" {
		t.Errorf("rules of the folder (-want +got):\n%s", diff)
	}

	// A former version named the rule without its file, and the severity was part of
	// the identity: its incident goes on, and is not opened a second time.
	db, err := sql.Open("sqlite", filepath.Join(dir, "data", "incidents.db"))
	if err != nil {
		t.Fatal(err)
	}
	former := incident.Transition{Customer: "default", RuleID: "plain/Always", Identity: labels.FromStrings("severity", "high")}
	_, err = db.Exec(`UPDATE incidents SET rule_id = ?, incident_key = ?, identity_json = '{"severity":"high"}'`, former.RuleID, former.Key())
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "rules.yml"), strings.Replace(rules, "severity: high", "severity: low", 1))
	s = serve(t, file)
	apptest.Until(t, "the incident goes on with another severity", func() bool {
		list := s.incidents("state=firing")
		return len(list) == 1 && list[0].Severity == "low"
	})
	if all := s.incidents(""); len(all) != 1 || all[0].Key != former.Key() {
		t.Errorf("incidents: %+v", all)
	}
	s.stop()

	write(t, filepath.Join(dir, "rules.yml"), strings.Replace(rules, "alert: Always", "alert: Other", 1))
	s = serve(t, file)
	apptest.Until(t, "the alert of the rule that is gone ends", func() bool {
		list := s.incidents("state=ended")
		return len(list) == 1 && list[0].Alert == "Always" && list[0].Reason == "rule removed"
	})
}
