package watch

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/prometheus/common/model"

	"watchkeeper/exporters"
)

const (
	maxNameBytes = 128
	maxSets      = 200
)

// Config says which changes on this host are watched.
type Config struct {
	// Interval between two checks. Default 1m.
	Interval model.Duration `yaml:"interval"`
	// Instance identifies the host in the series' label `instance`; the same as
	// the host's. Default: the host name.
	Instance string `yaml:"instance"`
	// Files are sets of files. Default: none.
	Files []FileSet `yaml:"files"`
	// MaxFiles bounds the files of one set. Default 5000.
	MaxFiles int `yaml:"max_files"`
	// MaxHashBytes bounds the files whose content is compared by hash; of larger
	// ones size and time are. Default 16777216 (16 MiB).
	MaxHashBytes int64 `yaml:"max_hash_bytes"`
	// Accounts watches the users of this host: who came and went, whose password,
	// shell, home or number changed. Passwords need the right to read
	// /etc/shadow. Default true.
	Accounts bool `yaml:"accounts"`
	// HostName watches the host's name. Default true.
	HostName bool `yaml:"host_name"`
	// Firewall watches the rules of nftables and iptables; needs root. Default true.
	Firewall bool `yaml:"firewall"`
	// Ports watches the ports on which this host listens. Default true.
	Ports bool `yaml:"ports"`
	// Remember is for how long after a change the series tell what changed. Default 1d.
	Remember model.Duration `yaml:"remember"`
}

// FileSet declares files that are watched together.
type FileSet struct {
	// Name of the set; the label `files` of its series. Required, unique.
	Name string `yaml:"name"`
	// Paths are patterns; "/**/" stands for any depth of folders (/etc/nginx/**/*.conf).
	// At least one.
	Paths []string `yaml:"paths"`
}

// DefaultConfig watches everything but files.
func DefaultConfig() Config {
	return Config{
		Interval: model.Duration(time.Minute), MaxFiles: 5000, MaxHashBytes: 16 << 20,
		Accounts: true, HostName: true, Firewall: true, Ports: true, Remember: model.Duration(24 * time.Hour),
	}
}

// Validate names the first value that cannot be used.
func (c Config) Validate() error {
	switch {
	case time.Duration(c.Interval) < exporters.MinInterval:
		return fmt.Errorf("interval: %s is shorter than %s", c.Interval, exporters.MinInterval)
	case c.MaxFiles < 1:
		return errors.New("max_files: must be at least 1")
	case c.MaxHashBytes < 0:
		return errors.New("max_hash_bytes: is negative")
	case c.Remember < c.Interval:
		return errors.New("remember: is shorter than the interval")
	case len(c.Files) > maxSets:
		return fmt.Errorf("files: more than %d", maxSets)
	}
	names := make(map[string]int)
	for i, f := range c.Files {
		if err := f.validate(); err != nil {
			return fmt.Errorf("files[%d].%w", i, err)
		}
		if j, ok := names[f.Name]; ok {
			return fmt.Errorf("files[%d].name: %q is files[%d] already", i, f.Name, j)
		}
		names[f.Name] = i
	}
	return nil
}

func (f FileSet) validate() error {
	if f.Name == "" || len(f.Name) > maxNameBytes || !utf8.ValidString(f.Name) {
		return fmt.Errorf("name: must be UTF-8 of 1 to %d bytes", maxNameBytes)
	}
	if len(f.Paths) == 0 {
		return errors.New("paths: is empty")
	}
	for i, p := range f.Paths {
		if _, err := filepath.Match(p, ""); err != nil || p == "" {
			return fmt.Errorf("paths[%d]: %q is no pattern", i, p)
		}
		if strings.Count(p, "**") != strings.Count(p, deep) || strings.Count(p, deep) > 1 {
			return fmt.Errorf("paths[%d]: %q: ** stands once, between two slashes", i, p)
		}
	}
	return nil
}

// ResolvePaths makes the files' paths relative to a folder.
func (c *Config) ResolvePaths(resolve func(string) string) {
	for i := range c.Files {
		for j := range c.Files[i].Paths {
			c.Files[i].Paths[j] = resolve(c.Files[i].Paths[j])
		}
	}
}
