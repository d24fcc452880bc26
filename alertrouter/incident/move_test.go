package incident

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"
)

// of gives a transition's alert to a customer, as a rule does whose labels name one.
func (t Transition) of(customer string) Transition {
	t.Customer, t.Source = customer, "push/a"
	t.Labels = labels.NewBuilder(t.Labels).Set("customer", customer).Labels()
	return t
}

// The customer that a rule gives its alerts is edited while one stands: the incident ends
// where it was and stands with the other customer, whether the next transition or
// Relabel comes first; what closes the alert closes it wherever it is.
func TestAnotherCustomer(t *testing.T) {
	at := func(minute int) time.Time { return t0.Add(time.Duration(minute) * time.Minute) }
	of := func(customer string, state State, minute int) Transition {
		return transition("web-1", state, at(minute)).of(customer)
	}
	relabel := func(customer string) func(*Store) {
		return func(s *Store) {
			for range 2 {
				_, err := s.Relabel(t.Context(), at(60), func(i *Incident) (labels.Labels, labels.Labels) {
					if i.RuleID != "ecs-cpu" {
						return labels.EmptyLabels(), labels.EmptyLabels()
					}
					return labels.NewBuilder(i.Labels).Set("customer", customer).Labels(), labels.EmptyLabels()
				}, toOne)
				if err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	apply := func(ts ...Transition) func(*Store) { return func(s *Store) { s.mustApply(t, at(60), ts...) } }
	for name, c := range map[string]struct {
		then func(*Store)
		want map[int64][]string
	}{
		"relabelled": {relabel("shop"), map[int64][]string{1: {"opened: ", "ended: rule edited"}, 2: {"opened: rule edited"}}},
		"none":       {relabel(""), map[int64][]string{1: {"opened: ", "ended: rule edited"}, 2: {"opened: rule edited"}}},
		"resolved":   {apply(of("shop", Resolved, 1)), map[int64][]string{1: {"opened: ", "resolved: "}}},
		"no data": {apply(of("shop", NoData, 1), of("shop", Ended, 2)), map[int64][]string{
			1: {"opened: ", "ended: rule edited"}, 2: {"opened: rule edited", "no_data: ", "ended: "},
		}},
		"firing": {apply(of("shop", Firing, 1)), map[int64][]string{1: {"opened: ", "ended: rule edited"}, 2: {"opened: rule edited", "updated: "}}},
		"no data before": {func(s *Store) { apply(of("acme", NoData, 1))(s); relabel("shop")(s) }, map[int64][]string{
			1: {"opened: ", "no_data: ", "ended: rule edited"}, 2: {"opened: ", "resolved: "}, 3: {"opened: rule edited"}, 4: {"opened: "},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := openStore(t, filepath.Join(t.TempDir(), "incidents.db"))
			s.mustApply(t, t0, of("acme", Firing, 0))
			c.then(s)
			for id, want := range c.want {
				if d := cmp.Diff(want, s.said(t, id)); d != "" {
					t.Errorf("incident %d (-want +got):\n%s", id, d)
				}
			}
			if n := count(t, s, `SELECT COUNT(*) FROM incidents`); n != len(c.want) {
				t.Errorf("%d incidents", n)
			}
			if n := count(t, s, `SELECT COUNT(*) FROM incidents WHERE closed_at IS NULL AND rule_id = 'ecs-cpu'`); n > 1 {
				t.Errorf("%d open incidents of one alert", n)
			}
			if i, err := s.Get(t.Context(), 2); name == "relabelled" && (err != nil || i.Customer != "shop" || !i.StartedAt.Equal(t0) || !i.OpenedAt.Equal(at(60)) || i.State != Firing || i.Value != 97) {
				t.Errorf("%+v, %v", i, err)
			}
		})
	}
}

// A customer who has the alert's incident keeps it, and the other one's ends: two were
// left open by a program that did not look.
func TestAnotherCustomerHasItsIncident(t *testing.T) {
	s := openStore(t, filepath.Join(t.TempDir(), "incidents.db"))
	s.mustApply(t, t0, transition("web-1", Firing, t0).of("acme"))
	if _, err := s.write.Exec(`UPDATE incidents SET customer = 'old', incident_key = 'old'`); err != nil {
		t.Fatal(err)
	}
	if _, err := s.write.Exec(`INSERT INTO incidents SELECT 2, ?, 'acme', rule_id, alert_name, severity, identity_json,
		labels_json, annotations_json, source, contract_row, contract_literal, state, value, run, reason, samples_json, generator_url,
		started_at, opened_at, updated_at, last_check_at, expires_at, resolved_at, closed_at, reopened, acknowledged_at, acknowledged_by
		FROM incidents WHERE id = 1`, transition("web-1", Firing, t0).Key()); err != nil {
		t.Fatal(err)
	}
	changes, err := s.Relabel(t.Context(), t0.Add(time.Hour), func(i *Incident) (labels.Labels, labels.Labels) { return i.Labels, i.Annotations }, toOne)
	if err != nil || len(changes) != 1 || changes[0].Incident.ID != 1 || changes[0].Incident.State != Ended {
		t.Errorf("%+v, %v", changes, err)
	}
}

// What outside systems push each customer has for itself, and so has its silent sources.
func TestCustomersOfTheSameAlert(t *testing.T) {
	s := openStore(t, filepath.Join(t.TempDir(), "incidents.db"))
	for _, customer := range []string{"acme", "shop"} {
		pushed := transition("web-1", Firing, t0).of(customer)
		pushed.Expires = t0.Add(time.Hour)
		own := transition("web-"+customer, Firing, t0).of(customer)
		silent := own
		silent.State, silent.Check = NoData, t0.Add(time.Minute)
		s.mustApply(t, t0, pushed, own, silent)
	}
	if n := count(t, s, `SELECT COUNT(*) FROM incidents WHERE closed_at IS NULL`); n != 6 {
		t.Errorf("%d open incidents, want 6", n)
	}
}
