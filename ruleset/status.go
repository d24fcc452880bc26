package ruleset

import (
	"context"
	"maps"
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
		st := RuleStatus{Rule: rs.rule, Mode: mode, Why: why, Series: rs.watched, Err: rs.err}
		for _, in := range rs.all {
			if in.told != phaseInactive {
				st.Alerts++
			}
		}
		out = append(out, st)
	}
	return out
}

// Watched counts the identities of one customer that each rule watches, by rule id.
func (e *Engine) Watched(customer string) map[string]int {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := make(map[string]int, len(e.rules))
	for _, rs := range e.rules {
		out[rs.rule.ID()] = rs.watchedOf[customer]
	}
	return out
}

// Alerts lists the alerts that are pending, firing or in no-data, by rule id
// and identity.
func (e *Engine) Alerts() []Alert {
	out, _ := e.alerts((*Engine).described)
	slices.SortFunc(out, func(a, b Alert) int {
		if c := strings.Compare(a.Rule.ID(), b.Rule.ID()); c != 0 {
			return c
		}
		return labels.Compare(a.Identity, b.Identity)
	})
	return out
}

// Standing lists the same in no order and without annotations, a fraction of the
// work, and the version that it is of.
func (e *Engine) Standing() (alerts []Alert, version int) { return e.alerts((*Engine).alert) }

// Version changes whenever an alert changes its state in the live log, so that those
// who follow the alerts need not list them.
func (e *Engine) Version() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.lines
}

// Refusal names a limit that keeps identities of a customer from being judged.
type Refusal struct {
	Customer string
	Limit    string // "rule": Config.MaxSeriesPerRule; "customer": Config.MaxSeriesPerCustomer
}

// Refused counts, since the start, how often a sample of an identity came that a limit
// keeps from being judged. It grows for as long as a limit bites.
func (e *Engine) Refused() map[Refusal]int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return maps.Clone(e.refused)
}

func (e *Engine) alerts(of func(*Engine, *instance) Alert) (out []Alert, version int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, rs := range e.rules {
		for _, in := range rs.all {
			if in.told != phaseInactive {
				out = append(out, of(e, in))
			}
		}
	}
	return out, e.lines
}

func (e *Engine) described(in *instance) Alert {
	a := e.alert(in)
	a.Annotations = e.words.annotationsOf(context.Background(), in.rs.rule, in.id, in.value, e.now)
	return a
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
	a.Labels = e.words.labelsOf(context.Background(), in.rs.rule, in.id, in.value, e.now)
	return a
}

// UnlistedLate counts by customer, since the start, the records of late samples that
// Config.MaxLatePerDay kept out of the journal.
func (e *Engine) UnlistedLate() map[string]int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return maps.Clone(e.unlisted)
}

// Unread counts by customer the identities that wait for samples that cannot be read: of
// an evaluated rule all.
func (e *Engine) Unread() map[string]int {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := maps.Clone(e.unread)
	for _, rs := range e.rules {
		if rs.unread == nil {
			continue
		}
		for customer, n := range rs.watchedOf {
			out[customer] += n
		}
	}
	return out
}
