// Package fleet collects from a cloud what it tells of one resource at a time
// only: the resources are listed at each check, and each is read by calls of its
// own and is a source of its own (SOURCE/ID), so that what fails for one says
// nothing of the others.
//
// Points keep their own timestamps. Each read looks back over the overlap for
// points that came late; what was delivered before is left out. A resource's
// cursor moves when the sink has acknowledged. Windows are bounded, since the
// provider answers wide ones with coarser points.
package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"golang.org/x/sync/errgroup"

	"watchkeeper/exporters"
	"watchkeeper/internal/sample"
)

const (
	// readers is how many resources are read at once; the account's budget of
	// calls per second bounds them further.
	readers = 8
	// declareReserve of a collection's time is kept for telling of failures.
	declareReserve = 5 * time.Second
	// absentLifetime is how long a resource is read that lists no longer show.
	absentLifetime = 24 * time.Hour
)

// reasonDeleted is why the series of a resource ended.
const reasonDeleted = "deleted"

// ErrGone is returned by Read when the provider knows no such resource. It ends
// the resource's series if the list has lost it, too.
var ErrGone = errors.New("no such resource")

// Resource is one of those that are listed.
type Resource struct {
	ID   string
	Kind string // the reader's own word for what the resource can tell
}

// Reader calls the cloud.
type Reader interface {
	// List returns the resources that there are now.
	List(ctx context.Context) ([]Resource, error)
	// Read returns the points of (from, to] of a resource, in any order. More than
	// that is dropped. Several goroutines call it at once.
	Read(ctx context.Context, r Resource, from, to time.Time) ([]sample.Sample, error)
}

// Resume tells up to which time a source was read in an earlier run.
type Resume func(ctx context.Context, source sample.Source) (end time.Time, known bool, err error)

// Config says how resources are read.
type Config struct {
	// Source is that of the list; a resource's adds its id.
	Source sample.Source
	// Labels begin the labels of the own metrics, {customer="…",… without the end.
	Labels string
	// Step is what windows' ends are multiples of: a minute, or the provider's slot.
	Step time.Duration
	// Delay is how long after its time a point is there; nothing newer is asked for.
	// Zero: points come soon, and the source delivers currently.
	Delay time.Duration
	// Overlap is how far each read looks back for late points.
	Overlap time.Duration
	// Chunk bounds a window, the overlap included. It is at least the overlap and
	// a step.
	Chunk time.Duration
	// FillIn is how much history is read at the first contact.
	FillIn time.Duration
	// CatchUp bounds how far back a read reaches after an outage.
	CatchUp time.Duration
}

// Collector reads all resources of one kind. It is an exporters.Collector.
type Collector struct {
	cfg    Config
	reader Reader
	resume Resume
	counts counts
	log    *slog.Logger

	// The rest is of one collection at a time.
	resources map[string]*resource
}

var _ exporters.Collector = (*Collector)(nil)

// New makes a collector; it calls nothing.
func New(cfg Config, reader Reader, resume Resume, set *metrics.Set, log *slog.Logger) *Collector {
	cfg.Chunk = max(cfg.Chunk, cfg.Overlap+cfg.Step)
	return &Collector{
		cfg: cfg, reader: reader, resume: resume, counts: newCounts(set, cfg.Labels),
		log: log.With("source", cfg.Source.Name), resources: map[string]*resource{},
	}
}

// Source names the list; it has no series.
func (c *Collector) Source() sample.Source { return c.cfg.Source }

// Collect lists the resources and reads each. An error means that the list or
// at least one resource could not be read; the others were delivered.
func (c *Collector) Collect(ctx context.Context, at time.Time, sink exporters.Sink) error {
	work, cancel := reserve(ctx, declareReserve)
	defer cancel()
	listErr := c.list(work, at)
	if listErr != nil && len(c.resources) == 0 {
		return listErr
	}
	failed := c.readAll(ctx, work, at, sink)
	err := errors.Join(listErr, failed.err(len(c.resources)))
	for id, r := range c.resources {
		if r.gone || !r.absent.IsZero() && at.Sub(r.absent) > absentLifetime {
			delete(c.resources, id)
		}
	}
	if listErr == nil && ctx.Err() == nil {
		up := sample.Batch{Source: c.cfg.Source, Ups: []sample.Up{{T: at.UnixMilli(), OK: true}}, Watermark: sample.Current}
		if appendErr := sink.Append(ctx, up); appendErr != nil {
			err = errors.Join(err, fmt.Errorf("deliver: %w", appendErr))
		}
	}
	return err
}

// list brings the known resources up to date. An empty answer may be a missing
// permission: it makes nobody absent.
func (c *Collector) list(ctx context.Context, at time.Time) error {
	listed, err := c.reader.List(ctx)
	if err != nil {
		return fmt.Errorf("list: %w", err)
	}
	seen := map[string]bool{}
	for _, l := range listed {
		seen[l.ID] = true
		r := c.resources[l.ID]
		if r == nil {
			r = &resource{source: c.sourceOf(l.ID), series: map[string]*series{}}
			c.resources[l.ID] = r
		}
		r.Resource, r.absent = l, time.Time{}
	}
	for id, r := range c.resources {
		if len(listed) > 0 && !seen[id] && r.absent.IsZero() {
			r.absent = at
		}
	}
	return nil
}

func (c *Collector) sourceOf(id string) sample.Source {
	return sample.Source{Customer: c.cfg.Source.Customer, Name: c.cfg.Source.Name + "/" + id}
}

// failures are those of one collection.
type failures struct {
	mu    sync.Mutex
	n     int
	first error
}

func (f *failures) add(id string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.n++; f.first == nil {
		f.first = fmt.Errorf("%s: %w", id, err)
	}
}

func (f *failures) err(of int) error {
	if f.n == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d resources not read, first %w", f.n, of, f.first)
}

// readAll reads the resources, those first that were read longest ago.
func (c *Collector) readAll(ctx, work context.Context, at time.Time, sink exporters.Sink) *failures {
	order := make([]*resource, 0, len(c.resources))
	for _, r := range c.resources {
		order = append(order, r)
	}
	slices.SortFunc(order, func(a, b *resource) int {
		return cmp.Or(a.complete.Compare(b.complete), cmp.Compare(a.ID, b.ID))
	})
	var failed failures
	var g errgroup.Group
	g.SetLimit(readers)
	for _, r := range order {
		g.Go(func() error {
			c.counts.reads.Inc()
			if err := c.one(ctx, work, r, at, sink); err != nil {
				c.counts.failures.Inc()
				failed.add(r.ID, err)
			}
			return nil
		})
	}
	_ = g.Wait() // never an error: they are in failed
	return &failed
}

// reserve ends the context early enough to leave d for what follows; a quarter
// of the time when there is little.
func reserve(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, deadline.Add(-min(d, time.Until(deadline)/4)))
}
