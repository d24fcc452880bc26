package calendar

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"watchkeeper/internal/property"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	loc, err := LoadZone(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func TestCycleBounds(t *testing.T) {
	f := func(zoneName string, kind Kind, name, start, end string, seconds int64) {
		t.Helper()
		c, err := ParseCycle(kind, name, zone(t, zoneName))
		if err != nil {
			t.Errorf("%s %s: %v", zoneName, name, err)
			return
		}
		gotStart, gotEnd := c.Start.UTC().Format(time.RFC3339), c.End.UTC().Format(time.RFC3339)
		if gotStart != start || gotEnd != end || c.Seconds() != seconds {
			t.Errorf("%s %s: %s to %s, %d s; want %s to %s, %d s", zoneName, name, gotStart, gotEnd, c.Seconds(), start, end, seconds)
		}
		if c.Name != name {
			t.Errorf("name %q, want %q", c.Name, name)
		}
	}
	f("Asia/Shanghai", Month, "2026-10", "2026-09-30T16:00:00Z", "2026-10-31T16:00:00Z", 31*86400)
	f("Asia/Shanghai", Month, "2026-02", "2026-01-31T16:00:00Z", "2026-02-28T16:00:00Z", 28*86400)
	f("Asia/Shanghai", Month, "2028-02", "2028-01-31T16:00:00Z", "2028-02-29T16:00:00Z", 29*86400)
	f("Asia/Shanghai", Month, "2026-12", "2026-11-30T16:00:00Z", "2026-12-31T16:00:00Z", 31*86400)
	f("Asia/Shanghai", Year, "2026", "2025-12-31T16:00:00Z", "2026-12-31T16:00:00Z", 365*86400)
	f("UTC", Year, "2028", "2028-01-01T00:00:00Z", "2029-01-01T00:00:00Z", 366*86400)
	// Clock changes: an hour less in March, an hour more in October.
	f("Europe/Berlin", Month, "2026-03", "2026-02-28T23:00:00Z", "2026-03-31T22:00:00Z", 31*86400-3600)
	f("Europe/Berlin", Month, "2026-10", "2026-09-30T22:00:00Z", "2026-10-31T23:00:00Z", 31*86400+3600)
	// Midnight of 1 November 2026 comes twice in Havana: the first counts.
	f("America/Havana", Month, "2026-11", "2026-11-01T04:00:00Z", "2026-12-01T05:00:00Z", 30*86400+3600)
	// Midnight of 1 October 2023 does not exist in Asuncion: the month starts at the change.
	f("America/Asuncion", Month, "2023-10", "2023-10-01T04:00:00Z", "2023-11-01T03:00:00Z", 31*86400-3600)
}

func TestParseCycleRefuses(t *testing.T) {
	for kind, names := range map[Kind][]string{
		Month:  {"", "2026", "2026-13", "2026-1", "2026-10-01", "october"},
		Year:   {"", "26", "2026-10"},
		"week": {"2026-10"},
	} {
		for _, name := range names {
			if c, err := ParseCycle(kind, name, time.UTC); err == nil {
				t.Errorf("%s %q gave %v", kind, name, c)
			}
		}
	}
}

func TestLoadZoneRefusesTheMachinesZone(t *testing.T) {
	for _, name := range []string{"", "Local", "Asia/Nowhere"} {
		if _, err := LoadZone(name); err == nil {
			t.Errorf("zone %q was accepted", name)
		}
	}
}

// Cycles cover time without gap or overlap, in every zone, and CycleAt finds
// the one whose first instant is at or before the moment.
func TestCyclesTile(t *testing.T) {
	zones := []string{"Asia/Shanghai", "UTC", "Europe/Berlin", "America/Havana", "America/Asuncion", "America/St_Johns", "Pacific/Apia", "Africa/Cairo", "Asia/Beirut"}
	property.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom(zones).Draw(t, "zone")
		loc, err := LoadZone(name)
		if err != nil {
			t.Fatal(err)
		}
		kind := rapid.SampledFrom([]Kind{Month, Year}).Draw(t, "kind")
		at := time.Unix(rapid.Int64Range(0, 4_000_000_000).Draw(t, "at"), 0)
		c, err := CycleAt(kind, at, loc)
		if err != nil {
			t.Fatal(err)
		}
		if at.Before(c.Start) || !at.Before(c.End) {
			t.Fatalf("%s %s: %v is not in [%v, %v)", name, kind, at.In(loc), c.Start, c.End)
		}
		next, _ := CycleAt(kind, c.End, loc)
		if !next.Start.Equal(c.End) {
			t.Fatalf("%s: %s ends at %v, %s starts at %v", name, c.Name, c.End, next.Name, next.Start)
		}
		if next.Previous() != c {
			t.Fatalf("before %v comes %v, want %v", next, next.Previous(), c)
		}
		again, err := ParseCycle(kind, c.Name, loc)
		if err != nil || again != c {
			t.Fatalf("parse %q: %v, %v; want %v", c.Name, again, err, c)
		}
		if eve := c.Start.Add(-time.Millisecond).In(loc); eve.Month() == c.Start.Month() && eve.Year() == c.Start.Year() && c.Start.Day() == 1 && eve.Day() == 1 {
			t.Fatalf("%s: %v is in the month before its start %v", name, eve, c.Start)
		}
	})
}
