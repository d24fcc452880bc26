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

func newAlertSet(incs []incident.Incident, externalURL string) alertSet {
	now := time.Now()
	out := make(alertSet, 0, len(incs))
	for n := range incs {
		out = append(out, newAlert(&incs[n], externalURL, now, false))
	}
	return out
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
