package postgresql

import (
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"watchkeeper/exporters/middleware/server"
)

const (
	defaultDatabase  = "postgres"
	defaultDatabases = 100
	maxDatabases     = 150 // with all their figures below the limit of series of one server
	defaultLongAfter = 5 * time.Minute
)

// Config is one PostgreSQL server, 10 or later.
type Config struct {
	server.Settings `yaml:",inline"`
	// Address is host:port, or unix:/path with the socket itself
	// (unix:/run/postgresql/.s.PGSQL.5432).
	Address string `yaml:"address"`
	// The user and password. Rights: the role pg_monitor.
	server.Credentials `yaml:",inline"`
	// Database to log in to; the figures are those of the whole server. Default postgres.
	Database string `yaml:"database"`
	// UseTLS connects with TLS or not at all. Without it a server that asks for
	// the password in plain text is refused. Default false.
	UseTLS bool `yaml:"tls"`
	// Trust of TLS.
	server.TLS `yaml:",inline"`
	// Databases is how many databases are delivered with figures of their own,
	// those created first. Default 100, at most 150; -1 delivers none.
	Databases int `yaml:"databases"`
	// LongAfter is the age at which a running statement or an idle transaction
	// counts as long. Default 5m.
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
	if c.Username == "" {
		return fmt.Errorf("username: must not be empty")
	}
	if err := c.Credentials.Validate(); err != nil {
		return err
	}
	if c.UseTLS && strings.HasPrefix(c.Address, "unix:") {
		return fmt.Errorf("tls: PostgreSQL speaks no TLS on a unix socket")
	}
	if c.Databases < -1 || c.Databases > maxDatabases {
		return fmt.Errorf("databases: %d is not between -1 and %d", c.Databases, maxDatabases)
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

func (c Config) database() string {
	if c.Database == "" {
		return defaultDatabase
	}
	return c.Database
}

func (c Config) databases() int {
	if c.Databases == 0 {
		return defaultDatabases
	}
	return max(0, c.Databases)
}

func (c Config) longAfter() time.Duration {
	if c.LongAfter == 0 {
		return defaultLongAfter
	}
	return time.Duration(c.LongAfter)
}
