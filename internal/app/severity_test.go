package app_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"watchkeeper/alertrouter/incident"
	"watchkeeper/internal/app/apptest"
)

// grades lists what the only incident's log says of its severity.
func (s *server) grades(id int64) []string {
	s.t.Helper()
	var d incident.Detail
	apptest.GetJSON(s.t, fmt.Sprintf("%s/api/incidents/%d", s.URL(), id), &d)
	said := []string{}
	for _, e := range d.Events {
		if e.Type == incident.EntrySeverity {
			said = append(said, e.Detail)
		}
	}
	return said
}

func (s *server) becomes(what string, ok func(incident.Incident) bool) {
	s.t.Helper()
	apptest.Until(s.t, what, func() bool { return slices.ContainsFunc(s.incidents("state=firing"), ok) })
}

func reloaded(s *server) {
	s.t.Helper()
	if code, body := reload(s); code != http.StatusOK {
		s.t.Fatalf("reload: %d %s", code, body)
	}
}

// A severity that is edited while the alert stands is told once, over reloads and
// restarts; it stays acknowledged. Another label leads to the receiver that it names.
func TestSeverityEditedWhileItStands(t *testing.T) {
	t.Parallel()
	tickets, routing := hook(t)
	team, other := hook(t)
	url := other[strings.Index(other, "{url: "):strings.Index(other, "]}")]
	routing = strings.Replace(routing, "repeat_interval: 4h}", "repeat_interval: 4h, routes: [{matchers: ['team=\"b\"'], receiver: team}]}", 1)
	routing = strings.Replace(routing, "receivers:\n", "receivers:\n  - {name: team, webhook_configs: ["+url+"]}\n", 1)
	file := pushConfig(t, routing)
	rules := filepath.Join(filepath.Dir(file), "rules.yml")
	labelled := func(l string) {
		write(t, rules, strings.Replace(queueRule, "labels: {severity: high}", "labels: {"+l+"}", 1))
	}
	s := serve(t, file)
	apptest.WriteV1(t, s.IngestURL(), erpToken, points(queue("mail"), 20, 21, 22, 23)...)
	inc := s.incident(incident.Firing)
	apptest.Until(t, "told", func() bool { return len(tickets.Messages()) == 1 })
	if code, body := apptest.Post(t, fmt.Sprintf("%s/api/incidents/%d/acknowledge", s.URL(), inc.ID), "application/json", `{"user":"li"}`); code != http.StatusOK {
		t.Fatalf("ack: %d %s", code, body)
	}

	labelled("severity: average")
	reloaded(s)
	s.becomes("average after the reload", func(i incident.Incident) bool {
		return i.ID == inc.ID && i.Severity == "average" && i.Labels.Get("severity") == "average" && i.AcknowledgedBy == "li" && i.StartedAt.Equal(inc.StartedAt) && i.OpenedAt.Equal(inc.OpenedAt)
	})
	apptest.Until(t, "told as news", func() bool { return len(tickets.Messages()) == 2 })
	reloaded(s)
	s.stop()

	labelled("severity: disaster")
	s = serve(t, file)
	s.becomes("disaster after the restart", func(i incident.Incident) bool { return i.ID == inc.ID && i.Severity == "disaster" })
	apptest.Until(t, "told as news", func() bool { return len(tickets.Messages()) == 3 })
	s.stop()

	s = serve(t, file)
	labelled("severity: disaster, team: b")
	reloaded(s)
	s.becomes("of another team", func(i incident.Incident) bool { return i.ID == inc.ID && i.Labels.Get("team") == "b" })
	apptest.Until(t, "the team is told", func() bool { return len(team.Messages()) == 1 })
	want := []string{"average instead of high", "disaster instead of average"}
	if d := cmp.Diff(want, s.grades(inc.ID)); d != "" {
		t.Errorf("the incident's log (-want +got):\n%s", d)
	}
	if n := len(tickets.Messages()); n != 3 {
		t.Errorf("%d messages to the first receiver, want 3", n)
	}
}

// An override's severity is told when it begins, when it is edited and when it ends by
// itself: to begin and to end are incidents of the overriding rule.
func TestSeverityOfAnOverride(t *testing.T) {
	t.Parallel()
	_, routing := hook(t)
	file := pushConfig(t, routing)
	dir := filepath.Dir(file)
	s := serve(t, file)
	apptest.WriteV1(t, s.IngestURL(), erpToken, points(queue("mail"), 20, 21, 22, 23)...)
	s.incident(incident.Firing)
	override := func(severity string, end time.Time) {
		write(t, filepath.Join(dir, "o.yml"), fmt.Sprintf(`overrides:
- {name: soft, rules: [queue/QueueLong], match: '{customer="erp"}', severity: %s, owner: ops, reason: known, end: %s}
`, severity, end.UTC().Format(time.RFC3339)))
	}
	override("warning", time.Now().Add(time.Hour))
	write(t, file, strings.Replace(listeners+senders, "files: [rules.yml]", "files: [rules.yml], overrides: o.yml", 1)+routing)
	reloaded(s)
	soft := func(severity string) func(incident.Incident) bool {
		return func(i incident.Incident) bool { return i.RuleID == "queue@soft/QueueLong" && i.Severity == severity }
	}
	s.becomes("the override's incident", soft("warning"))
	if l := s.incidents("state=ended"); len(l) != 1 || l[0].RuleID != "queue/QueueLong" {
		t.Errorf("ended: %+v", l)
	}
	override("average", time.Now().Add(time.Hour))
	reloaded(s)
	s.becomes("edited", soft("average"))
	override("average", time.Now().Add(2*time.Second)) // over before the reload on a slow machine
	reloaded(s)
	s.becomes("the rule's own again", func(i incident.Incident) bool { return i.RuleID == "queue/QueueLong" && i.Severity == "high" })
	apptest.Until(t, "the override's incident has ended", func() bool { return len(s.incidents("state=ended")) == 2 })
}
