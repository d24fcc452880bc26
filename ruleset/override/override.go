// Package override changes rules for one customer or resource: another
// threshold, count or severity, or no alarm at all. Every override has an
// owner, a reason and an end, and shows as a deviation from the contract.
//
// An override splits a rule in two: the rule itself, without what the override
// matches, and an overriding rule for just that. The overriding rule keeps the
// contract row's text; its id is the row's with "@" and the override's name, so
// that incidents of the two never meet. Base gives the row back.
package override

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"watchkeeper/internal/strictyaml"
)

// customerLabel is the tenant; every override is for one.
const customerLabel = "customer"

// maxOverrides bounds a file; each costs a rule.
const maxOverrides = 10_000

// Override changes the rules it names for what it matches.
type Override struct {
	// Name becomes part of the overriding rule's id. Unique; lower-case
	// letters, digits, '-'. Required.
	Name string `yaml:"name" json:"name"`
	// Rules are contract rows or other rule ids. Required.
	Rules []string `yaml:"rules" json:"rules"`
	// Match is a selector without metric name: {customer="acme", instance="i-1"}.
	// It must name the customer with '='. Required.
	Match string `yaml:"match" json:"match"`

	// Threshold replaces the number that the rule compares with.
	Threshold *float64 `yaml:"threshold" json:"threshold,omitempty"`
	// Thresholds are those of a rule with several comparisons, in their order.
	Thresholds []float64 `yaml:"thresholds" json:"thresholds,omitempty"`
	// Consecutive replaces the number of breaches that fire.
	Consecutive *int `yaml:"consecutive" json:"consecutive,omitempty"`
	// Severity replaces the label severity.
	Severity string `yaml:"severity" json:"severity,omitempty"`
	// Off switches the rule off for what is matched.
	Off bool `yaml:"off" json:"off,omitempty"`

	// Owner answers for it. Required.
	Owner string `yaml:"owner" json:"owner"`
	// Reason is shown wherever the rule is. Required.
	Reason string `yaml:"reason" json:"reason"`
	// From is when it begins. Default: at once.
	From time.Time `yaml:"from" json:"from,omitzero"`
	// End is when it stops. Required: an override without end is a new rule.
	End time.Time `yaml:"end" json:"end"`

	matchers []*labels.Matcher
}

// document is an override file.
type document struct {
	Overrides []*Override `yaml:"overrides"`
}

// Parse reads an override file. Unknown keys and wrong values are errors that
// name file, line and path.
func Parse(name string, b []byte) ([]Override, error) {
	var d document
	doc, err := strictyaml.Decode(name, b, &d)
	if err != nil {
		return nil, err
	}
	if len(d.Overrides) > maxOverrides {
		return nil, fmt.Errorf("%s: more than %d overrides", name, maxOverrides)
	}
	out := make([]Override, 0, len(d.Overrides))
	seen := map[string]bool{}
	for i, o := range d.Overrides {
		path := fmt.Sprintf("overrides[%d]", i)
		if o == nil {
			return nil, doc.At(fmt.Errorf("%s: is empty", path))
		}
		if err := o.Validate(); err != nil {
			return nil, doc.At(fmt.Errorf("%s.%w", path, err))
		}
		if seen[o.Name] {
			return nil, doc.At(fmt.Errorf("%s.name: %q is there twice", path, o.Name))
		}
		seen[o.Name] = true
		out = append(out, *o)
	}
	return out, nil
}

var (
	namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)
	severities  = []string{"disaster", "high", "average", "warning"}
	promParser  = parser.NewParser(parser.Options{})
)

// Validate names the path of the first mistake and reads the selector.
func (o *Override) Validate() error {
	switch {
	case !namePattern.MatchString(o.Name):
		return fmt.Errorf("name: %q: want lower-case letters, digits and '-'", o.Name)
	case len(o.Rules) == 0:
		return errors.New("rules: none is named")
	case o.Owner == "":
		return errors.New("owner: is empty; somebody must answer for it")
	case o.Reason == "":
		return errors.New("reason: is empty; it is shown wherever the rule is")
	case o.End.IsZero():
		return errors.New("end: is missing; an override without end is a new rule")
	case !o.From.Before(o.End):
		return errors.New("end: is not after from")
	}
	if err := o.validateChange(); err != nil {
		return err
	}
	return o.parseMatch()
}

func (o *Override) validateChange() error {
	changes := o.Threshold != nil || len(o.Thresholds) > 0 || o.Consecutive != nil || o.Severity != ""
	notFinite := func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) }
	switch {
	case o.Off && changes:
		return errors.New("off: stands beside a change; a rule that is off has nothing to change")
	case !o.Off && !changes:
		return errors.New("off: nothing is changed; give threshold, thresholds, consecutive, severity or off")
	case o.Threshold != nil && len(o.Thresholds) > 0:
		return errors.New("thresholds: stands beside threshold; give one of them")
	case o.Threshold != nil && notFinite(*o.Threshold):
		return errors.New("threshold: is not a number")
	case slices.ContainsFunc(o.Thresholds, notFinite):
		return errors.New("thresholds: holds what is not a number")
	case o.Consecutive != nil && *o.Consecutive < 1:
		return fmt.Errorf("consecutive: %d: must be positive", *o.Consecutive)
	case o.Severity != "" && !slices.Contains(severities, o.Severity):
		return fmt.Errorf("severity: %q: want disaster, high, average or warning", o.Severity)
	}
	return nil
}

func (o *Override) parseMatch() error {
	ms, err := promParser.ParseMetricSelector(o.Match)
	if err != nil {
		return fmt.Errorf("match: %w", err)
	}
	customer := false
	for _, m := range ms {
		if m.Name == model.MetricNameLabel {
			return errors.New("match: names a metric; the rule does that")
		}
		customer = customer || m.Name == customerLabel && m.Type == labels.MatchEqual && m.Value != ""
	}
	if !customer {
		return fmt.Errorf(`match: must hold customer="…"; an override is for one customer`)
	}
	o.matchers = ms
	return nil
}

// Matches says whether the override is for a series or identity.
func (o *Override) Matches(l labels.Labels) bool {
	return !slices.ContainsFunc(o.matchers, func(m *labels.Matcher) bool { return !m.Matches(l.Get(m.Name)) })
}

// State says where an override stands in its time.
type State string

// The states of an override.
const (
	Waiting State = "waiting" // begins later
	Active  State = "active"
	Expired State = "expired" // is ignored
)

// StateAt says where the override stands at now; From belongs to it, End does not.
func (o *Override) StateAt(now time.Time) State {
	switch {
	case now.Before(o.From):
		return Waiting
	case now.Before(o.End):
		return Active
	}
	return Expired
}

// NextChange is the first time after now at which an override begins or ends:
// when to apply them again.
func NextChange(overrides []Override, now time.Time) (next time.Time, ok bool) {
	for _, o := range overrides {
		for _, t := range []time.Time{o.From, o.End} {
			if t.After(now) && (!ok || t.Before(next)) {
				next, ok = t, true
			}
		}
	}
	return next, ok
}

// separator stands between a rule's id and the name of an override.
const separator = "@"

// ID is the id of what an override makes of a rule; Base takes it back.
func ID(rule, name string) string {
	group, alert, found := strings.Cut(rule, "/")
	if !found {
		return rule + separator + name
	}
	return group + separator + name + "/" + alert
}

// Base returns the id of the rule that an overriding rule was split from, or
// the id itself: rds-cpu of rds-cpu@o, group/Alert of group@o/Alert.
func Base(id string) string {
	base, rest, found := strings.Cut(id, separator)
	if i := strings.Index(rest, "/"); found && i >= 0 {
		return base + rest[i:]
	}
	return base
}
