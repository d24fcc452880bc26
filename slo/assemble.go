package slo

import (
	"time"

	"watchkeeper/internal/calendar"
)

// report writes down what the account holds.
func (a *account) report(now time.Time) *Report {
	c := a.contract
	uncovered := calendar.NewSet(a.period).Subtract(a.covered)
	unmeasured := a.unmeasured()
	r := &Report{
		Contract: c.facts(),
		Cycle: CycleFacts{
			Kind: a.cycle.Kind, Name: a.cycle.Name, Zone: c.Zone,
			From: a.cycle.Start, To: a.cycle.End, Length: Duration(a.cycle.Interval().Milliseconds()),
		},
		Period: PeriodFacts{
			From: a.at(a.period.From), To: a.at(a.period.To), Length: Duration(a.period.Milliseconds()),
			Covered: Duration(a.covered.Milliseconds()), Uncovered: Duration(uncovered.Milliseconds()),
			Unmeasured: Duration(unmeasured.Milliseconds()),
		},
		Figures:    a.figures(unmeasured),
		Outages:    a.outages(),
		Unmeasured: a.gaps(unmeasured),
		Uncovered:  make([]Span, 0, len(uncovered)),
		Exclusions: a.exclusions(),
		Disputes:   a.disputes(),
		Series:     a.series(),
		Rounding:   rounding,
		DataAsOf:   a.dataAsOf(),
		ComputedAt: now.In(c.location),
		InputsHash: hashInputs(c, a.cycle, a.period, a.tracks),
	}
	for _, i := range uncovered {
		r.Uncovered = append(r.Uncovered, a.span(i))
	}
	r.judge(a, uncovered, now)
	return r
}

func (c *Contract) facts() ContractFacts {
	u := c.Unavailable
	return ContractFacts{
		ID: c.ID, Customer: c.Customer, Title: c.Title, Literal: append([]Clause{}, c.Literal...), Objective: c.Objective.String(),
		Rule: u.Rule, Selector: u.Selector.Text, Combine: u.Combine, K: u.K, Treatment: u.Unmeasured,
		Allowance: c.Allowance.Basis, Categories: append([]Category{}, c.Categories...), Hash: c.hash,
	}
}

// outages lists every time that was down by measurement or by settlement.
func (a *account) outages() []Outage {
	counted := a.down(a.standard())
	measured := a.down(reading{unmeasuredDown: a.standard().unmeasuredDown})
	kept := a.down(reading{unmeasuredDown: a.standard().unmeasuredDown, exclusions: true})
	removed := measured.Subtract(kept)
	var open []calendar.Interval
	for _, d := range a.contract.Disputes {
		if d.State == Disputed {
			open = append(open, d.interval())
		}
	}
	disputed := calendar.NewSet(open...)
	outages := []Outage{}
	for _, i := range measured.Union(counted) {
		one := calendar.Set{i}
		outages = append(outages, Outage{
			Span:     a.span(i),
			Measured: Duration(one.Intersect(measured).Milliseconds()),
			Excluded: Duration(one.Intersect(removed).Milliseconds()),
			Counted:  Duration(one.Intersect(counted).Milliseconds()),
			Disputed: Duration(one.Intersect(disputed).Milliseconds()),
			Evidence: a.slices(i),
		})
	}
	return outages
}

func (a *account) gaps(unmeasured calendar.Set) []Gap {
	gaps := make([]Gap, 0, len(unmeasured))
	for _, i := range unmeasured {
		gaps = append(gaps, Gap{Span: a.span(i), Evidence: a.slices(i)})
	}
	return gaps
}

// slices count each series' checks in i.
func (a *account) slices(i calendar.Interval) []SliceFact {
	facts := []SliceFact{}
	for n := range a.tracks {
		if counts := a.tracks[n].counts(i); counts.checks() > 0 {
			facts = append(facts, SliceFact{Labels: a.tracks[n].labels.Map(), Counts: counts})
		}
	}
	return facts
}

func (a *account) exclusions() []Excluded {
	list := []Excluded{}
	for n, e := range a.contract.Exclusions {
		if e.interval().Intersect(a.period).Empty() {
			continue
		}
		one := Excluded{
			Index: n, From: e.From.Time, To: e.To.Time, Category: e.Category, Owner: e.Owner, Reason: e.Reason,
			Evidence: e.Evidence, Selector: e.Selector.Text, Refused: a.contract.refusal(e),
		}
		if !e.AnnouncedAt.IsZero() {
			one.AnnouncedAt = &e.AnnouncedAt.Time
		}
		if one.Applied = one.Refused == ""; one.Applied {
			one.Removed = a.removedBy(e)
		}
		list = append(list, one)
	}
	return list
}

func (a *account) disputes() []Claimed {
	list := []Claimed{}
	for n, d := range a.contract.Disputes {
		if !d.interval().Intersect(a.period).Empty() {
			list = append(list, Claimed{
				Index: n, From: d.From.Time, To: d.To.Time, Claim: d.Claim, State: d.State,
				Owner: d.Owner, Reason: d.Reason, Evidence: d.Evidence,
			})
		}
	}
	return list
}

func (a *account) series() []SeriesFacts {
	facts := make([]SeriesFacts, 0, len(a.tracks))
	for n := range a.tracks {
		t := &a.tracks[n]
		counts := t.counts(a.period)
		facts = append(facts, SeriesFacts{
			Labels: t.labels.Map(), Checks: counts.checks(), Counts: counts,
			Covered: Duration(t.covered.Milliseconds()), Down: Duration(t.down.Milliseconds()),
		})
	}
	return facts
}

// dataAsOf is the latest check with time in the period.
func (a *account) dataAsOf() *time.Time {
	var latest *time.Time
	for _, t := range a.tracks {
		for _, piece := range t.pieces {
			if _, to := checksIn(piece, a.period); to > 0 {
				if at := a.at(slot(piece, to-1).To); latest == nil || at.After(*latest) {
					latest = &at
				}
			}
		}
	}
	return latest
}

func (a *account) at(ms int64) time.Time { return time.UnixMilli(ms).In(a.contract.location) }

func (a *account) span(i calendar.Interval) Span {
	return Span{From: a.at(i.From), To: a.at(i.To), Length: Duration(i.Milliseconds())}
}
