package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
)

// Rules hands out the loaded rules with the alerts that are not inactive.
type Rules interface {
	RuleGroups() []RuleGroup
	// RuleGroupsOf are the rules as one customer gets them: those that are for it, with
	// its overrides, its alerts and how many of its series each watches.
	RuleGroupsOf(customer string) []RuleGroup
}

// ModeOff is the mode of a rule that an override switches off for a customer.
const ModeOff = "off"

// RuleOverride is the override that makes a rule what it is.
type RuleOverride struct {
	Name     string    `json:"name"`
	Customer string    `json:"customer"`
	Match    string    `json:"match"`
	Change   string    `json:"change"` // in words
	Owner    string    `json:"owner"`
	Reason   string    `json:"reason"`
	End      time.Time `json:"end"`
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

	EvaluationTime float64   `json:"evaluationTime"` // seconds; 0 where samples are judged as they arrive
	LastEvaluation time.Time `json:"lastEvaluation"`
}

// Rule is a rule as /api/v1/rules shows it. Mode says whose meaning it has:
// streaming and evaluated are ours, plain is Prometheus's.
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
	Series      *int   `json:"series,omitempty"` // series watched; nil where nobody counts them
	Row         string `json:"contractRow,omitempty"`
	Literal     string `json:"contractLiteral,omitempty"`
	Deviation   string `json:"contractDeviation,omitempty"`

	// Override is the override that makes the rule what it is, in the answer for one customer.
	Override *RuleOverride `json:"override,omitempty"`
}

// Alert is one alert as /api/v1/alerts shows it. State is one of Prometheus's
// three; the fourth of ours, no-data, shows as firing there and by name in
// AlertState, since clients of Prometheus's API know three only.
type Alert struct {
	Labels      labels.Labels `json:"labels"`
	Annotations labels.Labels `json:"annotations"`
	State       string        `json:"state"`
	ActiveAt    *time.Time    `json:"activeAt,omitempty"`
	// KeepFiringSince is when the expression of a rule with keep_firing_for held last.
	KeepFiringSince *time.Time `json:"keepFiringSince,omitempty"`
	Value           string     `json:"value"`

	AlertState string     `json:"alertState"`
	Run        *int       `json:"run,omitempty"` // nil for a rule that counts no checks, as Of is 0
	Of         int        `json:"of,omitempty"`
	NextCheck  *time.Time `json:"nextCheck,omitempty"`
	Row        string     `json:"contractRow,omitempty"`
	Literal    string     `json:"contractLiteral,omitempty"`
}

// recordingRule is what a recording rule shows of a Rule.
type recordingRule struct {
	Name           string        `json:"name"`
	Query          string        `json:"query"`
	Labels         labels.Labels `json:"labels"`
	Health         string        `json:"health"`
	LastError      string        `json:"lastError,omitempty"`
	EvaluationTime float64       `json:"evaluationTime"`
	LastEvaluation time.Time     `json:"lastEvaluation"`
	Type           string        `json:"type"`
	ID             string        `json:"id"`
	Mode           string        `json:"mode,omitempty"`
}

// MarshalJSON implements json.Marshaler: clients tell the two types of rules
// apart by the fields too.
func (r Rule) MarshalJSON() ([]byte, error) {
	if r.Type == TypeRecording {
		return json.Marshal(recordingRule{
			Name: r.Name, Query: r.Query, Labels: r.Labels, Health: r.Health, LastError: r.LastError,
			EvaluationTime: r.EvaluationTime, LastEvaluation: r.LastEvaluation, Type: r.Type, ID: r.ID, Mode: r.Mode,
		})
	}
	type alertingRule Rule
	return json.Marshal(alertingRule(r))
}

// serveRules answers as Prometheus does; ?customer=NAME, which is ours, asks for the
// rules as that customer gets them.
func serveRules(w http.ResponseWriter, r *http.Request, rules Rules, customers Customers) {
	if err := r.ParseForm(); err != nil {
		badData(w, fmt.Errorf("error parsing form values: %w", err))
		return
	}
	f, err := newRuleFilter(r.Form)
	if err != nil {
		badData(w, err)
		return
	}
	var groups []RuleGroup
	if customer := r.Form.Get("customer"); customer == "" {
		groups = rules.RuleGroups()
	} else if customers.known(w, r, customer) {
		groups = rules.RuleGroupsOf(customer)
	} else {
		return
	}
	page, err := f.page(groups)
	if err != nil {
		badData(w, err)
		return
	}
	success(w, page)
}

// serveAlerts answers as Prometheus does.
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
