package java

import (
	"fmt"
	"regexp"
	"strings"

	"watchkeeper/exporters/middleware/server"
)

// Config is one JVM with Jolokia: Resin, WebLogic, Solr, ehcache and every
// other Java server.
type Config struct {
	server.Settings `yaml:",inline"`
	// URL is Jolokia's address, for example http://10.0.0.5:8778/jolokia.
	server.HTTP `yaml:",inline"`
	// Attributes are further numbers to read, by their MBean. Default: none.
	Attributes []Attribute `yaml:"attributes"`
}

// Attribute is one attribute of one MBean that becomes a metric.
type Attribute struct {
	// MBean is the object name, without wildcards.
	MBean string `yaml:"mbean"`
	// Attribute is the attribute's name. Required.
	Attribute string `yaml:"attribute"`
	// Path is the key inside a composite attribute. Default: none.
	Path string `yaml:"path"`
	// Metric is the metric's name; it must begin with java_app_. Required.
	Metric string `yaml:"metric"`
}

var metricPattern = regexp.MustCompile(`^java_app_[a-z0-9_]+$`)

const maxAttributes = 200

// Validate names the first value that cannot be used.
func (c Config) Validate() error {
	if err := c.Settings.Validate(); err != nil {
		return err
	}
	if err := c.HTTP.Validate(); err != nil {
		return err
	}
	if len(c.Attributes) > maxAttributes {
		return fmt.Errorf("attributes: more than %d", maxAttributes)
	}
	metrics := make(map[string]bool)
	for i, a := range c.Attributes {
		switch {
		case !strings.Contains(a.MBean, ":") || strings.ContainsAny(a.MBean, "*?"):
			return fmt.Errorf("attributes[%d].mbean: %q is not an object name without wildcards", i, a.MBean)
		case a.Attribute == "":
			return fmt.Errorf("attributes[%d].attribute: must not be empty", i)
		case !metricPattern.MatchString(a.Metric):
			return fmt.Errorf("attributes[%d].metric: %q: want java_app_ and lower-case letters, digits and _", i, a.Metric)
		case metrics[a.Metric]:
			return fmt.Errorf("attributes[%d].metric: %q is there twice", i, a.Metric)
		}
		metrics[a.Metric] = true
	}
	return nil
}

// ResolvePaths makes the files' paths relative to a folder.
func (c *Config) ResolvePaths(resolve func(string) string) { c.HTTP.ResolvePaths(resolve) }
