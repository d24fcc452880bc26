package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"golang.org/x/sync/errgroup"

	"watchkeeper/exporters"
	"watchkeeper/exporters/exposition"
	"watchkeeper/exporters/scrape"
	"watchkeeper/internal/config"
	"watchkeeper/internal/datadir"
	"watchkeeper/internal/remotewrite"
	"watchkeeper/internal/sample"
	"watchkeeper/ruleset/contract"
)

// Exporter runs the collectors of a configuration and shows what they deliver
// in Prometheus's text format. It has no store, no rules and no alerts.
type Exporter struct {
	builder  *App // makes the collectors; nothing else of it exists
	file     string
	log      *slog.Logger
	jobs     *exporters.Scheduler
	scrapes  *scrape.Manager
	sendOn   *remotewrite.Manager
	dir      *datadir.Dir // of the queues, which two processes cannot share; nil until there is a receiver
	server   *exposition.Server
	listener net.Listener

	reloading sync.Mutex // one reload at a time; held across I/O, since that is what it orders

	mu        sync.Mutex
	intervals map[sample.Source]time.Duration
}

// NewExporter makes the collectors and listens at an address; it starts nothing.
func NewExporter(cfg *config.Config, listen string, limits exposition.Config, log *slog.Logger) (*Exporter, error) {
	if err := limits.Validate(); err != nil {
		return nil, err
	}
	e := &Exporter{builder: &App{log: log, set: metrics.NewSet(), now: time.Now, cfg: cfg, stateFolder: exporterStateFolder}, file: cfg.File(), log: log}
	set := e.builder.set
	page, err := exposition.New(limits, exposition.Deps{Interval: e.interval, Describe: describe, Now: time.Now}, set)
	if err != nil {
		return nil, err
	}
	e.sendOn = remotewrite.New(filepath.Join(cfg.DataDir, exporterStateFolder, queueFolder), set, time.Now, log)
	to := sendOnSink{senders: e.sendOn, next: page, log: log}
	e.jobs = exporters.NewScheduler(to, set, log)
	e.scrapes = scrape.New(to, set, log)
	if err := e.apply(cfg); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	e.server = exposition.NewServer(page, set.WritePrometheus, log)
	if e.listener, err = net.Listen("tcp", listen); err != nil {
		return nil, errors.Join(fmt.Errorf("%w; set another address with --listen", err), e.Close())
	}
	return e, nil
}

// apply swaps the collectors: fully, or with an error not at all.
func (e *Exporter) apply(cfg *config.Config) error {
	jobs, err := e.builder.buildJobs(cfg)
	if err != nil {
		return err
	}
	scrapes, err := buildScrapes(cfg)
	if err != nil {
		return err
	}
	to, err := receivers(cfg)
	if err != nil {
		return err
	}
	if len(to) > 0 && e.dir == nil {
		if e.dir, err = datadir.Open(filepath.Join(cfg.DataDir, exporterStateFolder)); err != nil {
			return fmt.Errorf("remote_write: queue: %w", err)
		}
	}
	// The scheduler refuses before it changes anything; what follows it cannot.
	if err := e.scrapes.Apply(scrapes); err != nil {
		return err
	}
	if err := e.jobs.Apply(jobs); err != nil {
		before, perr := buildScrapes(e.builder.config())
		if perr == nil {
			perr = e.scrapes.Apply(before)
		}
		return errors.Join(err, perr)
	}
	if err := e.sendOn.Apply(to); err != nil {
		return err // of the disk: everything else is as configured now
	}
	e.builder.mu.Lock()
	e.builder.cfg = cfg
	e.builder.mu.Unlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.intervals = map[sample.Source]time.Duration{}
	for _, j := range jobs {
		e.intervals[j.Collector.Source()] = j.Interval
	}
	return nil
}

// interval is how often a source delivers; 0 for what is scraped.
func (e *Exporter) interval(src sample.Source) time.Duration {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.intervals[src]
}

// describe is what the contract's list says of a metric.
func describe(name string) (exposition.Metadata, bool) {
	m, ok := contract.LookupMetric(name)
	return exposition.Metadata{Type: string(m.Type), Help: m.Help}, ok
}

// Run collects and serves until ctx ends, and returns when all parts have stopped.
func (e *Exporter) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return e.jobs.Run(ctx) })
	g.Go(func() error { return e.scrapes.Run(ctx) })
	g.Go(func() error { return e.sendOn.Run(ctx) })
	g.Go(func() error { return e.server.Serve(ctx, e.listener) })
	e.log.Info("exporter is ready", "url", e.URL())
	context.AfterFunc(ctx, func() { e.log.Info("stopping") })
	err := g.Wait()
	e.log.Info("stopped")
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// Reload reads the configuration file again and swaps the collectors: fully, or
// with an error not at all.
func (e *Exporter) Reload() error {
	e.reloading.Lock()
	defer e.reloading.Unlock()
	cfg, err := config.Load(e.file)
	if err == nil {
		err = e.apply(cfg)
	}
	if err != nil {
		e.log.Error("reload: nothing was changed", "err", err)
		return err
	}
	e.log.Info("configuration reloaded")
	return nil
}

// Close gives back what NewExporter took. Call it after Run has returned.
func (e *Exporter) Close() error {
	err := errors.Join(e.scrapes.Apply(nil), e.sendOn.Close()) // scrapes: of an exporter that never ran
	if e.dir != nil {
		err = errors.Join(err, e.dir.Close())
	}
	if e.listener != nil {
		if lerr := e.listener.Close(); !errors.Is(lerr, net.ErrClosed) {
			err = errors.Join(err, lerr)
		}
	}
	e.builder.set.UnregisterAllMetrics()
	return err
}

// URL is the address of the listener.
func (e *Exporter) URL() string { return "http://" + e.listener.Addr().String() }
