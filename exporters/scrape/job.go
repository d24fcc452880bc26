package scrape

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/discovery"
	"github.com/prometheus/prometheus/discovery/targetgroup"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/scrape"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/logging"

	"watchkeeper/exporters"
	"watchkeeper/internal/sample"
)

// job is one scrape configuration of one customer with Prometheus's managers
// of its own, so that nothing disturbs it but a change of its own configuration.
type job struct {
	customer, name string
	sink           exporters.Sink
	figures        *figures
	aliases        *translator
	log            *slog.Logger

	ctx     context.Context    // of discovery
	cancel  context.CancelFunc // ends it
	found   *discovery.Manager
	scrapes *scrape.Manager
	phaser  phaser
	running sync.WaitGroup

	mu      sync.Mutex
	cfg     Job
	opened  bool
	started time.Time // zero before start
	targets map[string]*target
	lastRef storage.SeriesRef
}

func newJob(cfg Job, m *Manager) *job {
	return &job{
		customer: cfg.Customer, name: cfg.Name, sink: m.sink, figures: m.figures, aliases: m.aliases, cfg: cfg,
		log: m.log.With("customer", cfg.Customer, "job", cfg.Name), targets: map[string]*target{},
	}
}

func (j *job) configured() Job {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.cfg
}

func (j *job) revision() string { return j.configured().revision }

// open makes Prometheus's managers and gives them the configuration; nothing
// runs yet. Their own metrics stay private: each job would need names of its own.
func (j *job) open(interval time.Duration) error {
	j.ctx, j.cancel = context.WithCancel(context.Background())
	registry := prometheus.NewRegistry()
	sd, err := discovery.CreateAndRegisterSDMetrics(registry)
	if err != nil {
		return fmt.Errorf("scrape job %q: discovery: %w", j.name, err)
	}
	if j.found = discovery.NewManager(j.ctx, j.log, registry, sd, discovery.Updatert(interval)); j.found == nil {
		return fmt.Errorf("scrape job %q: discovery: not to be made; see the log", j.name)
	}
	opts := &scrape.Options{
		PassMetadataInContext:    true, // the appender learns its target
		DiscoveryReloadInterval:  model.Duration(interval),
		DiscoveryReloadOnStartup: true,
	}
	if j.scrapes, err = scrape.NewManager(opts, j.log, logging.NewJSONFileLogger, nil, j, registry); err != nil {
		return fmt.Errorf("scrape job %q: %w", j.name, err)
	}
	if j.phaser, err = newPhaser(); err != nil {
		return fmt.Errorf("scrape job %q: %w", j.name, err)
	}
	j.opened = true
	if err := j.scrapes.ApplyConfig(j.cfg.config); err != nil {
		return fmt.Errorf("scrape job %q: %w", j.name, err)
	}
	return nil
}

// start begins to discover and scrape.
func (j *job) start() {
	j.mu.Lock()
	j.started = time.Now()
	j.mu.Unlock()
	j.discover(j.configured())
	j.running.Go(func() { _ = j.found.Run() }) // it returns the cause of its end, ours
	placed := make(chan map[string][]*targetgroup.Group)
	j.running.Go(func() { j.place(placed) })
	j.running.Go(func() { _ = j.scrapes.Run(placed) })
}

// place passes on what discovery finds, each target at a good phase, until
// discovery ends.
func (j *job) place(to chan<- map[string][]*targetgroup.Group) {
	defer close(to)
	for {
		select {
		case <-j.ctx.Done():
			return
		case sets, ok := <-j.found.SyncCh():
			if !ok {
				return
			}
			select {
			case to <- j.phaser.place(j.configured().config.ScrapeConfigs[0], sets):
			case <-j.ctx.Done():
				return
			}
		}
	}
}

func (j *job) discover(cfg Job) {
	// The discoverers were tried when the configuration was read.
	_ = j.found.ApplyConfig(map[string]discovery.Configs{j.name: cfg.config.ScrapeConfigs[0].ServiceDiscoveryConfigs})
}

// change gives a job another configuration. Targets that stay keep their
// series' state.
func (j *job) change(to Job, running bool) error {
	if err := j.scrapes.ApplyConfig(to.config); err != nil {
		return fmt.Errorf("scrape job %q: %w", j.name, err)
	}
	j.mu.Lock()
	j.cfg = to
	j.mu.Unlock()
	if running {
		j.discover(to)
	}
	return nil
}

// stop ends discovery and scrapes and returns when the last scrape has ended.
func (j *job) stop() error {
	if j.cancel != nil {
		j.cancel()
	}
	if !j.opened {
		return nil
	}
	// Without a configuration a discovery that is being taken over right now
	// cannot bring the job back to life.
	err := j.scrapes.ApplyConfig(nothing())
	j.scrapes.Stop()
	j.running.Wait()
	if err != nil {
		return fmt.Errorf("scrape job %q: stop: %w", j.name, err)
	}
	return nil
}

// AppenderV2 implements storage.AppendableV2 for the scrape manager: one
// appender for each scrape.
func (j *job) AppenderV2(ctx context.Context) storage.AppenderV2 {
	scraped, ok := scrape.TargetFromContext(ctx)
	if !ok {
		panic("BUG: the scrape manager does not tell the target")
	}
	a := &appender{ctx: ctx, job: j, scraped: scraped, target: j.target(sourceOf(j.customer, j.name, scraped))}
	id := labels.NewBuilder(labels.EmptyLabels())
	scraped.LabelsRange(func(l labels.Label) {
		if slices.Contains(identity, l.Name) {
			id.Set(l.Name, l.Value)
		}
	})
	a.id = id.Labels()
	return a
}

// target returns the state of a source; the same for all scrape loops that
// read it one after another.
func (j *job) target(src sample.Source) *target {
	j.mu.Lock()
	defer j.mu.Unlock()
	t := j.targets[src.Name]
	if t == nil {
		t = newTarget(src)
		j.targets[src.Name] = t
	}
	return t
}

func (j *job) forget(src sample.Source) {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.targets, src.Name)
}

// known counts the targets that were scraped.
func (j *job) known() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.targets)
}

// ref returns a number that no series of the job has had.
func (j *job) ref() storage.SeriesRef {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lastRef++
	return j.lastRef
}

// active lists the sources of the targets that are scraped now.
func (j *job) active() map[string]bool {
	out := map[string]bool{}
	if j.scrapes == nil {
		return out
	}
	for _, targets := range j.scrapes.TargetsActive() {
		for _, t := range targets {
			out[sourceOf(j.customer, j.name, t).Name] = true
		}
	}
	return out
}

// gone tells whether a source of the job has no target any more.
func (j *job) gone(src sample.Source, now time.Time) bool {
	j.mu.Lock()
	known, started := j.targets[src.Name] != nil, j.started
	interval := time.Duration(j.cfg.config.ScrapeConfigs[0].ScrapeInterval)
	j.mu.Unlock()
	if known || started.IsZero() || now.Sub(started) < max(settle, 3*interval) {
		return false
	}
	active := j.active()
	// A job that has found nothing may have a discovery that does not answer.
	return len(active) > 0 && !active[src.Name]
}

// sourceOf names the source of a target: job, instance, and whatever else tells
// it from others of the same instance.
func sourceOf(customer, jobName string, t *scrape.Target) sample.Source {
	instance, rest := "", labels.NewBuilder(labels.EmptyLabels())
	t.LabelsRange(func(l labels.Label) {
		switch l.Name {
		case model.InstanceLabel:
			instance = l.Value
		case model.JobLabel, customerLabel:
		default:
			rest.Set(l.Name, l.Value)
		}
	})
	name := sourcePrefix(jobName) + instance
	if more := rest.Labels(); !more.IsEmpty() {
		name += more.String()
	}
	return sample.Source{Customer: customer, Name: bounded(name)}
}
