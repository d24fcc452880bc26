package app_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"watchkeeper/alertrouter/incident"
	"watchkeeper/internal/app/apptest"
)

func reload(s *server) (int, string) { return apptest.Post(s.t, s.URL()+"/-/reload", "", "") }

func ruleNames(s *server) string {
	s.t.Helper()
	var answer struct {
		Data struct {
			Groups []struct {
				Rules []struct {
					Name string `json:"name"`
				} `json:"rules"`
			} `json:"groups"`
		} `json:"data"`
	}
	apptest.GetJSON(s.t, s.URL()+"/api/v1/rules", &answer)
	var names []string
	for _, g := range answer.Data.Groups {
		for _, r := range g.Rules {
			names = append(names, r.Name)
		}
	}
	return strings.Join(names, " ")
}

// A reload brings a new rule file, a new probe target, a new sender and a new
// receiver to work, without losing the open incident.
func TestReloadApplies(t *testing.T) {
	t.Parallel()
	first, routing := hook(t)
	file := pushConfig(t, routing)
	dir := filepath.Dir(file)
	s := serve(t, file)
	apptest.WriteV1(t, s.IngestURL(), erpToken, points(queue("mail"), 20, 21, 22, 23)...)
	before := s.incident(incident.Firing)
	apptest.Until(t, "told", func() bool { return len(first.Messages()) == 1 })

	target, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	second, routing := hook(t)
	write(t, filepath.Join(dir, "more.yml"), strings.NewReplacer("queue_length > 10", "queue_length > 100", "QueueLong", "QueueVeryLong", "name: queue", "name: more").Replace(queueRule))
	write(t, filepath.Join(dir, "new-token"), "new-token-0123456789abcdef")
	write(t, file, listeners+strings.NewReplacer("[rules.yml]", "[rules.yml, more.yml]",
		"rules:", "  - {name: late, customer: late, token_file: new-token}\nrules:").Replace(senders)+fmt.Sprintf(`
customers:
- name: acme
  probes: {targets: [{name: gateway, tcp: "%s", interval: 1s}]}
`, target.Addr())+routing)
	if code, body := reload(s); code != http.StatusOK {
		t.Fatalf("reload: %d %s", code, body)
	}
	if got := ruleNames(s); got != "QueueLong QueueVeryLong" {
		t.Errorf("rules after the reload: %s", got)
	}
	apptest.Until(t, "the new target is probed", func() bool { return len(query(s, `probe_tcp_code{customer="acme",instance="gateway"}`)) == 1 })
	if code, body := apptest.WriteV1(t, s.IngestURL(), "new-token-0123456789abcdef", points(queue("late"), 200, 200, 200, 200)...); code != http.StatusNoContent {
		t.Errorf("new sender: %d %s", code, body)
	}
	apptest.Until(t, "the new rule fires", func() bool { return len(s.incidents("customer=late")) == 2 })
	apptest.Until(t, "the new receiver is told", func() bool { return len(second.Messages()) > 0 })
	if list := s.incidents("customer=erp"); len(list) != 1 || list[0].ID != before.ID || list[0].State != incident.Firing {
		t.Errorf("the open incident did not survive: %+v", list)
	}
	if n := apptest.Metric(t, s.URL(), "watchkeeper_app_reloads_total"); n != 1 {
		t.Errorf("reloads counted: %v", n)
	}
}

// What a configuration no longer names may be gone when it is reloaded: a rule
// file and a sender's token here. The alerts of its rules end.
func TestReloadWithoutFilesThatAreGone(t *testing.T) {
	t.Parallel()
	_, routing := hook(t)
	file := pushConfig(t, routing)
	dir := filepath.Dir(file)
	good := listeners + senders + routing
	write(t, filepath.Join(dir, "more.yml"), `
groups:
- {name: more, interval: 1s, rules: [{alert: Always, expr: vector(1)}]}
`)
	write(t, filepath.Join(dir, "late-token"), "late-token-0123456789abcdef")
	write(t, file, strings.NewReplacer("[rules.yml]", "[rules.yml, more.yml]",
		"rules:", "  - {name: late, customer: late, token_file: late-token}\nrules:").Replace(good))
	s := serve(t, file)
	s.incident(incident.Firing)
	for _, gone := range []string{"more.yml", "late-token"} {
		if err := os.Remove(filepath.Join(dir, gone)); err != nil {
			t.Fatal(err)
		}
	}
	write(t, file, good)
	if code, body := reload(s); code != http.StatusOK {
		t.Fatalf("reload: %d %s", code, body)
	}
	if got := ruleNames(s); got != "QueueLong" {
		t.Errorf("rules after it: %s", got)
	}
	s.incident(incident.Ended)
}

// A wrong file changes nothing and says why in one line with file, line and path.
func TestReloadRefusesWrongFiles(t *testing.T) {
	t.Parallel()
	_, routing := hook(t)
	good := listeners + senders + routing
	file := pushConfig(t, routing)
	dir := filepath.Dir(file)
	s := serve(t, file)
	n := 0.0
	for _, test := range []struct {
		name, config, rules string
		says                []string
	}{
		{"unknown key", good + "nonsense: 1\n", queueRule, []string{"watchkeeper.yml:", "nonsense"}},
		{"bad duration", good + "storage: {retention: soon}\n", queueRule, []string{"watchkeeper.yml:", "storage.retention"}},
		{"wrong customer", strings.Replace(good, "customer: shop", "customer: SHOP", 1), queueRule, []string{"watchkeeper.yml:9", "ingest.senders[1].customer", `"SHOP"`}},
		{"no such receiver", strings.Replace(good, "receiver: tickets", "receiver: pager", 1), queueRule, []string{"watchkeeper.yml:13: alertmanager: ", `"pager"`}},
		{"no such rule file", strings.Replace(good, "[rules.yml]", "[missing.yml]", 1), queueRule, []string{"rules.files[0]", "missing.yml"}},
		{"wrong rule", good, strings.Replace(queueRule, "> 10", "> > 10", 1), []string{"rules.yml:7", "groups[0].rules[0].expr", "parse error"}},
		{"token of another", strings.Replace(good, "token_file: shop-token", "token_file: erp-token", 1), queueRule, []string{"ingest.senders[1]", "same token"}},
		{"another folder", strings.Replace(good, "data_dir: data", "data_dir: other", 1), queueRule, []string{"data_dir", "restart"}},
		{"another listener", strings.Replace(good, `api: {listen: "127.0.0.1:0"}`, `api: {listen: "127.0.0.1:1"}`, 1), queueRule, []string{"api.listen", "restart"}},
		{"other storage", good + "storage: {retention: 30d}\n", queueRule, []string{"storage", "restart"}},
		{"other engine", strings.Replace(good, "files: [rules.yml]", "files: [rules.yml], engine: {max_series_per_rule: 7}", 1), queueRule, []string{"rules.engine", "restart"}},
	} {
		write(t, file, test.config)
		write(t, filepath.Join(dir, "rules.yml"), test.rules)
		code, body := reload(s)
		n++
		if code != http.StatusInternalServerError || !strings.HasPrefix(body, "nothing was changed: ") {
			t.Errorf("%s: %d %s", test.name, code, body)
		}
		for _, want := range test.says {
			if !strings.Contains(body, want) {
				t.Errorf("%s: the answer does not say %q: %s", test.name, want, body)
			}
		}
		if strings.Count(body, "\n") != 1 {
			t.Errorf("%s: the answer is not one line: %q", test.name, body)
		}
		if got := ruleNames(s); got != "QueueLong" {
			t.Errorf("%s: rules after it: %s", test.name, got)
		}
	}
	if got := apptest.Metric(t, s.URL(), "watchkeeper_app_reload_failures_total"); got != n {
		t.Errorf("failures counted: %v, want %v", got, n)
	}
	// What was in force still works, and the right file is taken again.
	if code, body := apptest.WriteV1(t, s.IngestURL(), shopToken, points(queue("mail"), 20, 21, 22, 23)...); code != http.StatusNoContent {
		t.Errorf("write: %d %s", code, body)
	}
	s.incident(incident.Firing)
	write(t, file, good)
	write(t, filepath.Join(dir, "rules.yml"), queueRule)
	if code, body := reload(s); code != http.StatusOK {
		t.Errorf("reload of the right file: %d %s", code, body)
	}
}
