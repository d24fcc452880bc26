package exporters

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	"github.com/VictoriaMetrics/metrics"

	"watchkeeper/internal/sample"
)

// ErrStopped is returned by Apply after Run has ended: nothing will run.
var ErrStopped = errors.New("scheduler has stopped")

// Scheduler calls every collector at its own times. Each job has a goroutine of
// its own and each collection another, so that one that is slow, hangs or
// panics costs nobody else a check.
type Scheduler struct {
	sink    Sink
	set     *metrics.Set
	log     *slog.Logger
	applies chan apply    // to Run
	stopped chan struct{} // closed when Run has ended

	mu      sync.Mutex
	running bool                  // Run has begun
	initial map[sample.Source]Job // jobs applied before Run
	listed  []*loop               // those that run, for Status

	// The rest belongs to the goroutine of Run.
	loops map[sample.Source]*loop
	kinds map[string]*kindMetrics
}

// apply is a request to Run to change to these jobs.
type apply struct {
	jobs map[sample.Source]Job
	done chan struct{}
}

// NewScheduler returns a scheduler without jobs. The sink must allow concurrent
// calls.
func NewScheduler(sink Sink, set *metrics.Set, log *slog.Logger) *Scheduler {
	return &Scheduler{
		sink:    sink,
		set:     set,
		log:     log,
		applies: make(chan apply),
		stopped: make(chan struct{}),
		loops:   make(map[sample.Source]*loop),
		kinds:   make(map[string]*kindMetrics),
	}
}

// Apply makes jobs the set that runs, wholly or, with an error, not at all. Jobs
// that are unchanged (see Job.Revision) go on undisturbed; the others are
// stopped, and Apply returns after they have, before their successors start.
// Before Run it only notes them. A collector that does not stop within a moment
// of its context's end is left behind; its deliveries are refused.
func (s *Scheduler) Apply(jobs []Job) error {
	bySource, err := validateJobs(jobs)
	if err != nil {
		return err
	}
	s.mu.Lock()
	if !s.running {
		s.initial = bySource
		s.mu.Unlock()
		return nil
	}
	s.mu.Unlock()
	a := apply{jobs: bySource, done: make(chan struct{})}
	select {
	case s.applies <- a:
		<-a.done
		return nil
	case <-s.stopped:
		return ErrStopped
	}
}

// Run runs the jobs until ctx ends, stops them and returns nil. It is called once.
func (s *Scheduler) Run(ctx context.Context) error {
	defer close(s.stopped)
	s.mu.Lock()
	s.running = true
	jobs := s.initial
	s.initial = nil
	s.mu.Unlock()

	s.reconcile(ctx, jobs)
	defer s.reconcile(ctx, nil)
	for {
		select {
		case <-ctx.Done():
			return nil
		case a := <-s.applies:
			s.reconcile(ctx, a.jobs)
			close(a.done)
		}
	}
}

// reconcile stops what is not wanted, waits for it, and starts what is missing.
func (s *Scheduler) reconcile(ctx context.Context, jobs map[sample.Source]Job) {
	var ending []*loop
	for source, l := range s.loops {
		if job, ok := jobs[source]; !ok || !l.job.sameAs(job) {
			l.cancel()
			delete(s.loops, source)
			ending = append(ending, l)
		}
	}
	for _, l := range ending {
		<-l.done
		l.m.remove(l)
	}
	for source, job := range jobs {
		if _, ok := s.loops[source]; !ok {
			s.loops[source] = s.start(ctx, source, job)
		}
	}
	s.list()
}

func (s *Scheduler) start(ctx context.Context, source sample.Source, job Job) *loop {
	m, ok := s.kinds[job.Kind]
	if !ok {
		m = newKindMetrics(s.set, job.Kind)
		s.kinds[job.Kind] = m
	}
	ctx, cancel := context.WithCancel(ctx)
	l := &loop{
		job:    job,
		source: source,
		grid:   newGrid(source, job.Interval),
		sink:   s.sink,
		log:    s.log.With("collector", job.Kind, "customer", source.Customer, "source", source.Name),
		m:      m,
		cancel: cancel,
		done:   make(chan struct{}),
	}
	m.add(l)
	go l.run(ctx)
	return l
}
