package app

import (
	"slices"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"watchkeeper/internal/api"
	"watchkeeper/ruleset/override"
)

// RuleGroupsOf implements api.Rules.
func (v rulesView) RuleGroupsOf(customer string) []api.RuleGroup {
	watched := v.a.engine.Watched(customer)
	groups := RulesOfCustomer(withOverrides(v.RuleGroups(), v.a.inForce().applied), customer)
	for i := range groups {
		for j := range groups[i].Rules {
			r := &groups[i].Rules[j]
			if r.Series != nil {
				r.Series = new(watched[r.ID])
			}
		}
	}
	return groups
}

// withOverrides marks the rules that overrides made, and adds those that are off,
// which nobody judges, after the rule that they are about.
func withOverrides(groups []api.RuleGroup, applied []override.Applied) []api.RuleGroup {
	for _, a := range applied {
		if a.State != override.Active {
			continue
		}
		o := &api.RuleOverride{Name: a.Override.Name, Customer: a.Override.Customer(), Match: a.Override.Match, Change: a.Change(), Owner: a.Override.Owner, Reason: a.Override.Reason, End: a.Override.End.UTC()}
		id := a.ID
		if a.Override.Off {
			id = a.Rule
		}
		for i := range groups {
			n := slices.IndexFunc(groups[i].Rules, func(r api.Rule) bool { return r.ID == id && r.Mode != api.ModeOff })
			if n < 0 {
				continue
			}
			if a.Override.Off {
				off := groups[i].Rules[n]
				off.ID, off.Mode, off.Reason, off.Query = override.ID(a.Rule, a.Override.Name), api.ModeOff, "", a.Was
				off.State, off.Alerts, off.Series, off.LastError = "inactive", []api.Alert{}, nil, ""
				off.Override = o
				groups[i].Rules = slices.Insert(groups[i].Rules, n+1, off)
			} else {
				groups[i].Rules[n].Override = o
			}
			break
		}
	}
	return groups
}

// RulesOfCustomer keeps the rules that are for a customer: those of other customers'
// overrides are not, nor is what its own overrides replace for all of it. Of alerts
// it keeps the customer's.
func RulesOfCustomer(groups []api.RuleGroup, customer string) []api.RuleGroup {
	out := make([]api.RuleGroup, 0, len(groups))
	for _, g := range groups {
		var kept []api.Rule
		for _, r := range g.Rules {
			if !isFor(r, customer) {
				continue
			}
			r.Alerts = slices.DeleteFunc(slices.Clone(r.Alerts), func(a api.Alert) bool { return a.Labels.Get(customerLabel) != customer })
			if r.State != "" {
				r.State = mostUrgent(r.Alerts)
			}
			kept = append(kept, r)
		}
		if g.Rules = kept; len(kept) > 0 {
			out = append(out, g)
		}
	}
	return out
}

const customerLabel = "customer"

// ShownToAll keeps what a list for no customer shows: what is off for some is in
// force for the others.
func ShownToAll(groups []api.RuleGroup) []api.RuleGroup {
	for i := range groups {
		groups[i].Rules = slices.DeleteFunc(groups[i].Rules, func(r api.Rule) bool { return r.Mode == api.ModeOff })
	}
	return groups
}

// mostUrgent is the state of a rule with these alerts.
func mostUrgent(alerts []api.Alert) string {
	state := "inactive"
	for _, a := range alerts {
		if a.State == "firing" {
			return a.State
		}
		state = a.State
	}
	return state
}

// isFor tells whether a rule can have an alert of a customer.
func isFor(r api.Rule, customer string) bool {
	if r.Mode == api.ModeOff {
		return r.Override.Customer == customer
	}
	if only := r.Labels.Get(customerLabel); only != "" && only != customer {
		return false
	}
	e, err := exprParser.ParseExpr(r.Query)
	return err != nil || reads(e, customer)
}

var exprParser = parser.NewParser(parser.Options{})

// reads tells whether an expression can yield something of a customer: its selectors
// do not rule it out. What stands right of unless only takes away.
func reads(e parser.Expr, customer string) bool {
	switch e := e.(type) {
	case *parser.VectorSelector:
		return !slices.ContainsFunc(e.LabelMatchers, func(m *labels.Matcher) bool { return m.Name == customerLabel && !m.Matches(customer) })
	case *parser.BinaryExpr:
		switch e.Op {
		case parser.LUNLESS:
			return reads(e.LHS, customer)
		case parser.LOR:
			return reads(e.LHS, customer) || reads(e.RHS, customer)
		}
		return reads(e.LHS, customer) && reads(e.RHS, customer)
	}
	for child := range parser.ChildrenIter(e) {
		if c, ok := child.(parser.Expr); ok && !reads(c, customer) {
			return false
		}
	}
	return true
}
