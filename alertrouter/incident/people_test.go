package incident

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func (s *Store) mustAcknowledge(t *testing.T, now time.Time, user, comment string) Acknowledgement {
	t.Helper()
	ack, err := s.Acknowledge(t.Context(), now, 1, user, comment)
	if err != nil {
		t.Fatal(err)
	}
	return ack
}

func people(t *testing.T, s *Store) []string {
	t.Helper()
	d, err := s.Get(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	var log []string
	for _, e := range d.Events {
		log = append(log, string(e.Type)+" "+e.Actor+" "+e.Detail)
	}
	return log
}

func TestAcknowledgeAndNote(t *testing.T) {
	s := openStore(t, filepath.Join(t.TempDir(), "incidents.db"))
	s.mustApply(t, t0, transition("web-1", Firing, t0))
	first := Acknowledgement{By: "li", At: t0.Add(time.Minute)}
	if d := cmp.Diff(first, s.mustAcknowledge(t, first.At, "li", "on it")); d != "" {
		t.Error(d)
	}
	first.Already = true
	if d := cmp.Diff(first, s.mustAcknowledge(t, t0.Add(2*time.Minute), "wang", "me too")); d != "" {
		t.Errorf("the second: %s", d)
	}
	if d := cmp.Diff(first, s.mustAcknowledge(t, t0.Add(3*time.Minute), "li", "")); d != "" {
		t.Errorf("the third: %s", d)
	}
	s.mustApply(t, t0, transition("web-1", Ended, t0.Add(time.Hour)))
	if err := s.Note(t.Context(), t0.Add(2*time.Hour), 1, "li", "instance was released"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Acknowledge(t.Context(), t0, 1, "li", ""); !errors.Is(err, ErrClosed) {
		t.Errorf("acknowledging a closed incident: %v", err)
	}
	if _, err := s.Acknowledge(t.Context(), t0, 2, "li", ""); !errors.Is(err, ErrNotFound) {
		t.Errorf("acknowledging no incident: %v", err)
	}
	d, err := s.Get(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if d.AcknowledgedBy != "li" || !d.AcknowledgedAt.Equal(first.At) {
		t.Errorf("acknowledged by %s at %s", d.AcknowledgedBy, d.AcknowledgedAt)
	}
	want := []string{
		"opened  ", "acknowledged li on it", "acknowledged wang already acknowledged by li: me too",
		"acknowledged li already acknowledged by li", "ended  ", "note li instance was released",
	}
	if diff := cmp.Diff(want, people(t, s)); diff != "" {
		t.Error(diff)
	}
}

// Who answered for an episode has not answered for its return.
func TestAcknowledgingAReopenedIncidentIsTheFirst(t *testing.T) {
	s := openStore(t, filepath.Join(t.TempDir(), "incidents.db"))
	s.mustApply(t, t0, transition("web-1", Firing, t0))
	s.mustAcknowledge(t, t0, "li", "")
	s.mustApply(t, t0, transition("web-1", Resolved, t0.Add(time.Minute)), transition("web-1", Firing, t0.Add(2*time.Minute)))
	want := Acknowledgement{By: "wang", At: t0.Add(3 * time.Minute)}
	if d := cmp.Diff(want, s.mustAcknowledge(t, want.At, "wang", "")); d != "" {
		t.Error(d)
	}
}

func TestWhatIsNoPlainLineIsRefused(t *testing.T) {
	s := openStore(t, filepath.Join(t.TempDir(), "incidents.db"))
	s.mustApply(t, t0, transition("web-1", Firing, t0))
	for _, c := range []struct{ user, text string }{
		{"", "x"},
		{" \u00a0", "x"},
		{"li\nincident 1: acknowledged by wang", "x"},
		{"li", "\x1b[2J"},
		{"li", "a\tb"},
		{"li", "a\u0085b"},
		{"li", "a\u2028b"},
		{"l\u202ei", "x"},
		{"li", "\xff"},
		{"li\x00", "x"},
	} {
		if _, err := s.Acknowledge(t.Context(), t0, 1, c.user, c.text); !errors.Is(err, ErrInvalid) {
			t.Errorf("acknowledge by %q, %q: %v", c.user, c.text, err)
		}
		if err := s.Note(t.Context(), t0, 1, c.user, c.text); !errors.Is(err, ErrInvalid) {
			t.Errorf("note by %q, %q: %v", c.user, c.text, err)
		}
	}
	if err := s.Note(t.Context(), t0, 1, "li", ""); !errors.Is(err, ErrInvalid) {
		t.Errorf("empty note: %v", err)
	}
	if d := cmp.Diff([]string{"opened  "}, people(t, s)); d != "" {
		t.Errorf("refused and recorded: %s", d)
	}
	if ack := s.mustAcknowledge(t, t0, "李伟", "在看 👩\u200d💻 50% \"slow\""); ack.By != "李伟" {
		t.Errorf("acknowledged by %q", ack.By)
	}
}
