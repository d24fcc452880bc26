package app

import (
	"context"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/alertrouter/incident"
	"watchkeeper/ruleset"
)

// relabel brings the open incidents' labels up to what the rules in force say, after a
// start and after each reload: the rule engine tells of verdicts, not of a severity
// that was edited under an alert that stands. It is called once the router has all that
// was judged before, and again until it is done. Alerts of Prometheus's own rules are
// told again and again, their labels with them. While a reload is under way it waits
// for the next call: what the rules said before may be on its way to the router.
func (a *App) relabel(ctx context.Context, now time.Time) {
	if !a.relabelDue.Load() || !a.reloadMu.TryLock() {
		return
	}
	defer a.reloadMu.Unlock()
	a.relabelDue.Store(false)
	rules := map[string]*ruleset.Rule{}
	for _, r := range a.engine.Rules() {
		rules[r.Rule.ID()] = r.Rule
	}
	err := a.router.Relabel(ctx, now, func(i *incident.Incident) (lset, annotations labels.Labels) {
		r := rules[i.RuleID]
		if r == nil || !judgedHere(i) {
			return labels.EmptyLabels(), labels.EmptyLabels()
		}
		return r.Texts(ctx, i.Identity, float64(i.Value), now)
	})
	if err != nil {
		a.relabelDue.Store(true)
		if ctx.Err() == nil {
			a.log.Error("labels that rules give anew are not told yet", "err", err)
		}
	}
}

// judgedHere tells whether the rule engine judges an incident's alert: it was not pushed
// from outside, nor made by a plain rule or by the router.
func judgedHere(i *incident.Incident) bool {
	return i.Expires.IsZero() && i.Alert != incident.SourceSilent
}
