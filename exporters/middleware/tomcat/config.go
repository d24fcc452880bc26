package tomcat

import "watchkeeper/exporters/middleware/server"

// Config is one Tomcat server.
type Config struct {
	server.Settings `yaml:",inline"`
	// URL is the manager application's address, for example
	// http://10.0.0.5:8080/manager. The user needs the role manager-jmx.
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
