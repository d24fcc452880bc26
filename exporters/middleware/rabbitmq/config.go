package rabbitmq

import (
	"fmt"

	"watchkeeper/exporters/middleware/server"
)

const (
	defaultQueues = 100
	maxQueues     = 500 // the management API's largest page
)

// Config is one RabbitMQ cluster, or one node of it.
type Config struct {
	server.Settings `yaml:",inline"`
	// URL is the management plugin's address, for example http://10.0.0.5:15672.
	// The user needs the tag "monitoring".
	server.HTTP `yaml:",inline"`
	// LocalOnly delivers the node that answers instead of all nodes of its
	// cluster, for an entry per node. Default false: one entry watches the
	// cluster, and a node that is down is seen through the others.
	LocalOnly bool `yaml:"local_only"`
	// Queues is how many queues are delivered, those with most messages. Default
	// 100, at most 500; -1 delivers none.
	Queues int `yaml:"queues"`
}

// Validate names the first value that cannot be used.
func (c Config) Validate() error {
	if err := c.Settings.Validate(); err != nil {
		return err
	}
	if err := c.HTTP.Validate(); err != nil {
		return err
	}
	if c.Queues < -1 || c.Queues > maxQueues {
		return fmt.Errorf("queues: %d is not between -1 and %d", c.Queues, maxQueues)
	}
	return nil
}

// ResolvePaths makes the files' paths relative to a folder.
func (c *Config) ResolvePaths(resolve func(string) string) { c.HTTP.ResolvePaths(resolve) }

func (c Config) queues() int {
	if c.Queues == 0 {
		return defaultQueues
	}
	return max(0, c.Queues)
}
