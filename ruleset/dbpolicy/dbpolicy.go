// Package dbpolicy makes the rule pack of the contract's database performance
// policy: over periods of five minutes, three in a row beyond the threshold
// alert. It covers the database counters for which the alarm table has no row.
// The contract gives no thresholds; every one comes from the configuration, and
// a counter without one has no rule.
package dbpolicy

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"watchkeeper/ruleset"
)

// Name is the name of this rule pack.
const Name = "database-policy"

// PolicyLabel marks the pack's alerts, for routes: the contract sends them to
// the group robot and starts the escalation.
const (
	PolicyLabel = "policy"
	PolicyValue = "database-performance"
)

// severity of the pack's alerts; customers override it.
const severity = "average"

// Thresholds are limits by metric name. Which side of the limit is bad is the
// counter's (see Metrics).
type Thresholds map[string]float64

// Config holds the thresholds.
type Config struct {
	// Default holds for every customer that has no threshold of its own for a
	// metric. Default none.
	Default Thresholds `yaml:"default"`
	// Customers are thresholds by customer. Default none.
	Customers map[string]Thresholds `yaml:"customers"`
}

var customerPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

// Validate names the path of the first mistake.
func (c Config) Validate() error {
	if err := c.Default.validate("default"); err != nil {
		return err
	}
	for _, customer := range slices.Sorted(maps.Keys(c.Customers)) {
		if !customerPattern.MatchString(customer) {
			return fmt.Errorf("customers: %q: want lower-case letters, digits and '-'", customer)
		}
		if err := c.Customers[customer].validate("customers." + customer); err != nil {
			return err
		}
	}
	return nil
}

func (t Thresholds) validate(path string) error {
	for _, name := range slices.Sorted(maps.Keys(t)) {
		if _, ok := Lookup(name); !ok {
			return fmt.Errorf("%s.%s: is not a counter of the database policy", path, name)
		}
		if v := t[name]; math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Errorf("%s.%s: is not a number", path, name)
		}
	}
	return nil
}

// Groups returns the pack's rule groups: one for the default thresholds and one
// for each customer with thresholds of its own.
func Groups(cfg Config) ([]ruleset.Group, error) {
	b, err := File(cfg)
	if err != nil {
		return nil, err
	}
	return ruleset.Parse(Name+".yml", b)
}

// File returns the pack as a rule file.
func File(cfg Config) ([]byte, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("pack %s: %w", Name, err)
	}
	f := map[string]any{"groups": []any{}}
	add := func(name string, rules []rule) {
		if len(rules) > 0 {
			f["groups"] = append(f["groups"].([]any), group{Name: name, Interval: "5m", Rules: rules})
		}
	}
	var rules []rule
	for _, m := range Metrics() {
		if t, ok := cfg.Default[m.Name]; ok {
			rules = append(rules, ruleOf(m, t, cfg.others(m.Name)))
		}
	}
	add(Name, rules)
	for _, customer := range slices.Sorted(maps.Keys(cfg.Customers)) {
		rules = nil
		for _, m := range Metrics() {
			if t, ok := cfg.Customers[customer][m.Name]; ok {
				rules = append(rules, ruleOf(m, t, fmt.Sprintf("{customer=%q}", customer)))
			}
		}
		add(Name+"-"+customer, rules)
	}
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(f); err != nil {
		return nil, fmt.Errorf("pack %s: %w", Name, err)
	}
	return b.Bytes(), enc.Close()
}

// others is the selector of the customers without a threshold of their own.
func (c Config) others(metric string) string {
	var own []string
	for _, customer := range slices.Sorted(maps.Keys(c.Customers)) {
		if _, ok := c.Customers[customer][metric]; ok {
			own = append(own, customer)
		}
	}
	if len(own) == 0 {
		return ""
	}
	return fmt.Sprintf("{customer!~%q}", strings.Join(own, "|"))
}

type group struct {
	Name     string `yaml:"name"`
	Interval string `yaml:"interval"`
	Rules    []rule `yaml:"rules"`
}

type rule struct {
	Alert        string            `yaml:"alert"`
	Expr         string            `yaml:"expr"`
	Consecutive  int               `yaml:"consecutive"`
	MissingAfter string            `yaml:"missing_after"`
	Lateness     string            `yaml:"lateness"`
	Labels       map[string]string `yaml:"labels"`
	Annotations  map[string]string `yaml:"annotations"`
}

// ruleOf makes one rule. The cloud's points come minutes late and in batches:
// a check is open for 15 minutes and can change for 30, as in the RDS rows.
func ruleOf(m Metric, threshold float64, selector string) rule {
	op, word, suffix := ">", "above", "High"
	if m.Below {
		op, word, suffix = "<", "below", "Low"
	}
	limit := strconv.FormatFloat(threshold, 'f', -1, 64)
	return rule{
		Alert:        m.alert() + suffix,
		Expr:         fmt.Sprintf("avg_over_time(%s%s[5m]) %s %s", m.Name, selector, op, limit),
		Consecutive:  3,
		MissingAfter: "15m",
		Lateness:     "30m",
		Labels:       map[string]string{"severity": severity, PolicyLabel: PolicyValue},
		Annotations: map[string]string{
			"summary": fmt.Sprintf(`RDS {{ $labels.instance }}: %s {{ printf "%%.2f" $value }} %s, %s %s for three periods of five minutes`,
				m.Counter, m.Unit, word, limit),
			"runbook_url": "docs/database-policy.md",
		},
	}
}

// alert is the metric's name in CamelCase: RDSMySQLQueriesPerSecond.
func (m Metric) alert() string {
	var b strings.Builder
	for _, word := range strings.Split(strings.TrimPrefix(m.Name, "aliyun_"), "_") {
		if w, ok := written[word]; ok {
			b.WriteString(w)
			continue
		}
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return b.String()
}

// written is how words are written whose capitals are not just the first.
var written = map[string]string{
	"rds": "RDS", "mysql": "MySQL", "sqlserver": "SQLServer", "postgresql": "PostgreSQL", "innodb": "InnoDB", "myisam": "MyISAM", "sql": "SQL", "iops": "IOPS",
}
