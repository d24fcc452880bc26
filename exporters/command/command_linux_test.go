package command_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"watchkeeper/exporters/command"
)

func shell(script string, args ...string) command.Spec {
	return command.Spec{Argv: append([]string{"/bin/sh", "-c", script, "sh"}, args...), MaxOutputBytes: 1 << 20}
}

func run(t *testing.T, s command.Spec) command.Result {
	t.Helper()
	r, err := command.Run(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestOutputAndExitCode(t *testing.T) {
	r := run(t, shell("echo out; echo 'what is  wrong' >&2; exit 3"))
	if string(r.Output) != "out\n" || r.ExitCode != 3 || r.Stderr != "what is wrong" || r.TimedOut || r.TooMuch {
		t.Errorf("got %+v", r)
	}
	if r := run(t, shell("kill -9 $$")); r.ExitCode != -1 {
		t.Errorf("ended by a signal: %+v", r)
	}
}

func TestNotStarted(t *testing.T) {
	for _, s := range []command.Spec{{}, {Argv: []string{"/nowhere/to/be/found"}}, {Argv: []string{"/bin/true"}, User: "nobody-of-this-name"}, {Argv: []string{"/bin/true"}, Dir: "/nowhere"}} {
		if r, err := command.Run(t.Context(), s); err == nil {
			t.Errorf("%v: %+v", s.Argv, r)
		}
	}
}

// TestTimeoutEndsTheWholeGroup starts a child that holds the output open and
// would outlive its parent.
func TestTimeoutEndsTheWholeGroup(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pid")
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		waitFor(file)
		cancel()
	}()
	r, err := command.Run(ctx, shell(`echo begun; sleep 1000 & echo $! >"$1.new"; mv "$1.new" "$1"; wait`, file))
	if err != nil || !r.TimedOut || r.ExitCode != -1 || string(r.Output) != "begun\n" {
		t.Fatalf("%+v, %v", r, err)
	}
	gone(t, file)
}

func TestChildrenOfAnEndedProgramAreEnded(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pid")
	r := run(t, shell(`sleep 1000 & echo $! >"$1"; echo done`, file))
	if r.ExitCode != 0 || string(r.Output) != "done\n" || r.TimedOut {
		t.Fatalf("%+v", r)
	}
	gone(t, file)
}

// TestADaemonHoldsNobodyUp: what leaves the group cannot be ended, and is not
// waited for.
func TestADaemonHoldsNobodyUp(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pid")
	r := run(t, shell(`setsid sh -c 'echo $$ >"$1.new"; mv "$1.new" "$1"; exec sleep 1000' sh "$1" & while [ ! -e "$1" ]; do sleep 0.01; done; echo done`, file))
	if r.ExitCode != 0 || string(r.Output) != "done\n" {
		t.Errorf("%+v", r)
	}
	if p, err := os.FindProcess(pidIn(t, file)); err != nil || p.Kill() != nil {
		t.Errorf("the daemon does not run: %v", err)
	}
}

func TestTooMuchOutput(t *testing.T) {
	s := shell("yes")
	s.MaxOutputBytes = 1000
	r := run(t, s)
	if !r.TooMuch || r.TimedOut || len(r.Output) != 1000 {
		t.Errorf("%d bytes, %+v", len(r.Output), r.TooMuch)
	}
}

func TestEnvironment(t *testing.T) {
	t.Setenv("WATCHED_HOST", "db-1")
	t.Setenv("OUR_SECRET", "s3cret")
	s := shell("env")
	s.PassEnv = []string{"WATCHED_HOST", "NOT_SET"}
	got := strings.Fields(string(run(t, s).Output))
	for _, kv := range got {
		name, _, _ := strings.Cut(kv, "=")
		switch name {
		case "PATH", "LANG", "TZ", "WATCHED_HOST", "PWD", "_", "SHLVL", "OLDPWD":
		default:
			t.Errorf("passed: %s", name)
		}
	}
	if !strings.Contains(strings.Join(got, "\n"), "WATCHED_HOST=db-1") {
		t.Errorf("not passed: %v", got)
	}
}

func TestWorkingFolder(t *testing.T) {
	dir := t.TempDir()
	s := shell("pwd")
	s.Dir = dir
	if d := cmp.Diff(dir+"\n", string(run(t, s).Output)); d != "" {
		t.Error(d)
	}
}

// TestUser runs as another user where the tests run as root, and otherwise
// expects the refusal.
func TestUser(t *testing.T) {
	s := shell(`id -un; id -Gn; echo $HOME`)
	s.User = "nobody"
	r, err := command.Run(t.Context(), s)
	if os.Getuid() != 0 {
		if err == nil {
			t.Errorf("ran as another user: %+v", r)
		}
		return
	}
	if err != nil || !strings.HasPrefix(string(r.Output), "nobody\nnogroup\n") || strings.Contains(string(r.Output), "root") {
		t.Errorf("%s, %v", r.Output, err)
	}
}

func TestMemory(t *testing.T) {
	s := shell(`while [ "$(ulimit -v)" = unlimited ]; do sleep 0.01; done; dd if=/dev/zero of=/dev/null bs=200M count=1 2>&1`)
	s.MaxMemoryBytes = 64 << 20
	if r := run(t, s); r.ExitCode == 0 || !strings.Contains(string(r.Output), "memory") {
		t.Errorf("it took 200 MB: %+v %s", r, r.Output)
	}
}

func waitFor(file string) {
	for {
		if _, err := os.Stat(file); err == nil {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func pidIn(t *testing.T, file string) int {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// gone waits until a process that was killed has ended; another collects it.
func gone(t *testing.T, file string) {
	t.Helper()
	stat := fmt.Sprintf("/proc/%d/stat", pidIn(t, file))
	for {
		b, err := os.ReadFile(stat)
		if err != nil || strings.Contains(string(b), ") Z ") {
			return
		}
		select {
		case <-t.Context().Done():
			t.Fatal("still runs")
		case <-time.After(5 * time.Millisecond):
		}
	}
}
