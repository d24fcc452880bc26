package incident

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const day = 24 * time.Hour

func (s *Store) mustPrune(t *testing.T, now time.Time, limit int) Pruned {
	t.Helper()
	p, err := s.Prune(t.Context(), now, 30*day, limit)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestHandledTransitionsAreForgottenOnlyWhenNobodyNeedsThem(t *testing.T) {
	s := openStore(t, filepath.Join(t.TempDir(), "incidents.db"))
	long, open := transition("long ago", Firing, t0), transition("open", Firing, t0)
	s.mustApply(t, t0, long, open, transition("late", Firing, t0))
	s.mustApply(t, t0.Add(time.Hour), transition("long ago", Resolved, t0.Add(time.Hour)))
	s.mustApply(t, t0.Add(5*day), transition("late", Resolved, t0.Add(5*day)))

	if p := s.mustPrune(t, t0.Add(HandledRetention), 10); p != (Pruned{}) {
		t.Errorf("within the retention: %+v", p)
	}
	for n, want := range []int{1, 1, 0} { // in chunks of one
		if p := s.mustPrune(t, t0.Add(HandledRetention+2*time.Hour), 1); p.Handled != want {
			t.Errorf("chunk %d: %+v", n, p)
		}
	}
	if n := count(t, s, `SELECT COUNT(*) FROM handled_transitions`); n != 3 {
		t.Errorf("%d handled transitions left, want those of the open incident and of the one closed lately", n)
	}
	if changes := s.mustApply(t, t0.Add(8*day), open, transition("late", Firing, t0)); len(changes) != 0 {
		t.Errorf("handed over again: %+v", changes)
	}
	if p := s.mustPrune(t, t0.Add(13*day), 10); p.Handled != 2 {
		t.Errorf("a week after the close: %+v", p)
	}
	for table, want := range map[string]int{"handled_transitions": 1, "incidents": 3, "incident_events": 5} {
		if n := count(t, s, `SELECT COUNT(*) FROM `+table); n != want {
			t.Errorf("%d rows in %s, want %d", n, table, want)
		}
	}
}

// settled flushes a new incident's group into one message, and settles it.
func settled(t *testing.T, s *Store, instance string, at time.Time, outcome Outcome) {
	t.Helper()
	inc := s.mustApply(t, at, transition(instance, Firing, at))[0].Incident
	g, err := s.GroupState(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	f := Flush{
		Messages: []Message{{IdempotencyKey: "key of " + instance, Integration: instance, Alerts: []byte(`[{}]`), Incidents: []int64{inc.ID}}},
		Told:     map[int64]string{inc.ID: ToldFiring},
	}
	if err := s.CommitFlush(t.Context(), at, g, f); err != nil {
		t.Fatal(err)
	}
	due, err := s.Due(t.Context(), at, nil, 10)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range due {
		if n.Integration != instance {
			continue
		}
		if err := s.Settle(t.Context(), n, Attempt{At: at, Outcome: outcome, RetryAt: at.Add(90 * day)}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestMessagesAreEmptiedAndTheLedgerStays(t *testing.T) {
	s := openStore(t, filepath.Join(t.TempDir(), "incidents.db"))
	settled(t, s, "accepted", t0, OutcomeAccepted)
	settled(t, s, "failed", t0, OutcomeFailed)
	settled(t, s, "waiting", t0, OutcomeRetry)
	settled(t, s, "young", t0.Add(day), OutcomeAccepted)
	if p := s.mustPrune(t, t0.Add(30*day), 10); p.Messages != 0 {
		t.Errorf("within the retention: %+v", p)
	}
	for n, want := range []int{1, 1, 0} { // in chunks of one
		if p := s.mustPrune(t, t0.Add(30*day+time.Hour), 1); p.Messages != want {
			t.Errorf("chunk %d: %+v", n, p)
		}
	}
	var left []string
	rows, err := s.read.Query(`SELECT integration || ' ' || alerts_json FROM notifications ORDER BY id`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var v string
		if err := rows.Scan(&v); err != nil {
			t.Fatal(err)
		}
		left = append(left, v)
	}
	if d := cmp.Diff([]string{"accepted []", "failed []", "waiting [{}]", "young [{}]"}, left); d != "" {
		t.Error(d)
	}
	d, err := s.Get(t.Context(), 1)
	if err != nil || len(d.Ledger) != 1 || d.Ledger[0].IdempotencyKey != "key of accepted" || d.Ledger[0].Outcome != OutcomeAccepted {
		t.Errorf("ledger = %+v, %v", d, err)
	}
}
