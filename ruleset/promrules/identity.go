package promrules

import (
	"cmp"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/rules"
)

const severityLabel = "severity"

// place is where alerting rules of one name stand.
type place struct{ file, group, name string }

// identities tells by which rule and labels an alert is known: what of it stays while
// it stands. It is made from the rule files and not changed.
type identities struct {
	files map[string]string // ids of files, by name
	// graded are the rules that set the label severity, one to a name in its rule
	// group: it says how bad an alert is, not which one. Where several rules share a
	// name, and where the series bear it, it tells alerts apart.
	graded map[place]bool
	// at lists the rules by group and name only, in the order of their files.
	at map[[2]string][]place
}

func newIdentities(files []File, groups []Group) *identities {
	ids := &identities{files: map[string]string{}, graded: map[place]bool{}, at: map[[2]string][]place{}}
	for _, f := range files {
		ids.files[f.Name] = f.id()
	}
	seen := map[place]int{}
	for _, g := range groups {
		for _, r := range g.Rules {
			if r.Alert == "" {
				continue
			}
			p := place{g.File, g.Name, r.Alert}
			if seen[p]++; seen[p] == 1 {
				k := [2]string{g.Name, r.Alert}
				ids.at[k] = append(ids.at[k], p)
			}
			ids.graded[p] = seen[p] == 1 && cmp.Or(r.Labels[severityLabel], g.Labels[severityLabel]) != ""
		}
	}
	return ids
}

// ruleID is the id of a rule that is run.
func (ids *identities) ruleID(p place) string {
	return RuleID(cmp.Or(ids.files[p.file], p.file), p.group, p.name)
}

// has tells whether there is a rule with this id.
func (ids *identities) has(id string, group, name string) bool {
	return slices.ContainsFunc(ids.at[[2]string{group, name}], func(p place) bool { return ids.ruleID(p) == id })
}

// of returns the labels that tell an alert from the others of its rule.
func (ids *identities) of(p place, l labels.Labels) labels.Labels {
	b := labels.NewBuilder(l).Del(labels.AlertName, customerLabel)
	if ids.graded[p] {
		b.Del(severityLabel)
	}
	return b.Labels()
}

// key names an alert of a rule.
func (ids *identities) key(p place, l labels.Labels) string {
	return ids.ruleID(p) + "\xff" + l.Get(customerLabel) + "\xff" + ids.of(p, l).String()
}

// placeOf says where a rule that is run stands.
func placeOf(g *rules.Group, name string) place { return place{g.File(), g.Name(), name} }
