package ruleset

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"go.yaml.in/yaml/v3"
)

const (
	maxRuleFileBytes   = 16 << 20
	maxExprBytes       = 16 << 10 // what parses and lints an expression is not linear in it
	maxChecksUnsettled = 100_000  // lateness over interval
)

type groupNode struct {
	Name        string            `yaml:"name"`
	Interval    model.Duration    `yaml:"interval,omitempty"`
	Phase       *model.Duration   `yaml:"phase,omitempty"`
	QueryOffset *model.Duration   `yaml:"query_offset,omitempty"`
	Limit       int               `yaml:"limit,omitempty"`
	Labels      map[string]string `yaml:"labels,omitempty"`
	Rules       []yaml.Node       `yaml:"rules"`
}

type ruleNode struct {
	Record        string                    `yaml:"record,omitempty"`
	Alert         string                    `yaml:"alert,omitempty"`
	Expr          string                    `yaml:"expr"`
	For           *model.Duration           `yaml:"for,omitempty"`
	KeepFiringFor *model.Duration           `yaml:"keep_firing_for,omitempty"`
	Labels        map[string]string         `yaml:"labels,omitempty"`
	Annotations   map[string]string         `yaml:"annotations,omitempty"`
	Consecutive   *int                      `yaml:"consecutive,omitempty"`
	Missing       *Missing                  `yaml:"missing,omitempty"`
	MaxGap        *int                      `yaml:"max_gap,omitempty"`
	Lateness      *model.Duration           `yaml:"lateness,omitempty"`
	MissingAfter  *model.Duration           `yaml:"missing_after,omitempty"`
	ResolveAfter  *int                      `yaml:"resolve_after,omitempty"`
	NoDataAfter   *int                      `yaml:"no_data_after,omitempty"`
	Phase         *model.Duration           `yaml:"phase,omitempty"`
	MinMembers    *int                      `yaml:"min_members,omitempty"`
	Lookback      map[string]model.Duration `yaml:"lookback,omitempty"`
	Contract      *Contract                 `yaml:"contract,omitempty"`
}

// The keys of each mapping of a rule file; nil means free keys.
var (
	fileKeys  = []string{"groups"}
	groupKeys = []string{"name", "interval", "phase", "query_offset", "limit", "labels", "rules"}
	ruleKeys  = []string{"record", "alert", "expr", "for", "keep_firing_for", "labels", "annotations", "consecutive",
		"missing", "max_gap", "lateness", "missing_after", "resolve_after", "no_data_after", "phase", "min_members",
		"lookback", "contract"}
	contractKeys  = []string{"row", "literal", "reading", "deviation"}
	deviationKeys = []string{"expr", "consecutive", "reason"}
)

// Parse reads a rule file: a Prometheus rule file with this package's fields.
// Unknown keys and wrong values are errors that name file, line and path.
func Parse(name string, b []byte) ([]Group, error) {
	if len(b) > maxRuleFileBytes {
		return nil, fmt.Errorf("rule file %s: larger than %d bytes", name, maxRuleFileBytes)
	}
	dec := yaml.NewDecoder(bytes.NewReader(b))
	var doc yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, syntaxError(name, b, err)
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("rule file %s: more than one YAML document", name)
	}
	f := fileParser{name: name}
	return f.file(doc.Content[0])
}

// fileParser carries the file's name into its errors.
type fileParser struct{ name string }

func (f fileParser) errorf(n *yaml.Node, path, format string, args ...any) error {
	return fmt.Errorf("%s:%d: %s: %s", f.name, n.Line, path, fmt.Sprintf(format, args...))
}

// keys refuses keys that a mapping does not have.
func (f fileParser) keys(n *yaml.Node, path string, allowed []string) error {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind != yaml.MappingNode {
		return f.errorf(n, path, "must be a mapping")
	}
	for i := 0; i < len(n.Content); i += 2 {
		if k := n.Content[i]; !slices.Contains(allowed, k.Value) {
			return f.errorf(k, path, "unknown field %q%s", k.Value, hintOfField(k.Value))
		}
	}
	return nil
}

func (f fileParser) decode(n *yaml.Node, path string, into any) error {
	if err := n.Decode(into); err != nil {
		var te *yaml.TypeError
		if errors.As(err, &te) {
			return fmt.Errorf("%s: %s: %s", f.name, path, strings.Join(te.Errors, "; "))
		}
		return f.errorf(n, path, "%v", err)
	}
	return nil
}

func (f fileParser) file(n *yaml.Node) ([]Group, error) {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return nil, nil
	}
	if err := f.keys(n, "file", fileKeys); err != nil {
		return nil, err
	}
	groups := child(n, "groups")
	if groups == nil {
		return nil, nil
	}
	if groups.Kind != yaml.SequenceNode {
		return nil, f.errorf(groups, "groups", "must be a list")
	}
	var out []Group
	seen := map[string]bool{}
	ids := map[string]int{}
	for i, gn := range groups.Content {
		g, err := f.group(gn, fmt.Sprintf("groups[%d]", i))
		if err != nil {
			return nil, err
		}
		if seen[g.Name] {
			return nil, f.errorf(gn, fmt.Sprintf("groups[%d].name", i), "rule group %q is there twice", g.Name)
		}
		seen[g.Name] = true
		for _, r := range g.Rules {
			if line, twice := ids[r.ID()]; twice && !r.Plain {
				return nil, fmt.Errorf("%s:%d: rule %q: the same id as the rule in line %d", f.name, r.Line, r.ID(), line)
			}
			ids[r.ID()] = r.Line
		}
		out = append(out, g)
	}
	return out, nil
}

func child(n *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

func (f fileParser) group(n *yaml.Node, path string) (Group, error) {
	if err := f.keys(n, path, groupKeys); err != nil {
		return Group{}, err
	}
	var gn groupNode
	if err := f.decode(n, path, &gn); err != nil {
		return Group{}, err
	}
	if gn.Name == "" {
		return Group{}, f.errorf(n, path+".name", "must not be empty")
	}
	g := Group{File: f.name, Name: gn.Name, Interval: time.Duration(gn.Interval)}
	for i := range gn.Rules {
		rp := fmt.Sprintf("%s.rules[%d]", path, i)
		r, err := f.rule(&gn.Rules[i], rp, gn)
		if err != nil {
			return Group{}, err
		}
		g.Rules = append(g.Rules, r)
	}
	return g, nil
}

func (f fileParser) rule(n *yaml.Node, path string, gn groupNode) (*Rule, error) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if err := f.keys(n, path, ruleKeys); err != nil {
		return nil, err
	}
	if c := child(n, "contract"); c != nil {
		if err := f.keys(c, path+".contract", contractKeys); err != nil {
			return nil, err
		}
		if d := child(c, "deviation"); d != nil {
			if err := f.keys(d, path+".contract.deviation", deviationKeys); err != nil {
				return nil, err
			}
		}
	}
	var rn ruleNode
	if err := f.decode(n, path, &rn); err != nil {
		return nil, err
	}
	r, field, err := rn.rule(gn)
	if err != nil {
		at := n
		if c := child(n, field); c != nil {
			at = c
		}
		return nil, f.errorf(at, path+"."+field, "%v", err)
	}
	r.File, r.Line = f.name, n.Line
	return r, nil
}

// rule checks the fields and fills the defaults; the string names the field an
// error is about.
func (rn ruleNode) rule(gn groupNode) (*Rule, string, error) {
	r := &Rule{
		Group: gn.Name, Alert: rn.Alert, Record: rn.Record, Expr: strings.TrimSpace(rn.Expr),
		Interval: time.Duration(gn.Interval), Contract: rn.Contract,
		Labels: mergeLabels(gn.Labels, rn.Labels), Annotations: labels.FromMap(rn.Annotations),
	}
	switch {
	case r.Expr == "":
		return nil, "expr", errors.New("must not be empty")
	case len(r.Expr) > maxExprBytes:
		return nil, "expr", fmt.Errorf("longer than %d bytes", maxExprBytes)
	case (rn.Alert == "") == (rn.Record == ""):
		return nil, "alert", errors.New("a rule has either alert or record")
	case rn.Consecutive == nil:
		return rn.plain(r)
	case rn.Record != "":
		return nil, "consecutive", errors.New("a recording rule has no checks to count")
	case rn.For != nil:
		return nil, "for", errors.New("counts time; a rule with consecutive counts checks")
	case rn.KeepFiringFor != nil:
		return nil, "keep_firing_for", errors.New("counts time; a rule with consecutive has resolve_after")
	case r.Interval <= 0:
		return nil, "consecutive", errors.New("the rule group has no interval")
	}
	return rn.counting(r, gn)
}

// plain fills a rule of Prometheus's own meaning.
func (rn ruleNode) plain(r *Rule) (*Rule, string, error) {
	ours := map[string]bool{
		"missing": rn.Missing != nil, "max_gap": rn.MaxGap != nil, "lateness": rn.Lateness != nil,
		"missing_after": rn.MissingAfter != nil, "resolve_after": rn.ResolveAfter != nil,
		"no_data_after": rn.NoDataAfter != nil, "phase": rn.Phase != nil, "min_members": rn.MinMembers != nil,
		"lookback": rn.Lookback != nil,
	}
	for _, field := range ruleKeys {
		if ours[field] {
			return nil, field, errors.New("needs the field consecutive beside it")
		}
	}
	if _, err := promParser.ParseExpr(r.Expr); err != nil {
		return nil, "expr", err
	}
	r.Plain = true
	r.For, r.KeepFiringFor = duration(rn.For, 0), duration(rn.KeepFiringFor, 0)
	return r, "", nil
}

// counting fills a rule that counts checks.
func (rn ruleNode) counting(r *Rule, gn groupNode) (*Rule, string, error) {
	r.Consecutive = *rn.Consecutive
	r.Phase = duration(rn.Phase, duration(gn.Phase, 0))
	r.Lateness = duration(rn.Lateness, 30*time.Minute)
	r.MissingAfter = duration(rn.MissingAfter, min(r.Interval, r.Lateness))
	r.MaxGap = number(rn.MaxGap, 2)
	r.ResolveAfter = number(rn.ResolveAfter, 1)
	r.NoDataAfter = number(rn.NoDataAfter, 5)
	r.MinMembers = number(rn.MinMembers, 1)
	r.Missing = MissingHold
	if rn.Missing != nil {
		r.Missing = *rn.Missing
	}
	r.Lookback = map[string]time.Duration{}
	for m, d := range rn.Lookback {
		r.Lookback[m] = time.Duration(d)
	}
	if field, err := r.validate(); err != nil {
		return nil, field, err
	}
	if err := compile(r); err != nil {
		return nil, "expr", err
	}
	for m := range r.Lookback {
		if !r.readsMetric(m) {
			return nil, "lookback", fmt.Errorf("expr does not read metric %q", m)
		}
	}
	return r, "", nil
}

func (r *Rule) validate() (string, error) {
	ms := func(d time.Duration) bool { return d >= 0 && d%time.Millisecond == 0 }
	switch {
	case r.Consecutive < 1 || r.Consecutive > 10_000:
		return "consecutive", fmt.Errorf("must be 1 to 10000, not %d", r.Consecutive)
	case !slices.Contains([]Missing{MissingHold, MissingReset, MissingBreach}, r.Missing):
		return "missing", fmt.Errorf("must be hold, reset or breach, not %q", r.Missing)
	case r.MaxGap < 0:
		return "max_gap", errors.New("must not be negative")
	case r.ResolveAfter < 1:
		return "resolve_after", errors.New("must be at least 1")
	case r.NoDataAfter < 1:
		return "no_data_after", errors.New("must be at least 1")
	case r.MinMembers < 1:
		return "min_members", errors.New("must be at least 1")
	case r.Interval < time.Second || !ms(r.Interval):
		return "consecutive", errors.New("the rule group's interval must be at least 1s")
	case !ms(r.Phase) || r.Phase >= r.Interval:
		return "phase", errors.New("must be shorter than the interval")
	case !ms(r.Lateness) || r.Lateness/r.Interval > maxChecksUnsettled:
		return "lateness", fmt.Errorf("must not be longer than %d intervals", maxChecksUnsettled)
	case !ms(r.MissingAfter) || r.MissingAfter > r.Lateness:
		return "missing_after", errors.New("must not be longer than lateness: a check is decided before it settles")
	case r.Contract != nil && r.Contract.Row == "":
		return "contract", errors.New("row must not be empty")
	case r.Contract != nil && r.Contract.Deviation != nil && r.Contract.Deviation.Reason == "":
		return "contract", errors.New("deviation.reason must not be empty")
	}
	for m, d := range r.Lookback {
		if d <= 0 || !ms(d) {
			return "lookback", fmt.Errorf("of metric %q must be positive", m)
		}
		if d > maxLookback {
			return "lookback", fmt.Errorf("of metric %q must not be longer than %s: after a start nothing is known of a series without a sample since", m, model.Duration(maxLookback))
		}
	}
	return "", nil
}

// maxLookback is how long a slow operand may be silent and still be read: as far back
// as a start reads samples (Config.RecoverWindow).
const maxLookback = 26 * time.Hour

func duration(d *model.Duration, def time.Duration) time.Duration {
	if d == nil {
		return def
	}
	return time.Duration(*d)
}

func number(n *int, def int) int {
	if n == nil {
		return def
	}
	return *n
}

func mergeLabels(base, over map[string]string) labels.Labels {
	b := labels.NewBuilder(labels.EmptyLabels())
	for k, v := range base {
		b.Set(k, v)
	}
	for k, v := range over {
		b.Set(k, v)
	}
	return b.Labels()
}
