package sqlserver

import (
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"watchkeeper/exporters/middleware/server"
)

const (
	defaultDatabases = 50
	maxDatabases     = 100 // with all their figures below the limit of series of one server
	defaultJobs      = 50
	maxJobs          = 200
	defaultLongAfter = 5 * time.Minute
)

// Config is one SQL Server, 2016 or later.
type Config struct {
	server.Settings `yaml:",inline"`
	// Address is host:port. A named instance has a port of its own; SQL Server's
	// Browser is not asked for it.
	Address string `yaml:"address"`
	// The login and password. Rights: VIEW SERVER STATE (2022 and later: VIEW
	// SERVER PERFORMANCE STATE); docs/exporters.md has those for disks, backups and jobs.
	server.Credentials `yaml:",inline"`
	// UseTLS encrypts the connection and verifies the server's certificate. Without
	// it the login is encrypted where the server can, with whatever certificate it
	// shows, and the figures are not. Default false.
	UseTLS bool `yaml:"tls"`
	// Trust of TLS.
	server.TLS `yaml:",inline"`
	// Databases is how many databases are delivered with figures of their own,
	// those created first. Default 50, at most 100; -1 delivers none.
	Databases int `yaml:"databases"`
	// Jobs is how many jobs of the Agent are delivered, the first by name. Default
	// 50, at most 200; -1 delivers none.
	Jobs int `yaml:"jobs"`
	// LongAfter is the age at which a running request or an idle transaction counts
	// as long. Default 5m.
	LongAfter model.Duration `yaml:"long_after"`
}

// Validate names the first value that cannot be used.
func (c Config) Validate() error {
	if err := c.Settings.Validate(); err != nil {
		return err
	}
	if err := server.ValidateAddress(c.Address); err != nil {
		return fmt.Errorf("address: %w", err)
	}
	if strings.HasPrefix(c.Address, "unix:") {
		return fmt.Errorf("address: %q: want host:port", c.Address)
	}
	if c.Username == "" {
		return fmt.Errorf("username: must not be empty")
	}
	if strings.Contains(c.Username, `\`) {
		return fmt.Errorf("username: %q: want a login of SQL Server's own, not of a Windows domain", c.Username)
	}
	if err := c.Credentials.Validate(); err != nil {
		return err
	}
	if c.Databases < -1 || c.Databases > maxDatabases {
		return fmt.Errorf("databases: %d is not between -1 and %d", c.Databases, maxDatabases)
	}
	if c.Jobs < -1 || c.Jobs > maxJobs {
		return fmt.Errorf("jobs: %d is not between -1 and %d", c.Jobs, maxJobs)
	}
	if c.LongAfter != 0 && time.Duration(c.LongAfter) < time.Second {
		return fmt.Errorf("long_after: %s is shorter than 1s", c.LongAfter)
	}
	return c.TLS.Validate()
}

// ResolvePaths makes the files' paths relative to a folder.
func (c *Config) ResolvePaths(resolve func(string) string) {
	c.Credentials.ResolvePaths(resolve)
	c.TLS.ResolvePaths(resolve)
}

func (c Config) databases() int { return orDefault(c.Databases, defaultDatabases) }

func (c Config) jobs() int { return orDefault(c.Jobs, defaultJobs) }

func orDefault(n, byDefault int) int {
	if n == 0 {
		return byDefault
	}
	return max(0, n)
}

func (c Config) longAfter() time.Duration {
	if c.LongAfter == 0 {
		return defaultLongAfter
	}
	return time.Duration(c.LongAfter)
}
