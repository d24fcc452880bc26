package app_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"watchkeeper/alertrouter/incident"
	"watchkeeper/internal/app/apptest"
	sim "watchkeeper/internal/sim/aliyun"
)

// The whole line: a cloud account whose CPU breached for some minutes, one
// point missing and one late, becomes one incident of the contract's row; the
// webhook tells it, and tells the recovery.
func TestBreachBecomesIncidentAndWebhook(t *testing.T) {
	t.Parallel()
	c := cloud(t)
	const late, recovery = time.Hour, 2 * time.Hour
	delays := map[time.Time]time.Duration{c.minute(-5): c.until(-5, late)}
	for n := -2; n <= 5; n++ { // the next minutes may come while the test runs
		delays[c.minute(n)] = c.until(n, recovery)
	}
	c.inject(t, sim.Breach{
		Instance: c.instance, Metric: "CPUUtilization", From: c.minute(-10), To: c.minute(-3), Value: 97,
		Missing: []time.Time{c.minute(-8)}, Late: delays,
	})
	tickets, routing := hook(t)
	dir := files(t, map[string]string{"watchkeeper.yml": listeners + c.customer() + routing, "cloud-secret": cloudKey.Secret})
	s := serve(t, filepath.Join(dir, "watchkeeper.yml"))

	apptest.Until(t, "firing is told", func() bool { return len(tickets.Messages()) > 0 })
	c.ahead.Store(int64(late))
	apptest.Until(t, "the late point", func() bool {
		return len(query(s, fmt.Sprintf(`last_over_time(aliyun_ecs_cpu_utilization_percent{instance=%q}[59s] @ %d)`, c.instance, c.minute(-5).Unix()))) == 1
	})
	c.ahead.Store(int64(recovery))
	d := s.incident(incident.Resolved)

	if d.Customer != "acme" || d.ContractRow != "ecs-cpu" || d.ContractLiteral != "每分钟检测一次, 连续三次>=90%" || d.Identity.Get("instance") != c.instance {
		t.Errorf("incident of the wrong row or resource: %+v", d.Incident)
	}
	// -9 breach, -8 missing, -7 and -6 breach: the third breach is at -6 whatever came late.
	if want := c.minute(-6); !d.StartedAt.Equal(want) {
		t.Errorf("started at %s, want %s", d.StartedAt, want)
	}
	if len(d.Samples) == 0 {
		t.Error("the incident does not show the samples that made it")
	}
	apptest.Until(t, "the recovery is told", func() bool { return len(tickets.Messages()) == 2 })
	first, last := tickets.Messages()[0], tickets.Messages()[1]
	if first.Version != "4" || first.Status != "firing" || last.Status != "resolved" {
		t.Errorf("told %s then %s in version %q, want firing then resolved in version 4", first.Status, last.Status, first.Version)
	}
	got := first.Alerts[0]
	want := map[string]string{"alertname": "ECSCPUUtilizationHigh", "customer": "acme", "instance": c.instance, "product": "ecs", "region": "cn-hangzhou", "severity": "average"}
	if diff := cmp.Diff(want, got.Labels); diff != "" {
		t.Errorf("labels told (-want +got):\n%s", diff)
	}
	if got.Annotations["contract_row"] != "ecs-cpu" || !strings.Contains(got.Annotations["samples"], "=97 breach") {
		t.Errorf("annotations told: %v", got.Annotations)
	}
	tickets.OncePerKey(t)
	types := entryTypes(d)
	if types[0] != incident.EntryOpened || !contains(types, incident.EntryResolved) {
		t.Errorf("event log: %v", types)
	}
}

// Breach and recovery become visible in the same poll: one incident, opened and
// resolved, and one message that tells both.
func TestBreachAndRecoveryInOnePoll(t *testing.T) {
	t.Parallel()
	c := cloud(t)
	const together = time.Hour
	late := map[time.Time]time.Duration{}
	for n := -9; n <= 5; n++ { // the next minutes may come while the test runs
		late[c.minute(n)] = c.until(n, together)
	}
	c.inject(t, sim.Breach{
		Instance: c.instance, Metric: "CPUUtilization", From: c.minute(-10), To: c.minute(-5), Value: 97, Late: late,
	})
	tickets, routing := hook(t)
	dir := files(t, map[string]string{"watchkeeper.yml": listeners + c.customer() + routing, "cloud-secret": cloudKey.Secret})
	s := serve(t, filepath.Join(dir, "watchkeeper.yml"))
	// What the first contact brings tells of the past only; let it pass.
	apptest.Until(t, "the first samples", func() bool { return len(query(s, "aliyun_ecs_cpu_utilization_percent offset 10m")) == 2 })
	polled := c.Calls()["Cms.DescribeMetricList"]
	apptest.Until(t, "two polls more", func() bool { return c.Calls()["Cms.DescribeMetricList"] > 3*polled+10 })
	c.ahead.Store(int64(together))

	d := s.incident(incident.Resolved)
	apptest.Until(t, "a message", func() bool { return len(tickets.Messages()) > 0 })
	if types := entryTypes(d); types[0] != incident.EntryOpened || types[1] != incident.EntryResolved {
		t.Errorf("event log: %v, want opened, resolved", types)
	}
	m := tickets.Messages()[0]
	if m.Status != "resolved" || len(m.Alerts) != 1 || !strings.HasPrefix(m.Alerts[0].Annotations["history"], "fired ") ||
		!strings.Contains(m.Alerts[0].Annotations["history"], ", resolved ") {
		t.Errorf("the message does not tell both: %s", m.Body)
	}
	// Nothing more is waiting to be told.
	apptest.Until(t, "an empty outbox", func() bool {
		return apptest.Metric(t, s.URL(), `watchkeeper_alertrouter_outbox_changes`)+apptest.Metric(t, s.URL(), `watchkeeper_alertrouter_outbox_notifications`) == 0
	})
	if n := len(tickets.Messages()); n != 1 {
		t.Errorf("%d messages, want 1", n)
	}
}

func entryTypes(d incident.Detail) []incident.EntryType {
	var out []incident.EntryType
	for _, e := range d.Events {
		out = append(out, e.Type)
	}
	return out
}

func contains(list []incident.EntryType, want incident.EntryType) bool {
	for _, x := range list {
		if x == want {
			return true
		}
	}
	return false
}
