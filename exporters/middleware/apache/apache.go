// Package apache reads an Apache HTTP server by mod_status, and the CPU use of
// its processes.
//
// CPU use is the growth of CPU seconds since the check before, over all cores:
// mod_status's own CPULoad is the mean since the start, which hides everything.
package apache

import (
	"context"
	"log/slog"
	"runtime"
	"strings"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"watchkeeper/exporters/middleware/server"
)

var product = server.Product{Kind: "apache", Label: "apache"}

type reader struct {
	client  *server.Client
	query   map[string][]string
	pidFile string
	cores   int
	last    *usage // at the check before; nil before the first
}

// New returns the collector of one server.
func New(customer string, cfg Config, set *metrics.Set, log *slog.Logger) (*server.Collector, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	client, err := server.NewClient(cfg.HTTP)
	if err != nil {
		return nil, err
	}
	r := &reader{client: client, pidFile: cfg.PIDFile, cores: cfg.Cores}
	if _, query, _ := strings.Cut(cfg.URL, "?"); !strings.Contains(query, "auto") {
		r.query = map[string][]string{"auto": {""}}
	}
	return server.New(customer, product, cfg.Settings, r, client.Secrets(), set, log), nil
}

// Read implements server.Reader.
func (r *reader) Read(ctx context.Context, out *server.Reading) error {
	defer r.client.Close()
	page, err := r.client.Get(ctx, "", r.query)
	if err != nil {
		return err
	}
	s, err := parse(string(page))
	if err != nil {
		return err
	}
	s.add(out)
	r.addCPU(s, out)
	return nil
}

// addCPU adds the CPU use since the check before, where it can be known.
func (r *reader) addCPU(s status, out *server.Reading) {
	now := usage{at: time.Now(), uptime: s.uptime}
	cores := r.cores
	switch {
	case r.pidFile != "":
		u, err := readProcesses(r.pidFile)
		if err != nil {
			out.Miss("cpu", err)
			r.last = nil
			return
		}
		now.seconds, now.start, cores = u.seconds, u.start, runtime.NumCPU()
	case r.cores > 0 && s.cpuKnown:
		now.seconds = s.cpuSeconds
	default:
		return
	}
	if r.last != nil {
		if percent, ok := now.percentSince(*r.last, cores); ok {
			out.Add(metricCPUUsedPercent, percent)
		}
	}
	r.last = &now
}
