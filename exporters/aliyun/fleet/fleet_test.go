package fleet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"
	"pgregory.net/rapid"

	"watchkeeper/internal/property"
	"watchkeeper/internal/sample"
)

var t0 = time.Date(2026, 11, 21, 4, 0, 0, 0, time.UTC)

func minute(n int) time.Time { return t0.Add(time.Duration(n) * time.Minute) }

// at is a scheduled time within the minute after n.
func at(n int) time.Time { return minute(n).Add(17 * time.Second) }

// cloud holds points, and when each can be seen.
type cloud struct {
	mu     sync.Mutex
	now    time.Time
	listed []string
	points map[string][]point // by resource
	fail   map[string]error   // by resource; "" is the list
	reads  map[string]int
	shift  time.Duration // a wrong time zone
}

type point struct{ t, published time.Time }

func (c *cloud) List(context.Context) ([]Resource, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.fail[""]; err != nil {
		return nil, err
	}
	var out []Resource
	for _, id := range c.listed {
		out = append(out, Resource{ID: id, Kind: "MySQL"})
	}
	return out, nil
}

func (c *cloud) Read(_ context.Context, r Resource, from, to time.Time) ([]sample.Sample, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reads == nil {
		c.reads = map[string]int{}
	}
	c.reads[r.ID]++
	if err := c.fail[r.ID]; err != nil {
		return nil, err
	}
	var out []sample.Sample
	for _, p := range c.points[r.ID] {
		if !p.t.Before(from) && !p.t.After(to) && !p.published.After(c.now) { // both ends included
			out = append(out, sample.Sample{Labels: labels.FromStrings("__name__", "m", "instance", r.ID), T: p.t.Add(c.shift).UnixMilli(), V: float64(p.t.Unix())})
		}
	}
	return out, nil
}

// sink keeps batches by source.
type sink struct {
	mu      sync.Mutex
	batches map[string][]sample.Batch
	fail    error
}

func (s *sink) Append(_ context.Context, b sample.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return s.fail
	}
	if s.batches == nil {
		s.batches = map[string][]sample.Batch{}
	}
	s.batches[b.Source.Name] = append(s.batches[b.Source.Name], b)
	return nil
}

// minutes lists the minutes of a resource's samples, in the order delivered.
func (s *sink) minutes(id string) []int {
	var out []int
	for _, b := range s.batches["list/"+id] {
		for _, x := range b.Samples {
			out = append(out, int((x.T-t0.UnixMilli())/60000))
		}
	}
	return out
}

func (s *sink) last(id string) sample.Batch {
	all := s.batches["list/"+id]
	return all[len(all)-1]
}

func collector(c *cloud, resume Resume, change func(*Config)) *Collector {
	cfg := Config{
		Source: sample.Source{Customer: "acme", Name: "list"}, Labels: `{customer="acme"`, Step: time.Minute,
		Overlap: 20 * time.Minute, Chunk: 55 * time.Minute, FillIn: time.Hour, CatchUp: 23 * time.Hour,
	}
	if change != nil {
		change(&cfg)
	}
	return New(cfg, c, resume, metrics.NewSet(), slog.New(slog.DiscardHandler))
}

func readUntil(n int) Resume {
	return func(context.Context, sample.Source) (time.Time, bool, error) { return minute(n), true, nil }
}

func everyMinute(from, to int) []point {
	var out []point
	for n := from; n <= to; n++ {
		out = append(out, point{minute(n), minute(n)})
	}
	return out
}

func collect(t *testing.T, c *Collector, cl *cloud, n int, s *sink) error {
	t.Helper()
	cl.now = at(n)
	return c.Collect(t.Context(), at(n), s)
}

// Whatever the delays, each point that was published within the overlap comes
// once.
func TestNoPointIsLostOrDoubled(t *testing.T) {
	property.Check(t, func(t *rapid.T) {
		cl := &cloud{listed: []string{"a"}, points: map[string][]point{}}
		want := map[int]int{}
		for n := -30; n <= 90; n++ {
			late := rapid.IntRange(0, 14).Draw(t, "late")
			cl.points["a"] = append(cl.points["a"], point{minute(n), minute(n + late)})
			if n > 0 && n+late <= 90 {
				want[n] = 1
			}
		}
		out := &sink{}
		c := collector(cl, readUntil(0), nil)
		for n := 5; n <= 90; n += 5 {
			switch rapid.IntRange(0, 3).Draw(t, "trouble") {
			case 0:
				cl.fail = map[string]error{"a": errors.New("busy")}
			case 1:
				out.fail = errors.New("disk full")
			}
			cl.now = at(n)
			_ = c.Collect(context.Background(), at(n), out) // its failures are the point
			cl.fail, out.fail = nil, nil
		}
		cl.now = at(90)
		if err := c.Collect(context.Background(), at(90), out); err != nil {
			t.Fatal(err)
		}
		got := map[int]int{}
		for _, n := range out.minutes("a") {
			if n > 0 {
				got[n]++
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Fatal(d)
		}
	})
}

func TestFirstContactFillsInHistoryInSmallWindows(t *testing.T) {
	cl := &cloud{listed: []string{"a"}, points: map[string][]point{"a": everyMinute(-200, 0)}}
	out := &sink{}
	c := collector(cl, nil, func(c *Config) { c.FillIn = 3 * time.Hour })
	if err := collect(t, c, cl, 0, out); err != nil {
		t.Fatal(err)
	}
	got := out.minutes("a")
	slices.Sort(got)
	if len(got) != 200 || got[0] != -199 || got[199] != 0 { // three hours and the overlap
		t.Errorf("%d points from %d to %d", len(got), got[0], got[len(got)-1])
	}
	if cl.reads["a"] < 4 {
		t.Errorf("%d reads: windows of an hour and more give coarser points", cl.reads["a"])
	}
	all := out.batches["list/a"]
	for i, b := range all {
		if b.FillIn != (i < len(all)-1) {
			t.Errorf("batch %d of %d: FillIn %t", i, len(all), b.FillIn)
		}
	}
	if out.last("a").Watermark != sample.Current {
		t.Errorf("watermark %d after the fill-in", out.last("a").Watermark)
	}
}

func TestEachResourceFailsForItself(t *testing.T) {
	cl := &cloud{listed: []string{"a", "b"}, points: map[string][]point{"a": everyMinute(1, 20), "b": everyMinute(1, 20)}}
	out := &sink{}
	c := collector(cl, readUntil(0), nil)
	if err := collect(t, c, cl, 5, out); err != nil {
		t.Fatal(err)
	}
	cl.fail = map[string]error{"a": errors.New("busy")}
	if err := collect(t, c, cl, 10, out); err == nil || err.Error() != "1 of 2 resources not read, first a: busy" {
		t.Errorf("error %v", err)
	}
	failed := out.last("a")
	if len(failed.Ups) != 1 || failed.Ups[0].OK || failed.Ups[0].T != at(10).UnixMilli() || failed.Watermark != minute(5).UnixMilli() {
		t.Errorf("the failed check says %+v", failed)
	}
	if got := len(out.minutes("b")); got != 10 {
		t.Errorf("%d points of the other, want 10", got)
	}
	cl.fail = nil
	if err := collect(t, c, cl, 15, out); err != nil {
		t.Fatal(err)
	}
	if got := len(out.minutes("a")); got != 15 {
		t.Errorf("%d points after the failure, want 15", got)
	}
}

func TestALostListReadsTheKnownOnes(t *testing.T) {
	cl := &cloud{listed: []string{"a"}, points: map[string][]point{"a": everyMinute(1, 20)}}
	out := &sink{}
	c := collector(cl, readUntil(0), nil)
	if err := collect(t, c, cl, 5, out); err != nil {
		t.Fatal(err)
	}
	cl.fail = map[string]error{"": errors.New("busy")}
	if err := collect(t, c, cl, 10, out); err == nil {
		t.Error("a failed list is no error")
	}
	if got := len(out.minutes("a")); got != 10 {
		t.Errorf("%d points, want 10", got)
	}
}

// A resource ends when list and reading agree, never by one of them alone.
func TestAResourceEndsWhenTwoSourcesAgree(t *testing.T) {
	cl := &cloud{listed: []string{"a", "b"}, points: map[string][]point{"a": everyMinute(0, 60), "b": everyMinute(0, 60)}}
	out := &sink{}
	c := collector(cl, readUntil(0), nil)
	ends := func() (n int) {
		for _, b := range out.batches["list/a"] {
			n += len(b.Ends)
		}
		return n
	}
	check := func(n int, wantErr bool, wantEnds int) {
		t.Helper()
		if err := collect(t, c, cl, n, out); (err != nil) != wantErr {
			t.Fatalf("at %d: %v", n, err)
		}
		if got := ends(); got != wantEnds {
			t.Fatalf("at %d: %d ends, want %d", n, got, wantEnds)
		}
	}
	check(5, false, 0)
	cl.listed = nil // a lost permission
	check(10, false, 0)
	cl.listed = []string{"b"}
	check(15, false, 0) // still there, says the reading
	cl.fail = map[string]error{"a": fmt.Errorf("%w: 404", ErrGone)}
	check(20, false, 1)
	if e := out.last("a").Ends[0]; e.Reason != "deleted" || e.T != minute(15).UnixMilli() {
		t.Errorf("end %+v", e)
	}
	reads := maps.Clone(cl.reads)
	check(25, false, 1)
	if cl.reads["a"] != reads["a"] || cl.reads["b"] == reads["b"] {
		t.Errorf("reads %v after %v", cl.reads, reads)
	}
	cl.listed = []string{"a", "b"}
	check(30, true, 1) // listed and unknown: a failure
}

// Points that are off by a time zone are dropped, not filed under a time at which
// they were not measured.
func TestPointsOfAnotherTimeZoneAreDropped(t *testing.T) {
	for _, shift := range []time.Duration{8 * time.Hour, -8 * time.Hour} {
		cl := &cloud{listed: []string{"a"}, points: map[string][]point{"a": everyMinute(1, 20)}, shift: shift}
		out := &sink{}
		c := collector(cl, readUntil(0), nil)
		if err := collect(t, c, cl, 5, out); err != nil {
			t.Fatal(err)
		}
		if got := out.minutes("a"); len(got) != 0 {
			t.Errorf("shifted by %s: delivered %v", shift, got)
		}
		if got := c.counts.misdated.Get(); got != 5 {
			t.Errorf("shifted by %s: %d misdated, want 5", shift, got)
		}
	}
}

// Slots that are complete only after a delay are read when they are, once.
func TestDelayedSlots(t *testing.T) {
	cl := &cloud{listed: []string{"a"}, points: map[string][]point{}}
	for n := 0; n <= 60; n += 5 {
		cl.points["a"] = append(cl.points["a"], point{minute(n), minute(n)})
	}
	out := &sink{}
	c := collector(cl, readUntil(0), func(c *Config) { c.Step, c.Delay, c.Overlap = 5*time.Minute, 15*time.Minute, 0 })
	for n := 5; n <= 40; n++ {
		if err := collect(t, c, cl, n, out); err != nil {
			t.Fatal(err)
		}
	}
	if d := cmp.Diff([]int{5, 10, 15, 20, 25}, out.minutes("a")); d != "" {
		t.Error(d)
	}
	if cl.reads["a"] != 5 {
		t.Errorf("%d reads of 5 slots", cl.reads["a"])
	}
	if got := out.last("a"); got.Watermark != minute(25).UnixMilli() || len(got.Ups) != 1 || got.Ups[0].T != minute(25).UnixMilli() {
		t.Errorf("last batch %+v", got)
	}
}

func TestGapsBeyondCatchUpAreCounted(t *testing.T) {
	cl := &cloud{listed: []string{"a"}, points: map[string][]point{"a": everyMinute(0, 300)}}
	out := &sink{}
	c := collector(cl, readUntil(0), func(c *Config) { c.CatchUp = time.Hour })
	if err := collect(t, c, cl, 300, out); err != nil {
		t.Fatal(err)
	}
	if got := c.counts.gapSeconds.Get(); got != 240*60 {
		t.Errorf("gap of %v s, want 4 h", got)
	}
}
