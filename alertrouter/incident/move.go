package incident

import (
	"database/sql"
	"errors"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// A rule may name the customer of its alerts in its labels. When that is edited under an
// alert that stands, the alert is another customer's from then on: the incident ends
// where it was, and another one stands with the customer that it has now.

// reasonEdited is why an incident ended that stands with another customer now.
const reasonEdited = "rule edited"

// elsewhere returns the open incident that a transition's alert has with another
// customer, or nil. Only of the rule engine's alerts do rule and identity say which they
// are; what outside systems push, and sources that are silent, each customer has for itself.
func (a *applier) elsewhere(t Transition) (*Incident, error) {
	if !t.Expires.IsZero() || t.RuleID == silentRuleID {
		return nil, nil
	}
	identity, err := labelsJSON(t.Identity)
	if err != nil {
		return nil, err
	}
	row := a.tx.QueryRowContext(a.ctx, `SELECT `+incidentColumns+` FROM incidents i
		WHERE i.rule_id = ? AND i.identity_json = ? AND i.closed_at IS NULL AND i.expires_at IS NULL AND i.customer <> ? ORDER BY i.id DESC LIMIT 1`,
		t.RuleID, identity, t.Customer)
	inc, err := scanIncident(row)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &inc, nil
}

// move ends an open incident and has its alert stand with another customer, whose
// incident it returns. The alert began when it began; that somebody answered for it is
// the other customer's. Where the customer has one already, that is it.
func (a *applier) move(inc *Incident, customer string, lset, annotations labels.Labels, at time.Time) (*Incident, error) {
	next := *inc
	if at.Before(inc.LastCheck) {
		at = inc.LastCheck
	}
	told := Transition{State: Ended, Check: at, At: a.now, Value: float64(inc.Value), Run: inc.Run, Reason: reasonEdited}
	if err := a.change(inc, told, EntryEnded); err != nil {
		return nil, err
	}
	next.Customer = customer
	next.Key = Transition{Customer: customer, RuleID: inc.RuleID, Identity: inc.Identity}.Key()
	if has, err := a.last(next.Key); err != nil || has != nil && has.Open() {
		return has, err
	}
	next.OpenedAt, next.UpdatedAt, next.Reopened = a.now.UTC(), a.now.UTC(), 0
	next.AcknowledgedAt, next.AcknowledgedBy = time.Time{}, ""
	if !lset.IsEmpty() {
		next.Labels, next.Severity = lset, lset.Get("severity")
	}
	if !annotations.IsEmpty() {
		next.Annotations = annotations
	}
	var err error
	if next.ID, err = a.insert(&next); err != nil {
		return nil, err
	}
	told.State, told.Check, told.Samples = next.State, next.LastCheck, next.Samples
	if err := a.record(&next, told, EntryOpened); err != nil {
		return nil, err
	}
	a.changes[len(a.changes)-1].Moved = true
	return &next, nil
}
