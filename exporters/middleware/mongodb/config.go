package mongodb

import (
	"fmt"
	"time"

	"github.com/prometheus/common/model"

	"watchkeeper/exporters/middleware/server"
)

const (
	defaultAuthSource = "admin"
	defaultDatabases  = 20
	maxDatabases      = 150
	defaultLongAfter  = 5 * time.Minute
)

// Config is one mongod or mongos, 4.4 or later.
type Config struct {
	server.Settings `yaml:",inline"`
	// Address is host:port, or unix:/path. Each member of a replica set is an
	// entry of its own.
	Address string `yaml:"address"`
	// The user and password (SCRAM). Rights: the role clusterMonitor. Without a
	// user nobody logs in.
	server.Credentials `yaml:",inline"`
	// AuthSource is the database that the user was created in. Default admin.
	AuthSource string `yaml:"auth_source"`
	// UseTLS connects with TLS or not at all. Default false.
	UseTLS bool `yaml:"tls"`
	// Trust of TLS.
	server.TLS `yaml:",inline"`
	// Databases is how many databases are delivered with figures of their own, the
	// first by name. Default 20, at most 150; -1 delivers none.
	Databases int `yaml:"databases"`
	// LongAfter is the age at which a running operation counts as long. Default 5m.
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
	if c.Username == "" && (c.PasswordFile != "" || c.PasswordEnv != "") {
		return fmt.Errorf("username: must not be empty beside a password")
	}
	if err := c.Credentials.Validate(); err != nil {
		return err
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

func (c Config) authSource() string {
	if c.AuthSource == "" {
		return defaultAuthSource
	}
	return c.AuthSource
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
