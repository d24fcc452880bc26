package app

import (
	"context"
	"strings"

	"watchkeeper/alertrouter"
	"watchkeeper/alertrouter/incident"
	"watchkeeper/internal/sample"
	"watchkeeper/ruleset/promrules"
)

// plainAppender is the pipeline as Prometheus's own rules see it.
type plainAppender struct{ p *Pipeline }

// Append implements promrules.Appender.
func (a plainAppender) Append(ctx context.Context, b sample.Batch) (promrules.Refusals, error) {
	res, err := a.p.Deliver(ctx, b)
	r := promrules.Refusals{Total: res.RefusedTotal}
	if len(res.Refused) > 0 {
		r.First = res.Refused[0].String()
	}
	return r, err
}

// plainSource begins the names of the sources of plain rules, which their groups' names end.
const plainSource = "rules/"

// openPlain returns the alerts of Prometheus's own rules that are open
// incidents: what was told as firing before a restart.
func (a *App) openPlain(ctx context.Context) ([]promrules.Alert, error) {
	open, err := a.router.Incidents().OpenIncidents(ctx)
	if err != nil {
		return nil, err
	}
	var out []promrules.Alert
	for _, i := range open {
		group, plain := strings.CutPrefix(i.Source, plainSource)
		if !plain || i.Expires.IsZero() {
			continue
		}
		out = append(out, promrules.Alert{
			RuleID: i.RuleID, Group: group, Name: i.Alert, Customer: i.Customer, Labels: i.Labels, Identity: i.Identity, Annotations: i.Annotations,
			State: promrules.StateFiring, Value: float64(i.Value), Check: i.LastCheck, ValidUntil: i.Expires,
		})
	}
	return out, nil
}

// notifyPlain makes incidents of the alerts of Prometheus's own rules.
func (a *App) notifyPlain(ctx context.Context, alerts []promrules.Alert) error {
	events := make([]alertrouter.Event, 0, len(alerts))
	for _, al := range alerts {
		events = append(events, alertrouter.Event{
			Customer: al.Customer, RuleID: al.RuleID, Alert: al.Name, Labels: al.Labels, Annotations: al.Annotations,
			Identity: al.Identity,
			State:    incident.State(al.State), Check: al.Check, Value: al.Value, Reason: al.Reason,
			Source: plainSource + al.Group, Expires: al.ValidUntil,
		})
	}
	return a.router.Handle(ctx, a.now(), events)
}
