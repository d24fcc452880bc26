// Package export writes rules as files for other rulers: Prometheus, vmalert
// and Mimir. Their rules count time or look at stored samples only, so each
// exported rule is the nearest PromQL, and its comment names what is lost.
//
// A check is a point of the grid k*I; its slot is read by last_over_time over
// one interval; "N checks in a row" is a subquery that counts the last N
// points of the grid at which the condition held. For gap-free data that arrive
// in time an exported rule fires at exactly the checks at which ours does; a
// test holds it to that.
package export

import (
	"bytes"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"go.yaml.in/yaml/v3"

	"watchkeeper/ruleset"
)

// Target is a ruler that rule files are written for.
type Target string

// The targets.
const (
	Prometheus Target = "prometheus"
	VMAlert    Target = "vmalert"
	Mimir      Target = "mimir"
)

// Targets lists the targets.
func Targets() []Target { return []Target{Prometheus, VMAlert, Mimir} }

// ParseTarget reads a target's name.
func ParseTarget(s string) (Target, error) {
	if t := Target(s); slices.Contains(Targets(), t) {
		return t, nil
	}
	return "", fmt.Errorf("%q is not a ruler that can be exported to; want prometheus, vmalert or mimir", s)
}

// group is a rule group. All three rulers, and promtool of every version, know
// these fields; those that one of them has for late data are not used.
type group struct {
	Name     string         `yaml:"name"`
	Interval model.Duration `yaml:"interval,omitempty"`
}

// rule is an exported rule.
type rule struct {
	Record        string            `yaml:"record,omitempty"`
	Alert         string            `yaml:"alert,omitempty"`
	Expr          string            `yaml:"expr"`
	For           model.Duration    `yaml:"for,omitempty"`
	KeepFiringFor model.Duration    `yaml:"keep_firing_for,omitempty"`
	Labels        map[string]string `yaml:"labels,omitempty"`
	Annotations   map[string]string `yaml:"annotations,omitempty"`
}

// Write writes one rule file with all groups.
func Write(w io.Writer, t Target, groups []ruleset.Group) error {
	list := &yaml.Node{Kind: yaml.SequenceNode}
	names := map[string]bool{}
	for _, g := range groups {
		name := unique(names, g.Name, g.File)
		n, err := groupNode(name, g, t)
		if err != nil {
			return fmt.Errorf("export rule group %q: %w", g.Name, err)
		}
		list.Content = append(list.Content, n)
	}
	b, err := render(list, t)
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	_, err = w.Write(b)
	return err
}

// unique makes a group's name unique in the file: rulers keep one namespace
// where we have one per file.
func unique(names map[string]bool, name, file string) string {
	out := name
	if names[out] {
		out = strings.TrimSuffix(path.Base(file), path.Ext(file)) + "-" + name
	}
	for i := 2; names[out]; i++ {
		out = name + "-" + strconv.Itoa(i)
	}
	names[out] = true
	return out
}

func groupNode(name string, g ruleset.Group, t Target) (*yaml.Node, error) {
	out := &yaml.Node{}
	if err := out.Encode(group{Name: name, Interval: model.Duration(g.Interval)}); err != nil {
		return nil, err
	}
	rules := &yaml.Node{Kind: yaml.SequenceNode}
	for _, r := range g.Rules {
		n, err := ruleNode(r, t)
		if err != nil {
			return nil, fmt.Errorf("rule %q: %w", r.ID(), err)
		}
		rules.Content = append(rules.Content, n)
	}
	set(out, "rules", rules)
	return out, nil
}

// set adds a key to a mapping. Comments get lost where nodes are encoded within
// a struct, so the tree is put together by hand.
func set(mapping *yaml.Node, key string, value *yaml.Node) {
	mapping.Content = append(mapping.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: key}, value)
}

func ruleNode(r *ruleset.Rule, t Target) (*yaml.Node, error) {
	x := rule{
		Record: r.Record, Alert: r.Alert, Expr: r.Expr, For: model.Duration(r.For), KeepFiringFor: model.Duration(r.KeepFiringFor),
		Labels: asMap(r.Labels), Annotations: asMap(r.Annotations),
	}
	if !r.Plain {
		var err error
		if x.Expr, err = Expr(r); err != nil {
			return nil, err
		}
		x.KeepFiringFor = model.Duration(time.Duration(r.ResolveAfter-1) * r.Interval)
		if c := r.Contract; c != nil {
			x.Annotations = withContract(x.Annotations, c)
		}
	}
	n := &yaml.Node{}
	if err := n.Encode(x); err != nil {
		return nil, err
	}
	n.HeadComment = comment(Differences(r))
	return n, nil
}

// withContract adds the contract's words, which travel with the rule everywhere.
func withContract(m map[string]string, c *ruleset.Contract) map[string]string {
	out := map[string]string{"contract_row": c.Row}
	if c.Literal != "" {
		out["contract_literal"] = c.Literal
	}
	if c.Deviation != nil {
		out["contract_deviation"] = c.Deviation.Reason
	}
	for k, v := range m {
		out[k] = v
	}
	return out
}

func asMap(l labels.Labels) map[string]string {
	m := map[string]string{}
	l.Range(func(x labels.Label) { m[x.Name] = x.Value })
	return m
}

func comment(lines []string) string {
	for i, l := range lines {
		lines[i] = "# " + l
	}
	return strings.Join(lines, "\n")
}

func render(groups *yaml.Node, t Target) ([]byte, error) {
	f := &yaml.Node{Kind: yaml.MappingNode}
	set(f, "groups", groups)
	var b bytes.Buffer
	for _, l := range header(t) {
		b.WriteString(strings.TrimRight("# "+l, " ") + "\n")
	}
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(f); err != nil {
		return nil, err
	}
	return b.Bytes(), enc.Close()
}
