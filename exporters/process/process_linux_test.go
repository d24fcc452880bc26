package process_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/google/go-cmp/cmp"

	"watchkeeper/exporters/process"
	"watchkeeper/internal/sample"
	"watchkeeper/ruleset/contract"
)

type sink struct{ batches []sample.Batch }

func (s *sink) Append(_ context.Context, b sample.Batch) error {
	s.batches = append(s.batches, b)
	return nil
}

func newCollector(t *testing.T, targets ...process.Target) *process.Collector {
	t.Helper()
	cfg := process.DefaultConfig()
	cfg.Processes = targets
	c, err := process.New("acme", cfg, metrics.NewSet(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// collect returns the samples of one check by metric and declaration.
func collect(t *testing.T, c *process.Collector) map[string]float64 {
	t.Helper()
	var s sink
	if err := c.Collect(t.Context(), time.UnixMilli(1_790_000_020_000), &s); err != nil {
		t.Fatal(err)
	}
	values := make(map[string]float64)
	for _, x := range s.batches[0].Samples {
		values[x.Labels.Get("__name__")+" "+x.Labels.Get("process")] = x.V
	}
	return values
}

// worker runs a shell that waits, under a command line that only this test has.
func worker(t *testing.T, mark string) *exec.Cmd {
	t.Helper()
	// The mark is an argument; "read" waits without another process.
	cmd := exec.Command("/bin/sh", "-c", "read x", mark)
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { end(cmd) })
	return cmd
}

func end(cmd *exec.Cmd) {
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

func mark(t *testing.T) string {
	return fmt.Sprintf("watchkeeper-%s-%d", t.Name(), os.Getpid())
}

func TestLifeOfAProcess(t *testing.T) {
	m := mark(t)
	c := newCollector(t, process.Target{Name: "w", CommandLine: m + "$"})
	step := func(what string, state, count, restarts float64) {
		t.Helper()
		v := collect(t, c)
		got := []float64{v["process_state w"], v["process_count w"], v["process_restarts_total w"]}
		if diff := cmp.Diff([]float64{state, count, restarts}, got); diff != "" {
			t.Errorf("%s: state, count, restarts (-want +got):\n%s", what, diff)
		}
		if _, ok := v["process_resident_memory_bytes w"]; ok != (count > 0) {
			t.Errorf("%s: memory delivered: %t", what, ok)
		}
	}
	step("never started", 0, 0, 0)
	first := worker(t, m)
	step("started", 1, 1, 0)
	step("runs on", 1, 1, 0)
	second := worker(t, m)
	step("one more is no restart", 1, 2, 0)
	end(first)
	step("one less", 1, 1, 0)
	end(second)
	step("none", 0, 0, 0)
	worker(t, m)
	step("back after it was missing: a restart", 1, 1, 1)
}

func TestReplacedBetweenTwoChecks(t *testing.T) {
	m := mark(t)
	c := newCollector(t, process.Target{Name: "w", CommandLine: m + "$"})
	first := worker(t, m)
	collect(t, c)
	end(first)
	worker(t, m)
	if v := collect(t, c); v["process_restarts_total w"] != 1 || v["process_state w"] != 1 {
		t.Errorf("got %v, want one restart", v)
	}
}

func TestDeclarations(t *testing.T) {
	m := mark(t)
	one := worker(t, m)
	worker(t, m)
	pidFile := filepath.Join(t.TempDir(), "pid")
	if err := os.WriteFile(pidFile, []byte(fmt.Sprintln(one.Process.Pid)), 0o600); err != nil {
		t.Fatal(err)
	}
	user := strings.TrimSpace(output(t, "id", "-un"))
	f := func(what string, target process.Target, state, count float64) {
		t.Helper()
		target.Name = "w"
		v := collect(t, newCollector(t, target))
		if v["process_state w"] != state || v["process_count w"] != count {
			t.Errorf("%s: state %v, count %v, want %v, %v", what, v["process_state w"], v["process_count w"], state, count)
		}
	}
	f("by command and command line", process.Target{Command: "sh", CommandLine: m + "$"}, 1, 2)
	f("another command", process.Target{Command: "bash", CommandLine: m + "$"}, 0, 0)
	f("too few", process.Target{CommandLine: m + "$", Min: 3}, 0, 2)
	f("as many as declared", process.Target{CommandLine: m + "$", Min: 2, Max: 2}, 1, 2)
	f("too many", process.Target{CommandLine: m + "$", Max: 1}, 0, 2)
	f("by pid file", process.Target{PIDFile: pidFile}, 1, 1)
	f("the pid file's process is another program", process.Target{PIDFile: pidFile, Command: "nginx"}, 0, 0)
	f("no pid file", process.Target{PIDFile: pidFile + "x"}, 0, 0)
	f("this user's", process.Target{CommandLine: m + "$", User: user}, 1, 2)
	f("another user's", process.Target{CommandLine: m + "$", User: "no-such-user"}, 0, 0)
}

func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	b, err := exec.Command(name, args...).Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// A process that has ended and whose parent has not noticed does not run.
func TestZombie(t *testing.T) {
	m := mark(t)
	c := newCollector(t, process.Target{Name: "w", CommandLine: m + "$"})
	cmd := worker(t, m)
	collect(t, c)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); collect(t, c)["process_state w"] != 0; {
		if time.Since(began) > time.Minute {
			t.Fatal("a killed process counts as running")
		}
	}
}

func TestMetricsAreTheContracts(t *testing.T) {
	m := mark(t)
	worker(t, m)
	c := newCollector(t, process.Target{Name: "w", CommandLine: m + "$"})
	collect(t, c)
	var s sink
	if err := c.Collect(t.Context(), time.UnixMilli(1_790_000_080_000), &s); err != nil {
		t.Fatal(err)
	}
	delivered := make(map[string]bool)
	for _, x := range s.batches[0].Samples {
		name := x.Labels.Get("__name__")
		delivered[name] = true
		declared, ok := contract.LookupMetric(name)
		if !ok {
			continue // more than the contract asks for
		}
		for l := range x.Labels.Map() {
			if !slices.Contains(slices.Concat([]string{"__name__"}, contract.IdentityLabels, declared.Labels), l) {
				t.Errorf("%s: label %q is not declared", name, l)
			}
		}
		if x.Labels.Get("product") != contract.ProductProcess {
			t.Errorf("%s: want product %q", x.Labels, contract.ProductProcess)
		}
	}
	for _, m := range contract.Metrics() {
		if m.Source == "host/process" && !delivered[m.Name] {
			t.Errorf("%s is declared and not delivered", m.Name)
		}
	}
	if !delivered["process_cpu_used_percent"] || !delivered["process_open_fds"] || !delivered["process_start_time_seconds"] {
		t.Errorf("delivered %v", delivered)
	}
}

func TestConfig(t *testing.T) {
	f := func(want string, targets ...process.Target) {
		t.Helper()
		cfg := process.DefaultConfig()
		cfg.Processes = targets
		got := ""
		if err := cfg.Validate(); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("error %q, want %q", got, want)
		}
	}
	f("", process.Target{Name: "a", Command: "nginx"})
	f("processes[0].name: must be UTF-8 of 1 to 128 bytes", process.Target{Command: "nginx"})
	f("processes[0].command: one of command, cmdline and pid_file must be set", process.Target{Name: "a", User: "root"})
	f("processes[0].max: 1 is less than min", process.Target{Name: "a", Command: "x", Min: 2, Max: 1})
	f(`processes[1].name: "a" is processes[0] already`, process.Target{Name: "a", Command: "x"}, process.Target{Name: "a", Command: "y"})
	f("processes[0].cmdline: error parsing regexp: missing closing ): `(`", process.Target{Name: "a", CommandLine: "("})
}
