package exporters

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"watchkeeper/internal/sample"
)

// Status is a job and what became of its last check.
type Status struct {
	Kind              string
	Source            sample.Source
	Interval, Timeout time.Duration
	// At is the time of the last check; zero before the first.
	At time.Time
	// Duration is how long it took.
	Duration time.Duration
	// Err is why it failed; nil when it did not.
	Err error
}

// errHung is the failure of a check whose collector has not returned in time, and
// of those that pass until it does.
var errHung = errors.New("abandoned after its time-out")

// lastCheck is what a loop tells of its last check.
type lastCheck struct {
	mu       sync.Mutex
	at       time.Time
	duration time.Duration
	err      error
}

func (c *lastCheck) set(at time.Time, duration time.Duration, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at, c.duration, c.err = at, duration, err
}

func (l *loop) status() Status {
	l.outcome.mu.Lock()
	defer l.outcome.mu.Unlock()
	return Status{
		Kind: l.job.Kind, Source: l.source, Interval: l.job.Interval, Timeout: l.job.timeout(),
		At: l.outcome.at, Duration: l.outcome.duration, Err: l.outcome.err,
	}
}

// Status lists the jobs that run, by customer and name of their sources.
func (s *Scheduler) Status() []Status {
	s.mu.Lock()
	loops := s.listed
	s.mu.Unlock()
	out := make([]Status, 0, len(loops))
	for _, l := range loops {
		out = append(out, l.status())
	}
	return out
}

// list notes which loops run, for Status.
func (s *Scheduler) list() {
	loops := slices.SortedFunc(maps.Values(s.loops), func(a, b *loop) int {
		return strings.Compare(a.source.Customer+"\x00"+a.source.Name, b.source.Customer+"\x00"+b.source.Name)
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listed = loops
}
