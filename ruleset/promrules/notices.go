package promrules

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/rules"
)

// State is what became of an alert.
type State string

// The states that are told. Ended: the alert was firing, and its rule is gone
// or has other labels now; Prometheus itself says nothing then.
const (
	StateFiring   State = "firing"
	StateResolved State = "resolved"
	StateEnded    State = "ended"
)

// The reasons of StateEnded.
const (
	ReasonRemoved = "rule removed"
	ReasonChanged = "rule changed"
)

// Alert is one alert at one notification. Prometheus's resend rules apply: a
// firing alert is told again every ResendDelay, and a resolved one for 15
// minutes; Check tells repetitions from news.
type Alert struct {
	RuleID      string // group/alert
	File, Group string
	Name        string
	Expr        string
	Customer    string // label customer, else the default customer
	Labels      labels.Labels
	Annotations labels.Labels
	State       State
	Reason      string // of StateEnded
	Value       float64
	// Check is the evaluation timestamp at which the alert came into State, the
	// same in every repetition, in exact milliseconds; for StateEnded the time of
	// the update.
	Check      time.Time
	ActiveAt   time.Time // when the expression first held; before a restart too, if restored
	FiredAt    time.Time
	ResolvedAt time.Time // zero unless resolved
	// ValidUntil is until when a firing alert counts without being told again.
	ValidUntil time.Time
}

// NotifyFunc takes alerts in the order of their evaluation. An error is logged
// and counted; the alerts come again with the next repetition.
type NotifyFunc func(ctx context.Context, alerts []Alert) error

// notices tells alerts, and knows which of them were told as firing last.
type notices struct {
	notify   NotifyFunc
	customer string
	metrics  *runnerMetrics
	log      *slog.Logger

	// mu is held while notify runs: what it is told about one alert must come in
	// order, also when a rule moves to another rule group at that moment.
	mu     sync.Mutex
	firing map[string]Alert // told as firing, by key
	ended  []Alert          // to be told
}

func newNotices(notify NotifyFunc, customer string, m *runnerMetrics, log *slog.Logger) *notices {
	if notify == nil {
		notify = func(context.Context, []Alert) error { return nil }
	}
	return &notices{notify: notify, customer: customer, metrics: m, log: log, firing: map[string]Alert{}}
}

func key(group string, l labels.Labels) string { return group + "\xff" + l.String() }

func (a Alert) key() string { return key(a.Group, a.Labels) }

// resume takes over what was told as firing before a restart.
func (n *notices) resume(alerts []Alert) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, a := range alerts {
		a.File = "" // its rule group may stand in another file now
		n.firing[a.key()] = a
	}
}

// tell hands over what the rules package wants to be sent. It runs during the
// evaluation, whose rule group ctx names.
func (n *notices) tell(ctx context.Context, expr string, in []*rules.Alert) {
	if len(in) == 0 {
		return
	}
	file, group := groupOf(ctx)
	alerts := make([]Alert, 0, len(in))
	for _, a := range in {
		alerts = append(alerts, n.alert(file, group, expr, a))
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.hand(ctx, alerts) {
		return
	}
	for _, a := range alerts {
		// What fires again has not ended.
		n.ended = slices.DeleteFunc(n.ended, func(e Alert) bool { return e.key() == a.key() })
		if a.State == StateFiring {
			n.firing[a.key()] = a
		} else {
			delete(n.firing, a.key())
		}
	}
}

func (n *notices) alert(file, group, expr string, a *rules.Alert) Alert {
	name := a.Labels.Get(labels.AlertName)
	out := Alert{
		RuleID: group + "/" + name, File: file, Group: group, Name: name, Expr: expr,
		Customer: a.Labels.Get(customerLabel), Labels: a.Labels, Annotations: a.Annotations,
		State: StateFiring, Value: a.Value, Check: check(a.FiredAt),
		ActiveAt: a.ActiveAt, FiredAt: a.FiredAt, ResolvedAt: a.ResolvedAt, ValidUntil: a.ValidUntil,
	}
	if out.Customer == "" {
		out.Customer = n.customer
	}
	if !a.ResolvedAt.IsZero() {
		out.State, out.Check = StateResolved, check(a.ResolvedAt)
	}
	return out
}

// check is an evaluation timestamp as the samples of that evaluation have it.
func check(t time.Time) time.Time { return time.UnixMilli(t.UnixMilli()).UTC() }

// hand calls notify. The caller holds mu.
func (n *notices) hand(ctx context.Context, alerts []Alert) bool {
	n.metrics.notified.Add(len(alerts))
	if err := n.notify(ctx, alerts); err != nil {
		n.metrics.notifyFailed.Add(len(alerts))
		n.log.Error("alerts of plain rules were not taken; they are told again", "count", len(alerts), "rule", alerts[0].RuleID, "err", err)
		return false
	}
	return true
}

// retire tells as ended what was told as firing and is no alert of any rule in
// groups any more. It is called after groups came into force.
func (n *notices) retire(ctx context.Context, now time.Time, groups []*rules.Group) {
	n.mu.Lock()
	defer n.mu.Unlock()
	alive, ids := map[string]bool{}, map[string]bool{}
	for _, g := range groups {
		for _, r := range g.AlertingRules() {
			ids[g.Name()+"/"+r.Name()] = true
			r.ForEachActiveAlert(func(a *rules.Alert) { alive[key(g.Name(), a.Labels)] = true })
		}
	}
	for k, a := range n.firing {
		if alive[k] || a.File == "" && ids[a.RuleID] {
			continue
		}
		a.State, a.Reason, a.Check = StateEnded, ReasonRemoved, check(now)
		if ids[a.RuleID] {
			a.Reason = ReasonChanged
		}
		n.ended = append(n.ended, a)
		delete(n.firing, k)
	}
	n.flushLocked(ctx)
}

// An alert that ceased is told from runOutLead, or an evaluation interval, before
// it runs out, but not within runOutMargin before: then it is told clearly before
// that or clearly after.
const (
	runOutLead   = 5 * time.Second
	runOutMargin = time.Second
)

// evaluated tells what became known by an evaluation of g at ts without a word
// of the rules package: that of an alert that was firing nothing is left, since
// its expression ceased to hold while this server was down or while a new for
// had made it pending again. An Alertmanager lets such an alert run out; it is
// told here as resolved at the last evaluation before that, and not by a rule
// that could not be evaluated. What ended and was not taken yet is told again.
func (n *notices) evaluated(ctx context.Context, g *rules.Group, ts time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for k, a := range n.firing {
		left := a.ValidUntil.Sub(ts)
		if left > max(g.Interval(), runOutLead) || left > 0 && left <= runOutMargin || !ceased(g, a) {
			continue
		}
		a.State, a.Check, a.ResolvedAt = StateResolved, check(ts), ts
		n.ended = append(n.ended, a)
		delete(n.firing, k)
	}
	n.flushLocked(ctx)
}

// ceased tells whether g has the rule of a, could evaluate it, and has no such
// alert, pending or firing.
func ceased(g *rules.Group, a Alert) bool {
	if a.Group != g.Name() || a.File != "" && a.File != g.File() {
		return false
	}
	found := false
	for _, r := range g.AlertingRules() {
		if r.Name() != a.Name {
			continue
		}
		if r.Health() != rules.HealthGood {
			return false
		}
		found = true
		active := false
		r.ForEachActiveAlert(func(x *rules.Alert) {
			active = active || x.State != rules.StateInactive && labels.Equal(x.Labels, a.Labels)
		})
		if active {
			return false
		}
	}
	return found
}

func (n *notices) flushLocked(ctx context.Context) {
	if len(n.ended) > 0 && n.hand(ctx, n.ended) {
		n.ended = nil
	}
}
