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
	// accepts is the counter of connections at the last check that read it, and
	// fell the first check after which it had fallen: a server that restarted,
	// however long it was down. Zero: none yet.
	accepts float64
	fell    time.Time
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
	return server.New(customer, product, cfg.Settings, &reader{client: client, pidFile: cfg.PIDFile}, client.Secrets(), set, log), nil
}

// Read implements server.Reader.
func (r *reader) Read(ctx context.Context, out *server.Reading) error {
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
	r.addAge(ctx, s.accepts, out)
	return nil
}

// addAge adds how long the server has been running or, where that is not known,
// how long ago it was seen to have restarted.
func (r *reader) addAge(ctx context.Context, accepts float64, out *server.Reading) {
	if accepts < r.accepts {
		r.fell = out.At
	}
	r.accepts = accepts
	if r.pidFile != "" {
		uptime, err := masterUptime(ctx, r.pidFile, out.At)
		if err == nil {
			out.Add(metricUptimeSeconds, uptime.Seconds())
			return
		}
		out.Miss("uptime", err)
	}
	if !r.fell.IsZero() {
		out.Add(metricRestartSeenAgeSeconds, max(0, out.At.Sub(r.fell)).Seconds()) // a clock may be set back
	}
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
