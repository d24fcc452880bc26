package redis

import (
	"fmt"

	"watchkeeper/exporters/middleware/server"
)

const (
	defaultKeysPerCheck   = 500
	maxKeysPerCheck       = 10_000
	defaultThresholdBytes = 1 << 20
)

// Config is one Redis server: a primary, a replica, a node of a cluster or a
// sentinel. Each is an entry of its own.
type Config struct {
	server.Settings `yaml:",inline"`
	// Address is host:port or unix:/path.
	Address string `yaml:"address"`
	// The user and password of AUTH; without a username, the password of requirepass.
	server.Credentials `yaml:",inline"`
	// UseTLS connects with TLS. Default false.
	UseTLS bool `yaml:"tls"`
	// Trust of TLS.
	server.TLS `yaml:",inline"`
	// BigKeys says how large keys are looked for.
	BigKeys BigKeys `yaml:"big_keys"`
}

// BigKeys says how large keys are looked for: each check goes on with SCAN where
// the one before stopped, through all databases, and asks for each key's memory.
type BigKeys struct {
	// KeysPerCheck is how many keys one check looks at, about. Default 500, at
	// most 10000; -1 looks at none.
	KeysPerCheck int `yaml:"keys_per_check"`
	// ThresholdBytes is the memory from which a key counts as large. Default 1048576.
	ThresholdBytes int64 `yaml:"threshold_bytes"`
}

// Validate names the first value that cannot be used.
func (c Config) Validate() error {
	if err := c.Settings.Validate(); err != nil {
		return err
	}
	if err := server.ValidateAddress(c.Address); err != nil {
		return fmt.Errorf("address: %w", err)
	}
	if err := c.Credentials.Validate(); err != nil {
		return err
	}
	if err := c.TLS.Validate(); err != nil {
		return err
	}
	if c.BigKeys.KeysPerCheck < -1 || c.BigKeys.KeysPerCheck > maxKeysPerCheck {
		return fmt.Errorf("big_keys.keys_per_check: %d is not between -1 and %d", c.BigKeys.KeysPerCheck, maxKeysPerCheck)
	}
	if c.BigKeys.ThresholdBytes < 0 {
		return fmt.Errorf("big_keys.threshold_bytes: %d is negative", c.BigKeys.ThresholdBytes)
	}
	return nil
}

// ResolvePaths makes the files' paths relative to a folder.
func (c *Config) ResolvePaths(resolve func(string) string) {
	c.Credentials.ResolvePaths(resolve)
	c.TLS.ResolvePaths(resolve)
}

func (b BigKeys) keysPerCheck() int {
	if b.KeysPerCheck == 0 {
		return defaultKeysPerCheck
	}
	return max(0, b.KeysPerCheck)
}

func (b BigKeys) thresholdBytes() int64 {
	if b.ThresholdBytes == 0 {
		return defaultThresholdBytes
	}
	return b.ThresholdBytes
}
