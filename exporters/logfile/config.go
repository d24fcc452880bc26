package logfile

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"
	"unicode/utf8"

	"github.com/grafana/regexp"
	"github.com/prometheus/common/model"

	"watchkeeper/exporters"
)

const (
	maxNameBytes = 128
	maxLogs      = 200
	maxPatterns  = 50
	maxSeries    = 10_000
	maxLineBytes = 1 << 20
)

// Config lists the log files of this host that are followed.
type Config struct {
	// Interval between two checks. Default 1m.
	Interval model.Duration `yaml:"interval"`
	// Instance identifies the host in the series' label `instance`; the same as
	// the host's. Default: the host name.
	Instance string `yaml:"instance"`
	// Files are the declared logs. Default: none.
	Files []Log `yaml:"files"`
}

// Log declares one log: the file that is written, and where it goes when it is rotated.
type Log struct {
	// Name of the log; the label `log` of its series. Required, unique.
	Name string `yaml:"name"`
	// Path of the file that is written; a pattern where there are several
	// (/srv/*/error.log). Required.
	Path string `yaml:"path"`
	// Rotated are patterns of the files that rotation makes of it; compressed ones
	// are passed over. Default: path with ".*" and with "-*" appended.
	Rotated []string `yaml:"rotated"`
	// Start says where a log that was never followed is begun: end or begin. Default end.
	Start string `yaml:"start"`
	// Patterns are what is counted. At least one.
	Patterns []Pattern `yaml:"patterns"`
	// MaxLineBytes bounds the part of a line that patterns see; the rest of the
	// line is passed over. Default 16384.
	MaxLineBytes int `yaml:"max_line_bytes"`
	// MaxBytesPerCheck bounds what is read at one check; the rest is read at the
	// next ones. Default 67108864 (64 MiB).
	MaxBytesPerCheck int64 `yaml:"max_bytes_per_check"`
}

// Pattern is what is counted in the lines of a log.
type Pattern struct {
	// Name of the pattern; the label `pattern` of its series. Required, unique in its log.
	Name string `yaml:"name"`
	// Match is the regular expression (RE2) that a counted line contains. Its named
	// groups become labels. Required.
	Match string `yaml:"match"`
	// Ignore is a regular expression; lines that contain it are not counted. Default: none.
	Ignore string `yaml:"ignore"`
	// MaxSeries bounds the combinations of the groups' values; lines beyond are counted
	// together, with "_other_" as the value of each group. Default 100.
	MaxSeries int `yaml:"max_series"`
}

// Where a log that was never followed begins.
const (
	startEnd   = "end"
	startBegin = "begin"
)

// DefaultConfig returns a configuration without logs.
func DefaultConfig() Config { return Config{Interval: model.Duration(time.Minute)} }

// SetDefaults fills in what the file leaves out.
func (l *Log) SetDefaults() {
	l.Start, l.MaxLineBytes, l.MaxBytesPerCheck = startEnd, 16<<10, 64<<20
}

// SetDefaults fills in what the file leaves out.
func (p *Pattern) SetDefaults() { p.MaxSeries = 100 }

// Validate names the first value that cannot be used.
func (c Config) Validate() error {
	if time.Duration(c.Interval) < exporters.MinInterval {
		return fmt.Errorf("interval: %s is shorter than %s", c.Interval, exporters.MinInterval)
	}
	if len(c.Files) > maxLogs {
		return fmt.Errorf("files: more than %d", maxLogs)
	}
	names := make(map[string]int)
	for i, l := range c.Files {
		if err := l.validate(); err != nil {
			return fmt.Errorf("files[%d].%w", i, err)
		}
		if j, ok := names[l.Name]; ok {
			return fmt.Errorf("files[%d].name: %q is files[%d] already", i, l.Name, j)
		}
		names[l.Name] = i
	}
	return nil
}

func (l Log) validate() error {
	if err := validName(l.Name); err != nil {
		return err
	}
	if l.Path == "" {
		return errors.New("path: is empty")
	}
	for i, p := range append([]string{l.Path}, l.Rotated...) {
		if _, err := filepath.Match(p, ""); err != nil {
			if i == 0 {
				return fmt.Errorf("path: %q: %w", p, err)
			}
			return fmt.Errorf("rotated[%d]: %q: %w", i-1, p, err)
		}
	}
	if l.Start != startEnd && l.Start != startBegin {
		return fmt.Errorf("start: %q: want end or begin", l.Start)
	}
	if l.MaxLineBytes < 64 || l.MaxLineBytes > maxLineBytes {
		return fmt.Errorf("max_line_bytes: want 64 to %d", maxLineBytes)
	}
	// A line longer than a check's bytes would be read again at every check.
	if l.MaxBytesPerCheck < 4*int64(l.MaxLineBytes) {
		return errors.New("max_bytes_per_check: must be at least four times max_line_bytes")
	}
	if len(l.Patterns) == 0 || len(l.Patterns) > maxPatterns {
		return fmt.Errorf("patterns: want 1 to %d", maxPatterns)
	}
	names := make(map[string]int)
	for i, p := range l.Patterns {
		if err := p.validate(); err != nil {
			return fmt.Errorf("patterns[%d].%w", i, err)
		}
		if j, ok := names[p.Name]; ok {
			return fmt.Errorf("patterns[%d].name: %q is patterns[%d] already", i, p.Name, j)
		}
		names[p.Name] = i
	}
	return nil
}

func (p Pattern) validate() error {
	if err := validName(p.Name); err != nil {
		return err
	}
	if p.Match == "" {
		return errors.New("match: is empty")
	}
	re, err := regexp.Compile(p.Match)
	if err != nil {
		return fmt.Errorf("match: %w", err)
	}
	seen := make(map[string]bool)
	for _, g := range re.SubexpNames() {
		if g != "" && (reserved[g] || seen[g]) {
			return fmt.Errorf("match: group %q: the label is taken", g)
		}
		seen[g] = true
	}
	if _, err := regexp.Compile(p.Ignore); err != nil {
		return fmt.Errorf("ignore: %w", err)
	}
	if p.MaxSeries < 1 || p.MaxSeries > maxSeries {
		return fmt.Errorf("max_series: want 1 to %d", maxSeries)
	}
	return nil
}

// reserved are the labels that a group may not set.
var reserved = map[string]bool{"customer": true, "product": true, "region": true, "instance": true, "log": true, "pattern": true}

func validName(name string) error {
	if name == "" || len(name) > maxNameBytes || !utf8.ValidString(name) {
		return fmt.Errorf("name: must be UTF-8 of 1 to %d bytes", maxNameBytes)
	}
	return nil
}

// ResolvePaths makes the files' paths relative to a folder.
func (c *Config) ResolvePaths(resolve func(string) string) {
	for i := range c.Files {
		l := &c.Files[i]
		l.Path = resolve(l.Path)
		for j := range l.Rotated {
			l.Rotated[j] = resolve(l.Rotated[j])
		}
	}
}

// rotated are the patterns of the files that rotation makes.
func (l Log) rotated() []string {
	if len(l.Rotated) > 0 {
		return l.Rotated
	}
	return []string{l.Path + ".*", l.Path + "-*"}
}
