package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/internal/journal"
	"watchkeeper/internal/sample"
	"watchkeeper/internal/storage"
	"watchkeeper/ruleset"
	"watchkeeper/ruleset/replay"
)

// away is a sink that fails for a while.
type away struct {
	down  bool
	tries int
	told  map[string]int // live entries, by line
	lines map[string]int // settled ones
}

func (s *away) Log(_ context.Context, entries []ruleset.Entry) error {
	s.tries++
	if s.down {
		return errors.New("incident store: disk full")
	}
	for _, e := range entries {
		line := string(replay.AppendLine(nil, e))
		if e.Log == ruleset.LogSettled {
			s.lines[line]++
		} else {
			s.told[fmt.Sprint(line, e.Labels)]++
		}
	}
	return nil
}

// The sink fails for hours while samples come that breach and recover, with room for all that
// waits or for little of it. Then everything is told, once; the settled log is what a replay
// makes of the folder, and nothing counts as late that came in time.
func TestASinkThatFailsForHours(t *testing.T) {
	for _, room := range []int{100_000, 7} {
		t.Run(fmt.Sprint("room for ", room), func(t *testing.T) { failForHours(t, room) })
	}
}

func failForHours(t *testing.T, room int) {
	groups, err := ruleset.Parse("rules.yml", []byte(`groups:
- {name: g, interval: 1m, rules: [
  {alert: Streaming, expr: a > 5, consecutive: 2, lateness: 2m},
  {alert: Evaluated, expr: sqrt(a) > 2, consecutive: 2, lateness: 2m},
  {alert: Missing, expr: a > 5 and a < 100, consecutive: 1, missing: breach, lateness: 3m}]}`))
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	now := begin
	clock := func() time.Time { return now }
	discard := slog.New(slog.DiscardHandler)
	sc := storage.DefaultConfig()
	sc.Dir, sc.MinFreeBytes = t.TempDir(), 0
	store, err := storage.Open(sc, discard, metrics.NewSet(), clock)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	to := &away{told: map[string]int{}, lines: map[string]int{}}
	ec := ruleset.DefaultConfig()
	ec.MaxQueuedEntries = room
	engine, err := ruleset.New(ec, groups, store, records{store.Journal()}, to, metrics.NewSet(), discard)
	if err != nil {
		t.Fatal(err)
	}
	p := NewPipeline(store, engine, clock, metrics.NewSet(), discard)
	const minutes = 300
	for n := range minutes {
		now = begin.Add(time.Duration(n)*time.Minute + 10*time.Second)
		to.down = n >= 30 && n < 200
		for _, agent := range []string{"x", "y"} {
			b := sample.Batch{Source: sample.Source{Customer: "acme", Name: "push/" + agent}, Watermark: sample.Current, Ups: []sample.Up{{T: now.UnixMilli(), OK: true}}}
			for i := range 3 {
				l := labels.FromStrings(model.MetricNameLabel, "a", "customer", "acme", "i", fmt.Sprint(agent, i))
				b.Samples = append(b.Samples, sample.Sample{Labels: l, T: now.UnixMilli(), V: float64((n + i) % 5 * 3)})
			}
			if _, err := p.Deliver(t.Context(), b); err != nil {
				t.Fatalf("minute %d: %v", n, err)
			}
		}
		for range 3 {
			now = now.Add(15 * time.Second)
			if err := p.Tick(t.Context(), now); (err != nil) != to.down {
				t.Fatalf("minute %d, sink down %v: %v", n, to.down, err)
			}
		}
	}
	if p.waiting() > 0 || len(p.inFlight) > 0 {
		t.Errorf("%d batches wait, %d are on their way", p.waiting(), len(p.inFlight))
	}
	for _, lines := range []map[string]int{to.told, to.lines} {
		if len(lines) < 200 {
			t.Errorf("%d lines tell too little", len(lines))
		}
		for line, n := range lines {
			if n != 1 {
				t.Errorf("told %d times: %s", n, line)
			}
		}
	}
	if err := store.Journal().Each(func(r journal.Record) error {
		if r.Kind == journal.KindLate {
			return fmt.Errorf("listed as late: %+v", r)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	entries, err := replay.Settled(t.Context(), groups, store, store.Journal(), replay.Span{From: begin.Add(-time.Hour), To: now, Begin: begin.Add(-time.Hour), Now: now})
	if err != nil {
		t.Fatal(err)
	}
	replayed := map[string]int{}
	for _, e := range entries {
		replayed[string(replay.AppendLine(nil, e))]++
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(to.lines)), slices.Sorted(maps.Keys(replayed))); diff != "" {
		t.Errorf("settled log (-server +replay):\n%s", diff)
	}
}

// A fault that lasts for an hour is told once a minute, and so is its end.
func TestALastingFaultIsToldOnceAMinute(t *testing.T) {
	var out bytes.Buffer
	l := lasting{log: slog.New(slog.NewTextHandler(&out, nil))}
	begin := time.Unix(1_800_000_000, 0)
	l.tell(begin, nil)
	for i := range 3600 {
		l.tell(begin.Add(time.Duration(i)*time.Second), errors.New("disk full"))
	}
	for range 2 {
		l.tell(begin.Add(time.Hour), nil)
	}
	if n := strings.Count(out.String(), "level=ERROR"); n != 60 {
		t.Errorf("%d lines in an hour", n)
	}
	if n := strings.Count(out.String(), "level=INFO"); n != 1 || !strings.Contains(out.String(), "waited=1h0m0s") {
		t.Errorf("%d lines of its end:\n%s", n, out.String())
	}
}
