// Package rulebench measures, in one process and one run, what judging costs: the
// contract's rules over many watched series by our engine, by Prometheus's rules
// package in its two usual forms over the same store, and the floor that the
// machine sets. Run does it all and Write prints it.
package rulebench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"
)

// Config says how much is measured.
type Config struct {
	// Series is the number of watched series, one rule each. Default 200000.
	Series int
	// Breaching is the share of series that breach at every check. Default 0.05.
	Breaching float64
	// Minutes of data that our engine is measured over, after it has warmed up. Default 10.
	Minutes int
	// PrometheusMinutes that each form of Prometheus's is measured over. Default 3.
	PrometheusMinutes int
	// Dir is an empty folder for the store. Default: one in the system's folder for
	// temporary files, removed afterwards.
	Dir string
}

// DefaultConfig returns the documented defaults.
func DefaultConfig() Config {
	return Config{Series: 200_000, Breaching: 0.05, Minutes: 10, PrometheusMinutes: 3}
}

// Validate names the first field that cannot be used.
func (c Config) Validate() error {
	switch {
	case c.Series < 1000 || c.Series > 5_000_000:
		return errors.New("series: want 1000 to 5000000")
	case c.Breaching < 0 || c.Breaching > 1:
		return errors.New("breaching: want 0 to 1")
	case c.Minutes < 1 || c.Minutes > 60:
		return errors.New("minutes: want 1 to 60")
	case c.PrometheusMinutes < 1 || c.PrometheusMinutes > 60:
		return errors.New("prometheus_minutes: want 1 to 60")
	}
	return nil
}

// Cost is the CPU time (user and system, garbage collection included) of some checks.
type Cost struct {
	CPU     time.Duration
	Checks  int
	Minutes int // of data
}

// PerCheck is the CPU time of one check in ns.
func (c Cost) PerCheck() float64 { return float64(c.CPU.Nanoseconds()) / float64(max(1, c.Checks)) }

// PerMinute is the CPU time of a minute of data in seconds.
func (c Cost) PerMinute() float64 { return c.CPU.Seconds() / float64(max(1, c.Minutes)) }

// Result is what a run measured.
type Result struct {
	Config Config
	Rules  int // of the contract that are measured: one series against a threshold, every minute
	Left   int // of the contract that are not

	Store    Cost    // the store alone: what a sample costs without rules
	Recovery Cost    // our engine after a start, reading the stored samples included
	Engine   Cost    // our engine's calls, told apart from the store's in the same process
	For      Cost    // Prometheus: expr with for
	Exact    Cost    // Prometheus: min_over_time … and count_over_time …
	Firing   int     // alerts that fire; all three agree on it
	PerState float64 // bytes of heap per series with its rule's state

	FloorInOrder Cost // one look at the state of each series, in the senders' order
	FloorRandom  Cost // a map look-up and the state, in random order
}

// Run measures. Progress lines go to progress.
func Run(ctx context.Context, cfg Config, progress io.Writer) (*Result, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Dir == "" {
		dir, err := os.MkdirTemp("", "watchkeeper-rulebench-")
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(dir)
		cfg.Dir = dir
	}
	say := func(format string, args ...any) { fmt.Fprintf(progress, format+"\n", args...) }
	r := &Result{Config: cfg}
	w, err := newWorld(cfg)
	if err != nil {
		return nil, err
	}
	r.Rules, r.Left = len(w.rows), w.left
	say("floor: %d series", cfg.Series)
	r.FloorInOrder, r.FloorRandom = floor(cfg.Series)
	if err := w.measure(ctx, r, say); err != nil {
		return nil, errors.Join(err, w.store.Close())
	}
	return r, w.store.Close()
}

// Ratio says how many times the CPU of our engine another one takes per check.
func (r *Result) Ratio(other Cost) float64 { return other.PerCheck() / r.Engine.PerCheck() }

// Write prints the result; its last line is "ratio_exact N".
func Write(w io.Writer, r *Result) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %d CPUs; %s\n", cpuModel(), runtime.NumCPU(), runtime.Version())
	fmt.Fprintf(&b, "%d watched series, %d of the contract's %d rules (one series against a threshold, every minute), %.1f %% breaching; %d alerts fire in all three\n\n",
		r.Config.Series, r.Rules, r.Rules+r.Left, 100*r.Config.Breaching, r.Firing)
	fmt.Fprintf(&b, "%-38s %16s %12s %14s\n", "", "CPU s per minute", "ns per check", "times ours")
	line := func(name string, c Cost, ratio string) {
		fmt.Fprintf(&b, "%-38s %16.4f %12.1f %14s\n", name, c.PerMinute(), c.PerCheck(), ratio)
	}
	line("watchkeeper rule engine", r.Engine, "1")
	line("Prometheus, for: 2m", r.For, fmt.Sprintf("%.1f", r.Ratio(r.For)))
	line("Prometheus, exact form", r.Exact, fmt.Sprintf("%.1f", r.Ratio(r.Exact)))
	line("floor: state in senders' order", r.FloorInOrder, fmt.Sprintf("1/%.1f", 1/r.Ratio(r.FloorInOrder)))
	line("floor: map look-up, random order", r.FloorRandom, fmt.Sprintf("1/%.1f", 1/r.Ratio(r.FloorRandom)))
	line("the store alone, without rules", r.Store, "")
	fmt.Fprintf(&b, "%-38s %16s %12.1f\n", "watchkeeper, recovering after a start", "", r.Recovery.PerCheck())
	fmt.Fprintf(&b, "\nEngine: the CPU time of its calls, told apart from the store's in the same process, which is what ingest costs with\nrules less what it costs without, free of the noise of two runs.\n")
	fmt.Fprintf(&b, "memory %.0f bytes per series with its rule's state (heap; labels, index and newest samples included)\n", r.PerState)
	fmt.Fprintf(&b, "distance from the floor: %.1f times that in order, %.1f times that in random order\n", 1/r.Ratio(r.FloorInOrder), 1/r.Ratio(r.FloorRandom))
	fmt.Fprintf(&b, "ratio_for %.1f\nratio_exact %.1f\n", r.Ratio(r.For), r.Ratio(r.Exact))
	_, err := io.WriteString(w, b.String())
	return err
}

// took measures the CPU time of fn.
func took(fn func() error) (time.Duration, error) {
	before := cpuTime()
	err := fn()
	return cpuTime() - before, err
}

// heap is the number of bytes that live on the heap.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func cpuModel() string {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range strings.Lines(string(b)) {
		if name, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(v)
		}
	}
	return runtime.GOARCH
}
