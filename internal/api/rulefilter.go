package api

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// ruleFilter is what a request to /api/v1/rules asks for: Prometheus's
// parameters, refused in Prometheus's words.
type ruleFilter struct {
	names, groups, files []string
	matchers             [][]*labels.Matcher
	kind                 string // of rules; empty: both
	noAlerts             bool
	limit                int    // rule groups in a page; 0: all
	token                string // where the page begins; empty: at the first
}

// ruleTypes maps the values of the parameter type to types of rules.
var ruleTypes = map[string]string{"": "", "alert": TypeAlerting, "record": TypeRecording}

func newRuleFilter(q url.Values) (ruleFilter, error) {
	f := ruleFilter{names: q["rule_name[]"], groups: q["rule_group[]"], files: q["file[]"]}
	var err error
	if f.matchers, err = selectors(q["match[]"]); err != nil {
		return f, err
	}
	kind, known := strings.ToLower(q.Get("type")), false
	if f.kind, known = ruleTypes[kind]; !known {
		return f, invalidParameter("type", fmt.Errorf("not supported value %q", kind))
	}
	if s := strings.ToLower(q.Get("exclude_alerts")); s != "" {
		if f.noAlerts, err = strconv.ParseBool(s); err != nil {
			return f, invalidParameter("exclude_alerts", fmt.Errorf("error converting exclude_alerts: %w", err))
		}
	}
	f.token = q.Get("group_next_token")
	limit := q.Get("group_limit")
	if limit == "" {
		if f.token != "" {
			return f, invalidParameter("group_next_token", errors.New("group_limit needs to be present in order to paginate over the groups"))
		}
		return f, nil
	}
	n, err := strconv.ParseInt(limit, 10, 32)
	if err != nil {
		return f, invalidParameter("group_limit", fmt.Errorf("group_limit needs to be a valid number: %w", err))
	}
	if n <= 0 {
		return f, invalidParameter("group_limit", errors.New("group_limit needs to be greater than 0"))
	}
	f.limit = int(n)
	return f, nil
}

func invalidParameter(name string, err error) error {
	return fmt.Errorf("invalid parameter %q: %w", name, err)
}

// selectors reads the values of the parameter match[].
func selectors(texts []string) ([][]*labels.Matcher, error) {
	sets, err := parser.NewParser(parser.Options{}).ParseMetricSelectors(texts)
	if err != nil {
		return nil, err
	}
	for _, set := range sets {
		if !slices.ContainsFunc(set, func(m *labels.Matcher) bool { return !m.Matches("") }) {
			return nil, errors.New("match[] must contain at least one non-empty matcher")
		}
	}
	return sets, nil
}

// rulePage is the answer of /api/v1/rules.
type rulePage struct {
	Groups []RuleGroup `json:"groups"`
	Next   string      `json:"groupNextToken,omitempty"`
}

// page picks rule groups. One of which no rule is left is not shown.
func (f ruleFilter) page(groups []RuleGroup) (rulePage, error) {
	out := rulePage{Groups: []RuleGroup{}}
	if f.token != "" {
		first := slices.IndexFunc(groups, func(g RuleGroup) bool { return g.token() == f.token })
		if first < 0 {
			return out, invalidParameter("group_next_token", fmt.Errorf("invalid group_next_token '%v'. were rule groups changed?", f.token))
		}
		groups = groups[first:]
	}
	for _, g := range groups {
		if g.Rules = f.rules(g); len(g.Rules) == 0 {
			continue
		}
		if f.limit > 0 && len(out.Groups) == f.limit {
			out.Next = g.token()
			break
		}
		out.Groups = append(out.Groups, g)
	}
	return out, nil
}

// rules returns those of a group that are wanted.
func (f ruleFilter) rules(g RuleGroup) []Rule {
	if !wanted(f.groups, g.Name) || !wanted(f.files, g.File) {
		return nil
	}
	kept := make([]Rule, 0, len(g.Rules))
	for _, r := range g.Rules {
		if f.kind != "" && r.Type != f.kind || !wanted(f.names, r.Name) || !matchesAny(f.matchers, r.Labels) {
			continue
		}
		if f.noAlerts {
			r.Alerts = nil
		}
		kept = append(kept, r)
	}
	return kept
}

// token names a rule group as the beginning of a page.
func (g RuleGroup) token() string {
	sum := sha256.Sum256([]byte(g.File + ";" + g.Name))
	return hex.EncodeToString(sum[:])
}

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
