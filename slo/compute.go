package slo

import (
	"context"
	"fmt"
	"time"

	"watchkeeper/internal/calendar"
)

// Compute reports a cycle of the contract as it stands at now. A cycle that has
// not begun, or in which the contract was not in force, is an error.
func Compute(ctx context.Context, c *Contract, cycle calendar.Cycle, reader VerdictReader, now time.Time) (*Report, error) {
	report, err := compute(ctx, c, cycle, reader, now)
	if err != nil {
		return nil, fmt.Errorf("contract %s, cycle %s: %w", c.ID, cycle.Name, err)
	}
	return report, nil
}

func compute(ctx context.Context, c *Contract, cycle calendar.Cycle, reader VerdictReader, now time.Time) (*Report, error) {
	if !now.After(cycle.Start) {
		return nil, fmt.Errorf("has not begun: it starts at %s", cycle.Start.Format(time.RFC3339))
	}
	life := c.life(cycle.Interval())
	period := life.Intersect(calendar.Interval{From: life.From, To: now.UnixMilli()})
	if period.Empty() {
		return nil, fmt.Errorf("the contract was not in force")
	}
	matchers, err := c.matchers()
	if err != nil {
		return nil, err
	}
	pieces, err := reader.Verdicts(ctx, c.Unavailable.Rule, time.UnixMilli(period.From).UTC(), time.UnixMilli(period.To).UTC(), matchers...)
	if err != nil {
		return nil, fmt.Errorf("verdicts of rule %s: %w", c.Unavailable.Rule, err)
	}
	tracks, err := tracksOf(pieces, period)
	if err != nil {
		return nil, fmt.Errorf("verdicts of rule %s: %w", c.Unavailable.Rule, err)
	}
	a := newAccount(c, cycle, period, tracks)
	return a.report(now), nil
}

// account holds the sets of time from which a report is written.
type account struct {
	contract *Contract
	cycle    calendar.Cycle
	period   calendar.Interval
	tracks   []track
	covered  calendar.Set
	excluded []calendar.Set // per track, the applied exclusions
}

func newAccount(c *Contract, cycle calendar.Cycle, period calendar.Interval, tracks []track) *account {
	a := &account{contract: c, cycle: cycle, period: period, tracks: tracks}
	var covered []calendar.Interval
	for _, t := range tracks {
		covered = append(covered, t.covered...)
		var spans []calendar.Interval
		for _, e := range c.Exclusions {
			if c.refusal(e) == "" && e.Selector.Matches(t.labels) {
				spans = append(spans, e.interval())
			}
		}
		a.excluded = append(a.excluded, calendar.NewSet(spans...))
	}
	a.covered = calendar.NewSet(covered...)
	return a
}

// reading is a set of assumptions under which time is counted as down.
type reading struct {
	unmeasuredDown bool
	exclusions     bool
	settled        bool // apply accepted disputes
	open           bool // apply open disputes as well
}

// down is the time at which the service was down under a reading. Exclusions
// act on each series, before series are combined; disputes are about the
// service and, once settled, stand above measurement and exclusion.
func (a *account) down(r reading) calendar.Set {
	each := make([]calendar.Set, len(a.tracks))
	for n, t := range a.tracks {
		each[n] = t.down
		if r.unmeasuredDown {
			each[n] = each[n].Union(t.open)
		}
		if r.exclusions {
			each[n] = each[n].Subtract(a.excluded[n])
		}
	}
	set := a.contract.Unavailable.combined(a.tracks, each)
	for _, d := range a.contract.Disputes {
		if r.settled && d.State == Accepted || r.open && d.State == Disputed {
			set = d.apply(set, a.covered)
		}
	}
	return set
}

// standard is the contract's own reading.
func (a *account) standard() reading {
	return reading{
		unmeasuredDown: a.contract.Unavailable.Unmeasured == UnmeasuredUnavailable,
		exclusions:     true,
		settled:        true,
	}
}

func (a *account) figures(unmeasured calendar.Set) []Figure {
	figure := func(name string, r reading) Figure {
		return a.contract.figure(name, a.down(r).Milliseconds(), a.covered.Milliseconds(), a.cycle.Interval().Milliseconds())
	}
	standard := a.standard()
	gross := standard
	gross.exclusions = false
	figures := []Figure{figure(FigureContract, standard), figure(FigureWithoutExclusions, gross)}
	if a.openDisputes() {
		r := standard
		r.open = true
		figures = append(figures, figure(FigureDisputesAccepted, r))
	}
	if len(unmeasured) > 0 && a.contract.Unavailable.Unmeasured == UnmeasuredShow {
		r := standard
		r.unmeasuredDown = true
		figures = append(figures, figure(FigureUnmeasuredDown, r))
	}
	return figures
}

func (a *account) openDisputes() bool {
	for _, d := range a.contract.Disputes {
		if d.State == Disputed && !d.interval().Intersect(a.period).Empty() {
			return true
		}
	}
	return false
}

// unmeasured is the time whose answer would change if the missing and
// unobserved checks had breached.
func (a *account) unmeasured() calendar.Set {
	return a.down(reading{unmeasuredDown: true}).Subtract(a.down(reading{}))
}

func (e Exclusion) interval() calendar.Interval { return calendar.Between(e.From.Time, e.To.Time) }
func (d Dispute) interval() calendar.Interval   { return calendar.Between(d.From.Time, d.To.Time) }

func (d Dispute) apply(down, covered calendar.Set) calendar.Set {
	claimed := calendar.NewSet(d.interval()).Intersect(covered)
	if d.Claim == ClaimUnavailable {
		return down.Union(claimed)
	}
	return down.Subtract(claimed)
}

// refusal says why an exclusion does not count; empty when it does.
func (c *Contract) refusal(e Exclusion) string {
	category, _ := c.category(e.Category)
	if !category.Announced {
		return ""
	}
	ahead := e.From.Sub(e.AnnouncedAt.Time)
	switch {
	case ahead < 0:
		return "announced after it began"
	case category.Notice == AtLeast24h && ahead < 24*time.Hour:
		return fmt.Sprintf("announced %s ahead, the contract asks for at least 24 h", ahead)
	case category.Notice == Within24h && ahead > 24*time.Hour:
		return fmt.Sprintf("announced %s ahead, the contract asks for the 24 h before", ahead)
	}
	return ""
}

// removedBy is the unavailable time that an exclusion takes away alone.
func (a *account) removedBy(e Exclusion) Duration {
	span := calendar.NewSet(e.interval().Intersect(a.period))
	unmeasuredDown := a.standard().unmeasuredDown
	before, after := make([]calendar.Set, len(a.tracks)), make([]calendar.Set, len(a.tracks))
	for n, t := range a.tracks {
		before[n] = t.down
		if unmeasuredDown {
			before[n] = before[n].Union(t.open)
		}
		before[n] = before[n].Intersect(span)
		if !e.Selector.Matches(t.labels) {
			after[n] = before[n]
		}
	}
	u := &a.contract.Unavailable
	return Duration(u.combined(a.tracks, before).Subtract(u.combined(a.tracks, after)).Milliseconds())
}
