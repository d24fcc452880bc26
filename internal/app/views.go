package app

import (
	"context"
	"io"
	"strconv"
	"time"

	"github.com/prometheus/common/model"

	"watchkeeper/alertrouter/incident"
	"watchkeeper/internal/api"
	"watchkeeper/internal/journal"
	"watchkeeper/internal/sample"
	"watchkeeper/ruleset"
	"watchkeeper/ruleset/contract"
	"watchkeeper/ruleset/promrules"
	"watchkeeper/slo"
	"watchkeeper/slo/report"
)

// records is the store's journal as the rule engine wants it.
type records struct{ *journal.Journal }

// Record implements ruleset.Journal.
func (r records) Record(_ context.Context, rs ...journal.Record) error { return r.Append(rs...) }

// rulesView shows the rule engine to the API.
type rulesView struct{ a *App }

// RuleGroups implements api.Rules.
func (v rulesView) RuleGroups() []api.RuleGroup {
	return append(RuleGroups(v.a.engine.Rules(), v.a.engine.Alerts(), v.a.now()), plainGroups(v.a.plain)...)
}

// RuleGroups puts rules and alerts into the shape of Prometheus's API.
func RuleGroups(rules []ruleset.RuleStatus, alerts []ruleset.Alert, now time.Time) []api.RuleGroup {
	byRule := map[string][]api.Alert{}
	worst := map[string]string{}
	for _, al := range alerts {
		id := al.Rule.ID()
		a := apiAlert(al)
		byRule[id] = append(byRule[id], a)
		if worst[id] != "firing" {
			worst[id] = a.State
		}
	}
	var groups []api.RuleGroup
	places := map[[2]string]int{} // by file and name: overrides of several rules make the same rule group
	for _, s := range rules {
		key := [2]string{s.Rule.File, s.Rule.Group}
		i, known := places[key]
		if !known {
			i, places[key] = len(groups), len(groups)
			groups = append(groups, api.RuleGroup{Name: s.Rule.Group, File: s.Rule.File, Interval: s.Rule.Interval.Seconds(), LastEvaluation: now.UTC()})
		}
		g := &groups[i]
		r := apiRule(s, now)
		if a := byRule[r.ID]; a != nil {
			r.Alerts, r.State = a, worst[r.ID]
		}
		g.Rules = append(g.Rules, r)
	}
	return groups
}

func apiRule(s ruleset.RuleStatus, now time.Time) api.Rule {
	r := api.Rule{
		State: "inactive", Name: s.Rule.Alert, Query: s.Rule.Expr, Type: api.TypeAlerting, Health: "ok",
		Duration: (s.Rule.Interval * time.Duration(max(0, s.Rule.Consecutive-1))).Seconds(),
		Labels:   s.Rule.Labels, Annotations: s.Rule.Annotations, Alerts: []api.Alert{}, LastEvaluation: now.UTC(),
		ID: s.Rule.ID(), Consecutive: s.Rule.Consecutive, Missing: string(s.Rule.Missing),
		Mode: string(s.Mode), Reason: s.Why, Series: &s.Series,
	}
	if s.Err != nil {
		r.Health, r.LastError = "err", s.Err.Error()
	}
	if c := s.Rule.Contract; c != nil {
		r.Row, r.Literal = c.Row, c.Literal
		if c.Deviation != nil {
			r.Deviation = c.Deviation.Reason
		}
	}
	return r
}

func apiAlert(al ruleset.Alert) api.Alert {
	since, next := time.UnixMilli(al.Since).UTC(), time.UnixMilli(al.NextCheck).UTC()
	a := api.Alert{
		Labels: al.Labels, Annotations: al.Annotations, State: "pending", AlertState: string(al.State),
		ActiveAt: &since, NextCheck: &next, Value: strconv.FormatFloat(al.Value, 'e', -1, 64), Run: &al.Run, Of: al.Consecutive,
	}
	if al.State.Open() {
		a.State = "firing"
	}
	if c := al.Rule.Contract; c != nil {
		a.Row, a.Literal = c.Row, c.Literal
	}
	return a
}

// metadataView shows the metrics that are shipped and those that senders told of.
type metadataView struct{ a *App }

// Metadata implements api.Metadata. What is shipped wins over what was told.
func (v metadataView) Metadata() map[string]api.MetricMetadata {
	out := map[string]api.MetricMetadata{}
	for name, m := range v.a.write.Metadata("") {
		out[name] = api.MetricMetadata{Type: m.Type, Help: m.Help, Unit: m.Unit}
	}
	for _, m := range contract.Metrics() {
		out[m.Name] = api.MetricMetadata{Type: model.MetricType(m.Type), Help: m.Help, Unit: m.Unit}
	}
	return out
}

func (a *App) acknowledge(ctx context.Context, id int64, user, comment string) (incident.Acknowledgement, error) {
	return a.router.Acknowledge(ctx, a.now(), id, user, comment)
}

// resume implements aliyun.ResumeFunc.
func (a *App) resume(ctx context.Context, src sample.Source) (time.Time, bool, error) {
	if a.store == nil {
		return time.Time{}, false, nil // an exporter keeps nothing
	}
	return Memory{a.store, a.now}.Resume(ctx, src)
}

// report computes a contract's report for a cycle; the contract comes as the
// text of its file.
func (a *App) report(ctx context.Context, w io.Writer, file, cycle, format string) error {
	c, err := slo.Parse("contract", []byte(file))
	if err != nil {
		return api.Mark(err, api.ErrInvalid)
	}
	cy, err := c.ParseCycle(cycle)
	if err != nil {
		return api.Mark(err, api.ErrInvalid)
	}
	r, err := slo.Compute(ctx, c, cy, NewVerdictReader(a.store, a.rules()), a.now())
	if err != nil {
		return err
	}
	if format == "table" {
		return report.WriteTable(w, r)
	}
	return report.WriteJSON(w, r)
}

// inForce returns the rules that a reload swaps.
func (a *App) inForce() *loadedRules {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.loaded
}

func (a *App) rules() []ruleset.Group { return a.inForce().groups }

func (a *App) plainRules() []promrules.Group { return a.inForce().plain }
