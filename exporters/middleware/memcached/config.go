package memcached

import (
	"fmt"

	"watchkeeper/exporters/middleware/server"
)

// Config is one memcached server.
type Config struct {
	server.Settings `yaml:",inline"`
	// Address is host:port or unix:/path. The protocol knows no log-in without
	// SASL; a server with SASL is not read.
	Address string `yaml:"address"`
}

// Validate names the first value that cannot be used.
func (c Config) Validate() error {
	if err := c.Settings.Validate(); err != nil {
		return err
	}
	if err := server.ValidateAddress(c.Address); err != nil {
		return fmt.Errorf("address: %w", err)
	}
	return nil
}

// ResolvePaths makes the files' paths relative to a folder; there are none.
func (c *Config) ResolvePaths(func(string) string) {}
