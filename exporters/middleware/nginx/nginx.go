// Package nginx reads an Nginx server by its stub_status page, and how long the
// master process has been running where it runs on this host.
package nginx

import (
	"context"
	"log/slog"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"watchkeeper/exporters/middleware/server"
	"watchkeeper/exporters/process"
)

var product = server.Product{Kind: "nginx", Label: "nginx"}

// masterNames are what the master process is called; Angie is a fork that
// serves the same page.
var masterNames = []string{"nginx", "angie"}

type reader struct {
	client  *server.Client
	pidFile string
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
	return server.New(customer, product, cfg.Settings, reader{client, cfg.PIDFile}, client.Secrets(), set, log), nil
}

// Read implements server.Reader.
func (r reader) Read(ctx context.Context, out *server.Reading) error {
	defer r.client.Close()
	page, err := r.client.Get(ctx, "", nil)
	if err != nil {
		return err
	}
	s, err := parse(string(page))
	if err != nil {
		return err
	}
	out.Add(metricConnectionsActive, s.active)
	out.Add(metricConnectionsAcceptedTotal, s.accepts)
	out.Add(metricConnectionsHandledTotal, s.handled)
	out.Add(metricRequestsTotal, s.requests)
	out.Add(metricConnectionsReading, s.reading)
	out.Add(metricConnectionsWriting, s.writing)
	out.Add(metricConnectionsWaiting, s.waiting)
	if r.pidFile != "" {
		uptime, err := masterUptime(ctx, r.pidFile, out.At)
		if err != nil {
			out.Miss("uptime", err)
			return nil
		}
		out.Add(metricUptimeSeconds, uptime.Seconds())
	}
	return nil
}

// masterUptime is never negative: the check's time may lie before the start of
// a process that is younger than the check.
func masterUptime(ctx context.Context, pidFile string, at time.Time) (time.Duration, error) {
	p, err := process.FromPIDFile(pidFile, masterNames...)
	if err != nil {
		return 0, err
	}
	ms, err := p.CreateTimeWithContext(ctx)
	if err != nil {
		return 0, err
	}
	return max(0, at.Sub(time.UnixMilli(ms))), nil
}
