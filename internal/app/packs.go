package app

import (
	"slices"

	"watchkeeper/ruleset"
)

// giveWay takes out the rules for which file has one of the same id: what it
// says of a contract's row stands.
func giveWay(groups []ruleset.Group, file string) []ruleset.Group {
	ids := map[string]bool{}
	for _, g := range groups {
		for _, r := range g.Rules {
			if g.File == file {
				ids[r.ID()] = true
			}
		}
	}
	var out []ruleset.Group
	for _, g := range groups {
		if g.File != file {
			g.Rules = slices.DeleteFunc(slices.Clone(g.Rules), func(r *ruleset.Rule) bool { return ids[r.ID()] })
		}
		if len(g.Rules) > 0 {
			out = append(out, g)
		}
	}
	return out
}
