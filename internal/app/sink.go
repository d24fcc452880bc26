package app

import (
	"context"
	"log/slog"
	"time"

	"watchkeeper/alertrouter"
	"watchkeeper/alertrouter/incident"
	"watchkeeper/ruleset"
)

// Handler makes incidents of events; it has them durably when it returns nil.
type Handler interface {
	Handle(ctx context.Context, now time.Time, events []alertrouter.Event) error
}

// toRouter hands the rule engine's live log to the incidents. What the router
// has taken once changes nothing when it comes again, so entries that are
// handed over twice are harmless. A start tells what the incidents lack.
type toRouter struct {
	router Handler
	logs   Logs
	now    func() time.Time
	log    *slog.Logger
}

// Logs keeps the engine's logs for people; alerts do not wait for it.
type Logs interface {
	write(entries []ruleset.Entry) error
}

// Log implements ruleset.Sink.
func (s toRouter) Log(ctx context.Context, entries []ruleset.Entry) error {
	var events []alertrouter.Event
	for _, e := range entries {
		if ev, ok := event(e); ok {
			events = append(events, ev)
		}
	}
	if len(events) > 0 {
		if err := s.router.Handle(ctx, s.now(), events); err != nil {
			return err
		}
	}
	if err := s.logs.write(entries); err != nil {
		s.log.Error("lines of the verdict log are lost; 'rules replay' makes the settled ones again", "err", err)
	}
	return nil
}

// event turns a live entry that concerns people into an event: whatever opens,
// changes or closes an incident. Pending comes and goes unseen.
func event(e ruleset.Entry) (alertrouter.Event, bool) {
	if e.Log != ruleset.LogLive {
		return alertrouter.Event{}, false
	}
	state, ok := stateOf(e)
	if !ok {
		return alertrouter.Event{}, false
	}
	ev := alertrouter.Event{
		Customer:    e.Labels.Get("customer"),
		RuleID:      e.Rule.ID(),
		Alert:       e.Rule.Alert,
		Labels:      e.Labels,
		Identity:    e.Identity,
		Annotations: e.Annotations,
		State:       state,
		Check:       time.UnixMilli(e.Check).UTC(),
		At:          time.UnixMilli(e.At).UTC(),
		Value:       e.Value,
		Run:         e.Run,
		Reason:      e.Reason,
		Source:      e.Source.Name,
		Samples:     make([]incident.Sample, 0, len(e.Samples)),
		Occasion:    time.UnixMilli(e.At).UTC(),
	}
	if c := e.Rule.Contract; c != nil {
		ev.ContractRow, ev.ContractLiteral = c.Row, c.Literal
	}
	for _, s := range e.Samples {
		ev.Samples = append(ev.Samples, incident.Sample{Labels: s.Labels, T: s.T, V: s.V, Verdict: s.Verdict.String()})
	}
	return ev, true
}

// stateOf maps a change of an alert to what the incident should become; false
// when it concerns no incident.
func stateOf(e ruleset.Entry) (incident.State, bool) {
	switch e.To {
	case ruleset.StateFiring:
		return incident.Firing, true
	case ruleset.StateNoData:
		return incident.NoData, true
	case ruleset.StateResolved:
		return incident.Resolved, true
	case ruleset.StateEnded:
		return incident.Ended, true
	case ruleset.StateInactive, ruleset.StatePending:
		// A late good sample took the alert back: it never should have fired.
		if e.From.Open() {
			return incident.Resolved, true
		}
	}
	return "", false
}
