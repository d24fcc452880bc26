// Package catalog says, as data, which CloudMonitor metrics are collected and
// what they become: namespace, metric, period, statistic and dimensions on the
// cloud's side; metric name, labels, unit and contract rows on ours. The
// shipped files are embedded; a user's own files in the same format add
// metrics and replace shipped ones.
package catalog

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"

	"watchkeeper/internal/strictyaml"
)

//go:embed *.yml
var shipped embed.FS

// Lane says how often a metric is read and at which period.
type Lane string

// The lanes.
const (
	// Alarm metrics stand behind a contract row: every minute's point is read.
	Alarm Lane = "alarm"
	// Normal metrics are for dashboards: a point every five minutes.
	Normal Lane = "normal"
	// Fast metrics are polled every minute; each costs five times the calls.
	Fast Lane = "fast"
	// Off metrics are known and not collected, such as the names that the old
	// ECS agent used; a user's file switches them on.
	Off Lane = "off"
)

// Scope says where a namespace's metrics live.
type Scope string

// The scopes.
const (
	Regional Scope = "region" // one call per region
	Global   Scope = "global" // one call per account, through its first region
)

// Statistics that a CloudMonitor point can carry.
var statistics = []string{"Average", "Maximum", "Minimum", "Sum", "Value"}

// InstanceLabel is our label for a resource's id; every metric of a resource has it.
const InstanceLabel = "instance"

// Metric is one CloudMonitor metric and the series that it becomes.
type Metric struct {
	// Product, Namespace and Scope come from the file's head.
	Product   string `yaml:"-"`
	Namespace string `yaml:"-"`
	Scope     Scope  `yaml:"-"`

	// Metric is CloudMonitor's MetricName, in its own spelling.
	Metric string `yaml:"metric"`
	// Name is our metric name; several metrics may share it (the three Redis
	// architectures), as long as no resource reports two of them.
	Name string `yaml:"name"`
	// Help is one sentence for people.
	Help string `yaml:"help"`
	// Unit of our value, as in the name's suffix.
	Unit string `yaml:"unit"`
	// Scale multiplies CloudMonitor's value to reach Unit. Default 1.
	Scale float64 `yaml:"scale"`
	// Statistics in order of preference: the first that a point carries is taken.
	Statistics []string `yaml:"statistics"`
	// Dimensions are the resource keys that every point must carry, to our labels.
	Dimensions map[string]string `yaml:"dimensions"`
	// OptionalDimensions are keys that some points carry (the older and the newer
	// form of a listener), to our labels.
	OptionalDimensions map[string]string `yaml:"optional_dimensions"`
	// MinPeriod is the metric's smallest period in seconds; requests use multiples.
	MinPeriod int `yaml:"min_period"`
	// Lane decides period and interval. Default normal.
	Lane Lane `yaml:"lane"`
	// Rows are the contract rows that this metric answers.
	Rows []string `yaml:"rows"`
	// Note tells what is unconfirmed or unusual.
	Note string `yaml:"note"`
}

// Key identifies a metric within a catalogue.
func (m Metric) Key() string { return m.Namespace + "/" + m.Metric }

// Period in seconds to ask for: a minute where every minute counts, else five,
// never below the metric's smallest.
func (m Metric) Period() int {
	period := 60
	if m.Lane == Normal {
		period = 300
	}
	return max(period, m.MinPeriod)
}

type file struct {
	Product   string   `yaml:"product"`
	Namespace string   `yaml:"namespace"`
	Scope     Scope    `yaml:"scope"`
	Metrics   []Metric `yaml:"metrics"`
}

// Catalog is a set of metrics, sorted by key.
type Catalog struct {
	metrics []Metric
}

// Load reads the shipped files and then the user's, in order: a metric whose
// namespace and MetricName are already there is replaced, so a user's file can
// change a lane or a statistic as well as add a metric.
func Load(userFiles ...string) (*Catalog, error) {
	c := &Catalog{}
	names, err := fs.Glob(shipped, "*.yml")
	if err != nil {
		return nil, fmt.Errorf("aliyun catalog: %w", err)
	}
	for _, name := range names {
		data, err := shipped.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("aliyun catalog: %w", err)
		}
		if err := c.add(name, data); err != nil {
			return nil, fmt.Errorf("aliyun catalog: %w", err)
		}
	}
	for _, name := range userFiles {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("aliyun catalog: %w", err)
		}
		if err := c.add(name, data); err != nil {
			return nil, fmt.Errorf("aliyun catalog: %w", err)
		}
	}
	return c, nil
}

func (c *Catalog) add(name string, data []byte) error {
	var f file
	doc, err := strictyaml.Decode(name, data, &f)
	if err != nil {
		return err
	}
	if f.Scope == "" {
		f.Scope = Regional
	}
	if err := f.validate(); err != nil {
		return doc.At(err)
	}
	inFile := map[string]bool{}
	for i, m := range f.Metrics {
		m.Product, m.Namespace, m.Scope = f.Product, f.Namespace, f.Scope
		m.applyDefaults()
		if err := m.validate(); err != nil {
			return doc.At(fmt.Errorf("metrics[%d].%w", i, err))
		}
		if inFile[m.Key()] {
			return doc.At(fmt.Errorf("metrics[%d].metric: %q is there twice", i, m.Metric))
		}
		inFile[m.Key()] = true
		c.put(m)
	}
	return nil
}

func (c *Catalog) put(m Metric) {
	i, found := slices.BinarySearchFunc(c.metrics, m.Key(), func(have Metric, key string) int {
		return strings.Compare(have.Key(), key)
	})
	if found {
		c.metrics[i] = m
		return
	}
	c.metrics = slices.Insert(c.metrics, i, m)
}

// Metrics returns every metric, sorted by namespace and MetricName.
func (c *Catalog) Metrics() []Metric { return slices.Clone(c.metrics) }

// Collected returns the metrics of the products that are not off.
func (c *Catalog) Collected(products ...string) []Metric {
	var out []Metric
	for _, m := range c.metrics {
		if m.Lane != Off && slices.Contains(products, m.Product) {
			out = append(out, m)
		}
	}
	return out
}

// Products returns the products that the catalogue knows, sorted.
func (c *Catalog) Products() []string {
	var out []string
	for _, m := range c.metrics {
		if !slices.Contains(out, m.Product) {
			out = append(out, m.Product)
		}
	}
	slices.Sort(out)
	return out
}

func (m *Metric) applyDefaults() {
	if m.Scale == 0 {
		m.Scale = 1
	}
	if m.MinPeriod == 0 {
		m.MinPeriod = 60
	}
	if m.Lane == "" {
		m.Lane = Normal
	}
}

var (
	productPattern   = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)
	namespacePattern = regexp.MustCompile(`^acs_[a-z0-9_]+$`)
	namePattern      = regexp.MustCompile(`^aliyun_[a-z0-9_]+$`)
	labelPattern     = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
)

// reserved labels are set by the collector and the store, not by a dimension.
var reserved = []string{"customer", "product", "region"}

func (f file) validate() error {
	switch {
	case !productPattern.MatchString(f.Product):
		return fmt.Errorf("product: %q: want lower-case letters, digits and -", f.Product)
	case !namespacePattern.MatchString(f.Namespace):
		return fmt.Errorf("namespace: %q: want acs_…", f.Namespace)
	case f.Scope != Regional && f.Scope != Global:
		return fmt.Errorf("scope: %q: want region or global", f.Scope)
	}
	return nil
}

func (m Metric) validate() error {
	switch {
	case m.Metric == "":
		return errors.New("metric: missing")
	case !namePattern.MatchString(m.Name):
		return fmt.Errorf("name: %q: want aliyun_…, lower case", m.Name)
	case m.Help == "":
		return errors.New("help: missing")
	case m.Unit == "":
		return errors.New("unit: missing")
	case m.MinPeriod < 0 || (60%m.MinPeriod != 0 && 300%m.MinPeriod != 0 && m.MinPeriod%300 != 0):
		return fmt.Errorf("min_period: %d: want a divisor of 60 or 300, or a multiple of 300", m.MinPeriod)
	case len(m.Statistics) == 0:
		return errors.New("statistics: at least one is needed")
	}
	for i, s := range m.Statistics {
		if !slices.Contains(statistics, s) {
			return fmt.Errorf("statistics[%d]: %q: want one of %s", i, s, strings.Join(statistics, ", "))
		}
	}
	switch m.Lane {
	case Alarm, Normal, Fast, Off:
	default:
		return fmt.Errorf("lane: %q: want alarm, normal, fast or off", m.Lane)
	}
	if len(m.Rows) > 0 && m.Lane == Normal {
		return errors.New("lane: a contract row needs the alarm or the fast lane")
	}
	return m.validateLabels()
}

func (m Metric) validateLabels() error {
	used := map[string]bool{}
	for field, dimensions := range map[string]map[string]string{"dimensions": m.Dimensions, "optional_dimensions": m.OptionalDimensions} {
		for key, label := range dimensions {
			switch {
			case !labelPattern.MatchString(label) || slices.Contains(reserved, label):
				return fmt.Errorf("%s.%s: %q cannot be a label here", field, key, label)
			case used[label]:
				return fmt.Errorf("%s.%s: label %q is there twice", field, key, label)
			}
			used[label] = true
		}
	}
	for key, label := range m.Dimensions {
		if label == InstanceLabel && key != "" {
			return nil
		}
	}
	return fmt.Errorf("dimensions: one of them must become the label %s", InstanceLabel)
}
