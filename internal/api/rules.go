package api

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// Rules hands out the loaded rules with the alerts that are not inactive.
type Rules interface {
	RuleGroups() []RuleGroup
}

// Types of rules in Prometheus's API.
const (
	TypeAlerting  = "alerting"
	TypeRecording = "recording"
)

// RuleGroup is a rule group as /api/v1/rules shows it. Fields beyond
// Prometheus's are ours.
type RuleGroup struct {
	Name     string  `json:"name"`
	File     string  `json:"file"`
	Interval float64 `json:"interval"` // seconds
	Limit    int     `json:"limit"`
	Rules    []Rule  `json:"rules"`

	EvaluationTime float64   `json:"evaluationTime"` // seconds; 0, since samples are judged as they arrive
	LastEvaluation time.Time `json:"lastEvaluation"`
}

// Rule is an alerting rule as /api/v1/rules shows it.
type Rule struct {
	State       string        `json:"state,omitempty"` // of its alerts, the most urgent: firing, pending, inactive
	Name        string        `json:"name"`
	Query       string        `json:"query"`
	Duration    float64       `json:"duration"` // seconds from the first breaching check to firing
	KeepFiring  float64       `json:"keepFiringFor"`
	Labels      labels.Labels `json:"labels"`
	Annotations labels.Labels `json:"annotations"`
	Alerts      []Alert       `json:"alerts"`
	Health      string        `json:"health"`
	LastError   string        `json:"lastError,omitempty"`
	Type        string        `json:"type"`

	EvaluationTime float64   `json:"evaluationTime"`
	LastEvaluation time.Time `json:"lastEvaluation"`

	ID          string `json:"id"`
	Consecutive int    `json:"consecutive,omitempty"`
	Missing     string `json:"missing,omitempty"`
	Mode        string `json:"mode,omitempty"`   // streaming or evaluated
	Reason      string `json:"reason,omitempty"` // why it is evaluated
	Series      int    `json:"series"`           // series watched
	Row         string `json:"contractRow,omitempty"`
	Literal     string `json:"contractLiteral,omitempty"`
	Deviation   string `json:"contractDeviation,omitempty"`
}

// Alert is one alert as /api/v1/alerts shows it. State is one of Prometheus's
// three; the fourth of ours, no-data, shows as firing there and by name in
// AlertState, since clients of Prometheus's API know three only.
type Alert struct {
	Labels      labels.Labels `json:"labels"`
	Annotations labels.Labels `json:"annotations"`
	State       string        `json:"state"`
	ActiveAt    *time.Time    `json:"activeAt,omitempty"`
	Value       string        `json:"value"`

	AlertState string     `json:"alertState"`
	Run        int        `json:"run"`
	Of         int        `json:"of"`
	NextCheck  *time.Time `json:"nextCheck,omitempty"`
	Row        string     `json:"contractRow,omitempty"`
	Literal    string     `json:"contractLiteral,omitempty"`
}

// serveRules answers as Prometheus does, with its filters type, rule_name[],
// rule_group[], file[], match[] and exclude_alerts.
func serveRules(w http.ResponseWriter, r *http.Request, rules Rules) {
	if err := r.ParseForm(); err != nil {
		badData(w, fmt.Errorf("parse form: %w", err))
		return
	}
	var noAlerts bool
	if s := r.FormValue("exclude_alerts"); s != "" {
		var err error
		if noAlerts, err = strconv.ParseBool(s); err != nil {
			badData(w, fmt.Errorf("invalid parameter %q: %w", "exclude_alerts", err))
			return
		}
	}
	var matchers [][]*labels.Matcher
	p := parser.NewParser(parser.Options{})
	for _, s := range r.Form["match[]"] {
		m, err := p.ParseMetricSelector(s)
		if err != nil {
			badData(w, fmt.Errorf("invalid parameter %q: %w", "match[]", err))
			return
		}
		matchers = append(matchers, m)
	}
	kind := r.FormValue("type")
	if kind != "" && ruleTypes[kind] == "" {
		badData(w, fmt.Errorf("not supported value %q of parameter type", kind))
		return
	}
	groups := []RuleGroup{}
	for _, g := range rules.RuleGroups() {
		if !wanted(r.Form["rule_group[]"], g.Name) || !wanted(r.Form["file[]"], g.File) {
			continue
		}
		kept := make([]Rule, 0, len(g.Rules))
		for _, rule := range g.Rules {
			if kind != "" && rule.Type != ruleTypes[kind] || !wanted(r.Form["rule_name[]"], rule.Name) || !matchesAny(matchers, rule.Labels) {
				continue
			}
			if noAlerts {
				rule.Alerts = nil
			}
			kept = append(kept, rule)
		}
		if len(kept) == 0 && len(g.Rules) > 0 {
			continue
		}
		g.Rules = kept
		groups = append(groups, g)
	}
	success(w, map[string]any{"groups": groups})
}

// ruleTypes maps the values of the parameter type to types of rules.
var ruleTypes = map[string]string{"alert": TypeAlerting, "record": TypeRecording}

func wanted(filter []string, name string) bool {
	return len(filter) == 0 || slices.Contains(filter, name)
}

func matchesAny(sets [][]*labels.Matcher, ls labels.Labels) bool {
	if len(sets) == 0 {
		return true
	}
	for _, set := range sets {
		if !slices.ContainsFunc(set, func(m *labels.Matcher) bool { return !m.Matches(ls.Get(m.Name)) }) {
			return true
		}
	}
	return false
}

func serveAlerts(w http.ResponseWriter, rules Rules) {
	alerts := []Alert{}
	for _, g := range rules.RuleGroups() {
		for _, r := range g.Rules {
			alerts = append(alerts, r.Alerts...)
		}
	}
	success(w, map[string]any{"alerts": alerts})
}

// Metadata hands out what is known of metrics by name.
type Metadata interface {
	Metadata() map[string]MetricMetadata
}

// MetricMetadata is a metric's type, help and unit, as /api/v1/metadata shows it.
type MetricMetadata struct {
	Type model.MetricType `json:"type"`
	Help string           `json:"help"`
	Unit string           `json:"unit"`
}

func serveMetadata(w http.ResponseWriter, r *http.Request, md Metadata) {
	limit := -1
	if s := r.FormValue("limit"); s != "" {
		var err error
		if limit, err = strconv.Atoi(s); err != nil {
			badData(w, fmt.Errorf("limit must be a number"))
			return
		}
	}
	only := r.FormValue("metric")
	out := map[string][]MetricMetadata{}
	all := md.Metadata()
	for _, name := range sortedKeys(all) {
		if only != "" && name != only {
			continue
		}
		if limit >= 0 && len(out) >= limit {
			break
		}
		out[name] = []MetricMetadata{all[name]}
	}
	success(w, out)
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
