// Package calendar holds the time arithmetic of contracts: service cycles
// (natural months and years of a named zone) and the algebra of intervals on
// Unix milliseconds. It reads no clock, and the zone data are built in, so the
// answers do not depend on the machine.
//
// Every interval is half-open on the left, (From, To], as the slot of a check
// is: the millisecond To belongs to it, the millisecond From does not. A cycle
// that starts at local midnight M and ends at N is therefore (M, N], and a
// slot that ends exactly at midnight belongs to the month that ends.
package calendar

import (
	"fmt"
	"time"
	_ "time/tzdata" // zones without a zoneinfo folder on the machine
)

// LoadZone finds a zone by its IANA name. The empty name and "Local" are
// refused: a contract must not depend on the machine's zone.
func LoadZone(name string) (*time.Location, error) {
	if name == "" || name == "Local" {
		return nil, fmt.Errorf("zone %q: want an IANA zone name such as Asia/Shanghai or UTC", name)
	}
	loc, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("zone %q: %w", name, err)
	}
	return loc, nil
}

// Kind says how long a cycle is.
type Kind string

// The kinds of cycle.
const (
	Month Kind = "month" // natural month, named "2026-10"
	Year  Kind = "year"  // natural year, named "2026"
)

// layout is the form of a cycle's name.
func (k Kind) layout() (string, error) {
	switch k {
	case Month:
		return "2006-01", nil
	case Year:
		return "2006", nil
	}
	return "", fmt.Errorf("cycle kind %q: want %s or %s", string(k), Month, Year)
}

// Validate names an unknown kind.
func (k Kind) Validate() error {
	_, err := k.layout()
	return err
}

// Cycle is one natural month or year of a zone: the time from its first
// instant to the first instant of the next one.
type Cycle struct {
	Kind       Kind
	Name       string    // "2026-10" or "2026"
	Start, End time.Time // in the zone; Interval() is (Start, End]
}

// ParseCycle reads a cycle's name, "2026-10" or "2026", in the zone loc.
func ParseCycle(kind Kind, name string, loc *time.Location) (Cycle, error) {
	layout, err := kind.layout()
	if err != nil {
		return Cycle{}, err
	}
	t, err := time.Parse(layout, name)
	if err != nil {
		return Cycle{}, fmt.Errorf("cycle %q: want the form %s", name, map[Kind]string{Month: "YYYY-MM", Year: "YYYY"}[kind])
	}
	return cycleOf(kind, t.Year(), t.Month(), loc), nil
}

// CycleAt is the cycle in which t lies, with its first instant counted in and
// its end not, as people name the month of a moment.
func CycleAt(kind Kind, t time.Time, loc *time.Location) (Cycle, error) {
	if err := kind.Validate(); err != nil {
		return Cycle{}, err
	}
	t = t.In(loc)
	return cycleOf(kind, t.Year(), t.Month(), loc), nil
}

func cycleOf(kind Kind, year int, month time.Month, loc *time.Location) Cycle {
	if kind == Year {
		return Cycle{
			Kind: kind, Name: fmt.Sprintf("%04d", year),
			Start: FirstInstant(year, time.January, 1, loc),
			End:   FirstInstant(year+1, time.January, 1, loc),
		}
	}
	return Cycle{
		Kind: kind, Name: fmt.Sprintf("%04d-%02d", year, int(month)),
		Start: FirstInstant(year, month, 1, loc),
		End:   FirstInstant(year, month+1, 1, loc),
	}
}

// Interval is the cycle's time.
func (c Cycle) Interval() Interval {
	return Interval{From: c.Start.UnixMilli(), To: c.End.UnixMilli()}
}

// Seconds is the cycle's real length: a clock change within it counts.
func (c Cycle) Seconds() int64 { return c.End.Unix() - c.Start.Unix() }

// Previous is the cycle that ends where c starts.
func (c Cycle) Previous() Cycle {
	if c.Kind == Year {
		return cycleOf(c.Kind, c.Start.Year()-1, time.January, c.Start.Location())
	}
	first := time.Date(c.Start.Year(), c.Start.Month()-1, 1, 0, 0, 0, 0, time.UTC)
	return cycleOf(c.Kind, first.Year(), first.Month(), c.Start.Location())
}

// FirstInstant is the first instant of a local day. Days may be out of range
// and are carried over as in time.Date. Where the clocks are put forward at
// midnight the day starts at the change; where midnight comes twice, the first
// counts. (time.Date does not say which of the two it picks.)
func FirstInstant(year int, month time.Month, day int, loc *time.Location) time.Time {
	wall := time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
	before := offsetAt(wall.Add(-26*time.Hour), loc)
	after := offsetAt(wall.Add(26*time.Hour), loc)
	early, late := wall.Add(-max(before, after)), wall.Add(-min(before, after))
	for _, t := range []time.Time{early, late} {
		if offset := offsetAt(t, loc); t.Add(offset).Equal(wall) {
			return t.In(loc)
		}
	}
	_, change := early.In(loc).ZoneBounds()
	return change.In(loc)
}

func offsetAt(t time.Time, loc *time.Location) time.Duration {
	_, seconds := t.In(loc).Zone()
	return time.Duration(seconds) * time.Second
}
