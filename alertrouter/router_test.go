package alertrouter

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	amwebhook "github.com/prometheus/alertmanager/notify/webhook"
	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/alertrouter/incident"
)

// hook is a webhook receiver that remembers what it was sent.
type hook struct {
	*httptest.Server
	mtx      sync.Mutex
	answer   int // status to answer with
	accepted []message
	refused  []message
}

// message is one webhook as it arrived.
type message struct {
	Key string // Idempotency-Key
	amwebhook.Message
}

func newHook(t *testing.T) *hook {
	t.Helper()
	h := &hook{answer: http.StatusOK}
	h.Server = httptest.NewServer(h)
	t.Cleanup(h.Close)
	return h
}

func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	m := message{Key: r.Header.Get("Idempotency-Key")}
	if err := json.Unmarshal(body, &m.Message); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	h.mtx.Lock()
	defer h.mtx.Unlock()
	if h.answer/100 == 2 {
		h.accepted = append(h.accepted, m)
	} else {
		h.refused = append(h.refused, m)
	}
	w.WriteHeader(h.answer)
}

func (h *hook) answerWith(status int) {
	h.mtx.Lock()
	defer h.mtx.Unlock()
	h.answer = status
}

// told lists what was accepted: per message the status of each alert, e.g.
// "firing web-1, resolved web-2".
func (h *hook) told() []string {
	h.mtx.Lock()
	defer h.mtx.Unlock()
	out := []string{}
	for _, m := range h.accepted {
		var parts []string
		for _, a := range m.Alerts {
			parts = append(parts, a.Status+" "+a.Labels["instance"])
		}
		out = append(out, strings.Join(parts, ", "))
	}
	return out
}

// routing is a configuration that sends everything to the hook.
func (h *hook) routing(more string) string {
	return fmt.Sprintf(`
route:
  receiver: hook
  group_by: [alertname, customer]
  group_wait: 30s
  group_interval: 5m
  repeat_interval: 4h
receivers:
- name: hook
  webhook_configs: [{url: %q}]
%s`, h.URL, more)
}

// world is a router whose sender is driven by hand, on a clock that begins at
// start: long ago, since receivers read an alert that ends in the future as firing.
type world struct {
	*Router
	t     *testing.T
	s     *sender
	start time.Time
}

func newWorld(t *testing.T, dir, routing string) *world {
	t.Helper()
	cfg := DefaultConfig()
	cfg.DataDir, cfg.Routing = dir, routing
	r, err := New(cfg, metrics.NewSet(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return &world{Router: r, t: t, s: newSender(r), start: time.Now().Add(-48 * time.Hour).Truncate(time.Second)}
}

// at runs one round of the sender at start + d and waits for its attempts.
func (w *world) at(d time.Duration) {
	w.t.Helper()
	if err := w.s.round(w.t.Context(), w.start.Add(d)); err != nil {
		w.t.Fatalf("at %s: %v", d, err)
	}
	for w.s.n > 0 {
		w.s.ended(<-w.s.done)
	}
}

// handle hands over events at start + d.
func (w *world) handle(d time.Duration, events ...Event) {
	w.t.Helper()
	if err := w.Handle(w.t.Context(), w.start.Add(d), events); err != nil {
		w.t.Fatal(err)
	}
}

// event is a transition of the CPU alert of an instance at start + check.
func (w *world) event(instance string, state State, check time.Duration) Event {
	at := w.start.Add(check)
	return Event{
		Customer: "acme", RuleID: "ecs-cpu", Alert: "ECSCPUUtilizationHigh",
		Labels:   labels.FromStrings("alertname", "ECSCPUUtilizationHigh", "customer", "acme", "instance", instance, "severity", "average"),
		Identity: labels.FromStrings("instance", instance), Annotations: labels.FromStrings("summary", "CPU of "+instance),
		State: state, Check: at, At: at, Value: 97, Run: 3, ContractRow: "ecs-cpu", ContractLiteral: "每分钟检测一次, 连续三次>=90%",
		Samples: []Sample{
			{Labels: labels.FromStrings("instance", instance), T: at.Add(-time.Minute).UnixMilli(), V: 95, Verdict: "breach"},
			{Labels: labels.FromStrings("instance", instance), T: at.UnixMilli(), V: 97, Verdict: "breach"},
		},
		Source: "aliyun/acme",
	}
}

func (w *world) severity(e Event, s string) Event {
	e.Labels = labels.NewBuilder(e.Labels).Set("severity", s).Labels()
	return e
}

// log lists the event log of an incident by entry type.
func (w *world) log(id int64) []incident.EntryType {
	w.t.Helper()
	var out []incident.EntryType
	for _, e := range w.detail(id).Events {
		out = append(out, e.Type)
	}
	return out
}

func (w *world) detail(id int64) *incident.Detail {
	w.t.Helper()
	d, err := w.Incidents().Get(context.Background(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}

func expect(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("%s:\n got %q\nwant %q", what, got, want)
	}
}

func TestOneIncidentFiresAndResolves(t *testing.T) {
	h := newHook(t)
	w := newWorld(t, t.TempDir(), h.routing(""))
	w.handle(0, w.event("web-1", StateFiring, -time.Minute))
	w.at(29 * time.Second)
	expect(t, "before group_wait", h.told(), []string{})
	w.at(30 * time.Second)
	expect(t, "after group_wait", h.told(), []string{"firing web-1"})

	a := h.accepted[0].Alerts[0]
	for name, want := range map[string]string{
		"contract_literal": "每分钟检测一次, 连续三次>=90%", "contract_row": "ecs-cpu", "summary": "CPU of web-1", "incident": "1",
	} {
		if a.Annotations[name] != want {
			t.Errorf("annotation %s = %q, want %q", name, a.Annotations[name], want)
		}
	}
	if got := a.Annotations["samples"]; !strings.Contains(got, "=95 breach, ") || !strings.HasSuffix(got, "=97 breach (UTC)") {
		t.Errorf("annotation samples = %q", got)
	}
	if m := h.accepted[0]; m.Version != "4" || m.Receiver != "hook" || m.Key == "" || m.NotificationReason == "" || !strings.Contains(m.GroupKey, "acme") {
		t.Errorf("message = %+v", m)
	}

	w.handle(time.Minute, w.event("web-1", StateResolved, 0))
	w.at(5*time.Minute + 29*time.Second)
	expect(t, "before group_interval", h.told(), []string{"firing web-1"})
	w.at(5*time.Minute + 30*time.Second)
	expect(t, "after group_interval", h.told(), []string{"firing web-1", "resolved web-1"})
	w.at(10 * time.Hour)
	expect(t, "no reminder of what is over", h.told(), []string{"firing web-1", "resolved web-1"})

	want := []incident.EntryType{incident.EntryOpened, incident.EntryNotified, incident.EntryResolved, incident.EntryNotified}
	if got := w.log(1); !slices.Equal(got, want) {
		t.Errorf("event log = %v, want %v", got, want)
	}
	d := w.detail(1)
	if d.DetectionLatency() != time.Minute || d.State != StateResolved || d.Open() || !d.ResolvedAt.Equal(w.start) {
		t.Errorf("incident = %+v", d.Incident)
	}
	if len(d.Ledger) != 2 || d.Ledger[0].Outcome != incident.OutcomeAccepted || d.Ledger[0].IdempotencyKey != h.accepted[0].Key {
		t.Errorf("ledger = %+v", d.Ledger)
	}
}

func TestBreachAndRecoveryInOneHandle(t *testing.T) {
	h := newHook(t)
	w := newWorld(t, t.TempDir(), h.routing(""))
	w.handle(0, w.event("web-1", StateFiring, -3*time.Minute), w.event("web-1", StateResolved, -time.Minute))
	w.at(time.Minute)
	expect(t, "one message tells both", h.told(), []string{"resolved web-1"})
	history := h.accepted[0].Alerts[0].Annotations["history"]
	fired := w.start.Add(-3 * time.Minute).UTC().Format("2006-01-02 15:04:05 UTC")
	resolved := w.start.Add(-time.Minute).UTC().Format("2006-01-02 15:04:05 UTC")
	if want := "fired " + fired + ", resolved " + resolved; history != want {
		t.Errorf("history = %q, want %q", history, want)
	}
	all, err := w.Incidents().List(t.Context(), incident.Filter{})
	if err != nil || len(all) != 1 || all[0].State != StateResolved {
		t.Fatalf("incidents = %+v, %v", all, err)
	}
	w.at(24 * time.Hour)
	expect(t, "nothing more", h.told(), []string{"resolved web-1"})
}

func TestEventsHandedOverTwiceChangeNothing(t *testing.T) {
	h := newHook(t)
	w := newWorld(t, t.TempDir(), h.routing(""))
	events := []Event{
		w.event("web-1", StateFiring, -3*time.Minute),
		w.event("web-1", StateNoData, -2*time.Minute),
		w.event("web-1", StateFiring, -time.Minute),
		w.event("web-1", StateResolved, 0),
	}
	w.handle(0, events...)
	before := w.log(1)
	w.handle(time.Second, events...)
	w.handle(time.Second, events[:2]...)
	if got := w.log(1); !slices.Equal(got, before) {
		t.Errorf("event log grew: %v, was %v", got, before)
	}
	want := []incident.EntryType{incident.EntryOpened, incident.EntryNoData, incident.EntryBackToFiring, incident.EntryResolved}
	if !slices.Equal(before, want) {
		t.Errorf("event log = %v, want %v", before, want)
	}
}

func TestReceiverAnswers500ForAWhile(t *testing.T) {
	h := newHook(t)
	w := newWorld(t, t.TempDir(), h.routing(""))
	h.answerWith(http.StatusInternalServerError)
	w.handle(0, w.severity(w.event("web-1", StateFiring, 0), "disaster"))
	w.at(0) // a disaster does not wait for company
	w.at(2 * time.Minute)
	w.handle(2*time.Minute, w.severity(w.event("web-1", StateResolved, time.Minute), "disaster"))
	w.at(4 * time.Minute)
	expect(t, "while it answers 500", h.told(), []string{})
	q, err := w.Incidents().Queue(t.Context(), w.start.Add(4*time.Minute))
	if err != nil || q.Notifications != 2 || !q.OldestDue.Equal(w.start) || !q.Next.After(w.start.Add(4*time.Minute)) {
		t.Errorf("queue = %+v, %v: the second message must wait for the first, not keep the sender awake", q, err)
	}
	h.answerWith(http.StatusOK)
	w.at(6 * time.Minute)
	w.at(8 * time.Minute)
	expect(t, "afterwards, in order", h.told(), []string{"firing web-1", "resolved web-1"})
	for _, m := range h.refused {
		if m.Key != h.accepted[0].Key {
			t.Errorf("a try came under key %s, accepted under %s", m.Key, h.accepted[0].Key)
		}
	}
	if len(h.refused) != 3 || h.accepted[0].Key == h.accepted[1].Key {
		t.Errorf("refused %d times, keys %s, %s", len(h.refused), h.accepted[0].Key, h.accepted[1].Key)
	}
	var outcomes []string
	for _, l := range w.detail(1).Ledger {
		outcomes = append(outcomes, fmt.Sprintf("%s %d", l.Outcome, l.Attempt))
	}
	expect(t, "ledger", outcomes, []string{"retry 1", "retry 2", "retry 3", "accepted 4", "accepted 1"})
}

func TestRefusedForGoodIsVisible(t *testing.T) {
	h := newHook(t)
	w := newWorld(t, t.TempDir(), h.routing(""))
	h.answerWith(http.StatusForbidden)
	w.handle(0, w.event("web-1", StateFiring, 0))
	w.at(time.Minute)
	w.at(time.Hour)
	if len(h.refused) != 1 {
		t.Errorf("tried %d times", len(h.refused))
	}
	d := w.detail(1)
	if last := d.Events[len(d.Events)-1]; last.Type != incident.EntryDeliveryFailed || !strings.Contains(last.Detail, "403") {
		t.Errorf("last entry = %+v", last)
	}
	if d.Ledger[0].Outcome != incident.OutcomeFailed {
		t.Errorf("ledger = %+v", d.Ledger)
	}
	var buf strings.Builder
	w.metrics.set.WritePrometheus(&buf)
	if want := `watchkeeper_alertrouter_notification_given_up_total{kind="webhook"} 1`; !strings.Contains(buf.String(), want) {
		t.Errorf("no metric %s in\n%s", want, buf.String())
	}
}

func TestGroupTellsNewAlertsAndReminds(t *testing.T) {
	h := newHook(t)
	w := newWorld(t, t.TempDir(), h.routing(""))
	w.handle(0, w.event("web-1", StateFiring, 0))
	w.handle(10*time.Second, w.event("web-2", StateFiring, 0))
	w.at(30 * time.Second)
	w.handle(time.Minute, w.event("web-3", StateFiring, 0), w.event("web-1", StateResolved, time.Minute))
	w.at(6 * time.Minute)
	w.at(4 * time.Hour)
	w.at(6*time.Minute + 4*time.Hour)
	expect(t, "messages", h.told(), []string{
		"firing web-1, firing web-2",
		"resolved web-1, firing web-2, firing web-3",
		"firing web-2, firing web-3",
	})
}

func TestReopenWithin(t *testing.T) {
	h := newHook(t)
	w := newWorld(t, t.TempDir(), h.routing(""))
	w.handle(0, w.event("web-1", StateFiring, 0))
	w.at(time.Minute)
	w.handle(2*time.Minute, w.event("web-1", StateResolved, 2*time.Minute))
	w.at(7 * time.Minute)
	w.handle(17*time.Minute, w.event("web-1", StateFiring, 17*time.Minute)) // 15m later: still the same
	w.at(18 * time.Minute)
	w.handle(20*time.Minute, w.event("web-1", StateResolved, 20*time.Minute))
	w.handle(36*time.Minute, w.event("web-1", StateFiring, 35*time.Minute+time.Second)) // more than 15m: a new one
	w.at(40 * time.Minute)
	expect(t, "messages", h.told(), []string{"firing web-1", "resolved web-1", "firing web-1", "resolved web-1, firing web-1"})
	all, err := w.Incidents().List(t.Context(), incident.Filter{})
	if err != nil || len(all) != 2 {
		t.Fatalf("incidents = %+v, %v", all, err)
	}
	if all[1].Reopened != 1 || all[0].Reopened != 0 || !all[1].StartedAt.Equal(w.start) {
		t.Errorf("incidents = %+v", all)
	}
}

func TestSilentSourceIsToldOnce(t *testing.T) {
	h := newHook(t)
	w := newWorld(t, t.TempDir(), h.routing(""))
	var firing, silent, good []Event
	for n := range 20 {
		name := fmt.Sprintf("web-%02d", n)
		firing = append(firing, w.event(name, StateFiring, 0))
		silent = append(silent, w.event(name, StateNoData, 5*time.Minute))
		good = append(good, w.event(name, StateResolved, 9*time.Minute))
	}
	w.handle(0, firing...)
	w.at(time.Minute)
	w.handle(5*time.Minute, silent...)
	w.at(8 * time.Minute)
	if n := len(h.accepted); n != 2 {
		t.Fatalf("%d messages: %q", n, h.told())
	}
	m := h.accepted[1]
	if len(m.Alerts) != 1 || m.Alerts[0].Labels["alertname"] != incident.SourceSilent || m.Alerts[0].Labels["source"] != "aliyun/acme" || !strings.Contains(m.Alerts[0].Annotations["summary"], "at least one firing alert gets no new samples") {
		t.Fatalf("message = %+v", m.Alerts)
	}
	w.handle(9*time.Minute, good[:19]...)
	open, err := w.Incidents().OpenIncidents(t.Context())
	if err != nil || len(open) != 2 { // one alert is silent still, and so is the source
		t.Fatalf("open = %d, %v", len(open), err)
	}
	w.handle(9*time.Minute, good[19])
	open, err = w.Incidents().OpenIncidents(t.Context())
	if err != nil || len(open) != 0 {
		t.Fatalf("open = %+v, %v", open, err)
	}
}

func TestAmendedRetractsAndFiresAgain(t *testing.T) {
	h := newHook(t)
	w := newWorld(t, t.TempDir(), h.routing(""))
	w.handle(0, w.event("web-1", StateFiring, 0))
	retract := w.event("web-1", StateResolved, 0)
	retract.Reason = incident.ReasonAmended
	w.handle(time.Second, retract)
	again := w.event("web-1", StateFiring, 0)
	again.Reason = incident.ReasonAmended
	w.handle(2*time.Second, again)
	want := []incident.EntryType{incident.EntryOpened, incident.EntryAmended, incident.EntryReopened}
	if got := w.log(1); !slices.Equal(got, want) {
		t.Errorf("event log = %v, want %v", got, want)
	}
}
