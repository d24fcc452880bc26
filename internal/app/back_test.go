package app_test

import (
	"path/filepath"
	"strings"
	"testing"

	"watchkeeper/alertrouter/incident"
	"watchkeeper/internal/app/apptest"
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
	write(t, rules, strings.NewReplacer("queue_length > 10", "queue_length > 100000", "QueueLong", "Other", "name: queue", "name: more").Replace(queueRule))
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
