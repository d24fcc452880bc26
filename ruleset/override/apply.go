package override

import (
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"go.yaml.in/yaml/v3"

	"watchkeeper/ruleset"
)

// Applied is what became of an override for one of its rules.
type Applied struct {
	Override Override `json:"override"`
	State    State    `json:"state"`
	Rule     string   `json:"rule"`              // id of the rule that it is for
	Literal  string   `json:"literal,omitempty"` // the contract's words
	ID       string   `json:"id,omitempty"`      // id of the overriding rule; empty when off or not active
	Was      string   `json:"was"`               // the rule's expression
	Expr     string   `json:"expr,omitempty"`    // the overriding rule's; empty when off or not active
	// WasConsecutive and WasSeverity are the rule's own.
	WasConsecutive int    `json:"was_consecutive"`
	WasSeverity    string `json:"was_severity"`
}

// Apply splits the rules of the groups by the overrides that are active at now
// and returns new groups; those given stay as they are. Where several match one
// series, the first wins. Overrides that are waiting or expired change nothing
// and are listed. It is an error to name a rule that does not exist or that
// cannot be split.
func Apply(groups []ruleset.Group, overrides []Override, now time.Time) ([]ruleset.Group, []Applied, error) {
	a := applier{now: now}
	if err := a.check(groups, overrides); err != nil {
		return nil, nil, err
	}
	var out []ruleset.Group
	for _, g := range groups {
		mine := g
		mine.Rules = nil
		var extra []ruleset.Group
		for _, r := range g.Rules {
			rest, more, err := a.rule(g, r, overrides)
			if err != nil {
				return nil, nil, fmt.Errorf("rule %q: %w", r.ID(), err)
			}
			mine.Rules = append(mine.Rules, rest)
			extra = append(extra, more...)
		}
		out = append(append(out, mine), extra...)
	}
	return out, a.applied, nil
}

// Of lists the rules that judge for a rule's id: those of overrides, in their
// order, and last the rule itself. What an overriding rule judges counts for an
// identity, whatever the rule itself makes of it. Nil when no rule has the id.
func Of(groups []ruleset.Group, id string) []*ruleset.Rule {
	var out []*ruleset.Rule
	var own *ruleset.Rule
	for _, g := range groups {
		for _, r := range g.Rules {
			switch {
			case r.ID() == id:
				own = r
			case Base(r.ID()) == id:
				out = append(out, r)
			}
		}
	}
	if own == nil {
		return nil
	}
	return append(out, own)
}

type applier struct {
	now     time.Time
	applied []Applied
}

// check refuses overrides of rules that are not there.
func (a *applier) check(groups []ruleset.Group, overrides []Override) error {
	ids := map[string]bool{}
	for _, g := range groups {
		for _, r := range g.Rules {
			if strings.Contains(r.ID(), separator) && len(overrides) > 0 {
				return fmt.Errorf("rule %q: an id with %q cannot stand beside overrides, whose ids have it", r.ID(), separator)
			}
			ids[r.ID()] = true
		}
	}
	for i, o := range overrides {
		if o.matchers == nil {
			if err := overrides[i].Validate(); err != nil {
				return fmt.Errorf("override %q: %w", o.Name, err)
			}
		}
		if o.StateAt(a.now) == Expired {
			continue // its rule may be gone by now
		}
		for _, id := range o.Rules {
			if !ids[id] {
				return fmt.Errorf("override %q: no rule %q is loaded", o.Name, id)
			}
		}
	}
	return nil
}

// rule returns what is left of a rule and the groups with its overriding rules.
func (a *applier) rule(g ruleset.Group, r *ruleset.Rule, overrides []Override) (*ruleset.Rule, []ruleset.Group, error) {
	var taken [][]*labels.Matcher
	var extra []ruleset.Group
	rest := r.Expr
	for i := range overrides {
		o := &overrides[i]
		if !names(o, r) {
			continue
		}
		entry := Applied{Override: *o, State: o.StateAt(a.now), Rule: r.ID(), Was: r.Expr, WasConsecutive: r.Consecutive, WasSeverity: r.Severity()}
		if r.Contract != nil {
			entry.Literal = r.Contract.Literal
		}
		if entry.State == Active {
			over, err := overriding(g, r, o, taken)
			if err != nil {
				return nil, nil, fmt.Errorf("override %q: %w", o.Name, err)
			}
			if over != nil {
				entry.ID, entry.Expr = over.ID(), over.Expr
				extra = append(extra, ruleset.Group{File: g.File, Name: over.Group, Interval: g.Interval, Rules: []*ruleset.Rule{over}})
			}
			if rest, err = exclude(rest, o.matchers); err != nil {
				return nil, nil, fmt.Errorf("override %q: %w", o.Name, err)
			}
			taken = append(taken, o.matchers)
		}
		a.applied = append(a.applied, entry)
	}
	if len(taken) == 0 {
		return r, nil, nil
	}
	c := changed(r)
	c.Expr = rest
	left, err := c.parse(r, r.Group, g.Interval)
	return left, extra, err
}

func names(o *Override, r *ruleset.Rule) bool {
	for _, id := range o.Rules {
		if id == r.ID() {
			return true
		}
	}
	return false
}

// overriding makes the rule for what an override matches and earlier ones have
// not taken; nil when it is off.
func overriding(g ruleset.Group, r *ruleset.Rule, o *Override, taken [][]*labels.Matcher) (*ruleset.Rule, error) {
	if r.Plain && o.Consecutive != nil {
		return nil, fmt.Errorf("consecutive: rule %q counts time, not checks", r.ID())
	}
	if o.Off {
		return nil, nil
	}
	c := changed(r)
	thresholds := o.Thresholds
	if o.Threshold != nil {
		thresholds = []float64{*o.Threshold}
	}
	var err error
	if len(thresholds) > 0 {
		if c.Expr, err = withThresholds(c.Expr, thresholds); err != nil {
			return nil, err
		}
	}
	if c.Expr, err = only(c.Expr, o.matchers); err != nil {
		return nil, err
	}
	for _, t := range taken {
		if !disjoint(t, o.matchers) {
			if c.Expr, err = exclude(c.Expr, t); err != nil {
				return nil, err
			}
		}
	}
	if o.Consecutive != nil {
		c.Consecutive = o.Consecutive
	}
	if o.Severity != "" {
		c.Labels["severity"] = o.Severity
	}
	c.deviate(r, o)
	return c.parse(r, r.Group+separator+o.Name, g.Interval)
}

func only(expr string, ms []*labels.Matcher) (string, error) {
	e, err := promParser.ParseExpr(expr)
	if err != nil {
		return "", err
	}
	if err := narrow(e, ms); err != nil {
		return "", err
	}
	return e.String(), nil
}

// ruleText is a rule as a rule file has it. Every field is written, so that
// nothing changes with a default.
type ruleText struct {
	Record        string                    `yaml:"record,omitempty"`
	Alert         string                    `yaml:"alert,omitempty"`
	Expr          string                    `yaml:"expr"`
	For           model.Duration            `yaml:"for,omitempty"`
	KeepFiringFor model.Duration            `yaml:"keep_firing_for,omitempty"`
	Labels        map[string]string         `yaml:"labels,omitempty"`
	Annotations   map[string]string         `yaml:"annotations,omitempty"`
	Consecutive   *int                      `yaml:"consecutive,omitempty"`
	Missing       ruleset.Missing           `yaml:"missing,omitempty"`
	MaxGap        *int                      `yaml:"max_gap,omitempty"`
	Lateness      *model.Duration           `yaml:"lateness,omitempty"`
	MissingAfter  *model.Duration           `yaml:"missing_after,omitempty"`
	ResolveAfter  *int                      `yaml:"resolve_after,omitempty"`
	NoDataAfter   *int                      `yaml:"no_data_after,omitempty"`
	Phase         *model.Duration           `yaml:"phase,omitempty"`
	MinMembers    *int                      `yaml:"min_members,omitempty"`
	Lookback      map[string]model.Duration `yaml:"lookback,omitempty"`
	Contract      *ruleset.Contract         `yaml:"contract,omitempty"`
}

// changed begins a changed copy of a rule.
func changed(r *ruleset.Rule) *ruleText {
	c := &ruleText{
		Record: r.Record, Alert: r.Alert, Expr: r.Expr, For: model.Duration(r.For), KeepFiringFor: model.Duration(r.KeepFiringFor),
		Labels: asMap(r.Labels), Annotations: asMap(r.Annotations), Contract: r.Contract,
	}
	if r.Plain {
		return c
	}
	number := func(n int) *int { return &n }
	duration := func(d time.Duration) *model.Duration { m := model.Duration(d); return &m }
	c.Consecutive, c.Missing, c.MaxGap = number(r.Consecutive), r.Missing, number(r.MaxGap)
	c.Lateness, c.MissingAfter, c.Phase = duration(r.Lateness), duration(r.MissingAfter), duration(r.Phase)
	c.ResolveAfter, c.NoDataAfter, c.MinMembers = number(r.ResolveAfter), number(r.NoDataAfter), number(r.MinMembers)
	c.Lookback = map[string]model.Duration{}
	for m, d := range r.Lookback {
		c.Lookback[m] = model.Duration(d)
	}
	return c
}

func asMap(l labels.Labels) map[string]string {
	m := map[string]string{}
	l.Range(func(x labels.Label) { m[x.Name] = x.Value })
	return m
}

// deviate gives the overriding rule its own row and declares how it differs
// from the contract's literal text.
func (c *ruleText) deviate(r *ruleset.Rule, o *Override) {
	if r.Contract == nil {
		return
	}
	d := ruleset.Deviation{Reason: fmt.Sprintf("override %s by %s until %s: %s", o.Name, o.Owner, o.End.UTC().Format(time.RFC3339), o.Reason)}
	if was := r.Contract.Deviation; was != nil {
		d.Expr, d.Consecutive = was.Expr, was.Consecutive
		d.Reason += "; the rule itself deviates too: " + was.Reason
	}
	if d.Expr == "" {
		d.Expr = r.Expr
	}
	if d.Consecutive == 0 && o.Consecutive != nil {
		d.Consecutive = r.Consecutive
	}
	contract := *r.Contract
	contract.Row += separator + o.Name
	contract.Deviation = &d
	c.Contract = &contract
}

// parse compiles the text in the place of the rule that it comes from.
func (c *ruleText) parse(r *ruleset.Rule, group string, interval time.Duration) (*ruleset.Rule, error) {
	if interval == 0 {
		interval = r.Interval
	}
	b, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{
		"name": group, "interval": model.Duration(interval), "rules": []any{c},
	}}})
	if err != nil {
		return nil, err
	}
	groups, err := ruleset.Parse(r.File, b)
	if err != nil {
		return nil, err
	}
	out := groups[0].Rules[0]
	out.Line = r.Line
	return out, nil
}
