package elasticsearch

import "watchkeeper/exporters/middleware/server"

// Config is one Elasticsearch cluster on the customer's own hosts.
type Config struct {
	server.Settings `yaml:",inline"`
	// URL is the address of a node, for example http://10.0.0.5:9200. The user
	// needs the cluster privilege "monitor".
	server.HTTP `yaml:",inline"`
}

// Validate names the first value that cannot be used.
func (c Config) Validate() error {
	if err := c.Settings.Validate(); err != nil {
		return err
	}
	return c.HTTP.Validate()
}

// ResolvePaths makes the files' paths relative to a folder.
func (c *Config) ResolvePaths(resolve func(string) string) { c.HTTP.ResolvePaths(resolve) }
