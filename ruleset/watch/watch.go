// Package watch holds the rule pack for watchkeeper itself: it alerts when an
// account's free calls of the month run out and polls are skipped, when a limit keeps
// series from being judged, and when a contracted resource is not watched by the rule
// that its contract names. The series that it judges come from the account's
// collectors and from the server.
package watch

import (
	_ "embed"

	"watchkeeper/ruleset"
)

// Name is the name of this rule pack.
const Name = "watch"

// File is the name of the pack's rule file.
const File = Name + ".yml"

//go:embed watch.yml
var file []byte

// Groups returns the pack's rule groups.
func Groups() ([]ruleset.Group, error) { return ruleset.Parse(File, file) }
