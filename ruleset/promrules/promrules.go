// Package promrules runs plain Prometheus rule groups with Prometheus's own
// meaning, by Prometheus's own rules package: for, keep_firing_for, recording
// rules, limit, query_offset, staleness, ALERTS and ALERTS_FOR_STATE, restoring
// after a restart. What it adds is the way in and out: rules write through an
// Appender, every result belongs to a customer, alerts go to a NotifyFunc and
// to outside Alertmanagers.
//
// Call New, then Update with the rule files, then Run. Rule groups whose rules
// count checks (field consecutive) are passed over: they are package ruleset's.
package promrules

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	promconfig "github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/discovery/targetgroup"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/notifier"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/storage"
)

// defaultGrace bounds how long evaluations under way and unsent notifications
// may each hold up the end of Run, and unsent notifications a change of
// Alertmanagers.
const defaultGrace = 5 * time.Second

// ErrStopped says that Run has returned or is about to.
var ErrStopped = errors.New("plain rules: stopped")

// Runner runs plain rule groups. Its methods are safe for concurrent use; Run
// is called once.
type Runner struct {
	log      *slog.Logger
	manager  *rules.Manager
	notifier *notifier.Manager
	sender   *sender
	notices  *notices
	loader   *loader
	metrics  *runnerMetrics
	targets  chan map[string][]*targetgroup.Group
	grace    time.Duration

	// cancel ends evaluations that are under way. They run under a context of
	// their own, so that Run can let them finish.
	cancel context.CancelFunc

	// mu is held while a world is swapped, which waits for evaluations under
	// way: one swap at a time is what it is for.
	mu    sync.Mutex
	state runState
	world *world
}

type runState int

const (
	stateNew runState = iota
	stateRunning
	stateStopped
)

// world is everything that Update replaces.
type world struct {
	cfg      Config
	groups   map[string]*rulefmt.RuleGroups
	ids      *identities
	alerting *promconfig.Config
}

func newWorld(cfg Config, files []File) (*world, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	alerting, err := cfg.alerting()
	if err != nil {
		return nil, err
	}
	groups, err := parseFiles(files)
	if err != nil {
		return nil, err
	}
	return &world{cfg: cfg, groups: groups, ids: newIdentities(files, inOrder(files, groups)), alerting: alerting}, nil
}

// Check says whether Update would take cfg and files; it starts nothing.
func Check(cfg Config, files []File) error {
	_, err := newWorld(cfg, files)
	return err
}

// New makes a Runner without rules. It starts nothing.
//
// engine and q evaluate expressions and restore pending alerts; to takes what
// rules write and must show it to q at once; notify may be nil.
func New(cfg Config, engine promql.QueryEngine, q storage.Queryable, to Appender, notify NotifyFunc, set *metrics.Set, log *slog.Logger) (*Runner, error) {
	w, err := newWorld(cfg, nil)
	if err != nil {
		return nil, fmt.Errorf("plain rules: %w", err)
	}
	external, err := url.Parse(cfg.ExternalURL)
	if err != nil {
		return nil, fmt.Errorf("plain rules: external_url: %w", err)
	}
	// The libraries' own metrics; runnerMetrics shows what matters of them.
	reg := prometheus.NewRegistry()
	m := newMetrics(set, reg)
	ctx, cancel := context.WithCancel(context.Background())
	r := &Runner{
		log: log, world: w, metrics: m, cancel: cancel, loader: &loader{}, sender: newSender(m),
		notices: newNotices(notify, cfg.DefaultCustomer, m, log),
		targets: make(chan map[string][]*targetgroup.Group), grace: defaultGrace,
	}
	r.notifier = notifier.NewManager(&notifier.Options{
		QueueCapacity: cfg.AlertQueueCapacity, DrainOnShutdown: true, Do: r.sender.do, Registerer: reg,
	}, model.UTF8Validation, log)
	outside := rules.SendAlerts(r.notifier, cfg.ExternalURL)
	r.manager = rules.NewManager(&rules.ManagerOptions{
		ExternalURL: external,
		QueryFunc:   withCustomer(rules.EngineQueryFunc(engine, q), cfg.DefaultCustomer),
		NotifyFunc: func(ctx context.Context, expr string, alerts ...*rules.Alert) {
			outside(ctx, expr, alerts...)
			r.notices.tell(ctx, expr, alerts)
		},
		Context:         ctx,
		Appendable:      &appendable{to: to, customer: cfg.DefaultCustomer, newest: newNewest(), metrics: m, log: log},
		Queryable:       q,
		Logger:          log,
		Registerer:      reg,
		OutageTolerance: time.Duration(cfg.ForOutageTolerance),
		ForGracePeriod:  time.Duration(cfg.ForGracePeriod),
		ResendDelay:     time.Duration(cfg.ResendDelay),
		GroupLoader:     r.loader,
		Parser:          promParser,
	})
	return r, nil
}

// withCustomer gives every result a customer. It is done here and not when
// samples are written, so that an alert has the same labels in memory, in
// ALERTS_FOR_STATE, from which it is restored, and in notifications.
func withCustomer(query rules.QueryFunc, customer string) rules.QueryFunc {
	return func(ctx context.Context, expr string, t time.Time) (promql.Vector, error) {
		v, err := query(ctx, expr, t)
		if err != nil {
			return nil, err
		}
		b := labels.NewBuilder(labels.EmptyLabels())
		for i := range v {
			if v[i].Metric.Get(customerLabel) != "" {
				continue
			}
			b.Reset(v[i].Metric)
			v[i].Metric = b.Set(customerLabel, customer).Labels()
		}
		return v, nil
	}
}

// Resume takes over alerts that were told as firing before a restart and not
// closed since, with Labels, Identity, Group, Name, RuleID, Customer and ValidUntil. Those
// that do not fire again are told as resolved when they run out, those without
// a rule as ended. It is called before Run.
func (r *Runner) Resume(alerts []Alert) { r.notices.resume(alerts) }

// Update replaces rules and Alertmanagers: fully, or with an error not at all.
// Rule groups that stay as they are keep their state, as do the alerts of rules
// that keep name and labels in a rule group that keeps file and name. Alerts
// that were told as firing and have no rule any more are told as ended. Before
// Run, the last Update counts. It waits for evaluations of changed rule groups.
func (r *Runner) Update(cfg Config, files []File) error {
	w, err := newWorld(cfg, files)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.world.cfg.restart(cfg); err != nil {
		return err
	}
	switch r.state {
	case stateStopped:
		return ErrStopped
	case stateRunning:
		if err := r.swap(w); err != nil {
			return err
		}
	}
	r.world = w
	return nil
}

// swap puts w into force. Everything that can be refused was tried before; what
// is refused all the same leaves the old world in force. The caller holds mu.
func (r *Runner) swap(w *world) error {
	if err := r.applyAlerting(w.alerting); err != nil {
		return errors.Join(fmt.Errorf("alerting: %w", err), r.applyAlerting(r.world.alerting))
	}
	r.loader.set(w.groups)
	r.notices.ids.Store(w.ids)
	names := slices.Sorted(maps.Keys(w.groups))
	interval := time.Duration(w.cfg.EvaluationInterval)
	if err := r.manager.Update(interval, names, w.cfg.externalLabels(), w.cfg.ExternalURL, r.evaluate); err != nil {
		r.loader.set(r.world.groups)
		r.notices.ids.Store(r.world.ids)
		return errors.Join(fmt.Errorf("rules: %w", err), r.applyAlerting(r.world.alerting))
	}
	ctx, cancel := context.WithTimeout(context.Background(), r.grace)
	defer cancel()
	r.notices.retire(ctx, time.Now(), r.manager.RuleGroups())
	return nil
}

// applyAlerting hands the Alertmanagers to the running notifier. Those that are
// gone are sent what waits for them, for as long as grace.
func (r *Runner) applyAlerting(conf *promconfig.Config) error {
	release := r.sender.bound(r.grace)
	defer release()
	if err := r.notifier.ApplyConfig(conf); err != nil {
		return err
	}
	r.targets <- targets(conf)
	return nil
}

// evaluate runs one evaluation of a rule group.
func (r *Runner) evaluate(ctx context.Context, g *rules.Group, ts time.Time) {
	rules.DefaultEvalIterationFunc(ctx, g, ts)
	r.metrics.evaluations.Inc()
	r.metrics.duration.Update(g.GetEvaluationTime().Seconds())
	r.notices.evaluated(ctx, g, ts)
}

// Run evaluates the rule groups at their intervals until ctx ends.
func (r *Runner) Run(ctx context.Context) error {
	defer r.cancel()
	var wg sync.WaitGroup
	wg.Go(func() { r.notifier.Run(r.targets) })
	wg.Go(r.manager.Run)
	r.mu.Lock()
	err := r.swap(r.world)
	r.state = stateRunning
	r.mu.Unlock()
	if err == nil {
		<-ctx.Done()
	}
	// An Update under way waits for evaluations too.
	hurry := time.AfterFunc(r.grace, r.cancel)
	r.mu.Lock()
	r.state = stateStopped
	r.mu.Unlock()
	// First the rules, so that their last word can still be sent.
	r.manager.Stop()
	hurry.Stop()
	r.cancel()
	r.sender.bound(r.grace)
	r.notifier.Stop()
	wg.Wait()
	r.sender.close()
	if err != nil {
		return fmt.Errorf("plain rules: %w", err)
	}
	return nil
}

// RuleID is the id of a rule of a rule group that is run.
func (r *Runner) RuleID(file, group, rule string) string {
	return r.notices.ids.Load().ruleID(place{file, group, rule})
}

// Groups returns the rule groups that are run, by file and name, with their
// rules, alerts and health. There are none before Run.
func (r *Runner) Groups() []*rules.Group { return r.manager.RuleGroups() }

// Alertmanagers returns the addresses that notifications are posted to.
func (r *Runner) Alertmanagers() []*url.URL { return r.notifier.Alertmanagers() }

// DroppedAlertmanagers returns the addresses that relabelling took out.
func (r *Runner) DroppedAlertmanagers() []*url.URL { return r.notifier.DroppedAlertmanagers() }
