package exporters

import (
	"errors"
	"fmt"
	"regexp"
	"time"

	"watchkeeper/internal/sample"
)

// Bounds of a job's timing.
const (
	// MinInterval is the shortest interval between two checks of one collector.
	MinInterval = time.Second
	// MaxDefaultTimeout caps the time-out of a job that names none.
	MaxDefaultTimeout = 30 * time.Second
)

// Job is one collector and when it is called.
type Job struct {
	// Kind names the sort of collector in metrics and logs ("host", "probe",
	// "aliyun"); lower-case words of a closed set, never a customer's or host's name.
	Kind string
	// Collector is read at every check.
	Collector Collector
	// Interval between two checks; whole milliseconds, at least MinInterval.
	Interval time.Duration
	// Timeout of one collection; 0 means DefaultTimeout(Interval). It may exceed
	// Interval; the checks that pass meanwhile are skipped and counted.
	Timeout time.Duration
	// Revision changes whenever the collector's configuration does, for example
	// a hash of it; never empty. Apply keeps a running job, its collector and the state in it,
	// when source, kind, interval, time-out and revision are all unchanged.
	Revision string
}

// DefaultTimeout is the time-out of a job that names none: four fifths of the
// interval, so that a collection ends before the next one is due, and at most
// MaxDefaultTimeout.
func DefaultTimeout(interval time.Duration) time.Duration {
	return min(interval/5*4, MaxDefaultTimeout)
}

var kindPattern = regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`)

func (j Job) validate() error {
	switch {
	case !kindPattern.MatchString(j.Kind):
		return fmt.Errorf("kind %q: want lower-case letters, digits and _", j.Kind)
	case j.Collector == nil:
		return errors.New("no collector")
	case j.Interval < MinInterval || j.Interval%time.Millisecond != 0:
		return fmt.Errorf("interval %s: want whole milliseconds, at least %s", j.Interval, MinInterval)
	case j.Timeout < 0:
		return fmt.Errorf("timeout %s: negative", j.Timeout)
	case j.Revision == "":
		return errors.New("no revision: a changed configuration would not be noticed")
	}
	if s := j.Collector.Source(); s.Customer == "" || s.Name == "" {
		return fmt.Errorf("source %q of customer %q: both must be set", s.Name, s.Customer)
	}
	return nil
}

func (j Job) timeout() time.Duration {
	if j.Timeout > 0 {
		return j.Timeout
	}
	return DefaultTimeout(j.Interval)
}

// sameAs reports whether a running job may stand for the wanted one. Collectors
// themselves are not compared: a reload builds new ones.
func (j Job) sameAs(other Job) bool {
	j.Collector, other.Collector = nil, nil
	return j == other
}

// validateJobs checks all jobs and keys them by source.
func validateJobs(jobs []Job) (map[sample.Source]Job, error) {
	bySource := make(map[sample.Source]Job, len(jobs))
	for i, j := range jobs {
		if err := j.validate(); err != nil {
			return nil, fmt.Errorf("jobs[%d]: %w", i, err)
		}
		source := j.Collector.Source()
		if _, ok := bySource[source]; ok {
			return nil, fmt.Errorf("jobs[%d]: source %q of customer %q is there twice", i, source.Name, source.Customer)
		}
		bySource[source] = j
	}
	return bySource, nil
}
