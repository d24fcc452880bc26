package incident

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// Wording says which labels and annotations an open incident's alert has today. No
// labels: nothing is known of it, and it stays as it is.
type Wording func(*Incident) (lset, annotations labels.Labels)

// Relabel gives the open incidents the labels that their alerts have today. Another
// severity is an entry of the log, and news to all who are told by the routes; other
// labels are an entry, too, and bring the incident under the routes that they lead to.
// With another customer the incident ends, and the alert stands as one of that customer.
// What has its labels already stays untouched, so that it may be called at any time.
func (s *Store) Relabel(ctx context.Context, now time.Time, wording Wording, plan Planner) ([]Change, error) {
	changes, err := s.eachOpen(ctx, now, plan, func(a *applier, inc *Incident) error { return a.relabel(inc, wording) })
	if err != nil {
		return nil, fmt.Errorf("incident store: relabel: %w", err)
	}
	return changes, nil
}

func (a *applier) relabel(inc *Incident, wording Wording) error {
	lset, annotations := wording(inc)
	if lset.IsEmpty() {
		return nil
	}
	if customer := lset.Get("customer"); customer != inc.Customer {
		_, err := a.move(inc, customer, lset, annotations, a.now)
		return err
	}
	if labels.Equal(lset, inc.Labels) {
		return nil
	}
	was := inc.Labels
	inc.Labels, inc.Severity, inc.UpdatedAt = lset, lset.Get("severity"), a.now.UTC()
	if !annotations.IsEmpty() {
		inc.Annotations = annotations
	}
	if err := a.update(inc); err != nil {
		return err
	}
	return a.relabelled(inc, Transition{Check: inc.LastCheck, At: a.now, Value: float64(inc.Value), Run: inc.Run}, was)
}

// relabelled tells that an alert which stands has other labels than before. Other
// people may answer for it now.
func (a *applier) relabelled(inc *Incident, t Transition, was labels.Labels) error {
	t.Samples = nil
	if severity := was.Get("severity"); inc.Severity != severity {
		t.Reason = instead(inc.Severity, severity)
		return a.record(inc, t, EntrySeverity)
	}
	t.Reason = "labels: " + inc.Labels.String() + " instead of " + was.String()
	if err := a.record(inc, t, EntryUpdated); err != nil {
		return err
	}
	return a.reroute(inc)
}
