package heartbeat

import (
	"fmt"
	"time"

	"github.com/grafana/regexp"
	"github.com/prometheus/common/model"

	"watchkeeper/exporters"
)

// maxJobs bounds the heartbeats of one customer.
const maxJobs = 2000

// Config lists the jobs that report when they are done.
type Config struct {
	// CheckInterval is how often lateness is looked at. Default 1m.
	CheckInterval model.Duration `yaml:"check_interval"`
	// Jobs are what is declared. Default: none.
	Jobs []Job `yaml:"jobs"`
}

// Job declares one heartbeat: POST or GET /heartbeat/NAME on the ingest listener.
type Job struct {
	// Name of the heartbeat: letters, digits, '.', '_' and '-'; the label
	// `heartbeat` of its series. Required, unique.
	Name string `yaml:"name"`
	// Interval in which a success is expected, from one to the next. Required.
	Interval model.Duration `yaml:"interval"`
	// Grace is how much later it may come before it is late. Default 5m.
	Grace model.Duration `yaml:"grace"`
	// Instance is the host or database that the job is about, for the label
	// `instance`. Default: the name.
	Instance string `yaml:"instance"`
}

// DefaultConfig returns a configuration without jobs.
func DefaultConfig() Config { return Config{CheckInterval: model.Duration(time.Minute)} }

// SetDefaults fills in what the file leaves out.
func (j *Job) SetDefaults() { j.Grace = model.Duration(5 * time.Minute) }

var namePattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

// Validate names the first value that cannot be used.
func (c Config) Validate() error {
	if time.Duration(c.CheckInterval) < exporters.MinInterval {
		return fmt.Errorf("check_interval: %s is shorter than %s", c.CheckInterval, exporters.MinInterval)
	}
	if len(c.Jobs) > maxJobs {
		return fmt.Errorf("jobs: more than %d", maxJobs)
	}
	names := make(map[string]int)
	for i, j := range c.Jobs {
		switch {
		case !namePattern.MatchString(j.Name):
			return fmt.Errorf("jobs[%d].name: %q: want letters, digits, '.', '_' and '-'", i, j.Name)
		case j.Interval <= 0:
			return fmt.Errorf("jobs[%d].interval: must be more than 0", i)
		case j.Grace < 0:
			return fmt.Errorf("jobs[%d].grace: is negative", i)
		}
		if k, ok := names[j.Name]; ok {
			return fmt.Errorf("jobs[%d].name: %q is jobs[%d] already", i, j.Name, k)
		}
		names[j.Name] = i
	}
	return nil
}

// Names lists the declared heartbeats.
func (c Config) Names() []string {
	var names []string
	for _, j := range c.Jobs {
		names = append(names, j.Name)
	}
	return names
}

func (j Job) instance() string {
	if j.Instance == "" {
		return j.Name
	}
	return j.Instance
}
