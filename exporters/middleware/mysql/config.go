package mysql

import (
	"fmt"

	"watchkeeper/exporters/middleware/server"
)

// Config is one MySQL or MariaDB server.
type Config struct {
	server.Settings `yaml:",inline"`
	// Address is host:port or unix:/path.
	Address string `yaml:"address"`
	// The user and password. Rights: none for the status, REPLICATION CLIENT
	// (MySQL) or SLAVE MONITOR (MariaDB since 10.5) for replication.
	server.Credentials `yaml:",inline"`
	// UseTLS connects with TLS. Default false.
	UseTLS bool `yaml:"tls"`
	// Trust of TLS.
	server.TLS `yaml:",inline"`
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
	return c.TLS.Validate()
}

// ResolvePaths makes the files' paths relative to a folder.
func (c *Config) ResolvePaths(resolve func(string) string) {
	c.Credentials.ResolvePaths(resolve)
	c.TLS.ResolvePaths(resolve)
}
