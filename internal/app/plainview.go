package app

import (
	"strconv"
	"time"

	"github.com/prometheus/prometheus/rules"

	"watchkeeper/internal/api"
	"watchkeeper/ruleset"
)

// plainGroups puts Prometheus's own rule groups into the shape of its API.
func plainGroups(groups []*rules.Group) []api.RuleGroup {
	out := make([]api.RuleGroup, 0, len(groups))
	for _, g := range groups {
		o := api.RuleGroup{
			Name: g.Name(), File: g.File(), Interval: g.Interval().Seconds(), Limit: g.Limit(),
			EvaluationTime: g.GetEvaluationTime().Seconds(), LastEvaluation: g.GetLastEvaluation().UTC(),
		}
		for _, r := range g.Rules() {
			o.Rules = append(o.Rules, plainRule(g, r))
		}
		out = append(out, o)
	}
	return out
}

func plainRule(g *rules.Group, r rules.Rule) api.Rule {
	o := api.Rule{
		Name: r.Name(), Query: r.Query().String(), Labels: r.Labels(), Health: string(r.Health()), Alerts: []api.Alert{},
		EvaluationTime: r.GetEvaluationDuration().Seconds(), LastEvaluation: r.GetEvaluationTimestamp().UTC(),
		ID: g.Name() + "/" + r.Name(), Mode: string(ruleset.ModePlain), Type: api.TypeRecording,
	}
	if err := r.LastError(); err != nil {
		o.LastError = err.Error()
	}
	a, ok := r.(*rules.AlertingRule)
	if !ok {
		return o
	}
	o.Type, o.State = api.TypeAlerting, a.State().String()
	o.Duration, o.KeepFiring, o.Annotations = a.HoldDuration().Seconds(), a.KeepFiringFor().Seconds(), a.Annotations()
	for _, al := range a.ActiveAlerts() {
		o.Alerts = append(o.Alerts, plainAlert(al))
	}
	o.Series = len(o.Alerts)
	return o
}

func plainAlert(al *rules.Alert) api.Alert {
	active := al.ActiveAt.UTC()
	o := api.Alert{
		Labels: al.Labels, Annotations: al.Annotations, State: al.State.String(), AlertState: al.State.String(),
		Value: strconv.FormatFloat(al.Value, 'e', -1, 64),
	}
	if !active.Equal(time.Time{}) {
		o.ActiveAt = &active
	}
	return o
}
