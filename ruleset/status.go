package ruleset

import (
	"context"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
)

// Rules lists the loaded rules in the order of their files.
func (e *Engine) Rules() []RuleStatus {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := make([]RuleStatus, 0, len(e.rules))
	for _, rs := range e.rules {
		mode, why := rs.rule.Mode()
		st := RuleStatus{Rule: rs.rule, Mode: mode, Why: why, Series: rs.watched}
		for _, in := range rs.all {
			if in.told != phaseInactive {
				st.Alerts++
			}
		}
		out = append(out, st)
	}
	return out
}

// Alerts lists the alerts that are pending, firing or in no-data, by rule id
// and identity.
func (e *Engine) Alerts() []Alert {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []Alert
	for _, rs := range e.rules {
		for _, in := range rs.all {
			if in.told != phaseInactive {
				out = append(out, e.alert(in))
			}
		}
	}
	slices.SortFunc(out, func(a, b Alert) int {
		if c := strings.Compare(a.Rule.ID(), b.Rule.ID()); c != 0 {
			return c
		}
		return labels.Compare(a.Identity, b.Identity)
	})
	return out
}

func (e *Engine) alert(in *instance) Alert {
	in.catchUp()
	r := in.rs.rule
	a := Alert{
		Rule: r, Identity: in.id, State: in.told.state(), Since: r.timeOf(in.live.since), Value: in.value,
		Run: int(in.live.run), Consecutive: r.Consecutive, NextCheck: r.timeOf(r.lastCheck(e.now) + 1),
	}
	if src := in.source(); src != nil {
		a.Source = src.id
	}
	a.Labels, a.Annotations = r.describe(context.Background(), in.id, in.value, e.now)
	return a
}
