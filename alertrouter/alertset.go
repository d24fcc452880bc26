package alertrouter

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/alertmanager/provider"
	"github.com/prometheus/common/model"

	"watchkeeper/alertrouter/incident"
)

// alertSet is a fixed set of alerts behind Alertmanager's provider interface.
type alertSet []*amAlert

var _ provider.Alerts = alertSet(nil)

func newAlertSet(open []incident.Incident, world *routes, now time.Time) alertSet {
	out := make(alertSet, 0, len(open))
	for n := range open {
		out = append(out, world.shown(&open[n], now))
	}
	return out
}

// shown is an open incident as Alertmanager's API shows an alert. One that stands has an
// end there: that which its sender gave it, else resolve_timeout from now on, as if it
// had been pushed just now.
func (ro *routes) shown(open *incident.Incident, now time.Time) *amAlert {
	a := newAlert(open, ro.externalURL.String(), now, false)
	if a.EndsAt = open.Expires; !a.EndsAt.After(now) {
		a.EndsAt = now.Add(time.Duration(ro.config.Global.ResolveTimeout))
	}
	return a
}

// Subscribe returns an iterator that nothing will come from.
func (s alertSet) Subscribe(string) provider.AlertIterator {
	return provider.NewAlertIterator(make(chan *provider.Alert), make(chan struct{}), nil)
}

// SlurpAndSubscribe returns the set; nothing will come after it.
func (s alertSet) SlurpAndSubscribe(name string) ([]*amAlert, provider.AlertIterator) {
	return s, s.Subscribe(name)
}

// GetPending returns the set.
func (s alertSet) GetPending() provider.AlertIterator {
	ch := make(chan *provider.Alert, len(s))
	for _, a := range s {
		ch <- &provider.Alert{Data: a}
	}
	close(ch)
	return provider.NewAlertIterator(ch, make(chan struct{}), nil)
}

// Get returns the alert of a fingerprint.
func (s alertSet) Get(fp model.Fingerprint) (*amAlert, error) {
	for _, a := range s {
		if a.Fingerprint() == fp {
			return a, nil
		}
	}
	return nil, provider.ErrNotFound
}

// Put is refused: the set is fixed.
func (s alertSet) Put(context.Context, ...*amAlert) error {
	return errors.New("the alert set is fixed")
}
