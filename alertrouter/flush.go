package alertrouter

import (
	"strings"
	"time"

	amnotify "github.com/prometheus/alertmanager/notify"
	"github.com/prometheus/common/model"

	"watchkeeper/alertrouter/incident"
)

// muter says by what an alert is muted; empty: by nothing.
type muter func(model.LabelSet) string

// telling is one incident that a message may carry.
type telling struct {
	inc  *incident.Incident
	told string // what the receiver knew before
}

// news tells whether the receiver does not know it yet.
func (t telling) news() bool {
	return !t.inc.Open() || t.told != incident.ToldFiring
}

// flush decides what becomes of a group whose time has come.
func (r *routes) flush(now time.Time, g *incident.GroupState, mutedBy muter, recheck time.Duration) (incident.Flush, error) {
	f := incident.Flush{
		Told: map[int64]string{}, Muted: map[int64]string{}, Held: map[int64]bool{}, Recheck: now.Add(recheck),
	}
	names, err := r.mutedByTime(g.RouteID, now)
	if err != nil {
		return f, err
	}
	var intervals string
	if len(names) > 0 {
		intervals = "time interval " + strings.Join(names, ", ")
	}
	var tell []telling
	for n := range g.Members {
		if m := &g.Members[n]; admit(&f, m, intervals, mutedBy) {
			tell = append(tell, telling{&m.Incident, m.Told})
		}
	}
	repeat := r.routeOf(g.Group) != nil && !g.RepeatAt.IsZero() && !g.RepeatAt.After(now)
	if !repeat && !anyNews(tell) {
		tell = nil
	}
	if err := r.compose(&f, g, tell, repeat, now); err != nil {
		return f, err
	}
	f.RepeatAt = r.repeatAt(g, tell, f.Recheck, now)
	return f, nil
}

// admit decides whether a member may be told now. Who heard of an opening
// always hears of the close: silences and inhibition do not stop it, the
// calendar delays it.
func admit(f *incident.Flush, m *incident.Member, intervals string, mutedBy muter) bool {
	inc := &m.Incident
	by := intervals
	closing := !inc.Open() && m.Told == incident.ToldFiring
	if by == "" && !closing {
		by = mutedBy(labelSet(inc.Labels))
	}
	switch {
	case !inc.Open() && m.Told == incident.ToldResolved:
		return false // nothing new
	case by == "":
		return true
	}
	f.Muted[inc.ID] = by
	f.Held[inc.ID] = closing || inc.Open() && m.Told != incident.ToldFiring
	return false
}

func anyNews(tell []telling) bool {
	for _, t := range tell {
		if t.news() {
			return true
		}
	}
	return false
}

// compose writes one message per integration of the group's receiver.
func (r *routes) compose(f *incident.Flush, g *incident.GroupState, tell []telling, repeat bool, now time.Time) error {
	if len(tell) == 0 {
		return nil
	}
	for _, t := range tell {
		f.Told[t.inc.ID] = incident.ToldFiring
		if !t.inc.Open() {
			f.Told[t.inc.ID] = incident.ToldResolved
		}
	}
	reason := reasonFor(g, tell).String()
	all := r.receivers[g.Receiver]
	for n := range all {
		m, err := r.message(&all[n], tell, repeat, now)
		if err != nil {
			return err
		}
		if m != nil {
			m.Reason = reason
			f.Messages = append(f.Messages, *m)
		}
	}
	if _, ok := r.receivers[g.Receiver]; !ok {
		// The receiver is gone from the configuration. The message is written
		// all the same, so that the ledger says who was not told.
		m, err := newMessage(goneIntegration, tell, r.externalURL.String(), now)
		if err != nil {
			return err
		}
		m.Reason = reason
		f.Messages = append(f.Messages, *m)
	}
	return nil
}

// goneIntegration stands for the integrations of a receiver that is gone.
const goneIntegration = "removed"

// message makes the message for one integration, or none if it has nothing to
// tell. One that does not send resolved alerts still hears of an incident that
// opened and closed before it could be told.
func (r *routes) message(i *amnotify.Integration, tell []telling, repeat bool, now time.Time) (*incident.Message, error) {
	var mine []telling
	for _, t := range tell {
		if i.SendResolved() || t.inc.Open() || t.told == incident.ToldNothing {
			mine = append(mine, t)
		}
	}
	if len(mine) == 0 || !repeat && !anyNews(mine) {
		return nil, nil
	}
	return newMessage(i.String(), mine, r.externalURL.String(), now)
}

func newMessage(integration string, tell []telling, externalURL string, now time.Time) (*incident.Message, error) {
	m := &incident.Message{IdempotencyKey: newKey(), Integration: integration}
	var alerts []*amAlert
	for _, t := range tell {
		alerts = append(alerts, newAlert(t.inc, externalURL, now, t.told == incident.ToldNothing))
		m.Incidents = append(m.Incidents, t.inc.ID)
	}
	var err error
	m.Alerts, err = encodeAlerts(alerts)
	return m, err
}

// reasonFor says in Alertmanager's words why a group is told now.
func reasonFor(g *incident.GroupState, tell []telling) amnotify.NotifyReason {
	var open, opened, closed, known bool
	for _, m := range g.Members {
		known = known || m.Told != incident.ToldNothing
	}
	for _, t := range tell {
		open = open || t.inc.Open()
		closed = closed || !t.inc.Open()
		opened = opened || t.inc.Open() && t.news()
	}
	switch {
	case !known:
		return amnotify.ReasonFirstNotification
	case opened:
		return amnotify.ReasonNewAlertsInGroup
	case closed && !open:
		return amnotify.ReasonAllAlertsResolved
	case closed:
		return amnotify.ReasonNewResolvedAlerts
	}
	return amnotify.ReasonRepeatIntervalElapsed
}

// repeatAt is when the group's receiver is to be reminded.
func (r *routes) repeatAt(g *incident.GroupState, tell []telling, recheck, now time.Time) time.Time {
	route := r.routeOf(g.Group)
	open := false
	for n := range g.Members {
		open = open || g.Members[n].Incident.Open()
	}
	switch {
	case route == nil || !open || len(r.receivers[g.Receiver]) == 0:
		return time.Time{}
	case len(tell) > 0:
		return now.Add(route.RouteOpts.RepeatInterval)
	case !g.RepeatAt.IsZero() && !g.RepeatAt.After(now):
		return recheck // due, but all is muted
	}
	return g.RepeatAt
}
