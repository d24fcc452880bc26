package iis

import (
	"fmt"
	"strings"

	"watchkeeper/exporters/middleware/server"
)

// webService is the World Wide Web Publishing Service: IIS itself.
const webService = "W3SVC"

const maxServices = 20

// Config is the IIS of the Windows host that watchkeeper runs on.
type Config struct {
	server.Settings `yaml:",inline"`
	// Services are the Windows services to watch, by their names, not their
	// display names. Default: W3SVC.
	Services []string `yaml:"services"`
}

// Validate names the first value that cannot be used.
func (c Config) Validate() error {
	if err := c.Settings.Validate(); err != nil {
		return err
	}
	if len(c.Services) > maxServices {
		return fmt.Errorf("services: more than %d", maxServices)
	}
	seen := make(map[string]bool)
	for i, s := range c.Services {
		key := strings.ToUpper(s) // Windows does not tell them apart
		switch {
		case s == "" || len(s) > 256 || strings.ContainsAny(s, `/\`):
			return fmt.Errorf("services[%d]: %q is not a service's name", i, s)
		case seen[key]:
			return fmt.Errorf("services[%d]: %q is there twice", i, s)
		}
		seen[key] = true
	}
	return nil
}

// ResolvePaths does nothing: there are no files.
func (c *Config) ResolvePaths(func(string) string) {}

func (c Config) services() []string {
	if len(c.Services) == 0 {
		return []string{webService}
	}
	return c.Services
}
