package app_test

import (
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"watchkeeper/alertrouter/incident"
	"watchkeeper/internal/app/apptest"
)

// The label customer of a rule is edited, removed or added while the alert stands: the
// incident ends where it was and stands with the other customer, over reloads and
// restarts, and ends there when it resolves.
func TestCustomerOfARuleEdited(t *testing.T) {
	t.Parallel()
	restarted := func(t *testing.T, s *server, file string) *server {
		s.stop()
		return serve(t, file)
	}
	for name, swap := range map[string]func(*testing.T, *server, string) *server{
		"reload":  func(_ *testing.T, s *server, _ string) *server { reloaded(s); return s },
		"restart": restarted,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tickets, routing := hook(t)
			file := pushConfig(t, routing)
			rules := filepath.Join(filepath.Dir(file), "rules.yml")
			of := func(label string) {
				text := strings.Replace(queueRule, "expr: queue_length > 10", "expr: max by (queue) (queue_length) > 10", 1)
				write(t, rules, strings.Replace(text, "{severity: high}", "{severity: high"+label+"}", 1))
			}
			of(", customer: erp")
			s := serve(t, file)
			p := points(queue("mail"), 20, 1, 22, 23, 0)[:4] // their checks have come
			good := p[1]
			apptest.WriteV1(t, s.IngestURL(), erpToken, p[0], p[2], p[3])
			first := s.incident(incident.Firing)
			apptest.Until(t, "told", func() bool { return len(tickets.Messages()) == 1 })

			open := func(customer string) func() bool {
				return func() bool {
					l := s.incidents("state=firing")
					return len(l) == 1 && l[0].Customer == customer && l[0].Labels.Get("customer") == customer && l[0].StartedAt.Equal(first.StartedAt)
				}
			}
			for n, step := range []struct{ label, customer string }{{", customer: shop", "shop"}, {"", ""}, {", customer: erp", "erp"}} {
				of(step.label)
				s = swap(t, s, file)
				apptest.Until(t, "it stands with "+step.customer, open(step.customer))
				ended := s.incidents("state=ended")
				if len(ended) != n+1 || ended[0].Reason != "rule edited" || ended[0].ResolvedAt.Before(ended[0].StartedAt) {
					t.Fatalf("after step %d ended: %+v", n, ended)
				}
			}
			// Under another customer again, and taken back at once.
			of(", customer: shop")
			s = swap(t, s, file)
			if code, body := apptest.WriteV1(t, s.IngestURL(), erpToken, good); code != http.StatusNoContent {
				t.Fatalf("%d %s", code, body)
			}
			apptest.Until(t, "it is taken back", func() bool { return len(s.incidents("state=firing")) == 0 })
			s = restarted(t, s, file)
			states := map[incident.State]int{}
			for _, i := range s.incidents("") {
				states[i.State]++
			}
			if states[incident.Ended] < 3 || states[incident.Resolved] != 1 || states[incident.Firing] != 0 {
				t.Errorf("in the end: %v", states)
			}
			apptest.Until(t, "everybody who was told knows that it is over", func() bool {
				last := map[string]string{}
				for _, m := range tickets.Messages() {
					for _, a := range m.Alerts {
						last[a.Labels["customer"]] = a.Status
					}
				}
				return last["erp"] != "" && !slices.Contains(slices.Collect(maps.Values(last)), "firing")
			})
		})
	}
}
