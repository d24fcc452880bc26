package app_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/alertrouter/incident"
	"watchkeeper/internal/app/apptest"
	"watchkeeper/ruleset"
)

// A rule that a reload removed and that is back after a restart: its alert still stands
// at the same check, and is told anew.
func TestRuleThatIsBackAfterARestart(t *testing.T) {
	t.Parallel()
	_, routing := hook(t)
	file := pushConfig(t, routing)
	rules := filepath.Join(filepath.Dir(file), "rules.yml")
	s := serve(t, file)
	apptest.WriteV1(t, s.IngestURL(), erpToken, points(queue("mail"), 20, 21, 22, 23)...)
	first := s.incident(incident.Firing)
	write(t, rules, otherRule)
	reloaded(s)
	apptest.Until(t, "the alert has ended with its rule", func() bool { return len(s.incidents("state=firing")) == 0 })
	write(t, rules, queueRule)
	s.stop()
	s = serve(t, file)
	apptest.Until(t, "the alert is told anew", func() bool { return len(s.incidents("state=firing")) == 1 })
	if again := s.incidents("state=firing")[0]; again.ID == first.ID {
		t.Errorf("incident %d was closed and is open", again.ID)
	}
}

// otherRule is a rule file without the rule of queueRule.
var otherRule = strings.NewReplacer("queue_length > 10", "queue_length > 100000", "QueueLong", "Other", "name: queue", "name: more").Replace(queueRule)

// A rule that was removed while the server was down ends its alert as a reload does: the
// incident has the reason, the log the line, and the receiver is told.
func TestRuleRemovedWhileTheServerIsDown(t *testing.T) {
	t.Parallel()
	tickets, routing := hook(t)
	file := pushConfig(t, routing)
	rules := filepath.Join(filepath.Dir(file), "rules.yml")
	s := serve(t, file)
	apptest.WriteV1(t, s.IngestURL(), erpToken, points(queue("mail"), 20, 21, 22, 23)...)
	first := s.incident(incident.Firing)
	apptest.Until(t, "told", func() bool { return len(tickets.Messages()) == 1 })
	s.stop()
	write(t, rules, otherRule)

	s = serve(t, file)
	ended := s.incident(incident.Ended)
	if ended.ID != first.ID || ended.Reason != ruleset.ReasonRemoved || ended.ResolvedAt.Before(first.StartedAt) || !cmp.Equal(ended.Labels, first.Labels, cmp.Comparer(labels.Equal)) {
		t.Errorf("ended: %+v\nof %+v", ended, first)
	}
	apptest.Until(t, "the receiver is told", func() bool {
		m := tickets.Messages()
		return len(m) == 2 && m[1].Status == "resolved" && m[1].Alerts[0].Labels["alertname"] == "QueueLong" && m[1].Alerts[0].Labels["severity"] == "high"
	})
	if lines := liveLines(t, file, "QueueLong", ruleset.ReasonRemoved); len(lines) != 1 {
		t.Errorf("lines of the live log: %q", lines)
	}
	s.stop()

	s = serve(t, file) // nothing more to say
	if lines := liveLines(t, file, "QueueLong", ruleset.ReasonRemoved); len(lines) != 1 {
		t.Errorf("lines of the live log after another start: %q", lines)
	}
	s.stop()

	write(t, rules, queueRule)
	s = serve(t, file)
	apptest.Until(t, "the alert is told anew", func() bool { return len(s.incidents("state=firing")) == 1 })
	if again := s.incidents("state=firing")[0]; again.ID == first.ID {
		t.Errorf("incident %d was closed and is open", again.ID)
	}
}

// A rule that gave its alerts their customer ends them, too.
func TestRuleWithACustomerRemovedWhileTheServerIsDown(t *testing.T) {
	t.Parallel()
	_, routing := hook(t)
	file := pushConfig(t, routing)
	rules := filepath.Join(filepath.Dir(file), "rules.yml")
	write(t, rules, strings.NewReplacer("queue_length > 10", "sum by (queue) (queue_length) > 10", "severity: high", "severity: high, customer: '{{ $labels.queue }}'").Replace(queueRule))
	s := serve(t, file)
	apptest.WriteV1(t, s.IngestURL(), erpToken, points(queue("mail"), 20, 21, 22, 23)...)
	if first := s.incident(incident.Firing); first.Customer != "mail" {
		t.Fatalf("customer %q: this test shows nothing", first.Customer)
	}
	s.stop()
	write(t, rules, otherRule)
	s = serve(t, file)
	if all := s.incidents(""); len(all) != 1 || all[0].State != incident.Ended || all[0].Reason != ruleset.ReasonRemoved {
		t.Errorf("incidents: %+v", all)
	}
}

// A rule that was edited while the server was down, or by a reload, and edited back
// while it was down: the alert closes, and stands again, once.
func TestRuleEditedAndEditedBackWhileTheServerIsDown(t *testing.T) {
	t.Parallel()
	for _, byReload := range []bool{false, true} {
		t.Run(fmt.Sprint("edited by a reload ", byReload), func(t *testing.T) {
			t.Parallel()
			_, routing := hook(t)
			file := pushConfig(t, routing)
			rules := filepath.Join(filepath.Dir(file), "rules.yml")
			s := serve(t, file)
			apptest.WriteV1(t, s.IngestURL(), erpToken, points(queue("mail"), 20, 21, 22, 23)...)
			first := s.incident(incident.Firing)
			if !byReload {
				s.stop()
			}
			write(t, rules, strings.Replace(queueRule, "queue_length > 10", "queue_length > 100000", 1))
			if byReload {
				reloaded(s)
			} else {
				s = serve(t, file)
			}
			apptest.Until(t, "the alert has closed", func() bool { return len(s.incidents("state=firing")) == 0 })
			s.stop()
			write(t, rules, queueRule)
			for range 2 {
				s = serve(t, file)
				apptest.Until(t, "the alert stands again", func() bool { return len(s.incidents("state=firing")) == 1 })
				if again := s.incidents("")[0]; again.ID != first.ID || again.Reopened != 1 {
					t.Errorf("incident %d, reopened %d times, want %d, once", again.ID, again.Reopened, first.ID)
				}
				s.stop()
			}
		})
	}
}

// liveLines returns the lines of the live log that speak of an alert and have a reason.
func liveLines(t *testing.T, file, alert, reason string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(filepath.Dir(file), "data", "log", "live-*.jsonl"))
	if err != nil || len(names) == 0 {
		t.Fatalf("%d files: %v", len(names), err)
	}
	var out []string
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(b)) {
			if strings.Contains(line, `"alert":"`+alert+`"`) && strings.Contains(line, `"reason":"`+reason+`"`) {
				out = append(out, line)
			}
		}
	}
	return out
}
