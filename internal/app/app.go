// Package app builds all parts from a configuration, runs them and swaps their
// configuration: the whole program as a value, so that tests start it in-process.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/prometheus/prometheus/promql"
	"golang.org/x/net/netutil"
	"golang.org/x/sync/errgroup"

	"watchkeeper/alertrouter"
	"watchkeeper/alertrouter/amapi"
	"watchkeeper/alertrouter/incident"
	"watchkeeper/exporters"
	"watchkeeper/exporters/aliyun"
	"watchkeeper/exporters/heartbeat"
	"watchkeeper/exporters/scrape"
	"watchkeeper/internal/alarm"
	"watchkeeper/internal/api"
	"watchkeeper/internal/config"
	"watchkeeper/internal/datadir"
	"watchkeeper/internal/ingest"
	"watchkeeper/internal/remotewrite"
	"watchkeeper/internal/storage"
	"watchkeeper/ruleset"
	"watchkeeper/ruleset/promrules"
)

// Limits of queries, Prometheus's defaults.
const (
	queryTimeout  = 2 * time.Minute
	lookbackDelta = 5 * time.Minute
)

// tick is how often engine time follows the wall clock when no batch comes.
const tick = time.Second

// readTimeout bounds the reading of one request, body included.
const readTimeout = time.Minute

// stopTimeout bounds the wait for requests under way at the stop.
const stopTimeout = 10 * time.Second

// App is the whole program. New opens everything, Run runs it, Close gives
// everything back.
type App struct {
	file    string // configuration file; empty: the default
	version string
	log     *slog.Logger
	set     *metrics.Set
	now     func() time.Time
	started time.Time

	dir         *datadir.Dir
	store       *storage.Store
	engine      *ruleset.Engine
	verdicts    *verdictLog
	plain       *promrules.Runner // Prometheus's own rules
	router      *alertrouter.Router
	pipeline    *Pipeline
	jobs        *exporters.Scheduler
	scrapes     *scrape.Manager
	sendOn      *remotewrite.Manager
	budgets     *aliyun.Budgets
	heartbeats  *heartbeat.Registry
	write       *ingest.Writer
	queries     *promql.Engine // people's
	ruleQueries *promql.Engine // plain rules'; they do not wait for people's
	tracker     *promql.ActiveQueryTracker
	ingest      *ingest.Server
	http        *http.Server

	apiListener    net.Listener
	ingestListener net.Listener // nil when off

	stateFolder string // of what collectors remember; empty: stateFolder

	removal removal // what the configuration at the start asks for

	relabelDue atomic.Bool // the open incidents may have other labels than the rules give

	mu       sync.Mutex
	cfg      *config.Config
	loaded   *loadedRules
	senders  map[string]ingest.Sender // by token; "" is the open one
	ready    bool
	reloadMu sync.Mutex // one reload at a time; held across I/O, since that is what it orders
	world    *world     // in force; of Reload
}

// Options are what a caller may set besides the configuration.
type Options struct {
	Version string
	Log     *slog.Logger
}

// New opens the data folder, the listeners and every part. It starts nothing;
// whatever is wrong with the configuration or the machine is an error here.
func New(cfg *config.Config, opts Options) (a *App, err error) {
	a = &App{
		file: cfg.File(), version: opts.Version, log: opts.Log, set: metrics.NewSet(),
		now: time.Now, started: time.Now(), cfg: cfg,
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Close())
		}
	}()
	a.relabelDue.Store(true)
	a.heartbeats = heartbeat.NewRegistry(filepath.Join(cfg.DataDir, stateFolder))
	a.declareHeartbeats(cfg)
	w, err := a.build(cfg)
	if err != nil {
		return a, err
	}
	a.world, a.loaded, a.senders, a.removal = w, w.loadedRules, w.senders, newRemoval(cfg, w)
	if err := a.listen(cfg); err != nil {
		return a, err
	}
	// The address is known now.
	w.running.ExternalURL = a.externalURL(cfg)
	linkRunbooks(w.groups, a.externalURL(cfg))
	if w.routing, err = a.buildRouting(cfg); err != nil {
		return a, err
	}
	if a.dir, err = datadir.Open(cfg.DataDir); err != nil {
		return a, err
	}
	a.budgets.Open(a.dir.Path(callsFile), a.log)
	if err := a.openStore(cfg); err != nil {
		return a, err
	}
	if a.router, err = alertrouter.New(w.routing, a.set, a.log); err != nil {
		return a, err
	}
	if err := a.buildQueries(cfg); err != nil {
		return a, err
	}
	if a.verdicts, err = openVerdictLog(a.dir.Path(logFolder), a.now(), time.Duration(cfg.Storage.Retention)); err != nil {
		return a, err
	}
	to := toRouter{router: a.router, logs: a.verdicts, now: a.now, log: a.log}
	judge := cfg.Rules.Engine
	judge.MaxAhead = cfg.Storage.MaxFuture
	a.engine, err = ruleset.New(judge, w.groups, a.store, records{a.store.Journal()}, to, a.set, a.log)
	if err != nil {
		return a, err
	}
	a.pipeline = NewPipeline(a.store, a.engine, a.now, a.set, a.log)
	a.sendOn = remotewrite.New(a.dir.Path(queueFolder), a.set, a.now, a.log)
	if err := a.sendOn.Apply(w.receivers); err != nil {
		return a, err
	}
	a.pipeline.SendOn = a.sendOn.Append
	a.plain, err = promrules.New(w.running, a.ruleQueries, a.store, plainAppender{a.pipeline}, a.notifyPlain, a.set, a.log)
	if err != nil {
		return a, err
	}
	if err := a.plain.Update(w.running, w.files); err != nil {
		return a, err
	}
	a.jobs = exporters.NewScheduler(sink{a.pipeline}, a.set, a.log)
	if err := a.jobs.Apply(w.jobs); err != nil {
		return a, err
	}
	a.scrapes = scrape.New(sink{a.pipeline}, a.set, a.log)
	if err := a.scrapes.Apply(w.scrapes); err != nil {
		return a, err
	}
	return a, a.buildServers(cfg)
}

// buildQueries makes the PromQL engines. People's queries wait for each other
// beyond a number; Prometheus's tracker also tells after a crash which ones ran.
func (a *App) buildQueries(cfg *config.Config) error {
	opts := promql.EngineOpts{
		Logger: a.log, MaxSamples: cfg.API.MaxQuerySamples, Timeout: queryTimeout, LookbackDelta: lookbackDelta,
		EnableAtModifier: true, EnableNegativeOffset: true,
	}
	a.ruleQueries = promql.NewEngine(opts)
	var err error
	if a.tracker, err = promql.NewActiveQueryTracker(a.dir.Path(), cfg.API.MaxQueries, a.log); err != nil {
		return fmt.Errorf("data folder %q: list of running queries: %w", a.dir.Path(), err)
	}
	opts.ActiveQueryTracker = a.tracker
	a.queries = promql.NewEngine(opts)
	return nil
}

// listen takes the ports first: an occupied one is the most common mistake.
func (a *App) listen(cfg *config.Config) error {
	var err error
	if a.apiListener, err = net.Listen("tcp", cfg.API.Listen); err != nil {
		return fmt.Errorf("api.listen: %w; set another address or stop what listens there", err)
	}
	a.apiListener = netutil.LimitListener(a.apiListener, cfg.API.MaxConnections)
	if cfg.Ingest.Listen == "" {
		return nil
	}
	if a.ingestListener, err = net.Listen("tcp", cfg.Ingest.Listen); err != nil {
		return fmt.Errorf("ingest.listen: %w; set another address or stop what listens there", err)
	}
	return nil
}

func (a *App) openStore(cfg *config.Config) error {
	sc := cfg.Storage
	sc.Dir = a.dir.Path()
	var err error
	a.store, err = storage.Open(sc, a.log, a.set, a.now)
	return err
}

func (a *App) buildServers(cfg *config.Config) error {
	var err error
	if a.write, err = ingest.New(cfg.Ingest.Limits, writer{a.pipeline}, a.log, a.set); err != nil {
		return err
	}
	a.write.Admit = a.store.Admit
	sc := ingest.DefaultServerConfig()
	sc.ListenAddress = cfg.Ingest.Listen
	if a.ingestListener != nil {
		if a.ingest, err = ingest.NewServer(sc, cfg.Ingest.Limits.MaxBodyBytes, a.ingestHandler(), a.log); err != nil {
			return err
		}
	}
	am, err := amapi.New(amapi.Config{Prefix: "/alertmanager", Customer: a.customerOf}, a.router, a.log)
	if err != nil {
		return err
	}
	handler := api.New(api.Deps{
		Engine: a.queries, Store: a.store, Admin: a.store.Admin(), DataDir: cfg.DataDir,
		LookbackDelta: lookbackDelta, ListenAddress: a.apiListener.Addr().String(),
		Version: a.version, Started: a.started,
		Rules: rulesView{a}, Customers: a.knows, Metadata: metadataView{a}, Incidents: a.router.Incidents(), Acknowledge: a.acknowledge,
		Sources: func() any { return a.pipeline.Sources() }, Scraped: a.scrapes, Collectors: a.collectors, Report: a.report, RuleTools: NewRuleTools(a.store, a.rules, a.plainRules, a.engine, a.now), Coverage: a.coverage(),
		Write: a.write.HTTP(a.sender), Alertmanager: a.fromKnown(am), OutsideAlertmanagers: a.plain, Metrics: a.writeMetrics, Ready: a.readiness, Reload: a.Reload,
	}, a.set, a.log)
	a.http = &http.Server{
		Handler: a.gate(handler), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: readTimeout, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(a.log.Handler(), slog.LevelDebug),
	}
	return nil
}

// Run rebuilds the judging state, starts all parts and returns after they have
// stopped: nil after ctx ended, else what failed.
func (a *App) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return a.serveHTTP(ctx) }) // it says that we are starting
	a.log.Info("recovering: the last samples are judged again", "window", a.cfg.Rules.Engine.RecoverWindow.String())
	if err := a.recover(ctx); err != nil {
		g.Go(func() error { return err })
		return g.Wait()
	}
	if a.ingest != nil {
		g.Go(func() error { return a.ingest.Serve(ctx, a.ingestListener) })
	}
	g.Go(func() error { return a.router.Run(ctx) })
	g.Go(func() error { return a.jobs.Run(ctx) })
	g.Go(func() error { return a.budgets.Run(ctx, a.log) })
	g.Go(func() error { return a.scrapes.Run(ctx) })
	g.Go(func() error { return a.keepScraped(ctx) })
	g.Go(func() error { return a.sendOn.Run(ctx) })
	g.Go(func() error { return a.plain.Run(ctx) })
	g.Go(func() error { return a.keepTime(ctx) })
	g.Go(func() error { return a.keepCoverage(ctx) })
	g.Go(func() error { return a.keepJudging(ctx) })
	g.Go(func() error { return a.store.Run(ctx) })
	a.setReady(true)
	a.log.Info("watchkeeper is ready", "url", a.URL(), "data", a.dir.Path(), "rules", a.inForce().count())
	context.AfterFunc(ctx, func() { a.log.Info("stopping") })
	err := g.Wait()
	if saveErr := a.budgets.Save(); saveErr != nil {
		a.log.Warn("calls of the month not saved", "err", saveErr)
	}
	a.setReady(false)
	a.log.Info("stopped")
	if ctx.Err() != nil && (err == nil || errors.Is(err, context.Canceled)) {
		return nil
	}
	return err
}

// recover rebuilds the rule engine's state from the store and compares it with
// the incidents that stand, and with those of the time that is rebuilt, so that
// none is told again.
func (a *App) recover(ctx context.Context) error {
	now := a.now()
	since := now.Add(-time.Duration(a.cfg.Rules.Engine.RecoverWindow))
	known, err := knownAlerts(ctx, a.router.Incidents(), since)
	if err != nil {
		return err
	}
	if err := a.engine.Recover(ctx, now, known); err != nil {
		return err
	}
	plain, err := a.openPlain(ctx)
	if err != nil {
		return err
	}
	a.plain.Resume(plain)
	if err := a.saveRules(a.inForce()); err != nil {
		return fmt.Errorf("rules of the folder: %w", err)
	}
	return a.endRemoved(ctx, a.removal, a.engine.Alerts())
}

// knownAlerts lists the alerts whose incidents are open or changed since a time.
func knownAlerts(ctx context.Context, store *incident.Store, since time.Time) ([]ruleset.OpenAlert, error) {
	open, err := store.OpenIncidents(ctx)
	if err != nil {
		return nil, err
	}
	closed, err := store.ClosedSince(ctx, since)
	if err != nil {
		return nil, err
	}
	var out []ruleset.OpenAlert
	for _, i := range append(open, closed...) {
		if !judgedHere(&i) || !i.ClosedAt.IsZero() && i.Reason == ruleset.ReasonRemoved {
			continue // where the rule is back and the alert stands, it has to be told anew
		}
		a := ruleset.OpenAlert{
			RuleID: i.RuleID, Alert: i.Alert, Identity: i.Identity, Labels: i.Labels, State: ruleset.State(i.State),
			Opened: i.StartedAt.UnixMilli(), Check: i.LastCheck.UnixMilli(),
		}
		for _, s := range i.Samples {
			a.Series = append(a.Series, s.Labels)
		}
		out = append(out, a)
	}
	return out, nil
}

// keepTime moves engine time when no batch does: on the second, where the checks
// stand.
func (a *App) keepTime(ctx context.Context) error {
	second, err := alarm.New()
	if err != nil {
		return fmt.Errorf("engine time: %w", err)
	}
	defer second.Close()
	series := alertSeries{deliver: sink{a.pipeline}.Append}
	waits := lasting{log: a.log}
	for left := time.Duration(0); second.Wait(ctx, left); {
		now := a.now()
		err := a.pipeline.Tick(ctx, now)
		if ctx.Err() == nil {
			waits.tell(now, err)
		}
		if err == nil {
			a.relabel(ctx, now)
		}
		a.changeOverrides(ctx, now)
		if err := series.follow(ctx, a.engine, now); err != nil && ctx.Err() == nil {
			a.log.Warn("alerts are not written as series; judging goes on", "err", err)
		}
		left = now.Truncate(tick).Add(tick).Sub(now) - a.now().Sub(now) // also where the clock is stepped
	}
	return nil
}

// changeOverrides reloads when an override begins or ends. A reload that fails
// is tried again a minute later; until then the rules stay as they were.
func (a *App) changeOverrides(ctx context.Context, now time.Time) {
	a.mu.Lock()
	until := a.loaded.until
	due := !until.IsZero() && !now.Before(until)
	if due {
		a.loaded.until = now.Add(time.Minute)
	}
	a.mu.Unlock()
	if due {
		a.log.Info("an override begins or ends: the configuration is read again")
		_ = a.Reload(ctx) // it logs its error
	}
}

func (a *App) serveHTTP(ctx context.Context) error {
	failed := make(chan error, 1)
	go func() { failed <- a.http.Serve(a.apiListener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("api: %w", err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if err := a.http.Shutdown(stop); err != nil {
		return a.http.Close()
	}
	return nil
}

// Close gives back what New took. Call it after Run has returned.
func (a *App) Close() error {
	var errs []error
	closeListener := func(l net.Listener) {
		if l != nil {
			if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
				errs = append(errs, err)
			}
		}
	}
	closeListener(a.apiListener)
	closeListener(a.ingestListener)
	if a.scrapes != nil {
		errs = append(errs, a.scrapes.Apply(nil)) // of an App that never ran
	}
	if a.sendOn != nil {
		errs = append(errs, a.sendOn.Close())
	}
	if a.verdicts != nil {
		errs = append(errs, a.verdicts.Close())
	}
	if a.tracker != nil {
		errs = append(errs, a.tracker.Close())
	}
	if a.router != nil {
		errs = append(errs, a.router.Close())
	}
	if a.store != nil {
		errs = append(errs, a.store.Close())
	}
	if a.dir != nil {
		errs = append(errs, a.dir.Close())
	}
	a.set.UnregisterAllMetrics()
	return errors.Join(errs...)
}

// URL is the address of the API.
func (a *App) URL() string { return "http://" + a.apiListener.Addr().String() }

// IngestURL is the address for remote write; empty when the listener is off.
func (a *App) IngestURL() string {
	if a.ingestListener == nil {
		return ""
	}
	return "http://" + a.ingestListener.Addr().String() + ingest.Path
}

func (a *App) setReady(v bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ready = v
}

// readiness says why the server does not do all that it should.
func (a *App) readiness() error {
	if !a.isReady() {
		return errors.New("starting or stopping")
	}
	if err := a.store.Err(); err != nil {
		return err
	}
	if a.pipeline.full() {
		return errUnjudged
	}
	return nil
}

func (a *App) isReady() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.ready
}

func (a *App) writeMetrics(w io.Writer) {
	a.set.WritePrometheus(w)
	metrics.WriteProcessMetrics(w)
}

func countRules(groups []ruleset.Group) int {
	n := 0
	for _, g := range groups {
		n += len(g.Rules)
	}
	return n
}

// readSecret reads a token from a file or the environment.
func readSecret(file, env string) (string, error) {
	if file == "" {
		v := os.Getenv(env)
		if v == "" {
			return "", fmt.Errorf("environment variable %s is empty", env)
		}
		return v, nil
	}
	b, err := os.ReadFile(filepath.Clean(file))
	if err != nil {
		return "", err
	}
	return trimSecret(b), nil
}
