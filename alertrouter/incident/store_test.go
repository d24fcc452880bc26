package incident

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/prometheus/model/labels"
	"pgregory.net/rapid"

	"watchkeeper/internal/property"
)

var t0 = time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)

func openStore(t *testing.T, path string) *Store {
	t.Helper()
	s, err := Open(t.Context(), Config{Path: path, ReopenWithin: 15 * time.Minute, Instance: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// toOne sends every incident to one receiver, without waiting.
func toOne(*Incident) []Target {
	return []Target{{Group: Group{RouteID: "r", GroupKey: "{}", Receiver: "duty"}}}
}

func transition(instance string, state State, check time.Time) Transition {
	return Transition{
		Customer: "acme", RuleID: "ecs-cpu", Alert: "CPUHigh", Identity: labels.FromStrings("instance", instance),
		Labels: labels.FromStrings("alertname", "CPUHigh", "customer", "acme", "instance", instance, "severity", "high"),
		State:  state, Check: check, Value: 97,
	}
}

func (s *Store) mustApply(t *testing.T, now time.Time, ts ...Transition) []Change {
	t.Helper()
	changes, err := s.Apply(t.Context(), now, ts, toOne)
	if err != nil {
		t.Fatal(err)
	}
	return changes
}

func count(t *testing.T, s *Store, q string) (n int) {
	t.Helper()
	if err := s.read.QueryRow(q).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// An alert that is pushed again with another severity is the same incident, and news.
func TestSeverityChangesWhileItStands(t *testing.T) {
	s := openStore(t, filepath.Join(t.TempDir(), "incidents.db"))
	now := t0
	push := func(severity string) []Change {
		now = now.Add(time.Minute)
		tr := transition("web-1", Firing, t0)
		tr.Labels = labels.FromStrings("alertname", "CPUHigh", "instance", "web-1", "severity", severity)
		tr.Expires = now.Add(4 * time.Minute)
		return s.mustApply(t, now, tr)
	}
	push("warning")
	if c := push("warning"); len(c) != 0 {
		t.Errorf("a repetition is news: %+v", c)
	}
	queued := count(t, s, `SELECT COUNT(*) FROM outbox`)
	c := push("critical")
	if len(c) != 1 || c[0].Type != EntrySeverity || c[0].Incident.ID != 1 || c[0].Incident.Severity != "critical" || c[0].Incident.Reason != "" || !c[0].Incident.StartedAt.Equal(t0) {
		t.Errorf("%+v", c)
	}
	if n := count(t, s, `SELECT COUNT(*) FROM outbox`); n != queued+1 {
		t.Errorf("%d rows of the outbox, before it was %d", n, queued)
	}
	d, err := s.Get(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if last := d.Events[len(d.Events)-1]; last.Type != EntrySeverity || last.Detail != "critical instead of warning" {
		t.Errorf("%+v", last)
	}
}

func TestOneOpenIncidentPerKeyUnderConcurrency(t *testing.T) {
	path := filepath.Join(t.TempDir(), "incidents.db")
	stores := []*Store{openStore(t, path), openStore(t, path)} // two processes, as it were
	var wg sync.WaitGroup
	errs := make(chan error, 40)
	for n := range 40 {
		wg.Go(func() {
			// Each has seen the alert fire at a check of its own.
			_, err := stores[n%2].Apply(t.Context(), t0, []Transition{transition("web-1", Firing, t0.Add(time.Duration(n)*time.Minute))}, toOne)
			errs <- err
		})
	}
	wg.Wait()
	for range 40 {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	if n := count(t, stores[0], `SELECT COUNT(*) FROM incidents`); n != 1 {
		t.Errorf("%d incidents", n)
	}
	if n := count(t, stores[0], `SELECT COUNT(*) FROM outbox`); n != 1 {
		t.Errorf("%d outbox rows", n)
	}
	if _, err := stores[0].write.Exec(`INSERT INTO incidents SELECT 2, incident_key, customer, rule_id, alert_name, severity, identity_json,
		labels_json, annotations_json, source, contract_row, contract_literal, state, value, run, reason, samples_json, generator_url,
		started_at, opened_at, updated_at, last_check_at, expires_at, resolved_at, closed_at, reopened, acknowledged_at, acknowledged_by
		FROM incidents WHERE id = 1`); err == nil {
		t.Error("the database took a second open incident of the same key")
	}
}

func TestKeysDoNotCollide(t *testing.T) {
	a, b := transition("x", Firing, t0), transition("x", Firing, t0)
	a.Customer, a.RuleID = "ab", "c"
	b.Customer, b.RuleID = "a", "bc"
	if a.Key() == b.Key() {
		t.Error("customer and rule id run into each other")
	}
	c := transition("x", Firing, t0)
	c.Labels = labels.FromStrings("alertname", "Renamed")
	if c.Key() != transition("x", Firing, t0).Key() {
		t.Error("labels that are not identity are part of the key")
	}
}

func TestFullDiskWritesNothing(t *testing.T) {
	s := openStore(t, filepath.Join(t.TempDir(), "incidents.db"))
	s.mustApply(t, t0, transition("web-1", Firing, t0))
	// A database that may not grow answers as one on a full disk does.
	pages := count(t, s, `PRAGMA page_count`)
	if _, err := s.write.Exec(fmt.Sprintf(`PRAGMA max_page_count = %d`, pages+2)); err != nil {
		t.Fatal(err)
	}
	var many []Transition
	for n := range 500 {
		many = append(many, transition(fmt.Sprintf("host-%03d", n), Firing, t0))
	}
	if _, err := s.Apply(t.Context(), t0, many, toOne); err == nil {
		t.Fatal("no error")
	}
	for _, table := range []string{"incidents", "incident_events", "outbox", "group_members"} {
		if n := count(t, s, `SELECT COUNT(*) FROM `+table); n != 1 {
			t.Errorf("%d rows in %s", n, table)
		}
	}
	if _, err := s.write.Exec(`PRAGMA max_page_count = 1000000`); err != nil {
		t.Fatal(err)
	}
	if changes := s.mustApply(t, t0, many...); len(changes) != 500 {
		t.Errorf("%d changes when there was room again", len(changes))
	}
}

func TestReadOnlyDatabaseIsAnError(t *testing.T) {
	s := openStore(t, filepath.Join(t.TempDir(), "incidents.db"))
	if _, err := s.write.Exec(`PRAGMA query_only = 1`); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Apply(t.Context(), t0, []Transition{transition("web-1", Firing, t0)}, toOne); err == nil {
		t.Error("no error")
	}
}

func TestReadOnlyStoreReadsAndRefusesChanges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "incidents.db")
	s := openStore(t, path)
	s.mustApply(t, t0, transition("web-1", Firing, t0))
	s.Close()
	ro, err := OpenReadOnly(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer ro.Close()
	if all, err := ro.List(t.Context(), Filter{}); err != nil || len(all) != 1 {
		t.Errorf("incidents = %+v, %v", all, err)
	}
	if _, err := ro.Acknowledge(t.Context(), t0, 1, "li", ""); !errors.Is(err, ErrReadOnly) {
		t.Errorf("error = %v", err)
	}
}

func TestOpenWithoutAFolderIsAnError(t *testing.T) {
	if s, err := Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "none", "incidents.db")}); err == nil {
		s.Close()
		t.Error("no error")
	}
}

func TestNewerDatabaseIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "incidents.db")
	s := openStore(t, path)
	if _, err := s.write.Exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)`); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if _, err := Open(t.Context(), Config{Path: path, Instance: "test"}); !errors.Is(err, ErrNewerSchema) {
		t.Errorf("error = %v", err)
	}
}

func TestPathsWithOddCharacters(t *testing.T) {
	s := openStore(t, filepath.Join(t.TempDir(), "a b?c#d%e.db"))
	s.mustApply(t, t0, transition("web-1", Firing, t0))
	if n := count(t, s, `SELECT COUNT(*) FROM incidents`); n != 1 {
		t.Errorf("%d incidents", n)
	}
}

func TestListFilters(t *testing.T) {
	s := openStore(t, filepath.Join(t.TempDir(), "incidents.db"))
	for n := range 6 {
		tr := transition(fmt.Sprintf("host-%d", n), Firing, t0)
		tr.Customer = []string{"acme", "bolt"}[n%2]
		s.mustApply(t, t0.Add(time.Duration(n)*time.Minute), tr)
		if n < 2 {
			tr.State, tr.Check = Resolved, t0.Add(time.Hour)
			s.mustApply(t, t0.Add(time.Hour), tr)
		}
	}
	for _, c := range []struct {
		f    Filter
		want []int64
	}{
		{Filter{}, []int64{6, 5, 4, 3, 2, 1}},
		{Filter{Customer: "acme"}, []int64{5, 3, 1}},
		{Filter{Open: true}, []int64{6, 5, 4, 3}},
		{Filter{States: []State{Resolved, Ended}}, []int64{2, 1}},
		{Filter{Severity: "high", Limit: 2}, []int64{6, 5}},
		{Filter{Severity: "average"}, nil},
		{Filter{Before: 5, Limit: 2}, []int64{4, 3}},
		{Filter{Since: t0.Add(4 * time.Minute)}, []int64{6, 5}},
		{Filter{RuleID: "other"}, nil},
	} {
		got, err := s.List(t.Context(), c.f)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(c.want, ids(got)); d != "" {
			t.Errorf("%+v: %s", c.f, d)
		}
	}
	for since, want := range map[time.Time][]int64{t0: {1, 2}, t0.Add(time.Hour): {1, 2}, t0.Add(time.Hour + time.Millisecond): nil} {
		got, err := s.ClosedSince(t.Context(), since)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, ids(got)); d != "" {
			t.Errorf("closed since %s: %s", since, d)
		}
	}
}

func ids(list []Incident) []int64 {
	var out []int64
	for _, i := range list {
		out = append(out, i.ID)
	}
	return out
}

func TestWhatJSONCannotHoldSurvives(t *testing.T) {
	s := openStore(t, filepath.Join(t.TempDir(), "incidents.db"))
	tr := transition("web-1", Firing, t0)
	tr.Value = math.NaN()
	tr.Samples = []Sample{
		{Labels: tr.Identity, T: 1, V: math.NaN(), Verdict: "missing"},
		{Labels: tr.Identity, T: 2, V: math.Inf(1), Verdict: "breach"},
		{Labels: tr.Identity, T: 3, V: 0.1, Verdict: "good"},
	}
	s.mustApply(t, t0, tr)
	d, err := s.Get(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	same := cmp.Options{cmpopts.EquateNaNs(), cmp.Comparer(labels.Equal)}
	if diff := cmp.Diff(tr.Samples, d.Samples, same); diff != "" {
		t.Error(diff)
	}
	if !math.IsNaN(float64(d.Value)) {
		t.Errorf("value = %v", d.Value)
	}
}

// Whatever is handed over in whatever order, and however often: at most one
// open incident per key, an open one has no end and a closed one has, and
// handing it all over again changes nothing.
func TestInvariants(t *testing.T) {
	s, err := Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "incidents.db"), ReopenWithin: 2 * time.Minute, Instance: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	n := 0
	property.Check(t, func(rt *rapid.T) {
		n++
		customer := fmt.Sprint("customer ", n) // a world of its own
		var all []Transition
		for range rapid.IntRange(1, 12).Draw(rt, "events") {
			tr := transition(rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "instance"),
				rapid.SampledFrom([]State{Firing, NoData, Resolved, Ended}).Draw(rt, "state"),
				t0.Add(time.Duration(rapid.IntRange(0, 9).Draw(rt, "check"))*time.Minute))
			tr.Customer = customer
			tr.Source = rapid.SampledFrom([]string{"", "s"}).Draw(rt, "source")
			all = append(all, tr)
		}
		if _, err := s.Apply(context.Background(), t0, all, toOne); err != nil {
			rt.Fatal(err)
		}
		check := func() []Incident {
			incs, err := s.List(context.Background(), Filter{Customer: customer})
			if err != nil {
				rt.Fatal(err)
			}
			open := map[string]int{}
			for _, i := range incs {
				if i.Open() {
					open[i.Key]++
				}
				if i.Open() != i.State.Open() || i.Open() != i.ResolvedAt.IsZero() {
					rt.Fatalf("incident %+v", i)
				}
			}
			for k, n := range open {
				if n > 1 {
					rt.Fatalf("%d open incidents of %s", n, k)
				}
			}
			return incs
		}
		before := check()
		if _, err := s.Apply(context.Background(), t0.Add(time.Hour), all, toOne); err != nil {
			rt.Fatal(err)
		}
		if d := cmp.Diff(before, check(), cmp.Comparer(labels.Equal)); d != "" {
			rt.Fatalf("handed over again: %s", d)
		}
	})
}
