package alertrouter

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	amconfig "github.com/prometheus/alertmanager/config"
	"github.com/prometheus/common/model"
)

// Config configures the router.
type Config struct {
	// DataDir is the folder of the incident database and the silences. It must exist.
	DataDir string `yaml:"-"`
	// RoutingFile is an Alertmanager configuration file: route tree, receivers,
	// inhibit rules, time intervals, templates. Empty: Routing is used.
	RoutingFile string `yaml:"routing_file"`
	// Routing is the same as text, in place of a file. Empty as well: incidents
	// are kept and nobody is told.
	Routing string `yaml:"routing"`
	// ExternalURL is the address at which receivers reach this server, for links. Default http://127.0.0.1:9370.
	ExternalURL string `yaml:"external_url"`
	// ReopenWithin is how long after its resolving check a firing check reopens an incident. Default 15m.
	ReopenWithin model.Duration `yaml:"reopen_within"`
	// AttemptTimeout bounds one attempt to deliver a notification. Default 15s.
	AttemptTimeout model.Duration `yaml:"attempt_timeout"`
	// RetryMin is the pause before the second attempt; each further pause is
	// twice as long, with up to a half taken off at random. Default 1s.
	RetryMin model.Duration `yaml:"retry_min"`
	// RetryMax is the longest pause between two attempts. Default 1m.
	RetryMax model.Duration `yaml:"retry_max"`
	// MuteRecheck is how often a muted, still untold incident is looked at again. Default 15s.
	MuteRecheck model.Duration `yaml:"mute_recheck"`
	// Workers is how many attempts run at the same time. Default 16.
	Workers int `yaml:"workers"`
	// WorkersPerReceiver is how many of them may go to one receiver. Default 4.
	WorkersPerReceiver int `yaml:"workers_per_receiver"`
	// SilenceRetention is how long an expired silence is kept. Default 120h.
	SilenceRetention model.Duration `yaml:"silence_retention"`
	// MessageRetention is how long the full text of a message is kept after it was
	// accepted or given up. Incidents, event logs and the delivery ledger are kept for good. Default 30d.
	MessageRetention model.Duration `yaml:"message_retention"`
	// Instance names this process among those that share a database. Default "main".
	Instance string `yaml:"instance"`
}

// DefaultConfig returns the defaults. DataDir is the caller's.
func DefaultConfig() Config {
	return Config{
		ExternalURL:        "http://127.0.0.1:9370",
		ReopenWithin:       model.Duration(15 * time.Minute),
		AttemptTimeout:     model.Duration(15 * time.Second),
		RetryMin:           model.Duration(time.Second),
		RetryMax:           model.Duration(time.Minute),
		MuteRecheck:        model.Duration(15 * time.Second),
		Workers:            16,
		WorkersPerReceiver: 4,
		SilenceRetention:   model.Duration(120 * time.Hour),
		MessageRetention:   model.Duration(30 * 24 * time.Hour),
		Instance:           "main",
	}
}

// Validate returns the first mistake, named by its path.
func (c Config) Validate() error {
	if c.RoutingFile != "" && c.Routing != "" {
		return errors.New("routing: set either routing_file or routing")
	}
	if u, err := url.Parse(c.ExternalURL); err != nil || u.Host == "" {
		return fmt.Errorf("external_url: %q is not an absolute URL", redactURL(c.ExternalURL))
	}
	for _, d := range []struct {
		path string
		v    model.Duration
	}{
		{"attempt_timeout", c.AttemptTimeout}, {"retry_min", c.RetryMin}, {"retry_max", c.RetryMax},
		{"mute_recheck", c.MuteRecheck}, {"silence_retention", c.SilenceRetention},
		{"message_retention", c.MessageRetention},
	} {
		if d.v <= 0 {
			return fmt.Errorf("%s: must be more than 0", d.path)
		}
	}
	if c.ReopenWithin < 0 {
		return errors.New("reopen_within: must not be negative")
	}
	if c.RetryMax < c.RetryMin {
		return errors.New("retry_max: must not be less than retry_min")
	}
	if c.Workers < 1 {
		return errors.New("workers: must be at least 1")
	}
	if c.WorkersPerReceiver < 1 {
		return errors.New("workers_per_receiver: must be at least 1")
	}
	if c.Instance == "" {
		return errors.New("instance: must not be empty")
	}
	_, err := c.routing()
	return err
}

// nobody is the routing of a configuration without one.
const nobody = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n"

// routing reads the Alertmanager configuration.
func (c Config) routing() (*amconfig.Config, error) {
	initMatchers()
	if c.RoutingFile != "" {
		cfg, err := amconfig.LoadFile(c.RoutingFile)
		if err != nil {
			return nil, fmt.Errorf("routing_file: %s: %w", c.RoutingFile, redacted(err))
		}
		return cfg, nil
	}
	text := c.Routing
	if text == "" {
		text = nobody
	}
	cfg, err := amconfig.Load(text)
	if err != nil {
		return nil, fmt.Errorf("routing: %w", redacted(err))
	}
	return cfg, nil
}
