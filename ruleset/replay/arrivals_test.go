package replay_test

import (
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/internal/sample"
	"watchkeeper/ruleset"
	"watchkeeper/ruleset/replay"
)

// Rules under other names say the same of a time in which those of the old names judged:
// what came too late then comes too late for them.
func TestRenamedRulesJudgeAlike(t *testing.T) {
	groups := parseRules(t, worldRules)
	renamed := parseRules(t, strings.NewReplacer("name: hosts", "name: machines", "name: all", "name: total").Replace(worldRules))
	lateMatters := false
	for seed := range uint64(8) {
		l, end := runWorld(t, seed, t.TempDir(), groups)
		defer l.store.Close()
		span := replay.Span{From: worldStart.Add(-time.Hour), To: end, Begin: worldStart.Add(-time.Hour), Now: end}
		lines := func(groups []ruleset.Group, past replay.Past) []string {
			t.Helper()
			es, err := replay.Settled(t.Context(), groups, l.store, past, span)
			if err != nil {
				t.Fatal(err)
			}
			return strings.Split(linesOf(t, es), "\n")
		}
		want, past := lines(groups, l.store.Journal()), l.store.Journal()
		// The order within a check is by rule group.
		if d := cmp.Diff(sorted(want), sorted(lines(renamed, replay.WithArrivals(past, renamed, groups)))); d != "" {
			t.Errorf("seed %d: renamed rules judge otherwise (-old +renamed):\n%s", seed, d)
		}
		if d := cmp.Diff(want, lines(groups, replay.WithArrivals(past, groups, renamed))); d != "" {
			t.Errorf("seed %d: rules that were in force judge otherwise (-before +after):\n%s", seed, d)
		}
		lateMatters = lateMatters || cmp.Diff(sorted(want), sorted(lines(renamed, past))) != ""
	}
	if !lateMatters {
		t.Error("what came late made no difference: the test shows too little")
	}
}

func sorted(lines []string) []string { return slices.Sorted(slices.Values(lines)) }

// A rule that judges what another one judged has its arrivals, by its own lateness.
func TestArrivalsOfAnotherRule(t *testing.T) {
	groups := parseRules(t, `groups: [{name: g, interval: 1m, rules: [
  {alert: CPUHigh, expr: cpu >= 90, consecutive: 2, lateness: 10m}, {alert: Idle, expr: idle >= 90, consecutive: 2, lateness: 10m}]}]`)
	l := &live{now: worldStart, seen: map[string]bool{}}
	l.store = openStore(t, t.TempDir(), func() time.Time { return l.now })
	defer l.store.Close()
	var err error
	if l.engine, err = ruleset.New(ruleset.DefaultConfig(), groups, l.store, storeJournal{l.store.Journal()}, l, metrics.NewSet(), slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	cpu := labels.FromStrings("__name__", "cpu", "customer", "acme", "instance", "web-1")
	put := func(minute int, v float64, arrive int) {
		t.Helper()
		at := worldStart.Add(time.Duration(arrive) * time.Minute)
		if err := l.engine.Advance(t.Context(), at.Add(-time.Second)); err != nil {
			t.Fatal(err)
		}
		l.deliver(t, sample.Batch{Source: sample.Source{Customer: "acme", Name: "a"}, Samples: []sample.Sample{{Labels: cpu, T: worldStart.Add(time.Duration(minute) * time.Minute).UnixMilli(), V: v}}}, at)
	}
	put(1, 85, 1)
	put(3, 50, 3)
	put(2, 85, 20) // after its check had settled for a lateness of 10m
	put(21, 50, 21)
	span := replay.Span{From: worldStart, To: worldStart.Add(10 * time.Minute), Begin: worldStart, Now: worldStart.Add(2 * time.Hour)}
	for _, c := range []struct {
		rule  string
		fires bool
	}{
		{`alert: CPULower, expr: cpu >= 80, consecutive: 2, lateness: 10m`, false},
		{`alert: CPULower, expr: cpu >= 80 unless idle > 5, consecutive: 2, lateness: 10m`, false}, // reads more than any
		{`alert: CPULower, expr: cpu >= 80, consecutive: 2, lateness: 15m`, false},
		{`alert: CPULower, expr: cpu >= 80, consecutive: 2, lateness: 30m`, true},
		{`alert: CPUHigh, expr: cpu >= 80, consecutive: 2, lateness: 10m`, false}, // by records of its own
		{`alert: CPUHigh, expr: cpu >= 80, consecutive: 2, lateness: 30m`, true},  // it had not settled then
	} {
		next := parseRules(t, "groups: [{name: g, interval: 1m, rules: [{"+c.rule+"}]}]")
		es, err := replay.Settled(t.Context(), next, l.store, replay.WithArrivals(l.store.Journal(), next, groups), span)
		if err != nil {
			t.Fatal(err)
		}
		if fires := strings.Contains(linesOf(t, es), `"to":"firing"`); fires != c.fires {
			t.Errorf("%s: fires %t, want %t:\n%s", c.rule, fires, c.fires, linesOf(t, es))
		}
	}
}
