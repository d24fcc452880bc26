package replay_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/internal/journal"
	"watchkeeper/internal/sample"
	"watchkeeper/internal/storage"
	"watchkeeper/ruleset"
	"watchkeeper/ruleset/replay"
)

// worldRules cover streaming and evaluated rules, joins, windows, groups and every setting of missing.
const worldRules = `
groups:
- name: hosts
  interval: 1m
  rules:
  - {alert: CPUHigh, expr: cpu >= 90, consecutive: 3, lateness: 20m, no_data_after: 3}
  - {alert: CPUStrict, expr: cpu >= 90, consecutive: 2, missing: reset, max_gap: 0, lateness: 10m, resolve_after: 2}
  - {alert: CPUSilent, expr: cpu >= 90, consecutive: 3, missing: breach, lateness: 20m}
  - {alert: Busy, expr: cpu >= 90 unless idle > 50, consecutive: 2, lateness: 20m}
  - {alert: Peak, expr: "max_over_time(cpu[5m]) >= 95", consecutive: 4, lateness: 20m}
  - {alert: Fallen, expr: "resets(cpu[10m]) - changes(idle[10m] offset 1m) > 3", consecutive: 2, lateness: 10m}
  - {alert: Most, expr: count by (customer) (cpu >= 90) / count by (customer) (cpu) >= 0.5, consecutive: 2, lateness: 20m, min_members: 2}
- name: all
  interval: 5m
  rules:
  - {alert: Mean, expr: avg by (customer) (abs(cpu)) > 60, consecutive: 2, lateness: 20m, no_data_after: 2}
`

var worldStart = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// live is the line that the product has: store, journal and rule engine.
type live struct {
	store  *storage.Store
	engine *ruleset.Engine
	now    time.Time
	lines  []ruleset.Entry
	seen   map[string]bool
}

type storeJournal struct{ *journal.Journal }

func (j storeJournal) Record(_ context.Context, rs ...journal.Record) error { return j.Append(rs...) }

func (l *live) Log(_ context.Context, entries []ruleset.Entry) error {
	for _, e := range entries {
		if e.Log == ruleset.LogSettled && !l.seen[e.ID] {
			l.seen[e.ID] = true
			l.lines = append(l.lines, e)
		}
	}
	return nil
}

func openStore(t testing.TB, dir string, now func() time.Time) *storage.Store {
	t.Helper()
	cfg := storage.DefaultConfig()
	cfg.Dir, cfg.MinFreeBytes = dir, 0
	s, err := storage.Open(cfg, slog.New(slog.DiscardHandler), metrics.NewSet(), now)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (l *live) deliver(t testing.TB, b sample.Batch, at time.Time) {
	t.Helper()
	l.now = at
	res, err := l.store.Append(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.engine.Ingest(t.Context(), res.Accepted, at); err != nil {
		t.Fatal(err)
	}
}

// runWorld plays two hours of a random world and returns its settled log.
func runWorld(t testing.TB, seed uint64, dir string, groups []ruleset.Group) (l *live, end time.Time) {
	t.Helper()
	l = &live{now: worldStart, seen: map[string]bool{}}
	l.store = openStore(t, dir, func() time.Time { return l.now })
	var err error
	l.engine, err = ruleset.New(ruleset.DefaultConfig(), groups, l.store, storeJournal{l.store.Journal()}, l, metrics.NewSet(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	rnd, lateUps := rand.New(rand.NewPCG(seed, 1)), rand.New(rand.NewPCG(seed, 2))
	arrivals := map[int][]sample.Batch{} // by minute
	for host := range 4 {
		src := sample.Source{Customer: "acme", Name: fmt.Sprintf("host/%d", host)}
		name := fmt.Sprintf("h%d", host)
		cpu := labels.FromStrings("__name__", "cpu", "customer", "acme", "instance", name)
		idle := labels.FromStrings("__name__", "idle", "customer", "acme", "instance", name)
		level := 50.0
		for m := 1; m < 120; m++ {
			if rnd.IntN(6) == 0 {
				level = []float64{50, 95}[rnd.IntN(2)]
			}
			at := time.Duration(m)*time.Minute - time.Duration(rnd.IntN(20))*time.Second
			b := sample.Batch{Source: src}
			t0 := worldStart.Add(at).UnixMilli()
			if rnd.IntN(12) > 0 { // it looked; what it saw may come later
				delay := 0
				if host == 3 && lateUps.IntN(3) == 0 {
					delay = 8 + lateUps.IntN(30) // after checks settled, for some rules or for all
				}
				arrivals[m+delay] = append(arrivals[m+delay], sample.Batch{Source: src, Watermark: sample.Current, Ups: []sample.Up{{T: t0, OK: true}}})
			}
			if rnd.IntN(8) > 0 && !(host == 1 && m > 60 && m < 72) {
				b.Samples = append(b.Samples, sample.Sample{Labels: cpu, T: t0, V: level})
			}
			if rnd.IntN(8) > 0 {
				b.Samples = append(b.Samples, sample.Sample{Labels: idle, T: t0, V: float64(rnd.IntN(100))})
			}
			if host == 2 && m == 80 {
				arrivals[m] = append(arrivals[m], sample.Batch{Source: src, Ends: []sample.End{{Labels: cpu, T: t0, Reason: "deleted"}}})
			}
			delay := 0
			switch n := rnd.IntN(10); {
			case m < 5: // the first samples come in time
			case n == 0:
				delay = 1 + rnd.IntN(6)
			case n == 1:
				delay = rnd.IntN(35) // may come after its check settled
			}
			arrivals[m+delay] = append(arrivals[m+delay], b)
		}
	}
	end = worldStart.Add(155 * time.Minute)
	for m := range 156 {
		at := worldStart.Add(time.Duration(m) * time.Minute)
		l.now = at
		for i, b := range arrivals[m] {
			l.deliver(t, b, at.Add(time.Duration(i)*time.Second))
		}
		if err := l.engine.Advance(t.Context(), at); err != nil {
			t.Fatal(err)
		}
	}
	slices.SortStableFunc(l.lines, ruleset.CompareSettled)
	return l, end
}

func linesOf(t testing.TB, entries []ruleset.Entry) string {
	t.Helper()
	var b bytes.Buffer
	if err := replay.WriteLines(&b, entries); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestSettledEqualsLiveLog: the settled log that is computed from the store and
// the journal alone is the one that the engine wrote, byte for byte; also from the
// folder of a stopped server, and for a part of the time.
func TestSettledEqualsLiveLog(t *testing.T) {
	groups := parseRules(t, worldRules)
	states := map[ruleset.State]int{}
	for seed := range uint64(8) {
		dir := t.TempDir()
		l, end := runWorld(t, seed, dir, groups)
		want := linesOf(t, l.lines)
		for _, e := range l.lines {
			states[e.To]++
		}
		span := replay.Span{From: worldStart.Add(-time.Hour), To: end, Begin: worldStart.Add(-time.Hour), Now: end}
		settled := func(q *storage.Store, s replay.Span) string {
			t.Helper()
			es, err := replay.Settled(t.Context(), groups, q, q.Journal(), s)
			if err != nil {
				t.Fatal(err)
			}
			return linesOf(t, es)
		}
		if d := cmp.Diff(want, settled(l.store, span)); d != "" {
			t.Errorf("seed %d: replay differs from the live settled log (-live +replay):\n%s", seed, d)
		}
		if err := l.store.Close(); err != nil {
			t.Fatal(err)
		}
		stopped, err := storage.OpenReadOnly(dir, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, settled(stopped, span)); d != "" {
			t.Errorf("seed %d: replay of the stopped folder differs (-live +replay):\n%s", seed, d)
		}
		part := span
		part.From, part.To = worldStart.Add(50*time.Minute), worldStart.Add(70*time.Minute)
		var middle []ruleset.Entry
		for _, e := range l.lines {
			if e.Check > part.From.UnixMilli() && e.Check <= part.To.UnixMilli() {
				middle = append(middle, e)
			}
		}
		if d := cmp.Diff(linesOf(t, middle), settled(stopped, part)); d != "" {
			t.Errorf("seed %d: replay of a part differs (-live +replay):\n%s", seed, d)
		}
		if err := stopped.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range []ruleset.State{ruleset.StateFiring, ruleset.StateResolved, ruleset.StateNoData, ruleset.StateEnded} {
		if states[s] == 0 {
			t.Errorf("no seed made an alert %s: the test shows too little", s)
		}
	}
}

// TestExplainTellsTheLog: what the explanation of an alert says check by check
// leads to the states that the settled log has.
func TestExplainTellsTheLog(t *testing.T) {
	groups := parseRules(t, worldRules)
	for seed := range uint64(4) {
		l, end := runWorld(t, seed, t.TempDir(), groups)
		defer l.store.Close()
		ask := replay.Question{Checks: 10_000, Now: end, Begin: worldStart.Add(-time.Hour), At: worldStart.Add(130 * time.Minute)}
		for _, r := range groups[0].Rules {
			ask.Alert = r.Alert
			es, err := replay.Explain(t.Context(), groups, l.store, l.store.Journal(), ask)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range es {
				if d := cmp.Diff(changesOf(l.lines, r, e.Labels, ask.At), changesIn(e)); d != "" {
					t.Errorf("seed %d: %s%s: explanation and settled log differ (-log +explanation):\n%s", seed, e.Alert, e.Labels, d)
				}
			}
			want := 4
			if r.Alert == "Most" {
				want = 1 // of all hosts
			}
			if len(es) != want {
				t.Errorf("seed %d: %s: %d alerts explained, want %d", seed, r.Alert, len(es), want)
			}
		}
	}
}

func changesOf(lines []ruleset.Entry, r *ruleset.Rule, id labels.Labels, until time.Time) []string {
	var out []string
	for _, e := range lines {
		if e.Rule == r && labels.Equal(e.Identity, id) && e.Check <= until.UnixMilli() {
			to := e.To
			if to == ruleset.StateResolved || to == ruleset.StateEnded {
				to = ruleset.StateInactive
			}
			out = append(out, fmt.Sprint(time.UnixMilli(e.Check).UTC().Format(time.RFC3339), " ", to))
		}
	}
	return out
}

func changesIn(e replay.Explanation) []string {
	var out []string
	state := ruleset.StateInactive
	for _, c := range e.Checks {
		if c.State != state {
			state = c.State
			out = append(out, fmt.Sprint(c.Check.Format(time.RFC3339), " ", state))
		}
	}
	return out
}

func TestExplain(t *testing.T) {
	l := &live{now: worldStart, seen: map[string]bool{}}
	l.store = openStore(t, t.TempDir(), func() time.Time { return l.now })
	defer l.store.Close()
	groups := parseRules(t, `groups: [{name: g, interval: 1m, rules: [{alert: CPUHigh, expr: cpu >= 90, consecutive: 3, lateness: 10m}]}]`)
	var err error
	if l.engine, err = ruleset.New(ruleset.DefaultConfig(), groups, l.store, storeJournal{l.store.Journal()}, l, metrics.NewSet(), slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	cpu := labels.FromStrings("__name__", "cpu", "customer", "acme", "instance", "web-1")
	put := func(minute int, v float64, arrive time.Duration) {
		l.deliver(t, sample.Batch{Source: sample.Source{Customer: "acme", Name: "a"}, Samples: []sample.Sample{{Labels: cpu, T: worldStart.Add(time.Duration(minute) * time.Minute).UnixMilli(), V: v}}}, worldStart.Add(arrive))
	}
	put(1, 95, time.Minute)
	put(2, 95, 2*time.Minute)
	put(4, 95, 4*time.Minute)
	put(16, 50, 16*time.Minute)
	put(3, 50, 16*time.Minute+time.Second) // its check settled at 13m
	now := worldStart.Add(17 * time.Minute)
	if err := l.engine.Advance(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	es, err := replay.Explain(t.Context(), groups, l.store, l.store.Journal(), replay.Question{
		Alert: `CPUHigh{instance="web-1"}`, At: worldStart.Add(5 * time.Minute), Checks: 3, Now: now, Begin: worldStart})
	if err != nil {
		t.Fatal(err)
	}
	at := func(d time.Duration) time.Time { return worldStart.Add(d) }
	want := []replay.Check{
		{Check: at(3 * time.Minute), Verdict: "missing", Run: 2, State: ruleset.StatePending, Settled: true, Why: "missing: the run of 2 waits, gap 1 of 2",
			Samples: []replay.Sample{{Series: cpu.String(), Time: at(3 * time.Minute), Value: 50, Arrived: at(16*time.Minute + time.Second), TooLate: true}}},
		{Check: at(4 * time.Minute), Verdict: "breach", Run: 3, State: ruleset.StateFiring, Settled: true, Why: "breach 3 of 3: fires",
			Samples: []replay.Sample{{Series: cpu.String(), Time: at(4 * time.Minute), Value: 95}}},
		{Check: at(5 * time.Minute), Verdict: "missing", Run: 3, State: ruleset.StateFiring, Settled: true, Why: "missing 1 of 5: absence never resolves", Samples: []replay.Sample{}},
	}
	if d := cmp.Diff(want, es[0].Checks); len(es) != 1 || d != "" {
		t.Errorf("%d explanations; checks differ (-want +got):\n%s", len(es), d)
	}
	// What a limit refuses does not fire, whatever its samples say; what fell silent long
	// ago may only be forgotten.
	for _, c := range []struct {
		now   time.Duration
		want  string
		state ruleset.State
	}{
		{6 * time.Minute, "the limit (1) refused it", ruleset.StateInactive}, {72 * time.Hour, "", ruleset.StateFiring},
	} {
		es, err := replay.Explain(t.Context(), groups, l.store, l.store.Journal(), replay.Question{
			Alert: "CPUHigh", At: worldStart.Add(5 * time.Minute), Checks: 3, Now: worldStart.Add(c.now), Begin: worldStart,
			Refused: func(rule string, id labels.Labels) string {
				if rule != "g/CPUHigh" || id.Get("instance") != "web-1" {
					return ""
				}
				return "the limit (1)"
			},
		})
		if err != nil || len(es) != 1 || es[0].NotJudged != c.want || es[0].State != c.state {
			t.Errorf("after %s: %+v, %v", c.now, es, err)
		}
	}
	for alert, want := range map[string]error{
		"Nothing":                     replay.ErrNoAlert,
		`CPUHigh{instance="web-2"}`:   replay.ErrNoAlert,
		`CPUHigh{instance`:            replay.ErrQuestion,
		`{instance="web-1"}`:          replay.ErrQuestion,
		`CPUHigh{instance=~"web-[0"}`: replay.ErrQuestion,
	} {
		_, err := replay.Explain(t.Context(), groups, l.store, nil, replay.Question{Alert: alert, Checks: 1, Now: now, Begin: worldStart})
		if !errors.Is(err, want) {
			t.Errorf("%s: error %v, want %v", alert, err, want)
		}
	}
}

// A check that is missing for a NaN says so, whatever the rule makes of missing.
func TestExplainNaN(t *testing.T) {
	for setting, want := range map[string]string{
		"hold": "NaN is no value; missing: changes nothing", "breach": "NaN is no value; missing counts as a breach 1 of 3: not yet",
	} {
		store := ruleset.NewMemory()
		cpu := labels.FromStrings("__name__", "cpu", "instance", "web-1")
		store.Append(cpu, worldStart.UnixMilli(), 50)
		store.Append(cpu, worldStart.Add(time.Minute).UnixMilli(), math.NaN())
		groups := parseRules(t, `groups: [{name: g, interval: 1m, rules: [{alert: A, expr: cpu >= 90, consecutive: 3, missing: `+setting+`}]}]`)
		now := worldStart.Add(time.Minute)
		es, err := replay.Explain(t.Context(), groups, store, nil, replay.Question{Alert: "A", Checks: 1, Now: now, Begin: worldStart})
		if err != nil || len(es) != 1 || len(es[0].Checks) != 1 || es[0].Checks[0].Why != want {
			t.Errorf("missing: %s: %+v, %v", setting, es, err)
		}
	}
}

func TestCompare(t *testing.T) {
	replayed := func(rules string) []ruleset.Entry {
		var out []ruleset.Entry
		l, end := runWorld(t, 3, t.TempDir(), parseRules(t, rules))
		defer l.store.Close()
		out, err := replay.Settled(t.Context(), parseRules(t, rules), l.store, l.store.Journal(),
			replay.Span{From: worldStart, To: end, Begin: worldStart, Now: end})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	const form = `groups: [{name: g, interval: 1m, rules: [{alert: CPUHigh, expr: cpu >= %s, consecutive: %s, lateness: 20m}]}]`
	base := replayed(fmt.Sprintf(form, "90", "3"))
	if d := replay.Compare(base, replayed(fmt.Sprintf(form, "90", "3"))); !d.Empty() || d.Unchanged == 0 {
		t.Errorf("the same rules differ: %+v", d)
	}
	if d := replay.Compare(base, replayed(fmt.Sprintf(form, "100", "3"))); len(d.OnlyOld) == 0 || len(d.OnlyNew)+len(d.Changed)+d.Unchanged != 0 {
		t.Errorf("a threshold never reached: %+v", d)
	}
	d := replay.Compare(base, replayed(fmt.Sprintf(form, "90", "2")))
	if len(d.OnlyOld) != 0 || len(d.OnlyNew) == 0 || len(d.Changed) == 0 {
		t.Errorf("fewer breaches: %+v", d)
	}
	for _, c := range d.Changed {
		if !c.New.Start.Before(c.Old.Start) {
			t.Errorf("with two breaches %v starts no earlier than %v", c.New, c.Old)
		}
	}
}
