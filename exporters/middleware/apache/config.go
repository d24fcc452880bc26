package apache

import (
	"fmt"

	"watchkeeper/exporters/middleware/server"
)

// Config is one Apache HTTP server.
type Config struct {
	server.Settings `yaml:",inline"`
	// URL is the page of mod_status; "?auto" is added where it is missing.
	server.HTTP `yaml:",inline"`
	// PIDFile is the parent process's pid file when the server runs on this
	// host, for example /run/apache2/apache2.pid: CPU use is then read from its
	// processes. Default: none.
	PIDFile string `yaml:"pid_file"`
	// Cores is the number of cores of the server's host when that is another
	// one: CPU use is then the growth of mod_status's CPU seconds, which leaves
	// out processes that ended meanwhile. Default 0: no CPU use without pid_file.
	Cores int `yaml:"cores"`
}

// Validate names the first value that cannot be used.
func (c Config) Validate() error {
	if err := c.Settings.Validate(); err != nil {
		return err
	}
	if err := c.HTTP.Validate(); err != nil {
		return err
	}
	if c.Cores < 0 || c.Cores > 4096 {
		return fmt.Errorf("cores: %d is not between 0 and 4096", c.Cores)
	}
	if c.Cores > 0 && c.PIDFile != "" {
		return fmt.Errorf("cores: is set beside pid_file, by which the processes of this host are read; give one of them")
	}
	return nil
}

// ResolvePaths makes the files' paths relative to a folder.
func (c *Config) ResolvePaths(resolve func(string) string) {
	c.HTTP.ResolvePaths(resolve)
	c.PIDFile = resolve(c.PIDFile)
}
