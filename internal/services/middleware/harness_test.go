//go:build services

// Package middleware tests the collectors of middleware against the real
// servers of Debian's packages: what they deliver is compared with what the
// server's own client prints, and what the contract alerts about is provoked.
package middleware

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"watchkeeper/exporters"
	"watchkeeper/exporters/middleware/server"
	"watchkeeper/exporters/middleware/server/servertest"
)

// folder returns an empty folder that daemons enter which drop to users of
// their own; t.TempDir's lies below one that only its owner may enter.
func folder(t testing.TB, subfolders ...string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "watchkeeper-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, s := range subfolders {
		if err := os.MkdirAll(filepath.Join(dir, s), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func write(t testing.TB, path, text string, replacements ...string) string {
	t.Helper()
	text = strings.NewReplacer(replacements...).Replace(text)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// daemon is a server that a test started.
type daemon struct {
	t     testing.TB
	name  string
	cmd   *exec.Cmd
	out   *syncBuffer
	ended chan struct{}
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// start starts a daemon in the foreground, in a process group of its own; it
// ends with the test.
func start(t testing.TB, env []string, name string, args ...string) *daemon {
	t.Helper()
	d := &daemon{t: t, name: filepath.Base(name), cmd: exec.Command(name, args...), out: new(syncBuffer), ended: make(chan struct{})}
	d.cmd.Env = append(os.Environ(), env...)
	d.cmd.Stdout, d.cmd.Stderr = d.out, d.out
	// A test binary that is killed takes its servers with it.
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	d.cmd.WaitDelay = time.Second
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(d.ended)
		_ = d.cmd.Wait()
	}()
	t.Cleanup(func() {
		d.stop()
		if t.Failed() {
			t.Logf("%s printed:\n%s", d.name, tail(d.out.String()))
		}
	})
	return d
}

func tail(s string) string {
	if len(s) > 4000 {
		return "…" + s[len(s)-4000:]
	}
	return s
}

// stop ends the daemon and what it started.
func (d *daemon) stop() {
	_ = syscall.Kill(-d.cmd.Process.Pid, syscall.SIGTERM)
	select {
	case <-d.ended:
	case <-time.After(15 * time.Second):
	}
	d.kill()
}

// kill ends the daemon at once, with its workers: as long as one of them runs, it
// has the server's port.
func (d *daemon) kill() {
	_ = syscall.Kill(-d.cmd.Process.Pid, syscall.SIGKILL)
	<-d.ended
	for range 1000 {
		if !groupRuns(d.cmd.Process.Pid) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	d.t.Errorf("%s: a process of its group still runs ten seconds after SIGKILL", d.name)
}

// groupRuns reports whether a process group has a process that is not a zombie.
func groupRuns(id int) bool {
	if errors.Is(syscall.Kill(-id, 0), syscall.ESRCH) {
		return false
	}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range stats {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended since
		}
		// After the name, which may have spaces: state, parent, group.
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		if len(fields) > 2 && fields[2] == strconv.Itoa(id) && fields[0] != "Z" && fields[0] != "X" {
			return true
		}
	}
	return false
}

func (d *daemon) hasEnded() bool {
	select {
	case <-d.ended:
		return true
	default:
		return false
	}
}

// patience is how long a test waits for what a server shows; machines may be busy.
const patience = 6 * time.Minute

// eventually waits until check succeeds.
func eventually(t testing.TB, limit time.Duration, what string, check func() error) {
	t.Helper()
	began := time.Now()
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Since(began) > limit {
			t.Fatalf("%s: not within %s: %v", what, limit, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// answers waits until a collector of a server that has just started succeeds.
func answers(t testing.TB, d *daemon, c exporters.Collector) {
	t.Helper()
	eventually(t, patience, d.name, func() error {
		if d.hasEnded() {
			t.Fatalf("%s ended", d.name)
		}
		return c.Collect(t.Context(), now(), new(servertest.Sink))
	})
}

func now() time.Time { return time.Now().Truncate(time.Millisecond) }

// client runs a server's own client and returns what it prints.
func client(t testing.TB, env []string, name string, args ...string) string {
	t.Helper()
	out, err := tryClient(t, env, name, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func tryClient(t testing.TB, env []string, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), env...)
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", server.Excerpt(name+" "+strings.Join(args, " "), 200), err, errOut.String())
	}
	return string(out), nil
}

// values collects once.
func values(t testing.TB, c exporters.Collector) map[string]float64 {
	t.Helper()
	return servertest.Values(servertest.CollectAt(t, c, now()).Samples)
}

// near reports whether a collected value is what a client printed just before
// or after it, give or take.
func near(t testing.TB, got map[string]float64, series string, want, tolerance float64) {
	t.Helper()
	v, ok := got[series]
	if !ok {
		t.Errorf("%s is not delivered", series)
		return
	}
	if v < want-tolerance || v > want+tolerance {
		t.Errorf("%s is %v, the client says %v", series, v, want)
	}
}

func number(t testing.TB, s string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(strings.TrimSpace(s), 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// fails collects once and wants a failure for a reason.
func fails(t testing.TB, c exporters.Collector, reason string) {
	t.Helper()
	servertest.WantReason(t, c, reason)
}

var errNotYet = errors.New("not yet")

// must is for constructors.
func must[T any](c T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
}
