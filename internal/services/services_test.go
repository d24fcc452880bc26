//go:build services

// Package services tests the whole program against real servers: Prometheus,
// promtool, amtool and nginx. 'make test-services' runs it.
package services

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"watchkeeper/alertrouter/incident"
	"watchkeeper/internal/api"
	"watchkeeper/internal/app/apptest"
	"watchkeeper/internal/services/ports"
)

// token is the bearer token of the Prometheus server that writes to us.
const token = "prometheus-token-0123456789"

// server is ours, in-process.
type server struct {
	*apptest.Server
	tickets *apptest.Receiver
}

// watch starts our server with a configuration, in which TICKETS stands for a
// webhook receiver's address, and further files.
func watch(t *testing.T, text string, files map[string]string) *server {
	t.Helper()
	all := map[string]string{"token": token}
	maps.Copy(all, files)
	s := apptest.Serve(t, text, all)
	return &server{s, s.Tickets}
}

func (s *server) incidents(t *testing.T, query string) []incident.Incident {
	t.Helper()
	var list api.IncidentList
	apptest.GetJSON(t, s.URL()+"/api/incidents?"+query, &list)
	return list.Incidents
}

// output keeps what a process or a log writes.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// process is a real server that a test started; the test ends it.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	log   *output
	ended chan struct{}
}

func launch(t *testing.T, dir, name string, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(program(t, name), args...), log: &output{}, ended: make(chan struct{})}
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = dir, p.log, p.log
	// The server must not outlive a test binary that is killed.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // tests look at what the server did
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.stop()
		if t.Failed() {
			t.Logf("log of %s:\n%s", name, p.log)
		}
	})
	return p
}

// stop ends the process and waits for it.
func (p *process) stop() {
	p.t.Helper()
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended already
	select {
	case <-p.ended:
	case <-time.After(time.Minute):
		_ = p.cmd.Process.Kill()
		<-p.ended
		p.t.Errorf("%s did not stop on SIGTERM", p.cmd.Path)
	}
}

// program finds an installed program; Debian keeps some out of a user's path.
func program(t *testing.T, name string) string {
	t.Helper()
	for _, path := range []string{name, "/usr/sbin/" + name} {
		if found, err := exec.LookPath(path); err == nil {
			return found
		}
	}
	t.Fatalf("%s is not installed: internal/services/run installs it", name)
	return ""
}

// output of a program that must succeed.
func called(t *testing.T, name string, args ...string) string {
	t.Helper()
	c := exec.CommandContext(t.Context(), program(t, name), args...)
	c.Env = append(os.Environ(), "TZ=UTC", "HOME="+t.TempDir())
	var errs bytes.Buffer
	c.Stderr = &errs
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, &errs)
	}
	return string(out)
}

func write(t *testing.T, name, text string) {
	t.Helper()
	// nginx's workers run as another user.
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// freeAddress is a loopback address that nobody listens at.
func freeAddress(t *testing.T) string {
	t.Helper()
	return "127.0.0.1:" + ports.Free(t)
}

// asJSON parses an answer into plain values.
func asJSON(t *testing.T, text string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return v
}
