//go:build unix

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/prometheus/common/model"

	"watchkeeper/exporters"
	"watchkeeper/exporters/aliyun"
	"watchkeeper/exporters/aliyun/catalog"
	"watchkeeper/exporters/aliyun/sdk"
	"watchkeeper/internal/sample"
	"watchkeeper/internal/storage"
)

// start runs the simulated account in a process of its own and returns its address.
func start(ctx context.Context, o options) (address string, stop func() error, err error) {
	self, err := os.Executable()
	if err != nil {
		return "", nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	c := exec.CommandContext(ctx, self, "-serve", fmt.Sprint("-resources=", o.resources))
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		cancel()
		return "", nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		cancel()
		return "", nil, errors.Join(fmt.Errorf("simulated account: %w", err), c.Wait())
	}
	return strings.TrimSpace(line), func() error {
		cancel()
		if err := c.Wait(); err != nil && ctx.Err() == nil {
			return err
		}
		return nil
	}, nil
}

// counter is where the points go.
type counter struct {
	samples atomic.Int64
	store   *storage.Store // nil: they are dropped
}

func (c *counter) Append(ctx context.Context, b sample.Batch) error {
	c.samples.Add(int64(len(b.Samples)))
	if c.store == nil {
		return nil
	}
	_, err := c.store.Append(ctx, b)
	return err
}

func measure(ctx context.Context, o options) (err error) {
	address, stop, err := start(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	to := &counter{}
	if o.store {
		dir, err := os.MkdirTemp("", "aliyunround")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		cfg := storage.DefaultConfig()
		cfg.Dir = filepath.Join(dir, "data")
		if to.store, err = storage.Open(cfg, slog.New(slog.DiscardHandler), metrics.NewSet(), time.Now); err != nil {
			return err
		}
		defer to.store.Close()
	}
	jobs, set, err := jobs(o, address)
	if err != nil {
		return err
	}
	if o.profile != "" {
		f, err := os.Create(o.profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
	}
	var rounds []figures
	for n := range o.rounds {
		if n > 0 {
			fmt.Fprintln(os.Stderr, "waiting five minutes for new points")
			if err := wait(ctx, 5*time.Minute); err != nil {
				return err
			}
		}
		f, err := round(ctx, jobs, set, to)
		if err != nil {
			return err
		}
		rounds = append(rounds, f)
	}
	pprof.StopCPUProfile()
	for i, f := range rounds {
		f.print(fmt.Sprintf("round %d", i+1), o.rate)
	}
	if !o.floor {
		return nil
	}
	f, err := floor(ctx, address)
	if err != nil {
		return fmt.Errorf("floor: %w", err)
	}
	f.print("floor: bare HTTP and encoding/json of the bytes of all rounds", 0)
	return nil
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// jobs are those that poll CloudMonitor; they were read to five minutes ago.
func jobs(o options, address string) ([]exporters.Job, *metrics.Set, error) {
	known, err := catalog.Load()
	if err != nil {
		return nil, nil, err
	}
	set := metrics.NewSet()
	began := time.Now().Add(-5 * time.Minute)
	accounts, err := aliyun.New(aliyun.Config{Accounts: []aliyun.AccountConfig{{
		Name: "main", Regions: []string{region}, Products: known.Products(), AccessKeyID: keyID, AccessKeySecret: aliyun.NewSecret(secret), Scheme: "http",
		Endpoint: address, APICallsPerSecond: map[string]float64{"Cms.DescribeMetricList": o.rate}, CallTimeout: model.Duration(30 * time.Second), CallsPerMonth: 1 << 40,
	}}}, "acme", aliyun.Deps{
		NewClient: sdk.New, Budgets: aliyun.NewBudgets(set), Metrics: set, Log: slog.New(slog.DiscardHandler),
		Resume: func(context.Context, sample.Source) (time.Time, bool, error) { return began, true, nil },
	})
	if err != nil {
		return nil, nil, err
	}
	return accounts[0].Jobs(), set, nil
}

// figures of a round.
type figures struct {
	calls, points, samples int64
	bytes                  int64
	took, cpu              time.Duration
	heap                   uint64 // in use after the round, garbage collected
	peak                   uint64 // resident, of the process until then
}

func round(ctx context.Context, jobs []exporters.Job, set *metrics.Set, to *counter) (figures, error) {
	before, samples, cpu, began := own(set), to.samples.Load(), cpuTime(), time.Now()
	var mu sync.Mutex
	var errs []error
	var all sync.WaitGroup
	for _, j := range jobs {
		all.Go(func() {
			if err := j.Collector.Collect(ctx, began, to); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, fmt.Errorf("%s: %w", j.Collector.Source().Name, err))
			}
		})
	}
	all.Wait()
	f := figures{took: time.Since(began), cpu: cpuTime() - cpu, samples: to.samples.Load() - samples, peak: peakRSS()}
	after := own(set)
	f.calls, f.points = after.calls-before.calls, after.points-before.points
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	f.heap = m.HeapAlloc
	return f, errors.Join(errs...)
}

// counts of the own metrics.
type counts struct{ calls, points int64 }

func own(set *metrics.Set) counts {
	r, w := io.Pipe()
	go func() {
		set.WritePrometheus(w)
		w.Close()
	}()
	var c counts
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), "} ")
		var n int64
		if _, err := fmt.Sscan(value, &n); err != nil {
			continue
		}
		switch {
		case strings.HasPrefix(name, "watchkeeper_aliyun_calls_total"):
			c.calls += n
		case strings.HasPrefix(name, "watchkeeper_aliyun_points_read_total"):
			c.points += n
		}
	}
	return c
}

func (f figures) print(what string, rate float64) {
	fmt.Println(what)
	fmt.Printf("  calls            %d\n", f.calls)
	if f.points > 0 {
		fmt.Printf("  points read      %d, delivered %d\n", f.points, f.samples)
	}
	if f.bytes > 0 {
		fmt.Printf("  bytes            %d MB\n", f.bytes>>20)
	}
	if rate > 0 {
		allowed := time.Duration(float64(f.calls)/rate*float64(time.Second)) + 5*time.Second
		fmt.Printf("  took             %.1f s, allowed %.1f s (calls / %v a second + 5 s)\n", f.took.Seconds(), allowed.Seconds(), rate)
	} else {
		fmt.Printf("  took             %.1f s\n", f.took.Seconds())
	}
	fmt.Printf("  CPU              %.2f s\n", f.cpu.Seconds())
	fmt.Printf("  peak memory      %d MB resident, %d MB of heap in use afterwards\n", f.peak>>20, f.heap>>20)
}
