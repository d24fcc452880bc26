package amapi

import (
	"net/url"
	"time"

	"github.com/prometheus/alertmanager/alert"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/alertrouter"
)

// outsideRule begins the rule ids of alerts that other systems push.
const outsideRule = "outside/"

// customerLabel carries the tenant.
const customerLabel = "customer"

// event makes an event of an alert that another system pushed at now. Such an
// alert lives until its end time and is pushed anew before; if it is not, it
// is no-data, since nobody said that it is good again.
func event(a *alert.Alert, customer string, now time.Time) alertrouter.Event {
	lset := a.Labels.Clone()
	if customer != "" {
		lset[customerLabel] = model.LabelValue(customer)
	}
	e := alertrouter.Event{
		Customer:     string(lset[customerLabel]),
		RuleID:       outsideRule + string(lset[model.AlertNameLabel]),
		Alert:        string(lset[model.AlertNameLabel]),
		Labels:       promLabels(lset),
		Annotations:  promLabels(a.Annotations),
		State:        alertrouter.StateFiring,
		Check:        a.StartsAt,
		At:           now,
		Source:       source(a.GeneratorURL),
		GeneratorURL: a.GeneratorURL,
		Expires:      a.EndsAt,
	}
	e.Identity = labels.NewBuilder(e.Labels).Del(labels.AlertName, customerLabel).Labels()
	if !a.Timeout && !a.EndsAt.After(now) {
		e.State, e.Check = alertrouter.StateResolved, a.EndsAt
	}
	return e
}

// source names the system that pushed an alert.
func source(generatorURL string) string {
	u, err := url.Parse(generatorURL)
	if err != nil || u.Host == "" {
		return outsideRule + "unknown"
	}
	return outsideRule + u.Host
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
