package exporters

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"watchkeeper/internal/property"
	"watchkeeper/internal/sample"
)

func drawGrid(t *rapid.T) grid {
	source := sample.Source{
		Customer: rapid.StringMatching(`[a-z]{1,8}`).Draw(t, "customer"),
		Name:     rapid.StringMatching(`(host|probe)/[a-z0-9]{1,8}`).Draw(t, "source"),
	}
	interval := time.Duration(rapid.Int64Range(1000, 86_400_000).Draw(t, "interval_ms")) * time.Millisecond
	return newGrid(source, interval)
}

func drawTime(t *rapid.T, name string) time.Time {
	return time.UnixMicro(rapid.Int64Range(0, 4_000_000_000_000_000).Draw(t, name)).UTC()
}

func requireClearOfEdges(t *rapid.T, at time.Time, interval, edge time.Duration) {
	t.Helper()
	offset := time.Duration(at.UnixMilli()%interval.Milliseconds()) * time.Millisecond
	if offset < edge || offset > interval-edge {
		t.Fatalf("check at %s lies %s into an interval of %s: less than %s from an edge", at, offset, interval, edge)
	}
	if at.Nanosecond()%1_000_000 != 0 {
		t.Fatalf("check at %s is not a whole millisecond", at)
	}
}

func TestNoCheckNearASlotEdge(t *testing.T) {
	property.Check(t, func(t *rapid.T) {
		g, now := drawGrid(t), drawTime(t, "now")
		first := g.first(now)
		requireClearOfEdges(t, first, g.interval, min(g.interval/8, 15*time.Second))
		requireClearOfEdges(t, g.next(now, first), g.interval, g.interval/8)
	})
}

func TestFirstCheckIsSoonAndNotInThePast(t *testing.T) {
	property.Check(t, func(t *rapid.T) {
		g, now := drawGrid(t), drawTime(t, "now")
		first := g.first(now)
		if first.Before(now) {
			t.Fatalf("first check at %s, before the start at %s", first, now)
		}
		// The longest wait: from the upper edge to the lower one, then the jitter
		// and, when the grid is that near, as much again.
		// At a day's interval this was hours, when the process started near midnight.
		if limit := 2*min(g.interval/8+time.Millisecond, 15*time.Second) + 2*min(firstSpread, g.interval/8) + time.Millisecond; first.Sub(now) > limit {
			t.Fatalf("first check %s after the start, want at most %s", first.Sub(now), limit)
		}
	})
}

func TestNextIsOneStepFurther(t *testing.T) {
	property.Check(t, func(t *rapid.T) {
		g, now := drawGrid(t), drawTime(t, "now")
		at := g.next(now, time.Time{})
		if !at.After(now) || at.Sub(now) > g.interval {
			t.Fatalf("next after %s is %s with interval %s", now, at, g.interval)
		}
		if got, want := g.next(at, at), at.Add(g.interval); !got.Equal(want) {
			t.Fatalf("after %s comes %s, want %s", at, got, want)
		}
		n := rapid.IntRange(1, 50).Draw(t, "n")
		if got := g.missed(at, at.Add(time.Duration(n)*g.interval)); got != n-1 {
			t.Fatalf("%d checks missed over %d intervals, want %d", got, n, n-1)
		}
	})
}

func TestNextWhenTheClockSteps(t *testing.T) {
	g := grid{interval: time.Minute, phase: 20 * time.Second}
	day := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	clock := func(minute, second int) time.Time {
		return day.Add(time.Duration(minute)*time.Minute + time.Duration(second)*time.Second)
	}
	f := func(what string, now, last, want time.Time) {
		t.Helper()
		if got := g.next(now, last); !got.Equal(want) {
			t.Errorf("%s: next is %s, want %s", what, got, want)
		}
	}
	f("steady", clock(5, 21), clock(5, 20), clock(6, 20))
	f("set back by a moment: the check is not repeated", clock(5, 19), clock(5, 20), clock(6, 20))
	f("set back by most of an interval", clock(4, 30), clock(5, 20), clock(6, 20))
	f("set back by more: the grid starts anew", clock(1, 30), clock(5, 20), clock(2, 20))
	f("set forward", clock(50, 0), clock(5, 20), clock(50, 20))
	f("exactly due: the one after", clock(5, 20), clock(4, 20), clock(6, 20))
	f("before 1970", time.Unix(-100, 0), time.Time{}, time.Unix(-100, 0).Add(60*time.Second))
}

func TestWaitingForATimeThatTheClockLeftBehind(t *testing.T) {
	property.Check(t, func(t *rapid.T) {
		g, now, last := drawGrid(t), drawTime(t, "now"), drawTime(t, "last")
		at := g.next(now, last)
		if got := g.revised(at, now, last); !got.Equal(at) {
			t.Fatalf("steady clock: %s became %s", at, got)
		}
		back := time.Duration(rapid.Int64Range(0, int64(24*time.Hour)).Draw(t, "back"))
		earlier := now.Add(-back)
		if got := g.revised(at, earlier, last); got.Sub(earlier) > 2*g.interval {
			t.Fatalf("clock set back by %s: next check is %s away with interval %s", back, got.Sub(earlier), g.interval)
		}
	})
}

func TestPhaseIsStableAndSpread(t *testing.T) {
	seen := make(map[time.Duration]bool)
	for _, name := range []string{"host/web-1", "host/web-2", "host/web-3", "host/web-4", "host/web-5"} {
		source := sample.Source{Customer: "acme", Name: name}
		g := newGrid(source, time.Minute)
		if g != newGrid(source, time.Minute) {
			t.Errorf("%s: phase differs between two starts", name)
		}
		seen[g.phase] = true
	}
	if len(seen) != 5 {
		t.Errorf("5 sources share %d phases", len(seen))
	}
	// A changed phase would put two samples into one slot and none into another
	// at the upgrade, so this value stays.
	if got, want := newGrid(sample.Source{Customer: "acme", Name: "host/web-1"}, time.Minute).phase, 49_919*time.Millisecond; got != want {
		t.Errorf("phase of acme's host/web-1 is %s, want %s", got, want)
	}
}
