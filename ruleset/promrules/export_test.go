package promrules

import "time"

// SetGrace shortens the time that Run may take to end. Call it before Run.
func (r *Runner) SetGrace(d time.Duration) { r.grace = d }

// Key names an alert.
func (a Alert) Key() string { return a.RuleID + a.Labels.String() }
