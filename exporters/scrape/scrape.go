// Package scrape reads any exporter: scrape configurations in Prometheus's own
// format, run by Prometheus's own scrape manager with its relabelling and its
// static, file and HTTP discovery.
//
// What the scrape manager appends becomes batches. One scrape is one batch of
// one source, "scrape/<job>/<instance>": the samples, those about the scrape
// (up, scrape_duration_seconds …), and an up-sample that says whether anyone
// was looking. These things differ from what Prometheus stores:
//
//   - A failed scrape ends nothing. Prometheus marks every series stale then; a
//     rule would read that as an end. The markers are held back, and the first
//     good scrape tells which of the series are really gone.
//   - A target that discovery no longer names ends its series with a reason.
//   - A target with the label product, say host, gets the contract's metrics of
//     that product as well, computed from its own by aliases.yml, with the
//     scrape's timestamp and source: rules and coverage work on them unchanged.
//   - The label customer is ours: one that a target exposes is renamed
//     exported_customer.
package scrape

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"golang.org/x/sync/errgroup"

	"watchkeeper/exporters"
	"watchkeeper/internal/sample"
)

// Kind begins the names of sources that are scraped.
const Kind = "scrape"

// ReasonGone is why the series of a target ended that discovery no longer names.
const ReasonGone = "target removed"

// discoveryInterval is how often changes of discovered targets are taken over,
// Prometheus's own.
const discoveryInterval = 5 * time.Second

// startLimit bounds how many jobs are made ready at once: each looks up this
// host's name.
const startLimit = 16

// settle is how long after a job's start its targets must have been found;
// before that a source without a target is not taken to be gone.
const settle = 5 * time.Minute

// Manager runs the jobs of all customers.
type Manager struct {
	sink      exporters.Sink
	figures   *figures
	aliases   *translator
	discovery time.Duration // how often discovered targets are taken over
	log       *slog.Logger

	applying sync.Mutex // one Apply at a time; held across scrapes' ends, which is what it orders

	mu      sync.Mutex
	jobs    map[jobKey]*job
	running bool
}

type jobKey struct{ customer, name string }

// New returns a manager without jobs.
func New(sink exporters.Sink, set *metrics.Set, log *slog.Logger) *Manager {
	m := &Manager{sink: sink, aliases: newTranslator(Aliases()), discovery: discoveryInterval, log: log, jobs: map[jobKey]*job{}}
	m.figures = newFigures(set, m)
	return m
}

// Apply makes the jobs those that run: a job whose configuration is unchanged
// goes on undisturbed, a changed one keeps its targets' state, and one that is
// no longer there stops. With an error everything is as before. It returns when
// the scrapes of stopped jobs have ended.
func (m *Manager) Apply(jobs []Job) error {
	m.applying.Lock()
	defer m.applying.Unlock()
	old, running := m.current()
	next := make(map[jobKey]*job, len(jobs))
	var added, changed []*job
	changes := map[*job]Job{}
	for _, want := range jobs {
		key := jobKey{want.Customer, want.Name}
		if next[key] != nil {
			return fmt.Errorf("scrape job %q of customer %q is there twice", want.Name, want.Customer)
		}
		j := old[key]
		if j == nil {
			j = newJob(want, m)
			added = append(added, j)
		} else if j.revision() != want.revision {
			changes[j] = want
			changed = append(changed, j)
		}
		next[key] = j
	}
	if err := inParallel(added, func(j *job) error { return j.open(m.discovery) }); err != nil {
		return errors.Join(err, inParallel(added, (*job).stop))
	}
	before := map[*job]Job{}
	for _, j := range changed {
		before[j] = j.configured()
	}
	if err := inParallel(changed, func(j *job) error { return j.change(changes[j], running) }); err != nil {
		back := inParallel(changed, func(j *job) error { return j.change(before[j], running) })
		return errors.Join(err, back, inParallel(added, (*job).stop))
	}
	var removed []*job
	for key, j := range old {
		if next[key] == nil {
			removed = append(removed, j)
		}
	}
	if running {
		for _, j := range added {
			j.start()
		}
	}
	m.mu.Lock()
	m.jobs = next
	m.mu.Unlock()
	return inParallel(removed, (*job).stop)
}

func (m *Manager) current() (map[jobKey]*job, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.jobs, m.running
}

func inParallel(jobs []*job, f func(*job) error) error {
	var g errgroup.Group
	g.SetLimit(startLimit)
	for _, j := range jobs {
		g.Go(func() error { return f(j) })
	}
	return g.Wait()
}

// Run scrapes until ctx ends and returns when no scrape is under way any more.
// It runs once.
func (m *Manager) Run(ctx context.Context) error {
	m.applying.Lock()
	m.mu.Lock()
	m.running = true
	for _, j := range m.jobs {
		j.start()
	}
	m.mu.Unlock()
	m.applying.Unlock()
	<-ctx.Done()
	return m.Apply(nil)
}

// Gone tells whether a source that was scraped has no target any more although
// its job runs and has found its targets. It is the way to notice what was
// removed while this process did not run.
func (m *Manager) Gone(src sample.Source, now time.Time) bool {
	jobs, running := m.current()
	if !running {
		return false
	}
	for key, j := range jobs {
		if key.customer == src.Customer && strings.HasPrefix(src.Name, sourcePrefix(key.name)) {
			return j.gone(src, now)
		}
	}
	return false
}

// Configured returns a function that tells whether a source belongs to one of the jobs.
func Configured(jobs []Job) func(sample.Source) bool {
	return func(src sample.Source) bool {
		for _, j := range jobs {
			if j.Customer == src.Customer && strings.HasPrefix(src.Name, sourcePrefix(j.Name)) {
				return true
			}
		}
		return false
	}
}
