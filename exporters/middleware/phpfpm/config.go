package phpfpm

import (
	"errors"
	"fmt"
	"strings"

	"watchkeeper/exporters/middleware/server"
)

const defaultPath = "/status"

// Config is one PHP-FPM pool.
type Config struct {
	server.Settings `yaml:",inline"`
	// URL is the status page through a web server. Exactly one of url and
	// fastcgi is set.
	server.HTTP `yaml:",inline"`
	// FastCGI is the pool's own listener, host:port or unix:/path. A web server
	// that has no free connection to the pool does not hide the queue then.
	FastCGI string `yaml:"fastcgi"`
	// Path is the pool's pm.status_path, for fastcgi. Default /status.
	Path string `yaml:"path"`
}

// Validate names the first value that cannot be used.
func (c Config) Validate() error {
	if err := c.Settings.Validate(); err != nil {
		return err
	}
	if (c.URL == "") == (c.FastCGI == "") {
		return errors.New("url: exactly one of url and fastcgi must be set")
	}
	if c.URL != "" {
		if c.Path != "" {
			return errors.New("path: is part of the url; it goes with fastcgi")
		}
		return c.HTTP.Validate()
	}
	if err := server.ValidateAddress(c.FastCGI); err != nil {
		return fmt.Errorf("fastcgi: %w", err)
	}
	if c.Path != "" && !strings.HasPrefix(c.Path, "/") {
		return fmt.Errorf("path: %q must begin with /", c.Path)
	}
	return nil
}

// ResolvePaths makes the files' paths relative to a folder.
func (c *Config) ResolvePaths(resolve func(string) string) { c.HTTP.ResolvePaths(resolve) }
