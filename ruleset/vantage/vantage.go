// Package vantage holds the rule pack for targets that are probed from several
// vantage points. Its rules take the places of the contract's rows for web
// sites, ports and ping, which judge every vantage point by itself: a target
// fails where two vantage points see it fail, or the only one that looks. It
// is a declared deviation from the contract's text.
package vantage

import (
	_ "embed"

	"watchkeeper/ruleset"
)

// Name is the name of this rule pack.
const Name = "vantage"

// File is the name of the pack's rule file.
const File = Name + ".yml"

//go:embed vantage.yml
var file []byte

// Groups returns the pack's rule groups.
func Groups() ([]ruleset.Group, error) { return ruleset.Parse(File, file) }
