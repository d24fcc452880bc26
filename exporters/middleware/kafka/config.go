package kafka

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/grafana/regexp"

	"watchkeeper/exporters/middleware/server"
)

const (
	defaultPartitions = 1_000
	maxPartitions     = 2_000 // two series each
	maxSeeds          = 20
)

// Mechanisms of SASL that are known.
const (
	saslPlain       = "plain"
	saslScramSHA256 = "scram-sha-256"
	saslScramSHA512 = "scram-sha-512"
)

var mechanisms = []string{saslPlain, saslScramSHA256, saslScramSHA512}

// Config is one broker, read by JMX through Jolokia (url), or one cluster, read
// by the Kafka protocol (brokers): its partitions and the lag of its consumers.
// A cluster that is watched both ways has an entry for each broker and one for itself.
type Config struct {
	server.Settings `yaml:",inline"`
	// URL is Jolokia's address in a broker's JVM, for example
	// http://10.0.0.11:8778/jolokia. The user and password are Jolokia's with
	// url, SASL's with brokers.
	server.HTTP `yaml:",inline"`
	// Brokers are addresses (host:port) of a cluster to begin with; the others are
	// learnt from them. Default: none.
	Brokers []string `yaml:"brokers"`
	// SASL is the mechanism by which a cluster wants the user and password:
	// plain, scram-sha-256 or scram-sha-512. Default: none.
	SASL string `yaml:"sasl"`
	// UseTLS connects to the brokers with TLS. Default false.
	UseTLS bool `yaml:"tls"`
	// Groups is a regular expression that the names of the consumer groups to
	// deliver match as a whole. Default: all.
	Groups string `yaml:"groups"`
	// Partitions is for how many partitions of all groups together the lag is
	// delivered one by one, in the order of group, topic and partition; the totals
	// count all. Default 1000, at most 2000; -1 delivers totals only.
	Partitions int `yaml:"partitions"`
}

// Validate names the first value that cannot be used.
func (c Config) Validate() error {
	if err := c.Settings.Validate(); err != nil {
		return err
	}
	switch {
	case (c.URL == "") == (len(c.Brokers) == 0):
		return errors.New("url: exactly one of url and brokers must be set")
	case c.URL != "":
		return c.validateBroker()
	}
	return c.validateCluster()
}

func (c Config) validateBroker() error {
	for _, only := range []struct {
		path string
		set  bool
	}{{"sasl", c.SASL != ""}, {"tls", c.UseTLS}, {"groups", c.Groups != ""}, {"partitions", c.Partitions != 0}} {
		if only.set {
			return fmt.Errorf("%s: goes with brokers, not with url", only.path)
		}
	}
	return c.HTTP.Validate()
}

func (c Config) validateCluster() error {
	if len(c.Brokers) > maxSeeds {
		return fmt.Errorf("brokers: more than %d", maxSeeds)
	}
	for i, b := range c.Brokers {
		if strings.HasPrefix(b, "unix:") {
			return fmt.Errorf("brokers[%d]: %q: want host:port", i, b)
		}
		if err := server.ValidateAddress(b); err != nil {
			return fmt.Errorf("brokers[%d]: %w", i, err)
		}
	}
	if err := c.Credentials.Validate(); err != nil {
		return err
	}
	if err := c.TLS.Validate(); err != nil {
		return err
	}
	hasPassword := c.PasswordFile != "" || c.PasswordEnv != ""
	switch {
	case c.SASL != "" && !slices.Contains(mechanisms, c.SASL):
		return fmt.Errorf("sasl: %q is not one of %s", c.SASL, strings.Join(mechanisms, ", "))
	case c.SASL != "" && (c.Username == "" || !hasPassword):
		return fmt.Errorf("sasl: %s needs username, and password_file or password_env", c.SASL)
	case c.SASL == "" && (c.Username != "" || hasPassword):
		return errors.New("sasl: must not be empty where a user or password is given")
	case c.Partitions < -1 || c.Partitions > maxPartitions:
		return fmt.Errorf("partitions: %d is not between -1 and %d", c.Partitions, maxPartitions)
	}
	if _, err := c.groups(); err != nil {
		return fmt.Errorf("groups: %w", err)
	}
	return nil
}

// ResolvePaths makes the files' paths relative to a folder.
func (c *Config) ResolvePaths(resolve func(string) string) { c.HTTP.ResolvePaths(resolve) }

// groups matches the names of groups to deliver; nil matches all.
func (c Config) groups() (*regexp.Regexp, error) {
	if c.Groups == "" {
		return nil, nil
	}
	return regexp.Compile("^(?:" + c.Groups + ")$")
}

func (c Config) partitions() int {
	if c.Partitions == 0 {
		return defaultPartitions
	}
	return max(0, c.Partitions)
}
