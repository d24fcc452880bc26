// Package journal keeps the inputs of judging that the time-series store has no
// place for, in one append-only file: which source delivers a series, when a
// source was first heard of, which series ended and why, which samples and
// up-samples came after their check had settled, and which settlings were forced. Together
// with the stored samples they make every verdict reproducible.
package journal

import "github.com/prometheus/prometheus/model/labels"

// Kind says what a Record states.
type Kind string

const (
	KindSeries    Kind = "series"     // Labels is delivered by (Customer, Source) from T on
	KindContact   Kind = "contact"    // the source's first batch arrived at Arrive
	KindFillInEnd Kind = "fillin_end" // the source's fill-in ended at Arrive
	KindEnd       Kind = "end"        // Labels ended after T for Reason
	KindLate      Kind = "late"       // the sample (Labels, T, V) arrived at Arrive, after its check had settled; stored, not judged; without Labels: the up-sample of (Customer, Source)
	KindForced    Kind = "forced"     // the source's checks up to T were settled by force at Arrive
)

// Record is one input. Unused fields are zero. Times are Unix ms.
type Record struct {
	Kind     Kind          `json:"kind"`
	Customer string        `json:"customer,omitempty"`
	Source   string        `json:"source,omitempty"`
	Labels   labels.Labels `json:"labels,omitzero"`
	T        int64         `json:"t,omitempty"`
	Arrive   int64         `json:"arrive,omitempty"`
	V        float64       `json:"v,omitempty"`
	Reason   string        `json:"reason,omitempty"`
}
