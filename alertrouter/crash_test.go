package alertrouter

import (
	"bufio"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"go.uber.org/goleak"

	"watchkeeper/alertrouter/incident"
)

// Environment of the child process that TestKilledBeforeAcceptance kills.
const (
	childDir = "ALERTROUTER_TEST_CHILD_DIR"
	childURL = "ALERTROUTER_TEST_CHILD_URL"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		child(dir, os.Getenv(childURL))
		return
	}
	goleak.VerifyTestMain(m)
}

// child is a whole router in a process of its own: it opens an incident, says
// so, and sends until it is killed.
func child(dir, url string) {
	cfg := DefaultConfig()
	cfg.DataDir, cfg.Routing = dir, (&hook{Server: &httptest.Server{URL: url}}).routing("")
	r, err := New(cfg, metrics.NewSet(), slog.New(slog.NewTextHandler(os.Stderr, nil)))
	if err != nil {
		slog.Error("child", "err", err)
		os.Exit(1)
	}
	w := &world{Router: r, start: time.Now()}
	if err := r.Handle(context.Background(), time.Now(), []Event{w.severity(w.event("web-1", StateFiring, 0), "disaster")}); err != nil {
		slog.Error("child", "err", err)
		os.Exit(1)
	}
	os.Stdout.WriteString("opened\n")
	r.Run(context.Background())
}

func TestKilledBeforeAcceptance(t *testing.T) {
	dir := t.TempDir()
	// The receiver gets the child's message and never answers.
	got := make(chan string, 16)
	release := make(chan struct{})
	deaf := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got <- r.Header.Get("Idempotency-Key")
		<-release
	}))
	defer deaf.Close()
	defer close(release)

	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), childDir+"="+dir, childURL+"="+deaf.URL)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "opened\n" {
		cmd.Process.Kill()
		t.Fatalf("child said %q, %v", line, err)
	}
	key := <-got // the attempt is under way
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait() // reports the kill

	// The receiver has recovered when the server is started again.
	h := newHook(t)
	w := newWorld(t, dir, h.routing(""))
	w.start = time.Now() // the child's clock
	w.at(time.Second)
	w.at(time.Minute)
	expect(t, "after the restart", h.told(), []string{"firing web-1"})
	if h.accepted[0].Key != key {
		t.Errorf("came under key %s before the kill and %s after it", key, h.accepted[0].Key)
	}
	all, err := w.Incidents().List(t.Context(), incident.Filter{})
	if err != nil || len(all) != 1 || !all[0].Open() {
		t.Fatalf("incidents = %+v, %v", all, err)
	}
}

// Whoever dies between writing a message and trying it, or between two tries,
// leaves it to the next one, under its key.
func TestReopenedStoreGoesOnWhereTheOldOneStopped(t *testing.T) {
	h := newHook(t)
	dir := t.TempDir()
	first := newWorld(t, dir, h.routing(""))
	first.handle(0, first.event("web-1", StateFiring, 0))
	now := first.start.Add(time.Minute)
	if err := first.s.form(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	due, err := first.Incidents().Due(t.Context(), now, nil, 10)
	if err != nil || len(due) != 1 {
		t.Fatalf("due = %+v, %v", due, err)
	}
	if got, err := first.Incidents().Claim(t.Context(), due[0].ID, now, now.Add(time.Hour)); err != nil || !got {
		t.Fatalf("claim = %v, %v", got, err)
	}
	if got, err := first.Incidents().Claim(t.Context(), due[0].ID, now, now.Add(time.Hour)); err != nil || got {
		t.Fatalf("claimed twice: %v, %v", got, err)
	}
	first.Close()

	second := newWorld(t, dir, h.routing(""))
	second.at(time.Minute)
	second.at(10 * time.Minute)
	expect(t, "messages", h.told(), []string{"firing web-1"})
	if h.accepted[0].Key != due[0].IdempotencyKey {
		t.Errorf("key %s, was %s", h.accepted[0].Key, due[0].IdempotencyKey)
	}
}
