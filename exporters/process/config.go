package process

import (
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/grafana/regexp"
	"github.com/prometheus/common/model"

	"watchkeeper/exporters"
)

const (
	maxNameBytes = 128
	maxTargets   = 500
)

// Config lists the processes that are declared to run on this host.
type Config struct {
	// Interval between two checks. Default 1m, the contract's.
	Interval model.Duration `yaml:"interval"`
	// Instance identifies the host in the series' label `instance`; the same as
	// the host's. Default: the host name.
	Instance string `yaml:"instance"`
	// Processes are what is declared. Default: none.
	Processes []Target `yaml:"processes"`
}

// Target declares one process, or several that are alike. All conditions that
// are given must hold; at least one of command, cmdline and pid_file is given.
type Target struct {
	// Name of the declaration; the label `process` of its series. Required, unique.
	Name string `yaml:"name"`
	// Command is the program's name as the system has it (on Linux at most 15
	// bytes of it), for example nginx.
	Command string `yaml:"command"`
	// CommandLine is a regular expression (RE2) that the command line with its
	// arguments, joined by spaces, must contain.
	CommandLine string `yaml:"cmdline"`
	// PIDFile names the process by its pid file.
	PIDFile string `yaml:"pid_file"`
	// User is the name of the user that the process runs as; another user's
	// process does not count.
	User string `yaml:"user"`
	// Min is how many must run. Default 1.
	Min int `yaml:"min"`
	// Max is how many may run. Default 0: any number.
	Max int `yaml:"max"`
}

// DefaultConfig returns a configuration without declarations.
func DefaultConfig() Config { return Config{Interval: model.Duration(time.Minute)} }

// Validate names the first value that cannot be used.
func (c Config) Validate() error {
	if time.Duration(c.Interval) < exporters.MinInterval {
		return fmt.Errorf("interval: %s is shorter than %s", c.Interval, exporters.MinInterval)
	}
	if len(c.Processes) > maxTargets {
		return fmt.Errorf("processes: more than %d", maxTargets)
	}
	names := make(map[string]int)
	for i, t := range c.Processes {
		if err := t.validate(); err != nil {
			return fmt.Errorf("processes[%d].%w", i, err)
		}
		if j, ok := names[t.Name]; ok {
			return fmt.Errorf("processes[%d].name: %q is processes[%d] already", i, t.Name, j)
		}
		names[t.Name] = i
	}
	return nil
}

func (t Target) validate() error {
	if t.Name == "" || len(t.Name) > maxNameBytes || !utf8.ValidString(t.Name) {
		return fmt.Errorf("name: must be UTF-8 of 1 to %d bytes", maxNameBytes)
	}
	if t.Command == "" && t.CommandLine == "" && t.PIDFile == "" {
		return errors.New("command: one of command, cmdline and pid_file must be set")
	}
	if _, err := regexp.Compile(t.CommandLine); err != nil {
		return fmt.Errorf("cmdline: %w", err)
	}
	if t.Min < 0 {
		return fmt.Errorf("min: %d is negative", t.Min)
	}
	if t.Max != 0 && t.Max < t.min() {
		return fmt.Errorf("max: %d is less than min", t.Max)
	}
	return nil
}

func (t Target) min() int {
	if t.Min == 0 {
		return 1
	}
	return t.Min
}

// ResolvePaths makes the files' paths relative to a folder.
func (c *Config) ResolvePaths(resolve func(string) string) {
	for i := range c.Processes {
		c.Processes[i].PIDFile = resolve(c.Processes[i].PIDFile)
	}
}
