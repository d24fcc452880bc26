package contract

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"sort"

	"go.yaml.in/yaml/v3"
)

// Name is the name of the rule pack that this package holds.
const Name = "contract"

//go:embed *.yml
var packFS embed.FS

// File is one rule file of the pack.
type File struct {
	Name string // e.g. "contract/host.yml"
	Data []byte // YAML in ruleset's format
}

// Files returns the rule files as shipped, one for each product of the table.
func Files() fs.FS { return packFS }

// AllRows as an argument of Pack restores the literal text of every row whose
// shipped rule deviates from it.
const AllRows = "all"

// Pack returns the rule files in a stable order. For the rows named in literal
// (or all of them, with AllRows) the shipped expression gives way to the
// literal one, and the deviation goes. It is an error to name a row that does
// not exist or does not deviate.
func Pack(literal ...string) ([]File, error) {
	if err := checkLiteral(literal); err != nil {
		return nil, err
	}
	names, err := fs.Glob(packFS, "*.yml")
	if err != nil {
		return nil, fmt.Errorf("contract pack: %w", err)
	}
	sort.Strings(names)
	files := make([]File, 0, len(names))
	for _, name := range names {
		data, err := packFS.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("contract pack: %w", err)
		}
		if len(literal) > 0 {
			if data, err = restore(data, literal); err != nil {
				return nil, fmt.Errorf("contract pack: %s: %w", name, err)
			}
		}
		files = append(files, File{Name: path.Join(Name, name), Data: data})
	}
	return files, nil
}

func checkLiteral(literal []string) error {
	for _, id := range literal {
		if id == AllRows {
			continue
		}
		if _, ok := LookupRow(id); !ok {
			return fmt.Errorf("contract pack: literal: no row %q in the alarm table", id)
		}
		if !slices.ContainsFunc(deviations, func(d Deviation) bool { return d.Row == id }) {
			return fmt.Errorf("contract pack: literal: row %q is shipped as the contract says, there is nothing to restore", id)
		}
	}
	return nil
}

// restore puts the literal expression in place of the shipped one. It edits
// the YAML tree, so that all other text, comments included, stays.
func restore(data []byte, literal []string) ([]byte, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, err
	}
	changed := false
	for _, rule := range ruleNodes(&doc) {
		contract := field(rule, "contract")
		deviation := field(contract, "deviation")
		if deviation == nil {
			continue
		}
		row := field(contract, "row").Value
		if !slices.Contains(literal, row) && !slices.Contains(literal, AllRows) {
			continue
		}
		field(rule, "expr").Value = field(deviation, "expr").Value
		drop(contract, "deviation")
		changed = true
	}
	if !changed {
		return data, nil
	}
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(&doc); err != nil {
		return nil, err
	}
	if err := enc.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// ruleNodes lists the rules of a file in order.
func ruleNodes(doc *yaml.Node) []*yaml.Node {
	if len(doc.Content) == 0 {
		return nil
	}
	var out []*yaml.Node
	groups := field(doc.Content[0], "groups")
	if groups == nil {
		return nil
	}
	for _, g := range groups.Content {
		if rs := field(g, "rules"); rs != nil {
			out = append(out, rs.Content...)
		}
	}
	return out
}

// field returns the value of a mapping's key, nil when there is none.
func field(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// drop removes a mapping's key.
func drop(n *yaml.Node, key string) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			n.Content = slices.Delete(n.Content, i, i+2)
			return
		}
	}
}
