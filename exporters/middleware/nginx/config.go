package nginx

import "watchkeeper/exporters/middleware/server"

// Config is one Nginx server.
type Config struct {
	server.Settings `yaml:",inline"`
	// URL is the page that the directive stub_status serves.
	server.HTTP `yaml:",inline"`
	// PIDFile is the master process's pid file when it runs on this host, for
	// example /run/nginx.pid: the uptime is read from the process. Default: none;
	// a restart is then seen by the counter of accepted connections, which falls.
	PIDFile string `yaml:"pid_file"`
}

// Validate names the first value that cannot be used.
func (c Config) Validate() error {
	if err := c.Settings.Validate(); err != nil {
		return err
	}
	return c.HTTP.Validate()
}

// ResolvePaths makes the files' paths relative to a folder.
func (c *Config) ResolvePaths(resolve func(string) string) {
	c.HTTP.ResolvePaths(resolve)
	c.PIDFile = resolve(c.PIDFile)
}
