package apptest

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"watchkeeper/internal/app"
	"watchkeeper/internal/config"
)

// maxLogShown is how much of a server's log a failed test prints, in bytes.
const maxLogShown = 64 << 10

// building lets one server be built at a time: Alertmanager's API, when it is
// built, writes to its description, a global.
var building sync.Mutex

// Server is a whole server in the process of the test, built as the command
// serve builds it.
type Server struct {
	*app.App
	Tickets *Receiver // whom its incidents are told
}

// Serve starts a server with a configuration, in which TICKETS stands for the
// address of its webhook receiver, and further files beside it. What the
// configuration does not say: the API listens at a free port and everything is
// told to the receiver at once. The server stops with the test.
func Serve(t testing.TB, text string, files map[string]string) *Server {
	t.Helper()
	s := &Server{Tickets: &Receiver{}}
	hook := httptest.NewServer(s.Tickets)
	t.Cleanup(hook.Close)
	dir := t.TempDir()
	file := filepath.Join(dir, "watchkeeper.yml")
	writeFile(t, file, strings.ReplaceAll(`
data_dir: data
api: {listen: "127.0.0.1:0"}
alertmanager:
  route: {receiver: tickets, group_by: [customer, alertname], group_wait: 200ms, group_interval: 200ms}
  receivers: [{name: tickets, webhook_configs: [{url: "TICKETS"}]}]
`+text, "TICKETS", hook.URL))
	for name, content := range files {
		writeFile(t, filepath.Join(dir, name), content)
	}
	cfg, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	log := &buffer{}
	building.Lock()
	s.App, err = app.New(cfg, app.Options{Version: "test", Log: slog.New(slog.NewTextHandler(log, nil))})
	building.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-ended, s.Close()); err != nil {
			t.Errorf("stop: %v", err)
		}
		if t.Failed() {
			t.Logf("end of the server's log:\n%s", log.tail(maxLogShown))
		}
	})
	Until(t, "ready", func() bool { code, _ := Get(s.URL() + "/-/ready"); return code == http.StatusOK })
	return s
}

func writeFile(t testing.TB, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// buffer keeps a log.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

func (l *buffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *buffer) tail(n int) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.b.Bytes()[max(0, l.b.Len()-n):])
}
