package app

import (
	"strconv"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/rules"

	"watchkeeper/internal/api"
	"watchkeeper/ruleset"
	"watchkeeper/ruleset/promrules"
)

// plainGroups puts Prometheus's own rule groups into the shape of its API.
func plainGroups(r *promrules.Runner) []api.RuleGroup {
	groups := r.Groups()
	out := make([]api.RuleGroup, 0, len(groups))
	for _, g := range groups {
		o := api.RuleGroup{
			Name: g.Name(), File: g.File(), Interval: g.Interval().Seconds(), Limit: g.Limit(),
			EvaluationTime: g.GetEvaluationTime().Seconds(), LastEvaluation: g.GetLastEvaluation().UTC(),
		}
		for _, rule := range g.Rules() {
			o.Rules = append(o.Rules, plainRule(r.RuleID(g.File(), g.Name(), rule.Name()), rule))
		}
		out = append(out, o)
	}
	return out
}

func plainRule(id string, r rules.Rule) api.Rule {
	o := api.Rule{
		Name: r.Name(), Query: r.Query().String(), Labels: r.Labels(), Health: string(r.Health()), Alerts: []api.Alert{},
		EvaluationTime: r.GetEvaluationDuration().Seconds(), LastEvaluation: r.GetEvaluationTimestamp().UTC(),
		ID: id, Mode: string(ruleset.ModePlain), Type: api.TypeRecording,
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
	return o
}

func plainAlert(al *rules.Alert) api.Alert {
	return api.Alert{
		Labels: al.Labels, Annotations: al.Annotations, State: al.State.String(), AlertState: al.State.String(),
		ActiveAt: instant(al.ActiveAt), KeepFiringSince: instant(al.KeepFiringSince), Value: strconv.FormatFloat(al.Value, 'e', -1, 64),
	}
}

// plainGroupsAsWritten shows rule groups that nobody runs; every is the interval
// of those that name none.
func plainGroupsAsWritten(groups []promrules.Group, every time.Duration) []api.RuleGroup {
	out := make([]api.RuleGroup, 0, len(groups))
	for _, g := range groups {
		o := api.RuleGroup{Name: g.Name, File: g.File, Interval: every.Seconds(), Limit: g.Limit}
		if g.Interval > 0 {
			o.Interval = time.Duration(g.Interval).Seconds()
		}
		for _, r := range g.Rules {
			o.Rules = append(o.Rules, plainRuleAsWritten(g, r))
		}
		out = append(out, o)
	}
	return out
}

func plainRuleAsWritten(g promrules.Group, r rulefmt.Rule) api.Rule {
	o := api.Rule{
		Name: r.Record + r.Alert, Query: r.Expr, Labels: rules.FromMaps(g.Labels, r.Labels), Annotations: labels.FromMap(r.Annotations), Health: string(rules.HealthUnknown),
		Alerts: []api.Alert{}, Mode: string(ruleset.ModePlain), Type: api.TypeRecording,
		Duration: time.Duration(r.For).Seconds(), KeepFiring: time.Duration(r.KeepFiringFor).Seconds(),
	}
	o.ID = g.RuleID(o.Name)
	if r.Alert != "" {
		o.Type, o.State = api.TypeAlerting, rules.StateInactive.String()
	}
	return o
}

func countPlain(groups []promrules.Group) int {
	n := 0
	for _, g := range groups {
		n += len(g.Rules)
	}
	return n
}

// instant is t in UTC, nil for the zero time.
func instant(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return new(t.UTC())
}
