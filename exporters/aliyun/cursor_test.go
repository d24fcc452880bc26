package aliyun

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"watchkeeper/internal/property"
)

func TestCursorProperty(t *testing.T) {
	property.Check(t, func(rt *rapid.T) {
		var c cursor
		model := map[int64]bool{}
		var newest int64
		at := int64(1000)
		for range 200 {
			at += rapid.Int64Range(0, 70).Draw(rt, "step")
			slot := at - rapid.Int64Range(0, 300).Draw(rt, "back")
			want := model[slot] && newest-slot < cursorSlots
			if got := c.seen(slot); got != want {
				rt.Fatalf("seen(%d) = %v, want %v (newest %d)", slot, got, want, newest)
			}
			c.mark(slot)
			model[slot] = true
			newest = max(newest, slot)
		}
	})
}

// An empty answer may be a missing permission: what it hid is still read,
// beyond the overlap, when points are shown again.
func TestPointsHiddenByEmptyAnswersAreReadLater(t *testing.T) {
	var now time.Time
	points := everyMinute("i-1", 0, 120, 0)
	cloud := &fakeClient{now: func() time.Time { return now }, points: points}
	sink := &memorySink{}
	c := cpuCollector(t, cloud, known(minute(0)), nil)
	for n := 10; n <= 120; n += 5 {
		now = atMinute(n)
		cloud.points = points
		if n > 10 && n < 100 {
			cloud.points = nil
		}
		if err := c.Collect(t.Context(), now, sink); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(wantAll(points), sink.delivered()); diff != "" {
		t.Error(diff)
	}
	last := cloud.queries[len(cloud.queries)-1]
	if want := minute(115).Add(-20 * time.Minute); !last.Start.Equal(want) {
		t.Errorf("the last poll looks back to %s, want %s again", last.Start, want)
	}
}

// A point off the period's grid shares its slot with its neighbours and must
// not be taken for one of them.
func TestPointsOffTheGridAreAllDelivered(t *testing.T) {
	now := atMinute(10)
	cloud := &fakeClient{now: func() time.Time { return now }, points: []fakePoint{
		{"i-1", minute(5), minute(5), 1}, {"i-1", minute(5).Add(15 * time.Second), minute(5), 2}, {"i-1", minute(5).Add(30 * time.Second), minute(5), 3},
	}}
	sink := &memorySink{}
	if err := cpuCollector(t, cloud, known(minute(0)), nil).Collect(t.Context(), now, sink); err != nil {
		t.Fatal(err)
	}
	if n := len(sink.delivered()); n != 3 {
		t.Errorf("%d of 3 points delivered", n)
	}
}

func TestWindows(t *testing.T) {
	f := func(from, end int, want ...[3]int) {
		t.Helper()
		var got [][3]int
		for _, w := range windows(minute(min(from, end)-20), minute(from), minute(end)) {
			rel := func(x time.Time) int { return int(x.Sub(t0) / time.Minute) }
			got = append(got, [3]int{rel(w.start), rel(w.fresh), rel(w.end)})
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%d to %d: %s", from, end, diff)
		}
	}
	f(100, 105, [3]int{80, 100, 105})
	f(100, 100, [3]int{80, 100, 100})
	f(100, 90, [3]int{70, 90, 90}) // the clock was set back
	f(0, 60, [3]int{-20, 0, 60})
	f(0, 150, [3]int{-20, 0, 60}, [3]int{60, 60, 120}, [3]int{120, 120, 150})
}

func TestGoneInstancesSeriesEndOnceAndCanComeBack(t *testing.T) {
	var now time.Time
	points := append(everyMinute("i-1", 0, 120, 0), everyMinute("i-2", 0, 10, 0)...)
	cloud := &fakeClient{now: func() time.Time { return now }, points: points}
	sink := &memorySink{}
	c := cpuCollector(t, cloud, known(minute(0)), nil)
	c.presence = NewPresence()
	collect := func(n int, listed ...string) {
		t.Helper()
		now = atMinute(n)
		c.presence.List(now, listed)
		if err := c.Collect(t.Context(), now, sink); err != nil {
			t.Fatal(err)
		}
	}
	ends := func() (n int) {
		for _, b := range sink.batches {
			for _, e := range b.Ends {
				n++
				if e.Labels.Get("instance") != "i-2" || e.T != minute(10).UnixMilli() || e.Reason != "deleted" {
					t.Errorf("end mark %+v", e)
				}
			}
		}
		return n
	}
	collect(10, "i-1", "i-2")
	for n := 15; n <= 60; n += 5 {
		collect(n, "i-1")
	}
	if ends() != 1 {
		t.Errorf("%d end marks, want 1", ends())
	}
	if diff := cmp.Diff(wantAll(append(everyMinute("i-1", 0, 60, 0), everyMinute("i-2", 0, 10, 0)...)), sink.delivered()); diff != "" {
		t.Errorf("samples: %s", diff)
	}
	cloud.points = append(cloud.points, everyMinute("i-2", 60, 65, 0)...)
	collect(65, "i-1", "i-2")
	if s := c.series["i-2"]; s.ended {
		t.Error("the series spoke again and still counts as ended")
	}
}

func TestSilentSeriesAreForgottenInTheEnd(t *testing.T) {
	var now time.Time
	cloud := &fakeClient{now: func() time.Time { return now }, points: everyMinute("i-1", 0, 10, 0)}
	sink := &memorySink{}
	c := cpuCollector(t, cloud, known(minute(0)), nil)
	for _, n := range []int{10, 10 + 24*60, 11 + 24*60} {
		if now = atMinute(n); c.Collect(t.Context(), now, sink) != nil {
			t.Fatal("collect failed")
		}
		if kept := len(c.series) == 1; kept != (n <= 10+24*60) {
			t.Errorf("minute %d: kept %v", n, kept)
		}
	}
}
