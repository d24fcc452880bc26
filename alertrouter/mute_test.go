package alertrouter

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/alertmanager/silence/silencepb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"watchkeeper/alertrouter/incident"
)

// silenceInstance silences an instance from now on and returns the id.
func (w *world) silenceInstance(instance string) string {
	w.t.Helper()
	s := &silencepb.Silence{
		MatcherSets: []*silencepb.MatcherSet{{Matchers: []*silencepb.Matcher{
			{Type: silencepb.Matcher_EQUAL, Name: "instance", Pattern: instance},
		}}},
		StartsAt: timestamppb.New(time.Now()), EndsAt: timestamppb.New(time.Now().Add(time.Hour)),
		CreatedBy: "li", Comment: "maintenance",
	}
	if err := w.Silences().Set(w.t.Context(), s); err != nil {
		w.t.Fatal(err)
	}
	if err := w.SilencesChanged(); err != nil {
		w.t.Fatal(err)
	}
	return s.Id
}

// muted lists by what an incident was muted, from its ledger.
func (w *world) muted(id int64) []string {
	out := []string{}
	for _, l := range w.detail(id).Ledger {
		if l.Outcome == incident.OutcomeMuted {
			out = append(out, l.Answer)
		}
	}
	return out
}

func TestSilencedAlertIsToldWhenTheSilenceEnds(t *testing.T) {
	h := newHook(t)
	w := newWorld(t, t.TempDir(), h.routing(""))
	id := w.silenceInstance("web-1")
	w.handle(0, w.event("web-1", StateFiring, 0), w.event("web-2", StateFiring, 0))
	w.at(time.Minute)
	w.at(2 * time.Minute)
	expect(t, "while silenced", h.told(), []string{"firing web-2"})
	expect(t, "ledger, once", w.muted(1), []string{"muted by silence " + id})
	if err := w.Silences().Expire(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	w.at(10 * time.Minute)
	expect(t, "after the silence", h.told(), []string{"firing web-2", "firing web-1, firing web-2"})
}

func TestSilencedFromOpeningToCloseIsNotTold(t *testing.T) {
	h := newHook(t)
	w := newWorld(t, t.TempDir(), h.routing(""))
	id := w.silenceInstance("web-1")
	w.handle(0, w.event("web-1", StateFiring, 0))
	w.at(time.Minute)
	w.handle(2*time.Minute, w.event("web-1", StateResolved, 2*time.Minute))
	w.at(10 * time.Minute)
	expect(t, "messages", h.told(), []string{})
	expect(t, "ledger", w.muted(1), []string{"muted by silence " + id})
	if q, err := w.Incidents().Queue(t.Context(), w.start); err != nil || q.Changes+q.Notifications != 0 {
		t.Errorf("queue = %+v, %v", q, err)
	}
}

func TestCloseOfAToldIncidentIsNotSilenced(t *testing.T) {
	h := newHook(t)
	w := newWorld(t, t.TempDir(), h.routing(""))
	w.handle(0, w.event("web-1", StateFiring, 0))
	w.at(time.Minute)
	w.silenceInstance("web-1")
	w.handle(2*time.Minute, w.event("web-1", StateResolved, 2*time.Minute))
	w.at(10 * time.Minute)
	expect(t, "messages", h.told(), []string{"firing web-1", "resolved web-1"})
}

func TestSilencesSurviveARestart(t *testing.T) {
	h := newHook(t)
	dir := t.TempDir()
	first := newWorld(t, dir, h.routing(""))
	id := first.silenceInstance("web-1")
	first.Close()
	second := newWorld(t, dir, h.routing(""))
	second.handle(0, second.event("web-1", StateFiring, 0))
	second.at(time.Minute)
	expect(t, "messages", h.told(), []string{})
	expect(t, "ledger", second.muted(1), []string{"muted by silence " + id})
}

func TestInhibition(t *testing.T) {
	h := newHook(t)
	w := newWorld(t, t.TempDir(), h.routing(`
inhibit_rules:
- source_matchers: [severity="disaster"]
  target_matchers: [severity="average"]
  equal: [customer]
`))
	down := w.severity(w.event("gateway", StateFiring, 0), "disaster")
	w.handle(0, down, w.event("web-1", StateFiring, 0))
	w.at(0)
	w.at(time.Minute)
	expect(t, "inhibited", h.told(), []string{"firing gateway"})
	if by := w.muted(2); len(by) != 1 || !strings.HasPrefix(by[0], "muted by inhibiting alert ") {
		t.Errorf("ledger = %q", by)
	}
	w.handle(10*time.Minute, w.severity(w.event("gateway", StateResolved, 10*time.Minute), "disaster"))
	w.at(11 * time.Minute)
	expect(t, "afterwards", h.told(), []string{"firing gateway", "resolved gateway, firing web-1"})
}

func TestTimeIntervalHoldsUntilItEnds(t *testing.T) {
	h := newHook(t)
	dir := t.TempDir()
	w := newWorld(t, dir, "")
	w.start = w.start.Truncate(24 * time.Hour) // its first minutes are of one day
	day := strings.ToLower(w.start.UTC().Weekday().String())
	conf := h.routing("time_intervals: [{name: today, time_intervals: [{weekdays: [" + day + "]}]}]\n")
	conf = strings.Replace(conf, "receivers:", "  routes: [{receiver: hook, matchers: [alertname=~\".+\"], mute_time_intervals: [today]}]\nreceivers:", 1)
	cfg := w.cfg
	cfg.Routing = conf
	if err := w.Reload(cfg); err != nil {
		t.Fatal(err)
	}
	w.handle(0, w.event("web-1", StateFiring, 0))
	w.at(time.Minute)
	expect(t, "muted today", h.told(), []string{})
	expect(t, "ledger", w.muted(1), []string{"muted by time interval today"})
	w.at(25 * time.Hour)
	expect(t, "tomorrow", h.told(), []string{"firing web-1"})
}
