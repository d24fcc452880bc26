package docker

import (
	"errors"
	"fmt"
	"strings"

	"watchkeeper/exporters/middleware/server"
)

const defaultSocket = "/var/run/docker.sock"

// Config is one Docker engine.
type Config struct {
	server.Settings `yaml:",inline"`
	// URL is the engine's API over TCP, https:// with certificates. Whoever
	// reaches it rules the host. Default: none, the socket is used.
	server.HTTP `yaml:",inline"`
	// Socket is the engine's Unix socket on this host. Default
	// /var/run/docker.sock, where no url is given.
	Socket string `yaml:"socket"`
}

// Validate names the first value that cannot be used.
func (c Config) Validate() error {
	if err := c.Settings.Validate(); err != nil {
		return err
	}
	if c.URL != "" {
		if c.Socket != "" {
			return errors.New("socket: is set beside url; give one of them")
		}
		return c.HTTP.Validate()
	}
	if !strings.HasPrefix(c.socket(), "/") {
		return fmt.Errorf("socket: %q must begin with /", c.Socket)
	}
	return nil
}

// ResolvePaths makes the files' paths relative to a folder.
func (c *Config) ResolvePaths(resolve func(string) string) { c.HTTP.ResolvePaths(resolve) }

func (c Config) socket() string {
	if c.Socket == "" {
		return defaultSocket
	}
	return c.Socket
}
