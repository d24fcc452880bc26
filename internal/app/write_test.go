package app_test

import (
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/alertrouter/incident"
	"watchkeeper/internal/app/apptest"
)

// queueRule fires at the third breach in a row, a minute apart.
const queueRule = `
groups:
- name: queue
  interval: 1m
  rules:
  - alert: QueueLong
    expr: queue_length > 10
    consecutive: 3
    labels: {severity: high}
    annotations: {summary: "queue {{ $labels.queue }}: {{ $value }}"}
`

const senders = `
  senders:
  - {name: erp, customer: erp, token_file: erp-token}
  - {name: shop, customer: shop, token_file: shop-token}
rules: {packs: [], files: [rules.yml]}
`

func pushConfig(t *testing.T, routing string) string {
	t.Helper()
	dir := files(t, map[string]string{
		"watchkeeper.yml": listeners + senders + routing, "rules.yml": queueRule, "erp-token": erpToken + "\n", "shop-token": shopToken,
	})
	return filepath.Join(dir, "watchkeeper.yml")
}

func queue(name string, more ...string) labels.Labels {
	return labels.FromStrings(append([]string{"__name__", "queue_length", "queue", name}, more...)...)
}

// points are one a minute, the last one in the current minute.
func points(series labels.Labels, values ...float64) []apptest.Point {
	now := time.Now().UnixMilli()
	var out []apptest.Point
	for i, v := range values {
		out = append(out, apptest.Point{Series: series, T: now - int64(len(values)-1-i)*60_000, V: v})
	}
	return out
}

// A pushed series is judged like any other and belongs to the token's customer,
// in both protocol versions and on both listeners.
func TestRemoteWriteFires(t *testing.T) {
	t.Parallel()
	tickets, routing := hook(t)
	s := serve(t, pushConfig(t, routing))
	// Four breaches: the current minute's check may not have come yet.
	if code, body := apptest.WriteV1(t, s.IngestURL(), erpToken, points(queue("mail"), 20, 21, 22, 23)...); code != http.StatusNoContent {
		t.Fatalf("v1: %d %s", code, body)
	}
	if code, body := apptest.WriteV2(t, s.URL()+"/api/v1/write", shopToken, points(queue("mail"), 20, 21, 22, 23)...); code != http.StatusNoContent {
		t.Fatalf("v2: %d %s", code, body)
	}
	for _, customer := range []string{"erp", "shop"} {
		apptest.Until(t, "incident of "+customer, func() bool { return len(s.incidents("customer="+customer)) == 1 })
		i := s.incidents("customer=" + customer)[0]
		if i.State != incident.Firing || i.Alert != "QueueLong" || i.Identity.Get("queue") != "mail" || i.Labels.Get("customer") != customer {
			t.Errorf("incident: %+v", i)
		}
	}
	apptest.Until(t, "two messages", func() bool { return len(tickets.Messages()) == 2 })

	for name, token := range map[string]string{"no": "", "a wrong": "wrong-token-0123456789"} {
		for _, address := range []string{s.IngestURL(), s.URL() + "/api/v1/write"} {
			if code, _ := apptest.WriteV1(t, address, token, points(queue("x"), 1)...); code != http.StatusUnauthorized {
				t.Errorf("%s with %s token: %d, want 401", address, name, code)
			}
		}
	}
}

// Bad samples of a request are refused by name, the others are kept.
func TestRemoteWriteRefusesByName(t *testing.T) {
	t.Parallel()
	_, routing := hook(t)
	s := serve(t, pushConfig(t, routing))
	now := time.Now().UnixMilli()
	week := now + 7*24*3600_000
	for name, write := range map[string]func(testing.TB, string, string, ...apptest.Point) (int, string){"v1": apptest.WriteV1, "v2": apptest.WriteV2} {
		code, body := write(t, s.IngestURL(), erpToken,
			apptest.Point{Series: queue(name + "-good"), T: now, V: 1},
			apptest.Point{Series: queue(name + "-next-week"), T: week, V: 1},
			apptest.Point{Series: queue(name+"-foreign", "customer", "shop"), T: now, V: 1},
			apptest.Point{Series: queue(name+"-own", "customer", "erp"), T: now, V: 1},
		)
		if code != http.StatusBadRequest {
			t.Errorf("%s: %d, want 400", name, code)
		}
		for _, want := range []string{"2 of 4 samples refused", name + "-next-week", "too far in the future", name + "-foreign", `customer="shop"`} {
			if !strings.Contains(body, want) {
				t.Errorf("%s: the answer does not say %q: %s", name, want, body)
			}
		}
		var got struct {
			Data []map[string]string `json:"data"`
		}
		apptest.GetJSON(t, s.URL()+"/api/v1/series?match[]="+url.QueryEscape(fmt.Sprintf(`{queue=~"%s-.*"}`, name)), &got)
		kept := map[string]string{}
		for _, ls := range got.Data {
			kept[ls["queue"]] = ls["customer"]
		}
		if len(kept) != 2 || kept[name+"-good"] != "erp" || kept[name+"-own"] != "erp" {
			t.Errorf("%s: kept %v", name, kept)
		}
	}
	// The far sample did not spoil the store for others.
	if code, body := apptest.WriteV1(t, s.IngestURL(), shopToken, points(queue("after"), 1)...); code != http.StatusNoContent {
		t.Errorf("after it: %d %s", code, body)
	}
	if n := apptest.Metric(t, s.URL(), "watchkeeper_ingest_samples_refused_total"); n != 4 {
		t.Errorf("%v samples refused, want 4", n)
	}
}

// The webhook's receiver answers 500 for a while: the message arrives once, and
// the attempts are in the ledger and in the metrics.
func TestReceiverRefusesForAWhile(t *testing.T) {
	t.Parallel()
	tickets, routing := hook(t)
	tickets.Answer(http.StatusInternalServerError)
	s := serve(t, pushConfig(t, routing))
	apptest.WriteV1(t, s.IngestURL(), erpToken, points(queue("mail"), 20, 21, 22, 23)...)
	apptest.Until(t, "three refused attempts", func() bool { return tickets.Refused() >= 3 })
	tickets.Answer(http.StatusOK)
	apptest.Until(t, "the message", func() bool { return len(tickets.Messages()) > 0 })
	var d incident.Detail
	apptest.Until(t, "acceptance in the ledger", func() bool {
		d = s.incident(incident.Firing)
		return len(d.Ledger) > 0 && d.Ledger[len(d.Ledger)-1].Outcome == incident.OutcomeAccepted
	})
	keys := map[string]bool{}
	for _, l := range d.Ledger {
		keys[l.IdempotencyKey] = true
	}
	if len(d.Ledger) != tickets.Refused()+1 || len(keys) != 1 || !keys[tickets.Messages()[0].Key] {
		t.Errorf("ledger of %d lines with the keys %v, want %d refusals and one acceptance under one key", len(d.Ledger), keys, tickets.Refused())
	}
	if n := len(tickets.Messages()); n != 1 {
		t.Errorf("%d messages, want 1", n)
	}
	if !strings.Contains(s.log.String(), "notification not accepted, tried again later") {
		t.Error("the log does not tell of the refusals")
	}
}

// A run goes on over a restart; an open incident stays the one it was.
func TestRestart(t *testing.T) {
	t.Parallel()
	tickets, routing := hook(t)
	file := pushConfig(t, routing)
	minute := time.Now().Truncate(time.Minute)
	at := func(name string, n int, v float64) apptest.Point {
		return apptest.Point{Series: queue(name), T: minute.Add(time.Duration(n) * time.Minute).UnixMilli(), V: v}
	}
	first := serve(t, file)
	// "run" has two breaches of three; "open" fires.
	apptest.WriteV1(t, first.IngestURL(), erpToken,
		at("run", -5, 20), at("run", -4, 20),
		at("open", -5, 30), at("open", -4, 30), at("open", -3, 30))
	d := first.incident(incident.Firing)
	apptest.Until(t, "the first message", func() bool { return len(tickets.Messages()) == 1 })
	first.stop()

	second := serve(t, file)
	if again := second.incident(incident.Firing); again.ID != d.ID || again.Identity.Get("queue") != "open" {
		t.Errorf("after the restart: incident %d %s, want %d", again.ID, again.Identity, d.ID)
	}
	// The third breach completes the run that began before the restart; the
	// firing series goes on and then resolves the incident it had.
	apptest.WriteV1(t, second.IngestURL(), erpToken, at("run", -3, 20), at("open", -2, 30))
	apptest.Until(t, "the run fires", func() bool { return len(second.incidents("open=true")) == 2 })
	apptest.WriteV1(t, second.IngestURL(), erpToken, at("open", -1, 1))
	apptest.Until(t, "resolved", func() bool { return len(second.incidents("state=resolved")) == 1 })
	if i := second.incidents("state=resolved")[0]; i.ID != d.ID {
		t.Errorf("incident %d resolved, want %d", i.ID, d.ID)
	}
	if n := len(second.incidents("")); n != 2 {
		t.Errorf("%d incidents, want 2", n)
	}
	apptest.Until(t, "a message for each change", func() bool {
		told := map[string]string{}
		for _, m := range tickets.Messages() {
			for _, a := range m.Alerts {
				told[a.Labels["queue"]] = a.Status
			}
		}
		return told["open"] == "resolved" && told["run"] == "firing"
	})
	tickets.OncePerKey(t)
	second.stop()

	third := serve(t, file)
	if open, all := third.incidents("open=true"), third.incidents(""); len(open) != 1 || len(all) != 2 {
		t.Errorf("after the second restart: %d open of %d, want 1 of 2", len(open), len(all))
	}
}

// Alerts that others push belong to the token's customer, whatever they say.
func TestPushedAlerts(t *testing.T) {
	t.Parallel()
	tickets, routing := hook(t)
	s := serve(t, pushConfig(t, routing))
	push := func(token, alertname string) int {
		t.Helper()
		body := fmt.Sprintf(`[{"labels": {"alertname": %q, "customer": "shop", "severity": "high"}, "annotations": {"summary": "from outside"}}]`, alertname)
		code, _ := apptest.Post(t, s.URL()+"/alertmanager/api/v2/alerts", "application/json", body, "Authorization", "Bearer "+token)
		return code
	}
	if code := push("wrong-token-0123456789", "Forged"); code != http.StatusUnauthorized {
		t.Errorf("pushed with a wrong token: %d, want 401", code)
	}
	if code := push(erpToken, "Outside"); code != http.StatusOK {
		t.Errorf("pushed: %d", code)
	}
	d := s.incident(incident.Firing)
	if d.Customer != "erp" || d.Alert != "Outside" || d.Labels.Get("customer") != "erp" {
		t.Errorf("incident: %+v", d.Incident)
	}
	apptest.Until(t, "told", func() bool { return len(tickets.Messages()) == 1 })
}

// Prometheus's own rules in a rule file run beside ours: what a recording rule
// makes can be asked for, and an alerting rule makes incidents.
func TestPlainRules(t *testing.T) {
	t.Parallel()
	_, routing := hook(t)
	file := pushConfig(t, routing)
	write(t, filepath.Join(filepath.Dir(file), "rules.yml"), `
groups:
- name: plain
  interval: 1s
  rules:
  - {record: "queue:length:sum", expr: sum by (customer) (queue_length)}
  - {alert: QueuesLong, expr: "queue:length:sum > 10", for: 1s, labels: {severity: high}, annotations: {summary: "{{ $value }} waiting"}}
`)
	s := serve(t, file)
	apptest.WriteV1(t, s.IngestURL(), erpToken, append(points(queue("mail"), 9), points(queue("web"), 8)...)...)
	apptest.WriteV1(t, s.IngestURL(), shopToken, points(queue("mail"), 3)...)
	d := s.incident(incident.Firing)
	if d.Customer != "erp" || d.Alert != "QueuesLong" || d.Annotations.Get("summary") != "17 waiting" {
		t.Errorf("incident: %+v", d.Incident)
	}
	if got := query(s, `{__name__="queue:length:sum"}`); len(got) != 2 {
		t.Errorf("recorded: %v", got)
	}
	if got := ruleNames(s); got != "queue:length:sum QueuesLong" {
		t.Errorf("rules shown: %s", got)
	}
}
