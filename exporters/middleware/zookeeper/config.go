package zookeeper

import (
	"fmt"

	"watchkeeper/exporters/middleware/server"
)

// Config is one ZooKeeper server.
type Config struct {
	server.Settings `yaml:",inline"`
	// Address is the client port, host:port. The server must allow the command:
	// 4lw.commands.whitelist=mntr in its configuration.
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
