package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"watchkeeper/internal/app/apptest"
)

// asProgram makes the test binary be the program, so that tests run the very
// code in a process of its own without building it a second time.
const asProgram = "WATCHKEEPER_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(Run("test", os.Args[1:], os.Stdout, os.Stderr))
	}
	flag.Parse()
	// The tests wait more than they compute.
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// program prepares a call of the program in a folder.
func program(t *testing.T, dir string, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), exe, args...)
	c.Dir = dir
	c.Env = append(os.Environ(), asProgram+"=1", "GORACE=atexit_sleep_ms=0")
	return c
}

// result is what a finished call left.
type result struct {
	code           int
	stdout, stderr string
}

func run(t *testing.T, dir string, args ...string) result {
	t.Helper()
	c := program(t, dir, args...)
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	if err := c.Run(); err != nil && c.ProcessState == nil {
		t.Fatalf("%v: %v", args, err)
	}
	return result{c.ProcessState.ExitCode(), out.String(), withoutPSI(errs.String())}
}

// withoutPSI drops the line that the metrics library logs on machines without
// pressure figures.
func withoutPSI(s string) string {
	return regexp.MustCompile(`(?m)^.*failed init: open /sys/fs/cgroup.*\n`).ReplaceAllString(s, "")
}

// ok runs a call that must succeed and returns what it printed.
func ok(t *testing.T, dir string, args ...string) string {
	t.Helper()
	r := run(t, dir, args...)
	if r.code != 0 {
		t.Fatalf("%s: exit code %d: %s", strings.Join(args, " "), r.code, r.stderr)
	}
	return r.stdout
}

// decoded is ok for JSON.
func decoded[T any](t *testing.T, dir string, args ...string) T {
	t.Helper()
	var v T
	out := ok(t, dir, args...)
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		t.Fatalf("%s: %v in %s", strings.Join(args, " "), err, out)
	}
	return v
}

// daemon is a running 'watchkeeper serve'.
type daemon struct {
	t     *testing.T
	cmd   *exec.Cmd
	url   string
	ended chan struct{}

	mu  sync.Mutex
	log strings.Builder
}

var readyLine = regexp.MustCompile(`msg="\w+ is ready" url=(\S+)`)

// start runs 'watchkeeper serve' and waits until it is ready.
func start(t *testing.T, dir string, args ...string) *daemon {
	t.Helper()
	return launch(t, dir, append([]string{"serve", "--config", "watchkeeper.yml"}, args...)...)
}

// launch runs a command that goes on until it is stopped, and waits until it is ready.
func launch(t *testing.T, dir string, args ...string) *daemon {
	t.Helper()
	d := &daemon{t: t, cmd: program(t, dir, args...), ended: make(chan struct{})}
	stderr, err := d.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go d.read(stderr)
	t.Cleanup(func() {
		_ = d.cmd.Process.Kill()
		<-d.ended
		if t.Failed() {
			t.Logf("log of the server:\n%s", d.logged())
		}
	})
	apptest.Until(t, "ready", func() bool {
		select {
		case <-d.ended:
			t.Fatalf("the server ended: %s", d.logged())
		default:
		}
		m := readyLine.FindStringSubmatch(d.logged())
		if m != nil {
			d.url = m[1]
		}
		return m != nil
	})
	return d
}

func (d *daemon) read(r io.Reader) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		d.mu.Lock()
		d.log.WriteString(lines.Text() + "\n")
		d.mu.Unlock()
	}
	_ = d.cmd.Wait() // the exit code is read from ProcessState
	close(d.ended)
}

func (d *daemon) logged() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.log.String()
}

// stop sends a signal and returns the exit code; it must not take long.
func (d *daemon) stop(sig syscall.Signal) int {
	d.t.Helper()
	if err := d.cmd.Process.Signal(sig); err != nil {
		d.t.Fatal(err)
	}
	select {
	case <-d.ended:
	case <-time.After(time.Minute):
		d.t.Fatalf("it did not stop within a minute after %s", sig)
	}
	return d.cmd.ProcessState.ExitCode()
}

// folder makes a folder with files in it.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		write(t, filepath.Join(dir, name), text)
	}
	return dir
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// queueRule fires at the first breach.
const queueRule = `
groups:
- name: queue
  interval: 1m
  rules:
  - {alert: QueueLong, expr: queue_length > 10, consecutive: 1, labels: {severity: high}, annotations: {summary: "long"}}
`

// pushed is the folder of a server that takes pushes and tells a receiver.
func pushed(t *testing.T) (dir string, tickets *apptest.Receiver) {
	t.Helper()
	tickets = &apptest.Receiver{}
	return pushedTo(t, tickets, "15s"), tickets
}

// pushedTo is pushed with a receiver of the caller's, which is given up after
// the time-out.
func pushedTo(t *testing.T, receiver http.Handler, timeout string) (dir string) {
	t.Helper()
	srv := httptest.NewServer(receiver)
	t.Cleanup(srv.Close)
	return folder(t, map[string]string{
		"rules.yml": queueRule,
		"watchkeeper.yml": `
data_dir: data
api: {listen: "127.0.0.1:0"}
ingest: {listen: "127.0.0.1:0", open: {customer: acme}}
rules: {files: [rules.yml]}
alertmanager:
  route: {receiver: tickets, group_by: [alertname], group_wait: 100ms, group_interval: 100ms}
  receivers: [{name: tickets, webhook_configs: [{url: "` + srv.URL + `"}]}]
alertrouter: {retry_min: 100ms, retry_max: 300ms, attempt_timeout: ` + timeout + `}
`,
	})
}
