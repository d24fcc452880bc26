package cli

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/alertrouter/incident"
	"watchkeeper/internal/api"
	"watchkeeper/internal/app/apptest"
)

// breach pushes one breaching sample of a queue, two minutes old, so that its
// check is there already.
func (d *daemon) breach(queue string) { d.push(queue, 99, -2*time.Minute) }

func (d *daemon) push(queue string, v float64, ago time.Duration) {
	d.t.Helper()
	series := labels.FromStrings("__name__", "queue_length", "instance", queue)
	if code, body := apptest.WriteV1(d.t, d.url+"/api/v1/write", "", apptest.Point{Series: series, T: time.Now().Add(ago).UnixMilli(), V: v}); code != http.StatusNoContent {
		d.t.Fatalf("write: %d %s", code, body)
	}
}

func (d *daemon) incidents() []incident.Incident {
	d.t.Helper()
	var list api.IncidentList
	apptest.GetJSON(d.t, d.url+"/api/incidents", &list)
	return list.Incidents
}

// Killed between the incident's opening and the webhook's acceptance: after the
// restart the webhook arrives, once, and the incident is there once.
func TestKilledBeforeTheReceiverAccepted(t *testing.T) {
	t.Parallel()
	dir, tickets := pushed(t)
	tickets.Answer(http.StatusInternalServerError)
	first := start(t, dir)
	first.breach("mail")
	apptest.Until(t, "a refused attempt", func() bool { return tickets.Refused() > 0 })
	before := first.incidents()
	if code := first.stop(syscall.SIGKILL); code != -1 {
		t.Fatalf("killed, but exit code %d", code)
	}
	tickets.Answer(http.StatusOK)

	second := start(t, dir)
	apptest.Until(t, "the webhook", func() bool { return len(tickets.Messages()) > 0 })
	after := second.incidents()
	if len(before) != 1 || len(after) != 1 || before[0].ID != after[0].ID || !before[0].OpenedAt.Equal(after[0].OpenedAt) {
		t.Errorf("incidents before %+v and after %+v", before, after)
	}
	if code := second.stop(syscall.SIGTERM); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	if n := len(tickets.Messages()); n != 1 {
		t.Errorf("%d messages, want 1", n)
	}
	tickets.OncePerKey(t)
}

// Killed when the receiver had taken the message and before it answered: nobody
// can know, so it is sent again, under the same key.
func TestKilledBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var keys []string
	hang := make(chan struct{})
	// The lease of an attempt that died with its process outlasts the time-out.
	dir := pushedTo(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		keys = append(keys, r.Header.Get("Idempotency-Key"))
		first := len(keys) == 1
		mu.Unlock()
		if first {
			<-hang
		}
	}), "500ms")
	t.Cleanup(func() { close(hang) })
	received := func(n int) func() bool {
		return func() bool { mu.Lock(); defer mu.Unlock(); return len(keys) >= n }
	}

	first := start(t, dir)
	first.breach("mail")
	apptest.Until(t, "the message", received(1))
	first.stop(syscall.SIGKILL)
	second := start(t, dir)
	apptest.Until(t, "the message again", received(2))
	apptest.Until(t, "its acceptance in the ledger", func() bool {
		var d incident.Detail
		apptest.GetJSON(t, second.url+"/api/incidents/1", &d)
		return len(d.Ledger) > 0 && d.Ledger[len(d.Ledger)-1].Outcome == incident.OutcomeAccepted
	})
	mu.Lock()
	defer mu.Unlock()
	if keys[0] == "" || keys[0] != keys[1] || len(keys) != 2 {
		t.Errorf("keys %q, want the same twice", keys)
	}
}

// What was acknowledged to a sender survives the process's death.
func TestAcknowledgedSamplesSurviveKill(t *testing.T) {
	t.Parallel()
	dir, _ := pushed(t)
	first := start(t, dir)
	for i := range 20 {
		first.push(fmt.Sprint("q", i), float64(i%10), -time.Minute)
	}
	first.stop(syscall.SIGKILL)
	second := start(t, dir)
	var answer struct {
		Data struct {
			Result []struct{ Value [2]any } `json:"result"`
		} `json:"data"`
	}
	apptest.GetJSON(t, second.url+"/api/v1/query?query=count(queue_length)", &answer)
	if len(answer.Data.Result) != 1 || answer.Data.Result[0].Value[1] != "20" {
		t.Errorf("after the kill: %+v", answer.Data.Result)
	}
}

// Both signals of a service manager end the server with 0, soon, also with a
// connection open.
func TestSignalsStop(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		dir, _ := pushed(t)
		d := start(t, dir)
		if code, _ := apptest.Get(d.url + "/-/healthy"); code != http.StatusOK { // leaves a connection open
			t.Errorf("healthy: %d", code)
		}
		begun := time.Now()
		if code := d.stop(sig); code != exitOK {
			t.Errorf("%s: exit code %d", sig, code)
		}
		if took := time.Since(begun); took > 9*time.Second { // connections that are waited for get 10 s
			t.Errorf("%s: it took %s", sig, took)
		}
	}
}

func TestHangupReloads(t *testing.T) {
	t.Parallel()
	dir, _ := pushed(t)
	d := start(t, dir)
	hup := func(says string) {
		t.Helper()
		n := strings.Count(d.logged(), says)
		if err := d.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		apptest.Until(t, says+" in the log", func() bool { return strings.Count(d.logged(), says) > n })
	}
	write(t, filepath.Join(dir, "rules.yml"), "groups: [{name: queue, nonsense: 1}]\n")
	hup(`msg="reload: nothing was changed"`)
	if !strings.Contains(d.logged(), `rules.yml:1: groups[0]: unknown field`) {
		t.Errorf("the log does not say where the mistake is:\n%s", d.logged())
	}
	write(t, filepath.Join(dir, "rules.yml"), strings.ReplaceAll(queueRule, "QueueLong", "QueueTooLong"))
	hup(`msg="configuration reloaded"`)
	d.breach("mail")
	apptest.Until(t, "an incident of the new rule", func() bool { l := d.incidents(); return len(l) == 1 && l[0].Alert == "QueueTooLong" })
}

func TestSecondServerOnTheFolder(t *testing.T) {
	t.Parallel()
	dir, _ := pushed(t)
	d := start(t, dir)
	r := run(t, dir, "serve", "--config", "watchkeeper.yml")
	if r.code != exitFailed || !strings.Contains(r.stderr, fmt.Sprintf("in use by process %d", d.cmd.Process.Pid)) {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
	// Commands that read the folder say whom to ask instead.
	r = run(t, dir, "incidents", "list", "--data", "data")
	if r.code != exitFailed || !strings.Contains(r.stderr, "ask the running server with --url") {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
}

// The incident commands against a running server and on the folder of the
// stopped one show the same.
func TestIncidents(t *testing.T) {
	t.Parallel()
	dir, tickets := pushed(t)
	d := start(t, dir)
	d.breach("mail")
	d.breach("web")
	apptest.Until(t, "both told", func() bool {
		told := 0
		for _, m := range tickets.Messages() {
			told += len(m.Alerts)
		}
		return len(d.incidents()) == 2 && told >= 2
	})
	live := decoded[api.IncidentList](t, dir, "incidents", "list", "--open", "--url", d.url, "--format", "json")
	if len(live.Incidents) != 2 {
		t.Fatalf("%d incidents, want 2", len(live.Incidents))
	}
	table := ok(t, dir, "incidents", "list", "--url", d.url)
	for _, want := range []string{"QueueLong", "mail", "web", "firing", "high", "acme"} {
		if !strings.Contains(table, want) {
			t.Errorf("the list does not show %q:\n%s", want, table)
		}
	}
	if r := run(t, dir, "incidents", "list", "--url", d.url, "--customer", "nobody"); r.code != exitFailed || !strings.Contains(r.stderr, `nothing is known of the customer "nobody"`) {
		t.Errorf("incidents of nobody: exit code %d: %s", r.code, r.stderr)
	}
	if r := run(t, dir, "incidents", "list", "--url", d.url, "--severity", "disaster"); r.code != exitOK || r.stdout != "" || r.stderr != "no such incident\n" {
		t.Errorf("an empty list: exit code %d: %s%s", r.code, r.stdout, r.stderr)
	}
	if out := ok(t, dir, "incidents", "list", "--url", d.url, "--severity", "disaster", "--format", "json"); strings.Join(strings.Fields(out), "") != `{"incidents":[]}` {
		t.Errorf("an empty list as JSON: %s", out)
	}

	out := ok(t, dir, "incidents", "ack", "1", "--user", "li.wei", "--comment", "looking", "--url", d.url)
	if !strings.HasPrefix(out, "incident 1: acknowledged by li.wei at ") {
		t.Errorf("ack printed %q", out)
	}
	out = ok(t, dir, "incidents", "ack", "1", "--user", "wang.fang", "--url", d.url)
	if !strings.HasPrefix(out, "incident 1: already acknowledged by li.wei at ") || !strings.HasSuffix(out, "; noted\n") {
		t.Errorf("the second ack printed %q", out)
	}
	if r := run(t, dir, "incidents", "ack", "1", "--user", "li\x1b[2J", "--url", d.url); r.code != exitFailed || !strings.Contains(r.stderr, "control character") {
		t.Errorf("ack by a control character: exit code %d: %s", r.code, r.stderr)
	}
	text := ok(t, dir, "incidents", "show", "1", "--url", d.url)
	for _, want := range []string{"incident 1: QueueLong, firing, high", "samples that made it:", "99", "breach", "events:", "opened", "acknowledged", "li.wei", "looking", "deliveries:", "accepted"} {
		if !strings.Contains(text, want) {
			t.Errorf("show does not tell %q:\n%s", want, text)
		}
	}
	shown := ok(t, dir, "incidents", "show", "2", "--url", d.url, "--format", "json")
	if r := run(t, dir, "incidents", "show", "77", "--url", d.url); r.code != exitFailed || !strings.Contains(r.stderr, "no incident 77") {
		t.Errorf("show 77: exit code %d: %s", r.code, r.stderr)
	}
	liveRules := decoded[[]listedRule](t, dir, "rules", "list", "--url", d.url, "--format", "json")
	if code := d.stop(syscall.SIGTERM); code != exitOK {
		t.Fatalf("exit code %d", code)
	}

	stopped := decoded[api.IncidentList](t, dir, "incidents", "list", "--open", "--data", "data", "--format", "json")
	if len(stopped.Incidents) != 2 || stopped.Incidents[1].AcknowledgedBy != "li.wei" && stopped.Incidents[0].AcknowledgedBy != "li.wei" {
		t.Errorf("from the folder: %+v", stopped)
	}
	if diff := cmp.Diff(shown, ok(t, dir, "incidents", "show", "2", "--data", "data", "--format", "json")); diff != "" {
		t.Errorf("server and folder differ (-server +folder):\n%s", diff)
	}
	if r := run(t, dir, "incidents", "show", "77", "--data", "data"); r.code != exitFailed || !strings.Contains(r.stderr, "no incident 77") {
		t.Errorf("show 77 of the folder: exit code %d: %s", r.code, r.stderr)
	}
	if r := run(t, dir, "incidents", "list", "--data", "data", "--customer", "nobody"); r.code != exitFailed || !strings.Contains(r.stderr, `nothing is known of the customer "nobody"`) {
		t.Errorf("incidents of nobody in the folder: exit code %d: %s", r.code, r.stderr)
	}
	stoppedRules := decoded[[]listedRule](t, dir, "rules", "list", "--data", "data", "--format", "json")
	if len(liveRules) != shipped+1 || len(stoppedRules) != shipped+1 {
		t.Errorf("%d rules of the server, %d of its folder, want %d", len(liveRules), len(stoppedRules), shipped+1)
	}
	for _, r := range liveRules {
		if r.Alert == "QueueLong" && (r.Series == nil || *r.Series != 2 || r.State != "firing") {
			t.Errorf("the server's rule: %+v", r)
		}
	}
}
