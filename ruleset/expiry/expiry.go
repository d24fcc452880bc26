// Package expiry is the rule pack that warns before cloud resources and
// certificates expire: 30, 15, 7, 3 and 1 days before, with rising severity and
// one alert at a time.
package expiry

import (
	_ "embed"

	"watchkeeper/ruleset"
)

// Name is the name of this rule pack.
const Name = "expiry"

// File is the name of its rule file.
const File = Name + ".yml"

//go:embed expiry.yml
var text []byte

// Groups returns the pack's rule groups.
func Groups() ([]ruleset.Group, error) { return ruleset.Parse(File, text) }
