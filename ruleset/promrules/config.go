package promrules

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	commonconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	promconfig "github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/discovery"
	"github.com/prometheus/prometheus/discovery/targetgroup"
	"github.com/prometheus/prometheus/model/labels"
	"go.yaml.in/yaml/v3"
)

// Config says how plain rule groups are run. EvaluationInterval and Alerting
// may change while the Runner runs; the rest needs a restart.
type Config struct {
	// EvaluationInterval is the interval of rule groups that name none.
	// Default 1m.
	EvaluationInterval model.Duration `yaml:"evaluation_interval"`
	// DefaultCustomer owns what a rule yields without a label customer.
	// Default "default".
	DefaultCustomer string `yaml:"default_customer"`
	// ResendDelay is the least time between two notifications of an alert that
	// stays as it is. Default 1m.
	ResendDelay model.Duration `yaml:"resend_delay"`
	// ForOutageTolerance is how long this server may have been down for the
	// time that an alert was pending before to count. Default 1h.
	ForOutageTolerance model.Duration `yaml:"for_outage_tolerance"`
	// ForGracePeriod is the least time between a restart and the firing of an
	// alert that was pending; rules whose for is shorter start anew. Default 10m.
	ForGracePeriod model.Duration `yaml:"for_grace_period"`
	// AlertQueueCapacity is the number of notifications that wait for one
	// outside Alertmanager; beyond it the oldest are dropped. Default 10000.
	AlertQueueCapacity int `yaml:"alert_queue_capacity"`
	// ExternalLabels are Prometheus's own: put on alerts to outside Alertmanagers
	// that lack them, and $externalLabels of templates. Default: none.
	ExternalLabels map[string]string `yaml:"external_labels"`
	// Alerting is Prometheus's own block "alerting": alert_relabel_configs and
	// alertmanagers with static_configs. Default: no outside Alertmanager.
	Alerting Alerting `yaml:"alerting"`

	// Dir is the folder that relative file names in Alerting start from.
	Dir string `yaml:"-"`
	// ExternalURL is the address under which people reach this server; links
	// in notifications begin with it.
	ExternalURL string `yaml:"-"`
}

// Alerting is Prometheus's block "alerting" as it stands in the file. It may
// hold passwords, so it shows none of itself when it is printed.
type Alerting struct{ node yaml.Node }

const hidden = "<alerting>"

// UnmarshalYAML implements yaml.Unmarshaler. What it holds is checked by
// Config.Validate, which knows the folder of the files that it names.
func (a *Alerting) UnmarshalYAML(n *yaml.Node) error {
	a.node = *n
	return nil
}

// MarshalYAML implements yaml.Marshaler.
func (a Alerting) MarshalYAML() (any, error) {
	if a.node.IsZero() {
		return nil, nil
	}
	return hidden, nil
}

// String implements fmt.Stringer.
func (Alerting) String() string { return hidden }

// GoString implements fmt.GoStringer.
func (Alerting) GoString() string { return hidden }

// DefaultConfig returns the documented defaults.
func DefaultConfig() Config {
	return Config{
		EvaluationInterval: model.Duration(time.Minute),
		DefaultCustomer:    "default",
		ResendDelay:        model.Duration(time.Minute),
		ForOutageTolerance: model.Duration(time.Hour),
		ForGracePeriod:     model.Duration(10 * time.Minute),
		AlertQueueCapacity: 10_000,
	}
}

// Validate names the first field that cannot be worked with.
func (c Config) Validate() error {
	switch {
	case c.EvaluationInterval <= 0:
		return errors.New("evaluation_interval: must be positive")
	case c.DefaultCustomer == "":
		return errors.New("default_customer: must not be empty")
	case c.ResendDelay < 0:
		return errors.New("resend_delay: must not be negative")
	case c.ForOutageTolerance < 0:
		return errors.New("for_outage_tolerance: must not be negative")
	case c.ForGracePeriod < 0:
		return errors.New("for_grace_period: must not be negative")
	case c.AlertQueueCapacity < 1:
		return errors.New("alert_queue_capacity: must be at least 1")
	}
	for _, name := range slices.Sorted(maps.Keys(c.ExternalLabels)) {
		if name == model.MetricNameLabel || !model.UTF8Validation.IsValidLabelName(name) {
			return fmt.Errorf("external_labels: invalid label name %q", name)
		}
		if !model.LabelValue(c.ExternalLabels[name]).IsValid() {
			return fmt.Errorf("external_labels: invalid value of label %q", name)
		}
	}
	if _, err := url.Parse(c.ExternalURL); err != nil {
		return fmt.Errorf("external_url: %w", err)
	}
	_, err := c.alerting()
	return err
}

// restart names the first field that differs and cannot change at run time.
func (c Config) restart(to Config) error {
	for _, f := range []struct {
		path string
		same bool
	}{
		{"default_customer", c.DefaultCustomer == to.DefaultCustomer},
		{"resend_delay", c.ResendDelay == to.ResendDelay},
		{"for_outage_tolerance", c.ForOutageTolerance == to.ForOutageTolerance},
		{"for_grace_period", c.ForGracePeriod == to.ForGracePeriod},
		{"alert_queue_capacity", c.AlertQueueCapacity == to.AlertQueueCapacity},
		{"external_labels", maps.Equal(c.ExternalLabels, to.ExternalLabels)},
		{"external_url", c.ExternalURL == to.ExternalURL},
	} {
		if !f.same {
			return fmt.Errorf("%s: changed; this needs a restart", f.path)
		}
	}
	return nil
}

// alerting reads the block Alerting as Prometheus reads it, and makes each HTTP
// client once, so that a missing certificate is found before anything is swapped.
func (c Config) alerting() (*promconfig.Config, error) {
	text := ""
	if !c.Alerting.node.IsZero() {
		b, err := yaml.Marshal(map[string]*yaml.Node{"alerting": &c.Alerting.node})
		if err != nil {
			return nil, fmt.Errorf("alerting: %w", err)
		}
		text = string(b)
	}
	conf, err := promconfig.Load(text, slog.New(slog.DiscardHandler))
	if err != nil {
		// Lines in it would be those of the text made above.
		return nil, fmt.Errorf("alerting: %s", strings.Join(plainLines(err), "; "))
	}
	conf.GlobalConfig.ExternalLabels = c.externalLabels()
	conf.AlertingConfig.SetDirectory(c.Dir)
	for i, am := range conf.AlertingConfig.AlertmanagerConfigs {
		path := fmt.Sprintf("alerting.alertmanagers[%d]", i)
		if _, err := commonconfig.NewClientFromConfig(am.HTTPClientConfig, "alertmanager"); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		for _, sd := range am.ServiceDiscoveryConfigs {
			if _, ok := sd.(discovery.StaticConfig); !ok {
				return nil, fmt.Errorf("%s: discovery %q is not supported; use static_configs", path, sd.Name())
			}
		}
	}
	return conf, nil
}

func (c Config) externalLabels() labels.Labels { return labels.FromMap(c.ExternalLabels) }

// plainLines takes the line numbers out of an error of the YAML library.
func plainLines(err error) []string {
	var out []string
	for line := range strings.Lines(strings.TrimPrefix(err.Error(), "yaml: ")) {
		line = strings.TrimSpace(line)
		if line == "unmarshal errors:" {
			continue
		}
		if strings.HasPrefix(line, "line ") {
			_, line, _ = strings.Cut(line, ": ")
		}
		out = append(out, line)
	}
	return out
}

// targets lists the addresses of the Alertmanagers by the name of their set.
func targets(conf *promconfig.Config) map[string][]*targetgroup.Group {
	out := map[string][]*targetgroup.Group{}
	for name, am := range conf.AlertingConfig.AlertmanagerConfigs.ToMap() {
		out[name] = nil
		for _, sd := range am.ServiceDiscoveryConfigs {
			if static, ok := sd.(discovery.StaticConfig); ok {
				out[name] = append(out[name], static...)
			}
		}
	}
	return out
}
