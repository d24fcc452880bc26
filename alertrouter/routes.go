package alertrouter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"time"

	amconfig "github.com/prometheus/alertmanager/config"
	"github.com/prometheus/alertmanager/config/receiver"
	"github.com/prometheus/alertmanager/dispatch"
	"github.com/prometheus/alertmanager/featurecontrol"
	"github.com/prometheus/alertmanager/matcher/compat"
	amnotify "github.com/prometheus/alertmanager/notify"
	"github.com/prometheus/alertmanager/template"
	"github.com/prometheus/alertmanager/timeinterval"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/alertrouter/incident"
	"watchkeeper/alertrouter/notify/webhook"
)

// SeverityDisaster is the severity whose messages never wait for company.
const SeverityDisaster = "disaster"

// initMatchers chooses Alertmanager's matcher syntax, a global of its, once.
var initMatchers = sync.OnceFunc(func() {
	compat.InitFromFlags(slog.New(slog.DiscardHandler), featurecontrol.NoopFlags{})
})

// routes is all that an Alertmanager configuration says, ready for use. It is
// never changed; a reload makes a new one.
type routes struct {
	config      *amconfig.Config
	root        *dispatch.Route
	byID        map[string]*dispatch.Route
	receivers   map[string][]amnotify.Integration
	intervals   *timeinterval.Intervener
	tmpl        *template.Template
	externalURL *url.URL
	log         *slog.Logger
}

func newRoutes(c Config, log *slog.Logger) (*routes, error) {
	cfg, err := c.routing()
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(c.ExternalURL)
	if err != nil {
		return nil, fmt.Errorf("external_url: %w", redacted(err))
	}
	tmpl, err := template.FromGlobs(cfg.Templates)
	if err != nil {
		return nil, fmt.Errorf("templates: %w", err)
	}
	tmpl.ExternalURL = u
	r := &routes{
		config: cfg, root: dispatch.NewRoute(cfg.Route, nil), byID: map[string]*dispatch.Route{},
		receivers: map[string][]amnotify.Integration{}, intervals: timeinterval.NewIntervener(intervalsOf(cfg)),
		tmpl: tmpl, externalURL: u, log: log,
	}
	r.root.Walk(func(route *dispatch.Route) { r.byID[route.ID()] = route })
	for _, rc := range cfg.Receivers {
		if r.receivers[rc.Name], err = integrations(rc, tmpl, log); err != nil {
			return nil, fmt.Errorf("receiver %q: %w", rc.Name, redacted(err))
		}
	}
	return r, nil
}

func intervalsOf(cfg *amconfig.Config) map[string][]timeinterval.TimeInterval {
	out := map[string][]timeinterval.TimeInterval{}
	for _, ti := range cfg.MuteTimeIntervals {
		out[ti.Name] = ti.TimeIntervals
	}
	for _, ti := range cfg.TimeIntervals {
		out[ti.Name] = ti.TimeIntervals
	}
	return out
}

// integrations builds a receiver's notifiers: the webhooks are ours, for their
// idempotency key; the rest are Alertmanager's.
func integrations(rc amconfig.Receiver, tmpl *template.Template, log *slog.Logger) ([]amnotify.Integration, error) {
	var out []amnotify.Integration
	for n, conf := range rc.WebhookConfigs {
		w, err := webhook.New(conf, tmpl, log.With("integration", "webhook"))
		if err != nil {
			return nil, err
		}
		out = append(out, amnotify.NewIntegration(w, conf, "webhook", n, rc.Name))
	}
	rc.WebhookConfigs = nil
	rest, err := receiver.BuildReceiverIntegrations(rc, tmpl, log)
	return append(out, rest...), err
}

// integration finds a receiver's integration by its name in the outbox.
func (r *routes) integration(receiver, name string) (*amnotify.Integration, error) {
	all, ok := r.receivers[receiver]
	if !ok {
		return nil, fmt.Errorf("no receiver %q in the configuration any more", receiver)
	}
	for n := range all {
		if all[n].String() == name {
			return &all[n], nil
		}
	}
	return nil, fmt.Errorf("receiver %q has no %s any more", receiver, name)
}

// plan says through which groups an incident is told.
func (r *routes) plan(inc *incident.Incident) []incident.Target {
	lset := labelSet(inc.Labels)
	var out []incident.Target
	for _, route := range r.root.Match(lset) {
		opts := &route.RouteOpts
		group := groupLabels(route, lset)
		t := incident.Target{
			Group: incident.Group{
				RouteID:  route.ID(),
				GroupKey: fmt.Sprintf("%s:%s", route.Key(), group),
				Receiver: opts.Receiver,
				Labels:   promLabels(group),
			},
			GroupWait: opts.GroupWait, GroupInterval: opts.GroupInterval, RepeatInterval: opts.RepeatInterval,
		}
		if strings.EqualFold(inc.Severity, SeverityDisaster) {
			t.GroupWait, t.GroupInterval = 0, 0
		}
		out = append(out, t)
	}
	return out
}

// groupLabels are the labels of an alert by which its route groups.
func groupLabels(route *dispatch.Route, lset model.LabelSet) model.LabelSet {
	group := model.LabelSet{}
	for ln, lv := range lset {
		if _, ok := route.RouteOpts.GroupBy[ln]; ok || route.RouteOpts.GroupByAll {
			group[ln] = lv
		}
	}
	return group
}

// routeOf returns the route that a group is of, or nil if the configuration
// does not send to the group's receiver through it any more: then the group
// lives on for what is under way and for the closes, without reminders.
func (r *routes) routeOf(g incident.Group) *dispatch.Route {
	route, ok := r.byID[g.RouteID]
	if !ok || route.RouteOpts.Receiver != g.Receiver {
		return nil
	}
	return route
}

// mutedByTime returns the time intervals that mute a route at now, if any.
func (r *routes) mutedByTime(routeID string, now time.Time) ([]string, error) {
	route, ok := r.byID[routeID]
	if !ok {
		return nil, nil
	}
	var errs error
	if names := route.RouteOpts.MuteTimeIntervals; len(names) > 0 {
		muted, by, err := r.intervals.Mutes(names, now)
		if muted {
			return by, nil
		}
		errs = err
	}
	if names := route.RouteOpts.ActiveTimeIntervals; len(names) > 0 {
		active, _, err := r.intervals.Mutes(names, now)
		if err == nil && !active {
			return names, errs
		}
		errs = errors.Join(errs, err)
	}
	return nil, errs
}

// routeLabels are a route's labels with their templates filled in.
func (r *routes) routeLabels(g incident.Group, reason amnotify.NotifyReason, alerts []*amAlert) model.LabelSet {
	route := r.routeOf(g)
	if route == nil || len(route.RouteOpts.Labels) == 0 {
		return nil
	}
	data := r.tmpl.Data(g.Receiver, labelSet(g.Labels), route.RouteOpts.Labels, reason.String(), alerts...)
	render := r.tmpl.RouteLabelRenderer(data)
	out := model.LabelSet{}
	for name, raw := range route.RouteOpts.Labels {
		v, err := render(string(name))
		if err != nil {
			r.log.Warn("route label template failed", "group", g.GroupKey, "label", string(name), "err", err)
			v = string(raw)
		}
		out[name] = model.LabelValue(v)
	}
	return out
}

// context is what Alertmanager's notifiers read from their context.
func (r *routes) context(ctx context.Context, now time.Time, g incident.Group, reason amnotify.NotifyReason, alerts []*amAlert) context.Context {
	ctx = amnotify.WithGroupKey(ctx, g.GroupKey)
	ctx = amnotify.WithReceiverName(ctx, g.Receiver)
	ctx = amnotify.WithGroupLabels(ctx, labelSet(g.Labels))
	ctx = amnotify.WithRouteLabels(ctx, r.routeLabels(g, reason, alerts))
	ctx = amnotify.WithRouteID(ctx, g.RouteID)
	ctx = amnotify.WithNotificationReason(ctx, reason)
	ctx = amnotify.WithNow(ctx, now)
	if route := r.routeOf(g); route != nil {
		ctx = amnotify.WithRepeatInterval(ctx, route.RouteOpts.RepeatInterval)
	}
	var firing, resolved []uint64
	for _, a := range alerts {
		if a.Resolved() {
			resolved = append(resolved, uint64(a.Fingerprint()))
		} else {
			firing = append(firing, uint64(a.Fingerprint()))
		}
	}
	return amnotify.WithResolvedAlerts(amnotify.WithFiringAlerts(ctx, firing), resolved)
}

// labelSet turns Prometheus's label set into Alertmanager's.
func labelSet(l labels.Labels) model.LabelSet {
	out := make(model.LabelSet, l.Len())
	l.Range(func(l labels.Label) { out[model.LabelName(l.Name)] = model.LabelValue(l.Value) })
	return out
}

// promLabels turns Alertmanager's label set into Prometheus's.
func promLabels(lset model.LabelSet) labels.Labels {
	b := labels.NewScratchBuilder(len(lset))
	for n, v := range lset {
		b.Add(string(n), string(v))
	}
	b.Sort()
	return b.Labels()
}
