package ruleset

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"pgregory.net/rapid"

	"watchkeeper/internal/property"
	"watchkeeper/internal/sample"
)

// hand is what is told by hand: an engine with its world.
type hand struct {
	t     *testing.T
	world *world
	e     *Engine
}

func newHand(t *testing.T, rules string) *hand {
	t.Helper()
	h := &hand{t: t, world: newWorld()}
	var err error
	if h.e, err = h.world.engine(parseOne(t, rules)); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *hand) at(d time.Duration) int64 { return timelineStart.Add(d).UnixMilli() }

func (h *hand) advance(d time.Duration) {
	h.t.Helper()
	if err := h.e.Advance(context.Background(), timelineStart.Add(d)); err != nil {
		h.t.Fatal(err)
	}
}

func (h *hand) deliver(d time.Duration, b sample.Batch) {
	h.t.Helper()
	if err := h.e.Ingest(context.Background(), h.world.accept(b, h.at(d)), timelineStart.Add(d)); err != nil {
		h.t.Fatal(err)
	}
}

func (h *hand) sample(at time.Duration, v float64) {
	h.t.Helper()
	l := labels.FromStrings(model.MetricNameLabel, "a", "i", "x")
	h.deliver(at, sample.Batch{Samples: []sample.Sample{{Labels: l, T: h.at(at), V: v}}})
}

func (h *hand) settled() (lines []string) {
	for _, en := range h.world.entries {
		if en.Log == LogSettled {
			lines = append(lines, fmt.Sprint(clock(en.Check), " ", en.From, "->", en.To, " run ", en.Run))
		}
	}
	return lines
}

// TestLateUpWithoutAStep: whether a check is judged before a late up-sample comes, or only with
// it, it is settled.
func TestLateUpWithoutAStep(t *testing.T) {
	for _, step := range []bool{false, true} {
		h := newHand(t, `groups: [{name: g, interval: 1m, rules: [{alert: A, expr: a > 2, consecutive: 2, missing: breach, lateness: 30s, missing_after: 15s}]}]`)
		h.deliver(30*time.Second, sample.Batch{Ups: []sample.Up{{T: h.at(30 * time.Second), OK: true}}})
		h.sample(40*time.Second, 1)
		if step {
			h.advance(9*time.Minute + 30*time.Second + 500*time.Millisecond)
		}
		late := sample.Batch{Ups: []sample.Up{{T: h.at(8*time.Minute + 30*time.Second), OK: true}}}
		h.deliver(9*time.Minute+31*time.Second, late)
		h.deliver(9*time.Minute+32*time.Second, late) // again
		h.advance(20 * time.Minute)
		if got := h.settled(); len(got) != 0 {
			t.Errorf("a step before the late up-sample: %v: settled log: %q, want nothing", step, got)
		}
		n := 0
		for _, r := range h.world.records {
			if r.Reason != "" {
				n++
			}
		}
		if n != 1 {
			t.Errorf("a step before the late up-sample: %v: %d records of it, want 1: %v", step, n, h.world.records)
		}
	}
}

// TestUpInTheLastMillisecond: it still counts.
func TestUpInTheLastMillisecond(t *testing.T) {
	h := newHand(t, `groups: [{name: g, interval: 1m, rules: [{alert: A, expr: a > 2, consecutive: 1, missing: breach, lateness: 30s, missing_after: 15s}]}]`)
	h.deliver(30*time.Second, sample.Batch{Ups: []sample.Up{{T: h.at(30 * time.Second), OK: true}}})
	h.sample(40*time.Second, 1)
	h.deliver(9*time.Minute+30*time.Second, sample.Batch{Ups: []sample.Up{{T: h.at(8*time.Minute + 30*time.Second), OK: true}}})
	h.advance(20 * time.Minute)
	if diff := cmp.Diff([]string{"9m inactive->firing run 1"}, h.settled()); diff != "" {
		t.Errorf("settled log (-want +got):\n%s", diff)
	}
}

// TestOneStepJudgesAndSettles: what a step judges and what has settled by its time is
// told by that step.
func TestOneStepJudgesAndSettles(t *testing.T) {
	h := newHand(t, `groups: [{name: g, interval: 1m, rules: [{alert: A, expr: a > 1, consecutive: 2, lateness: 1m, missing_after: 1m}]}]`)
	h.sample(50*time.Second, 4)
	h.advance(2 * time.Minute)
	if diff := cmp.Diff([]string{"1m inactive->pending run 1"}, h.settled()); diff != "" {
		t.Errorf("settled log (-want +got):\n%s", diff)
	}
}

// TestStepsDoNotMatter: the settled log up to a time is there at that time and the same,
// however far engine time goes at once.
func TestStepsDoNotMatter(t *testing.T) {
	property.Check(t, func(rt *rapid.T) {
		s := drawScenario(rt)
		groups := parseOne(rt, s.rule)
		ps := drawLateUps(rt, &s, drawParcels(rt, s))
		want, _ := settledLogBy(t, groups, ps, nil, 30_000)
		got, _ := settledLogBy(t, groups, ps, nil, rapid.SampledFrom([]int64{1000, 90_000, 7 * 60_000, 60 * 60_000}).Draw(rt, "step"))
		if diff := cmp.Diff(want, got); diff != "" {
			rt.Fatalf("%s\n%s\nsettled log (-steps of 30 s +others):\n%s", s.rule, s, diff)
		}
	})
}

// TestFirstStepOfTheMillisecond: in the millisecond in which a check settles the first
// batch or advance settles it, which judges itself before.
func TestFirstStepOfTheMillisecond(t *testing.T) {
	for _, advance := range []bool{false, true} {
		h := newHand(t, `groups: [{name: g, interval: 1m, rules: [{alert: A, expr: a > 2, consecutive: 1, lateness: 1m, missing_after: 0s}]}]`)
		h.sample(0, 1)
		if advance {
			h.advance(2 * time.Minute)
		}
		l := labels.FromStrings(model.MetricNameLabel, "a", "i", "x")
		h.deliver(2*time.Minute, sample.Batch{Samples: []sample.Sample{{Labels: l, T: h.at(time.Minute), V: 9}}})
		h.advance(4 * time.Minute)
		want := []string{"1m inactive->firing run 1"}
		if advance {
			want = nil
		}
		if diff := cmp.Diff(want, h.settled()); diff != "" {
			t.Errorf("an advance before: %v: settled log (-want +got):\n%s", advance, diff)
		}
	}
}
