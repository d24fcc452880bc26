package app

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"watchkeeper/exporters"
	"watchkeeper/exporters/custom"
	"watchkeeper/exporters/fileage"
	"watchkeeper/exporters/heartbeat"
	"watchkeeper/exporters/logfile"
	"watchkeeper/exporters/watch"
	"watchkeeper/internal/config"
	"watchkeeper/internal/ingest"
)

// stateFolder is the folder, in the data folder, of what collectors remember over
// a restart, by customer. An exporter beside a server has one of its own.
const (
	stateFolder         = "state"
	exporterStateFolder = "exporter-state"
)

// statePath is the file in which a collector of a customer remembers.
func (a *App) statePath(cfg *config.Config, customer, file string) string {
	folder := a.stateFolder
	if folder == "" {
		folder = stateFolder
	}
	return filepath.Join(cfg.DataDir, folder, customer, file)
}

// onHostJobs builds the collectors of what is read on this host besides its own
// figures.
func (a *App) onHostJobs(cfg *config.Config, cu config.Customer) ([]exporters.Job, error) {
	var jobs []exporters.Job
	add := func(section, kind string, c exporters.Collector, err error, interval time.Duration, rev string) error {
		if err != nil {
			return fmt.Errorf("%s: %w", section, err)
		}
		jobs = append(jobs, exporters.Job{Kind: kind, Collector: c, Interval: interval, Revision: rev})
		return nil
	}
	if w := cu.Watches; w != nil {
		c, err := watch.New(cu.Name, w.Config, a.statePath(cfg, cu.Name, "watch.json"), a.set, a.log)
		if err := add("watches", watch.Kind, c, err, time.Duration(w.Interval), revision(w.Config)); err != nil {
			return nil, err
		}
	}
	if l := cu.Logs; l != nil {
		c, err := logfile.New(cu.Name, l.Config, a.statePath(cfg, cu.Name, "logfile.json"), a.set, a.log)
		if err := add("logs", logfile.Kind, c, err, time.Duration(l.Interval), revision(l.Config)); err != nil {
			return nil, err
		}
	}
	if f := cu.FileAges; f != nil {
		c, err := fileage.New(cu.Name, f.Config, a.set, a.log)
		if err := add("file_ages", fileage.Kind, c, err, time.Duration(f.Interval), revision(f.Config)); err != nil {
			return nil, err
		}
	}
	if h := cu.Heartbeats; h != nil && a.heartbeats != nil {
		c, err := heartbeat.New(cu.Name, h.Config, a.heartbeats, a.log)
		if err := add("heartbeats", heartbeat.Kind, c, err, time.Duration(h.CheckInterval), revision(h.Config)); err != nil {
			return nil, err
		}
	}
	if cu.Custom != nil {
		own, err := custom.Jobs(cu.Name, cu.Custom.Config, a.set, a.log)
		if err != nil {
			return nil, fmt.Errorf("custom: %w", err)
		}
		jobs = append(jobs, own...)
	}
	return jobs, nil
}

// declareHeartbeats lets the heartbeats of a configuration in.
func (a *App) declareHeartbeats(cfg *config.Config) {
	names := make(map[string][]string)
	for _, cu := range cfg.Customers {
		if cu.Heartbeats != nil {
			names[cu.Name] = cu.Heartbeats.Names()
		}
	}
	a.heartbeats.Declare(names)
}

// ingestHandler serves the ingest listener: samples and heartbeats.
func (a *App) ingestHandler() fasthttp.RequestHandler {
	samples := a.write.FastHTTP(a.sender)
	beats := heartbeat.Handler(a.heartbeats, func(authorization string) (string, bool) {
		s, ok := a.sender(ingest.Bearer(authorization))
		return s.Customer, ok
	}, a.now, a.set, a.log)
	return func(c *fasthttp.RequestCtx) {
		switch {
		case !strings.HasPrefix(string(c.Path()), heartbeat.PathPrefix):
			samples(c)
		case ingest.FromWebPage(&c.Request.Header):
			c.Error("a web page sends this, not a job\n", fasthttp.StatusForbidden)
		default:
			beats(c)
		}
	}
}
