package promrules

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"

	"watchkeeper/internal/strictyaml"
)

// File is the text of a rule file. Its name identifies its rule groups, as a
// path does in Prometheus.
type File struct {
	Name string
	Data []byte
	// ID stands for the file in the ids of its rules: a name that stays when the
	// folder of all of them is moved. Empty: Name.
	ID string
}

func (f File) id() string { return cmp.Or(f.ID, f.Name) }

// RuleID is the id of a rule: two files may have rule groups and rules of one name.
func RuleID(fileID, group, rule string) string { return fileID + ":" + group + "/" + rule }

// countsChecks is the field that makes a rule one of ours.
const countsChecks = "consecutive"

// maxMerges bounds how deep merge keys (<<) may be nested.
const maxMerges = 16

// The keys of a plain rule group and a plain rule: Prometheus's.
var (
	groupKeys = []string{"name", "interval", "query_offset", "limit", "rules", "labels"}
	ruleKeys  = []string{"record", "alert", "expr", "for", "keep_firing_for", "labels", "annotations"}
)

var promParser = parser.NewParser(parser.Options{})

// parseFiles reads the plain rule groups of files. Rule groups whose rules all
// count checks are left out.
func parseFiles(files []File) (map[string]*rulefmt.RuleGroups, error) {
	out := make(map[string]*rulefmt.RuleGroups, len(files))
	for _, f := range files {
		if _, twice := out[f.Name]; twice {
			return nil, fmt.Errorf("rule file %s: is given twice", f.Name)
		}
		groups, err := f.plain()
		if err != nil {
			return nil, err
		}
		out[f.Name] = groups
	}
	return out, nil
}

// Group is a plain rule group as it stands in a file.
type Group struct {
	File   string
	FileID string
	rulefmt.RuleGroup
}

// RuleID is the id of a rule of the group.
func (g Group) RuleID(rule string) string { return RuleID(g.FileID, g.Name, rule) }

// Groups returns the plain rule groups of files, in their order.
func Groups(files []File) ([]Group, error) {
	parsed, err := parseFiles(files)
	if err != nil {
		return nil, err
	}
	return inOrder(files, parsed), nil
}

func inOrder(files []File, parsed map[string]*rulefmt.RuleGroups) []Group {
	var out []Group
	for _, f := range files {
		for _, g := range parsed[f.Name].Groups {
			out = append(out, Group{f.Name, f.id(), g})
		}
	}
	return out
}

// plain parses the plain groups of a file and holds them to Prometheus's rules.
// Errors name file, line and path.
func (f File) plain() (*rulefmt.RuleGroups, error) {
	var doc struct {
		Groups []yaml.Node `yaml:"groups"`
	}
	if _, err := strictyaml.Decode(f.Name, f.Data, &doc); err != nil {
		return nil, err
	}
	out := &rulefmt.RuleGroups{}
	lines := map[string]int{}
	for i := range doc.Groups {
		n, path := resolve(&doc.Groups[i]), fmt.Sprintf("groups[%d]", i)
		plain, err := f.isPlain(n, path)
		if err != nil {
			return nil, err
		}
		if !plain {
			continue
		}
		g, err := f.group(n, path)
		if err != nil {
			return nil, err
		}
		if line, twice := lines[g.Name]; twice {
			return nil, f.errorf(n, path+".name", "rule group %q stands in line %d already", g.Name, line)
		}
		lines[g.Name] = n.Line
		out.Groups = append(out.Groups, g)
	}
	return out, nil
}

func (f File) errorf(n *yaml.Node, path, format string, args ...any) error {
	return &strictyaml.Error{File: f.Name, Line: n.Line, Path: path, Msg: fmt.Sprintf(format, args...)}
}

// isPlain tells whether a group is one of Prometheus's. One that has rules of
// both kinds is neither: its rules would run on two clocks.
func (f File) isPlain(n *yaml.Node, path string) (bool, error) {
	if n.Kind != yaml.MappingNode {
		return false, f.errorf(n, path, "must be a mapping")
	}
	rules := field(n, "rules")
	if rules == nil || rules.Kind != yaml.SequenceNode {
		return true, nil // for the decoder to judge
	}
	counting, plain := -1, -1
	for i, r := range rules.Content {
		if field(resolve(r), countsChecks) != nil {
			counting = i
		} else {
			plain = i
		}
	}
	if counting >= 0 && plain >= 0 {
		return false, f.errorf(rules.Content[plain], fmt.Sprintf("%s.rules[%d]", path, plain),
			"has no field %s, but rules[%d] of the same rule group has: put plain rules in a rule group of their own", countsChecks, counting)
	}
	return counting < 0, nil
}

// groupHead is a rule group with its rules not decoded yet.
type groupHead struct {
	Name        string            `yaml:"name"`
	Interval    model.Duration    `yaml:"interval"`
	QueryOffset *model.Duration   `yaml:"query_offset"`
	Limit       int               `yaml:"limit"`
	Labels      map[string]string `yaml:"labels"`
	Rules       []yaml.Node       `yaml:"rules"`
}

func (f File) group(n *yaml.Node, path string) (rulefmt.RuleGroup, error) {
	var head groupHead
	if err := f.decode(n, path, groupKeys, &head); err != nil {
		return rulefmt.RuleGroup{}, err
	}
	if err := f.validateHead(n, path, head); err != nil {
		return rulefmt.RuleGroup{}, err
	}
	g := rulefmt.RuleGroup{
		Name: head.Name, Interval: head.Interval, QueryOffset: head.QueryOffset,
		Limit: head.Limit, Labels: head.Labels, Rules: make([]rulefmt.Rule, len(head.Rules)),
	}
	for i := range head.Rules {
		if err := f.rule(resolve(&head.Rules[i]), fmt.Sprintf("%s.rules[%d]", path, i), &g.Rules[i]); err != nil {
			return g, err
		}
	}
	return g, nil
}

func (f File) validateHead(n *yaml.Node, path string, g groupHead) error {
	if g.Name == "" {
		return f.errorf(n, path+".name", "must not be empty")
	}
	for k, v := range g.Labels {
		if !model.UTF8Validation.IsValidLabelName(k) || k == model.MetricNameLabel {
			return f.errorf(n, path+".labels", "invalid label name %q", k)
		}
		if !model.LabelValue(v).IsValid() {
			return f.errorf(n, path+".labels", "invalid value %q of label %q", v, k)
		}
	}
	return nil
}

// rule decodes a rule and holds it to Prometheus's own checks.
func (f File) rule(n *yaml.Node, path string, r *rulefmt.Rule) error {
	if err := f.decode(n, path, ruleKeys, r); err != nil {
		return err
	}
	errs := r.Validate(rulefmt.RuleNode{}, model.UTF8Validation, promParser)
	if len(errs) == 0 {
		return nil
	}
	// Unwrapped, since the position around it is that of the empty node above.
	return f.errorf(n, path, "%v", errs[0].Unwrap())
}

// decode refuses unknown keys and decodes a mapping.
func (f File) decode(n *yaml.Node, path string, allowed []string, into any) error {
	if err := f.keys(n, path, allowed); err != nil {
		return err
	}
	if err := n.Decode(into); err != nil {
		return f.decodeError(n, path, err)
	}
	return nil
}

var yamlLine = regexp.MustCompile(`^(?:yaml: )?line (\d+): (.*)$`)

// decodeError makes one line of what the YAML library says.
func (f File) decodeError(n *yaml.Node, path string, err error) error {
	msg := err.Error()
	var typeErr *yaml.TypeError
	if errors.As(err, &typeErr) && len(typeErr.Errors) > 0 {
		msg = typeErr.Errors[0]
	}
	out := &strictyaml.Error{File: f.Name, Line: n.Line, Path: path, Msg: msg}
	if m := yamlLine.FindStringSubmatch(msg); m != nil {
		fmt.Sscan(m[1], &out.Line)
		out.Msg = m[2]
	}
	return out
}

// keys refuses keys that a mapping does not have.
func (f File) keys(n *yaml.Node, path string, allowed []string) error {
	if n.Kind != yaml.MappingNode {
		return f.errorf(n, path, "must be a mapping")
	}
	for key := range fields(n, 0) {
		if !slices.Contains(allowed, key.Value) {
			return f.errorf(key, path, "unknown key %q", key.Value)
		}
	}
	return nil
}

func field(n *yaml.Node, name string) *yaml.Node {
	for key, value := range fields(n, 0) {
		if key.Value == name {
			return resolve(value)
		}
	}
	return nil
}

// fields yields the keys and values of a mapping, those of merge keys included.
func fields(n *yaml.Node, depth int) func(yield func(key, value *yaml.Node) bool) {
	return func(yield func(key, value *yaml.Node) bool) {
		if n.Kind != yaml.MappingNode || depth > maxMerges {
			return
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, value := n.Content[i], n.Content[i+1]
			if key.Tag != "!!merge" {
				if !yield(key, value) {
					return
				}
				continue
			}
			merged := []*yaml.Node{resolve(value)}
			if merged[0].Kind == yaml.SequenceNode {
				merged = merged[0].Content
			}
			for _, m := range merged {
				for k, v := range fields(resolve(m), depth+1) {
					if !yield(k, v) {
						return
					}
				}
			}
		}
	}
}

// resolve follows an alias to what it stands for.
func resolve(n *yaml.Node) *yaml.Node {
	for range maxMerges {
		if n.Kind != yaml.AliasNode {
			break
		}
		n = n.Alias
	}
	return n
}
