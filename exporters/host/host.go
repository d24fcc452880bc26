// Package host reads the host that the process runs on: CPU, load, memory, file
// systems, disks, network interfaces, processes, uptime and what the system is.
package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"watchkeeper/exporters"
	"watchkeeper/internal/sample"
)

// Kind names this sort of collector in a scheduler's job.
const Kind = "host"

const maxInstanceBytes = 255

// Collector reads this host. It keeps the CPU times of the check before, since
// utilization is a difference: the first check after a start has no utilization.
type Collector struct {
	source   sample.Source
	instance string
	parts    []part
	log      *slog.Logger
}

// part is one area of the host. A part that cannot be read leaves its samples
// out and does not keep the others from being delivered.
type part struct {
	name     string
	read     func(context.Context, *exporters.Builder) error
	reads    *metrics.Counter
	failures *metrics.Counter
	failing  *bool
}

// New returns the collector of this host, whose series belong to customer.
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
		source:   sample.Source{Customer: customer, Name: "host/" + cfg.Instance},
		instance: cfg.Instance,
		log:      log,
	}
	c.add(set, "cpu", new(cpuReader).read)
	c.add(set, "load", readLoad)
	c.add(set, "memory", readMemory)
	c.add(set, "processes", readProcesses)
	c.add(set, "filesystems", newFilesystemReader(cfg).read)
	c.add(set, "disks", diskReader{exclude: mustWholeName(cfg.ExcludeDisks)}.read)
	c.add(set, "interfaces", interfaceReader{exclude: mustWholeName(cfg.ExcludeInterfaces)}.read)
	c.add(set, "system", new(systemReader).read)
	c.add(set, "users", readUsers)
	c.add(set, "ecs", ecsReader{root: "/"}.read)
	return c, nil
}

func (c *Collector) add(set *metrics.Set, name string, read func(context.Context, *exporters.Builder) error) {
	c.parts = append(c.parts, part{
		name:     name,
		read:     read,
		reads:    set.GetOrCreateCounter(fmt.Sprintf(`watchkeeper_host_reads_total{part=%q}`, name)),
		failures: set.GetOrCreateCounter(fmt.Sprintf(`watchkeeper_host_read_failures_total{part=%q}`, name)),
		failing:  new(bool),
	})
}

// Source is "host/<instance>".
func (c *Collector) Source() sample.Source { return c.source }

// Collect reads all parts and delivers one batch. It fails when no part could
// be read.
func (c *Collector) Collect(ctx context.Context, at time.Time, sink exporters.Sink) error {
	b := exporters.NewBuilder(at, "customer", c.source.Customer, "product", "host", "instance", c.instance)
	var errs []error
	for _, p := range c.parts {
		p.reads.Inc()
		err := p.read(ctx, b)
		c.note(p, err)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", p.name, err))
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(errs) == len(c.parts) {
		return fmt.Errorf("host: %w", errors.Join(errs...))
	}
	return sink.Append(ctx, exporters.Looked(c.source, at, b.Samples()))
}

// note counts a part's failure and logs the first of a row.
func (c *Collector) note(p part, err error) {
	if err != nil {
		p.failures.Inc()
		if !*p.failing {
			c.log.Warn("part of the host not read", "part", p.name, "err", err)
		}
	}
	*p.failing = err != nil
}

// firstLine returns the first line of a small file, trimmed.
func firstLine(path string) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(string(data), "\n")
	return strings.TrimSpace(line), nil
}
