package fileage

import (
	"fmt"
	"path/filepath"
	"time"
	"unicode/utf8"

	"github.com/prometheus/common/model"

	"watchkeeper/exporters"
)

const (
	maxNameBytes = 128
	maxSets      = 500
	maxMatches   = 100_000
)

// Config lists files of which a new one is expected again and again: backups,
// exports, reports.
type Config struct {
	// Interval between two checks. Default 1m.
	Interval model.Duration `yaml:"interval"`
	// Instance identifies the host in the series' label `instance`; the same as
	// the host's. Default: the host name.
	Instance string `yaml:"instance"`
	// Sets are what is declared. Default: none.
	Sets []Set `yaml:"sets"`
}

// Set declares files of which the newest counts.
type Set struct {
	// Name of the set; the label `files` of its series. Required, unique.
	Name string `yaml:"name"`
	// Path is a pattern of the files, for example /backup/orders-*.sql.gz. Required.
	Path string `yaml:"path"`
	// MinBytes is the size below which a file does not count: a backup that was
	// broken off. Default 1.
	MinBytes int64 `yaml:"min_bytes"`
	// Ignore is a pattern of names that do not count, for example those of files
	// that are being written (*.tmp). Default: none.
	Ignore string `yaml:"ignore"`
}

// DefaultConfig returns a configuration without sets.
func DefaultConfig() Config { return Config{Interval: model.Duration(time.Minute)} }

// SetDefaults fills in what the file leaves out.
func (s *Set) SetDefaults() { s.MinBytes = 1 }

// Validate names the first value that cannot be used.
func (c Config) Validate() error {
	if time.Duration(c.Interval) < exporters.MinInterval {
		return fmt.Errorf("interval: %s is shorter than %s", c.Interval, exporters.MinInterval)
	}
	if len(c.Sets) > maxSets {
		return fmt.Errorf("sets: more than %d", maxSets)
	}
	names := make(map[string]int)
	for i, s := range c.Sets {
		if err := s.validate(); err != nil {
			return fmt.Errorf("sets[%d].%w", i, err)
		}
		if j, ok := names[s.Name]; ok {
			return fmt.Errorf("sets[%d].name: %q is sets[%d] already", i, s.Name, j)
		}
		names[s.Name] = i
	}
	return nil
}

func (s Set) validate() error {
	if s.Name == "" || len(s.Name) > maxNameBytes || !utf8.ValidString(s.Name) {
		return fmt.Errorf("name: must be UTF-8 of 1 to %d bytes", maxNameBytes)
	}
	if _, err := filepath.Match(s.Path, ""); err != nil || s.Path == "" {
		return fmt.Errorf("path: %q is no pattern", s.Path)
	}
	if _, err := filepath.Match(s.Ignore, ""); err != nil {
		return fmt.Errorf("ignore: %q is no pattern", s.Ignore)
	}
	if s.MinBytes < 0 {
		return fmt.Errorf("min_bytes: %d is negative", s.MinBytes)
	}
	return nil
}

// ResolvePaths makes the files' paths relative to a folder.
func (c *Config) ResolvePaths(resolve func(string) string) {
	for i := range c.Sets {
		c.Sets[i].Path = resolve(c.Sets[i].Path)
	}
}
