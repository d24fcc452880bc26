package incident

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"
)

// said lists an incident's log entries with their details.
func (s *Store) said(t *testing.T, id int64) (out []string) {
	t.Helper()
	d, err := s.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range d.Events {
		out = append(out, string(e.Type)+": "+e.Detail)
	}
	return out
}

// Labels that the rules give anew come to the open incidents once; only another severity
// is told, also of an alert without data.
func TestRelabel(t *testing.T) {
	s := openStore(t, filepath.Join(t.TempDir(), "incidents.db"))
	s.mustApply(t, t0, transition("web-1", Firing, t0), transition("web-2", Firing, t0), transition("web-3", Firing, t0),
		transition("web-4", Firing, t0), transition("web-4", Resolved, t0.Add(time.Minute)))
	s.mustApply(t, t0, transition("web-3", NoData, t0.Add(time.Minute)))
	queued := count(t, s, `SELECT COUNT(*) FROM outbox`)
	wording := func(i *Incident) (labels.Labels, labels.Labels) {
		b := labels.NewBuilder(i.Labels)
		switch i.Identity.Get("instance") {
		case "web-1":
			b.Set("team", "b")
		case "web-2":
			return labels.EmptyLabels(), labels.EmptyLabels()
		default:
			b.Set("severity", "average")
		}
		return b.Labels(), labels.FromStrings("summary", "new")
	}
	for range 2 {
		if _, err := s.Relabel(t.Context(), t0.Add(time.Hour), wording, toOne); err != nil {
			t.Fatal(err)
		}
	}
	for id, want := range map[int64][]string{
		1: {"opened: ", `updated: labels: {alertname="CPUHigh", customer="acme", instance="web-1", severity="high", team="b"} instead of {alertname="CPUHigh", customer="acme", instance="web-1", severity="high"}`},
		2: {"opened: "},
		3: {"opened: ", "no_data: ", "severity_changed: average instead of high"},
		4: {"opened: ", "resolved: "},
	} {
		if d := cmp.Diff(want, s.said(t, id)); d != "" {
			t.Errorf("incident %d (-want +got):\n%s", id, d)
		}
	}
	d, err := s.Get(t.Context(), 3)
	if err != nil {
		t.Fatal(err)
	}
	if d.Severity != "average" || d.State != NoData || !d.StartedAt.Equal(t0) || !d.LastCheck.Equal(t0.Add(time.Minute)) || d.Annotations.Get("summary") != "new" {
		t.Errorf("%+v", d.Incident)
	}
	if n := count(t, s, `SELECT COUNT(*) FROM outbox`); n != queued+1 {
		t.Errorf("%d rows of the outbox, before it was %d", n, queued)
	}
}

// A transition that comes with another severity tells it, too, and one that closes the
// incident leaves it the labels that it was told with.
func TestSeverityOfATransition(t *testing.T) {
	s := openStore(t, filepath.Join(t.TempDir(), "incidents.db"))
	of := func(severity string, state State, minute int) Transition {
		tr := transition("web-1", state, t0.Add(time.Duration(minute)*time.Minute))
		tr.Labels = labels.NewBuilder(tr.Labels).Set("severity", severity).Labels()
		return tr
	}
	s.mustApply(t, t0, of("high", Firing, 0), of("average", NoData, 5), of("average", Firing, 6), of("warning", Resolved, 7))
	want := []string{"opened: ", "no_data: ", "back_to_firing: ", "severity_changed: average instead of high", "resolved: "}
	if d := cmp.Diff(want, s.said(t, 1)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if d, err := s.Get(t.Context(), 1); err != nil || d.Severity != "average" {
		t.Errorf("%+v, %v", d.Incident, err)
	}
}

// What a change of the rules closes and opens anew at one check is neither of them for
// the second time, as often as the rules change; handed over twice it changes nothing.
func TestOccasionsOfOneCheck(t *testing.T) {
	s := openStore(t, filepath.Join(t.TempDir(), "incidents.db"))
	s.mustApply(t, t0, transition("web-1", Firing, t0))
	for n := range 4 {
		tr := transition("web-1", []State{Ended, Firing}[n%2], t0)
		tr.Occasion = t0.Add(time.Duration(n+1) * time.Minute)
		for again := range 2 {
			if c := s.mustApply(t, t0, tr); len(c) != 1-again {
				t.Errorf("%s at occasion %d, handed over %d times: %+v", tr.State, n, again+1, c)
			}
		}
	}
}
