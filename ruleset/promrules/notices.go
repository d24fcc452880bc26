package promrules

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
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

// Alert is one alert at one notification. A firing alert is told again every
// ResendDelay, as Prometheus does; Check tells repetitions from news.
type Alert struct {
	// RuleID, Customer and Identity name the alert for as long as it stands. An alert
	// that was open before a restart or a change of the rule files keeps those that
	// it was told with.
	RuleID      string
	Identity    labels.Labels // of Labels, what tells it from the rule's other alerts
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
	// the update, or of the evaluation after it.
	Check      time.Time
	ActiveAt   time.Time // when the expression first held; before a restart too, if restored
	FiredAt    time.Time
	ResolvedAt time.Time // zero unless resolved
	// ValidUntil is until when a firing alert counts without being told again.
	ValidUntil time.Time

	// changed: its rule has been changed since; whether it still stands, the rule's
	// next evaluation tells.
	changed bool
	// resumed: it was told before a restart and has not been since.
	resumed bool
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
	ids      atomic.Pointer[identities] // of the rules in force

	// mu is held while notify runs: what it is told about one alert must come in
	// order, also when a rule moves to another rule group at that moment.
	mu      sync.Mutex
	firing  map[string]Alert // told as firing, by key
	resumed []Alert          // told as firing before a restart, not matched with rules yet
	ended   []Alert          // to be told
}

func newNotices(notify NotifyFunc, customer string, m *runnerMetrics, log *slog.Logger) *notices {
	if notify == nil {
		notify = func(context.Context, []Alert) error { return nil }
	}
	n := &notices{notify: notify, customer: customer, metrics: m, log: log, firing: map[string]Alert{}}
	n.ids.Store(newIdentities(nil, nil))
	return n
}

func (n *notices) key(a Alert) string { return n.ids.Load().key(a.place(), a.Labels) }

func (a Alert) place() place { return place{a.File, a.Group, a.Name} }

// resume takes over what was told as firing before a restart.
func (n *notices) resume(alerts []Alert) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, a := range alerts {
		a.resumed = true
		n.resumed = append(n.resumed, a)
	}
}

// tell hands over what the rules package wants to be sent. It runs during the
// evaluation, whose rule group ctx names.
func (n *notices) tell(ctx context.Context, expr string, in []*rules.Alert) {
	if len(in) == 0 {
		return
	}
	file, group := groupOf(ctx)
	n.mu.Lock()
	defer n.mu.Unlock()
	alerts := make([]Alert, 0, len(in))
	for _, a := range in {
		alerts = append(alerts, n.alert(file, group, expr, a))
	}
	alerts = n.standing(alerts)
	if len(alerts) == 0 || !n.hand(ctx, alerts) {
		return
	}
	for _, a := range alerts {
		// What fires again has not ended.
		n.ended = slices.DeleteFunc(n.ended, func(e Alert) bool { return n.key(e) == n.key(a) })
		if a.State == StateFiring {
			n.firing[n.key(a)] = a
		} else {
			delete(n.firing, n.key(a))
		}
	}
}

// standing leaves out what is no news: the repetitions of a resolved alert that was
// taken, and the end of one that stands on with another severity: to Prometheus that is
// another alert.
func (n *notices) standing(alerts []Alert) []Alert {
	newest := map[string]Alert{}
	for _, a := range alerts {
		if k := n.key(a); a.State == StateFiring && !a.ActiveAt.Before(newest[k].ActiveAt) {
			newest[k] = a
		}
	}
	return slices.DeleteFunc(alerts, func(a Alert) bool {
		k := n.key(a)
		if _, stands := n.firing[k]; a.State != StateFiring && !stands {
			return true // it was told
		}
		for _, other := range []Alert{newest[k], n.firing[k]} {
			if other.Labels.IsEmpty() || labels.Equal(other.Labels, a.Labels) {
				continue
			}
			if a.State != StateFiring && !other.changed || other.ActiveAt.After(a.ActiveAt) {
				return true
			}
		}
		return false
	})
}

func (n *notices) alert(file, group, expr string, a *rules.Alert) Alert {
	p := place{file, group, a.Labels.Get(labels.AlertName)}
	out := Alert{
		RuleID: n.ids.Load().ruleID(p), Identity: n.ids.Load().of(p, a.Labels), File: file, Group: group, Name: p.name, Expr: expr,
		Customer: a.Labels.Get(customerLabel), Labels: a.Labels, Annotations: a.Annotations,
		State: StateFiring, Value: a.Value, Check: check(a.FiredAt),
		ActiveAt: a.ActiveAt, FiredAt: a.FiredAt, ResolvedAt: a.ResolvedAt, ValidUntil: a.ValidUntil,
	}
	if out.Customer == "" {
		out.Customer = n.customer
	}
	if was, told := n.firing[n.key(out)]; told {
		out.RuleID, out.Customer, out.Identity = was.RuleID, was.Customer, was.Identity
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

// retire tells as ended what was told as firing and has no rule in groups any more. It
// is called after groups came into force. Of an alert whose rule is there, but has been
// changed, the rule's next evaluation tells what became of it.
func (n *notices) retire(ctx context.Context, now time.Time, groups []*rules.Group) {
	n.mu.Lock()
	defer n.mu.Unlock()
	alive := map[string]bool{}
	for _, g := range groups {
		for _, r := range g.AlertingRules() {
			r.ForEachActiveAlert(func(a *rules.Alert) { alive[n.ids.Load().key(placeOf(g, r.Name()), a.Labels)] = true })
		}
	}
	was := n.firing
	n.firing = map[string]Alert{}
	var lost []Alert
	for _, a := range was {
		k := n.key(a)
		a.changed = a.changed || !alive[k] && !a.resumed
		if n.ids.Load().has(n.ids.Load().ruleID(a.place()), a.Group, a.Name) {
			n.firing[k] = a
		} else {
			lost = append(lost, a)
		}
	}
	for _, a := range append(lost, n.resumed...) {
		if !n.adopt(a) {
			a.State, a.Reason, a.Check = StateEnded, ReasonRemoved, check(now)
			n.ended = append(n.ended, a)
		}
	}
	n.resumed = nil
	n.flushLocked(ctx)
}

// adopt finds the rule of an alert that was told before a restart, by a former version
// or by a rule that stands in another file now. It goes on as what it was told as.
func (n *notices) adopt(a Alert) bool {
	places := n.ids.Load().at[[2]string{a.Group, a.Name}]
	own := slices.IndexFunc(places, func(p place) bool { return n.ids.Load().ruleID(p) == a.RuleID })
	if own >= 0 {
		places = places[own : own+1]
	}
	for _, p := range places {
		a.File = p.file
		if _, taken := n.firing[n.key(a)]; !taken {
			n.firing[n.key(a)] = a
			return true
		}
	}
	return false
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
// that could not be evaluated. Where the rule was changed meanwhile, it ends.
// What ended and was not taken yet is told again.
func (n *notices) evaluated(ctx context.Context, g *rules.Group, ts time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for k, a := range n.firing {
		left := a.ValidUntil.Sub(ts)
		runsOut := left <= 0 || left > runOutMargin && left <= max(g.Interval(), runOutLead)
		if !runsOut && !a.changed || !n.ceased(g, a) {
			continue
		}
		a.State, a.Check, a.ResolvedAt = StateResolved, check(ts), ts
		if a.changed {
			a.State, a.Reason, a.ResolvedAt = StateEnded, ReasonChanged, time.Time{}
		}
		n.ended = append(n.ended, a)
		delete(n.firing, k)
	}
	n.flushLocked(ctx)
}

// ceased tells whether g has the rule of a, could evaluate it, and has no such
// alert, pending or firing.
func (n *notices) ceased(g *rules.Group, a Alert) bool {
	if a.Group != g.Name() || a.File != g.File() {
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
			active = active || x.State != rules.StateInactive && n.ids.Load().key(placeOf(g, r.Name()), x.Labels) == n.key(a)
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
