// Package slo computes what was promised and what is owed. A contract is a
// file (LoadFile), a service cycle comes from the calendar, the measurements come
// from a VerdictReader, and Compute makes of them a Report in which each figure
// stands with its numerator, its denominator and the intervals that made it.
//
// Nothing here is code for one customer: how outages are found, what is
// allowed, what is excluded and what is refunded are kinds and settings of the
// contract file. Durations are whole milliseconds, money and ratios are
// math/big.Rat; a figure is rounded only where it is printed, and the rounding
// is stated beside it.
package slo

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// Verdict is what one check of a rule said about one series.
type Verdict uint8

// The verdicts. Missing and unobserved checks measured nothing: they are
// unmeasured time, neither up nor down.
const (
	Good       Verdict = iota // measured, not breaching
	Breach                    // measured, breaching
	Missing                   // the source was seen, but gave no sample
	Unobserved                // nobody was looking
)

// String is the verdict's word in files and reports.
func (v Verdict) String() string {
	switch v {
	case Good:
		return "good"
	case Breach:
		return "breach"
	case Missing:
		return "missing"
	case Unobserved:
		return "unobserved"
	}
	return fmt.Sprintf("verdict(%d)", uint8(v))
}

// SeriesVerdicts are the verdicts of one rule on one series, check after check:
// element k is the check at First + k·Interval and stands for its slot
// (T−Interval, T].
type SeriesVerdicts struct {
	Labels   labels.Labels
	Interval time.Duration // above zero, whole milliseconds
	First    time.Time     // T of element 0, whole milliseconds
	Verdicts []Verdict
}

// VerdictReader hands out the verdicts of a rule, named by its id, on every
// series that matches, for each check whose slot has time in (from, to]: the
// last slot may end after to. A series is judged from its first check on;
// earlier ones are left out, and checks within its life are never left out
// (what nobody saw is Unobserved). A series whose interval changed may come in
// several pieces with equal labels.
type VerdictReader interface {
	Verdicts(ctx context.Context, rule string, from, to time.Time, m ...*labels.Matcher) ([]SeriesVerdicts, error)
}
