package alertrouter

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/alertmanager/dispatch"
	"github.com/prometheus/alertmanager/provider"
	"github.com/prometheus/common/model"
)

// OpenAlerts returns the open incidents as Alertmanager's alerts. The set is
// fixed: alerts come in through Handle.
func (r *Router) OpenAlerts(ctx context.Context) (provider.Alerts, error) {
	open, err := r.store.OpenIncidents(ctx)
	if err != nil {
		return nil, fmt.Errorf("alertrouter: %w", err)
	}
	return newAlertSet(open, r.routes.Load(), time.Now()), nil
}

// AlertGroups returns the alert groups that have open incidents, as
// Alertmanager's groups, with the receivers of each alert by fingerprint.
// Groups of routes and alerts that the filters refuse are left out.
func (r *Router) AlertGroups(ctx context.Context, routeFilter func(*dispatch.Route) bool, alertFilter func(*amAlert, time.Time) bool) (
	dispatch.AlertGroups, map[model.Fingerprint][]string, error,
) {
	states, err := r.store.Groups(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("alertrouter: %w", err)
	}
	world, now := r.routes.Load(), time.Now()
	var groups dispatch.AlertGroups
	receivers := map[model.Fingerprint][]string{}
	for _, g := range states {
		route := world.routeOf(g.Group)
		if route == nil || !routeFilter(route) {
			continue
		}
		out := &dispatch.AlertGroup{
			Labels: labelSet(g.Labels), RouteLabels: route.RouteOpts.Labels,
			Receiver: g.Receiver, GroupKey: g.GroupKey, RouteID: g.RouteID,
		}
		for n := range g.Members {
			if !g.Members[n].Incident.Open() {
				continue
			}
			a := world.shown(&g.Members[n].Incident, now)
			if alertFilter(a, now) {
				out.Alerts = append(out.Alerts, a)
				receivers[a.Fingerprint()] = append(receivers[a.Fingerprint()], g.Receiver)
			}
		}
		if len(out.Alerts) > 0 {
			groups = append(groups, out)
		}
	}
	return groups, receivers, nil
}
