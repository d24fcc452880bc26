// Package process watches declared processes of this host: whether they run as
// declared, how many, their CPU, memory, open files and restarts.
//
// A process that does not run is a successful look: process_state 0 is the
// news. What the system keeps from this user (open files of another user's
// process) is left out and counted.
package process

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/grafana/regexp"
	"github.com/shirou/gopsutil/v4/process"

	"watchkeeper/exporters"
	"watchkeeper/internal/sample"
)

// Kind names this sort of collector in a scheduler's job.
const Kind = "process"

// Collector watches the declared processes of this host.
type Collector struct {
	source   sample.Source
	instance string
	targets  []*target
	reads    *metrics.Counter
	failures *metrics.Counter
	hidden   *metrics.Counter
	log      *slog.Logger
}

// target is a declaration with what the check before knew of it.
type target struct {
	Target
	pattern  *regexp.Regexp
	seen     map[identity]float64 // CPU seconds of those that ran at the check before; nil before the first
	at       time.Time            // when they were read
	ended    int                  // ended and not replaced yet
	restarts float64              // since this collector was made
	failing  bool
}

// identity tells a process from a later one with the same number.
type identity struct {
	pid     int32
	created int64 // Unix ms
}

// New returns the collector of this host's declared processes.
func New(customer string, cfg Config, set *metrics.Set, log *slog.Logger) (*Collector, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Instance == "" {
		name, err := os.Hostname()
		if err != nil {
			return nil, fmt.Errorf("host name: %w", err)
		}
		cfg.Instance = name
	}
	c := &Collector{
		source:   sample.Source{Customer: customer, Name: "process/" + cfg.Instance},
		instance: cfg.Instance,
		reads:    set.GetOrCreateCounter("watchkeeper_process_reads_total"),
		failures: set.GetOrCreateCounter("watchkeeper_process_read_failures_total"),
		hidden:   set.GetOrCreateCounter("watchkeeper_process_hidden_values_total"),
		log:      log,
	}
	for _, t := range cfg.Processes {
		c.targets = append(c.targets, &target{Target: t, pattern: regexp.MustCompile(t.CommandLine)})
	}
	return c, nil
}

// Source is "process/<instance>".
func (c *Collector) Source() sample.Source { return c.source }

// Collect lists the host's processes once and judges every declaration by the list.
func (c *Collector) Collect(ctx context.Context, at time.Time, sink exporters.Sink) error {
	all, err := list(ctx)
	if err != nil {
		return fmt.Errorf("process list: %w", err)
	}
	b := exporters.NewBuilder(at, "customer", c.source.Customer, "product", "process", "instance", c.instance)
	for _, t := range c.targets {
		found, err := t.matching(ctx, all)
		if err != nil {
			c.note(t, err)
			continue
		}
		t.failing = false
		c.add(ctx, b, t, found)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return sink.Append(ctx, exporters.Looked(c.source, at, b.Samples()))
}

// running is a process of the list.
type running struct {
	*process.Process
	id            identity
	command, line string
}

// list reads the names and command lines of all processes. One that ends
// meanwhile is left out.
func list(ctx context.Context) ([]running, error) {
	all, err := process.ProcessesWithContext(ctx)
	if err != nil {
		return nil, err
	}
	var found []running
	for _, p := range all {
		created, err := p.CreateTimeWithContext(ctx)
		if err != nil {
			continue
		}
		name, err := p.NameWithContext(ctx)
		if err != nil {
			continue
		}
		if states, err := p.StatusWithContext(ctx); err == nil && len(states) > 0 && states[0] == process.Zombie {
			continue // ended, and its parent has not noticed
		}
		line, _ := p.CmdlineWithContext(ctx) // empty for kernel threads
		found = append(found, running{p, identity{p.Pid, created}, name, line})
	}
	return found, nil
}

// matching returns the processes that a declaration means. An error says that
// this process may not know.
func (t *target) matching(ctx context.Context, all []running) ([]running, error) {
	var pid int32
	if t.PIDFile != "" {
		p, err := FromPIDFile(t.PIDFile)
		if errors.Is(err, os.ErrPermission) {
			return nil, err
		}
		if err != nil {
			return nil, nil // not running as declared
		}
		pid = p.Pid
	}
	var found []running
	for _, p := range all {
		switch {
		case t.PIDFile != "" && p.Pid != pid:
		case t.Command != "" && p.command != t.Command:
		case t.CommandLine != "" && !t.pattern.MatchString(p.line):
		case t.CommandLine != "" && p.Pid == int32(os.Getpid()) && t.Command == "":
			// our own command line or its file names may hold the pattern
		default:
			if t.User != "" {
				if user, err := p.UsernameWithContext(ctx); err != nil || !strings.EqualFold(user, t.User) {
					continue
				}
			}
			found = append(found, p)
		}
	}
	return found, nil
}

// note counts a declaration that could not be judged and logs the first of a row.
func (c *Collector) note(t *target, err error) {
	c.reads.Inc()
	c.failures.Inc()
	if !t.failing {
		c.log.Warn("declared process not looked at", "customer", c.source.Customer, "process", t.Name, "err", err)
	}
	t.failing = true
}

// add adds the samples of a declaration.
func (c *Collector) add(ctx context.Context, b *exporters.Builder, t *target, found []running) {
	c.reads.Inc()
	dims := []string{"process", t.Name}
	good := len(found) >= t.min() && (t.Max == 0 || len(found) <= t.Max)
	b.Add(metricState, flag(good), dims...)
	b.Add(metricCount, float64(len(found)), dims...)
	var sum figures
	seconds := make(map[identity]float64, len(found))
	var youngest int64
	for _, p := range found {
		f := c.read(ctx, p)
		sum.add(f)
		seconds[p.id] = f.cpuSeconds
		youngest = max(youngest, p.id.created)
	}
	if percent, ok := t.compare(seconds, time.Now()); ok {
		b.Add(metricCPUUsedPercent, percent, dims...)
	}
	b.Add(metricRestartsTotal, t.restarts, dims...)
	if len(found) == 0 {
		return
	}
	b.Add(metricResidentBytes, sum.resident, dims...)
	b.Add(metricVirtualBytes, sum.virtual, dims...)
	b.Add(metricThreads, sum.threads, dims...)
	if !sum.filesHidden {
		b.Add(metricOpenFiles, sum.files, dims...)
	}
	b.Add(metricStartTimeSeconds, float64(youngest)/1000, dims...)
}

// compare compares with the check before: the CPU use since, and how many
// processes stand in for others that ended. Growing from two processes to three
// is not a restart.
func (t *target) compare(now map[identity]float64, at time.Time) (cpuPercent float64, ok bool) {
	last, since := t.seen, at.Sub(t.at).Seconds()
	t.seen, t.at = now, at
	if last == nil {
		return 0, false
	}
	var grown float64
	var fresh, ended int
	for id, seconds := range now {
		before, known := last[id]
		grown += max(0, seconds-before)
		if !known {
			fresh++
		}
	}
	for id := range last {
		if _, runs := now[id]; !runs {
			ended++
		}
	}
	t.ended += ended
	restarted := min(fresh, t.ended)
	t.ended -= restarted
	t.restarts += float64(restarted)
	if since <= 0 || len(now) == 0 {
		return 0, false
	}
	return 100 * grown / since, true
}

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
