// Package iis reads the state of IIS from the service control manager of the
// Windows host that it runs on. On other systems New returns an error.
package iis

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"watchkeeper/exporters/middleware/server"
)

var product = server.Product{Kind: "iis", Label: "iis"}

// service is what Windows says of one service. The numbers are Windows's own.
type service struct {
	state     uint32 // 1 stopped, 2 starting, 3 stopping, 4 running, 7 paused
	startType uint32 // 2 automatic, 3 manual, 4 disabled
	// processStart is when its process started; zero while it has none.
	processStart time.Time
}

const stateRunning = 4

// manager is a connection to the service control manager.
type manager interface {
	// query fails with a *server.Failure.
	query(name string) (service, error)
	close()
}

type reader struct {
	connect  func() (manager, error)
	services []string
	asking   chan struct{} // holds one while Windows is asked
	lastDown time.Time     // when a check last saw the web service not running
}

// New returns the collector of this host's IIS.
func New(customer string, cfg Config, set *metrics.Set, log *slog.Logger) (*server.Collector, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if err := supported(); err != nil {
		return nil, err
	}
	return newCollector(customer, cfg, connect, set, log), nil
}

func newCollector(customer string, cfg Config, connect func() (manager, error), set *metrics.Set, log *slog.Logger) *server.Collector {
	r := &reader{connect: connect, services: cfg.services(), asking: make(chan struct{}, 1)}
	return server.New(customer, product, cfg.Settings, r, nil, set, log)
}

// Read implements server.Reader. Windows's calls cannot be interrupted: a check
// that runs out of time leaves them behind, and the next ones wait for their end.
func (r *reader) Read(ctx context.Context, out *server.Reading) error {
	type answer struct {
		services []found
		err      error
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case r.asking <- struct{}{}:
	}
	done := make(chan answer, 1)
	go func() {
		defer func() { <-r.asking }()
		services, err := r.query()
		done <- answer{services, err}
	}()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case a := <-done:
		if a.err != nil {
			return a.err
		}
		return r.add(a.services, out)
	}
}

// found is a service of the configuration, or why it is not known.
type found struct {
	name string
	service
	err error
}

func (r *reader) query() ([]found, error) {
	m, err := r.connect()
	if err != nil {
		return nil, err
	}
	defer m.close()
	var all []found
	for _, name := range r.services {
		s, err := m.query(name)
		all = append(all, found{name, s, err})
	}
	return all, nil
}

// add fails when no service is known; one alone is missed.
func (r *reader) add(services []found, out *server.Reading) error {
	var first error
	known := 0
	for _, s := range services {
		if s.err != nil {
			if first == nil {
				first = s.err
			}
			out.Miss("services", s.err)
			continue
		}
		known++
		out.Add(metricServiceState, float64(s.state), "service", s.name)
		out.Add(metricServiceStartType, float64(s.startType), "service", s.name)
		if strings.EqualFold(s.name, webService) {
			r.addUptime(s.service, out)
		}
	}
	if known == 0 {
		return first
	}
	return nil
}

// addUptime adds how long the web service has been running. Windows keeps no
// such time for a service. Its process's age says it, unless only the web
// service was restarted while another service kept the process alive; then it
// was seen down at a check, and has been up for no longer than since.
func (r *reader) addUptime(s service, out *server.Reading) {
	if s.state != stateRunning {
		r.lastDown = out.At
		return
	}
	if s.processStart.IsZero() {
		return
	}
	since := s.processStart
	if r.lastDown.After(since) {
		since = r.lastDown
	}
	out.Add(metricUptimeSeconds, max(0, out.At.Sub(since).Seconds()))
}
