package ruleset

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/internal/sample"
)

// A source that begins to deliver a series which another one delivers is asked whether it looked at the checks
// that had not settled when it came: at those anew, however they had been decided, and at no others,
// a start in between or not.
func TestSecondSourceComesLater(t *testing.T) {
	at := func(d time.Duration) int64 { return timelineStart.Add(d).UnixMilli() }
	one := func(d time.Duration, source string, v float64) parcel {
		l := labels.FromStrings("__name__", "a", "i", "x")
		return parcel{at(d), sample.Batch{Source: sample.Source{Name: source}, Samples: []sample.Sample{{Labels: l, T: at(d), V: v}}}}
	}
	up := func(d time.Duration, source string, ok bool) parcel {
		return parcel{at(d), sample.Batch{Source: sample.Source{Name: source}, Ups: []sample.Up{{T: at(d), OK: ok}}}}
	}
	for _, c := range []struct {
		expr string
		v    float64       // of the second source's first sample, and
		at   time.Duration // when it comes
		want []string
	}{
		// The first source looked in vain from 2m on, the second one all the time, and it comes at 10m30s.
		// Checks up to 5m have settled by then, unobserved; 6m to 10m become missing, and that is no-data.
		{"a > 5", 9, 10*time.Minute + 30*time.Second, []string{"1m inactive->firing run 1", "10m firing->no_data run 1", "11m no_data->firing run 2"}},
		{"a + 0 * a > 5", 1, 10*time.Minute + 30*time.Second, []string{"1m inactive->firing run 1", "10m firing->no_data run 1", "11m no_data->resolved run 1"}},
		// It comes in the millisecond in which engine time has reached that of 5m: 6m to 9m are missing.
		{"a > 5", 1, 10 * time.Minute, []string{"1m inactive->firing run 1", "10m firing->resolved run 1"}},
		{"a + 0 * a > 5", 1, 10 * time.Minute, []string{"1m inactive->firing run 1", "10m firing->resolved run 1"}},
	} {
		groups := parseOne(t, "groups: [{name: g, interval: 1m, rules: [{alert: A, expr: '"+c.expr+"', consecutive: 1, missing: hold, max_gap: 20, no_data_after: 5, lateness: 5m, missing_after: 0s}]}]")
		ps := []parcel{up(time.Second, "src-1", true), up(time.Second, "src-2", true), one(time.Minute, "src-1", 9)}
		for d := 90 * time.Second; d < 12*time.Minute; d += time.Minute {
			ps = append(ps, up(d, "src-1", false), up(d+time.Second, "src-2", true))
		}
		ps = append(ps, one(c.at, "src-2", c.v))
		sortParcels(ps)
		for _, deaths := range []map[int]death{nil, {len(ps) - 5: deathStored}, {len(ps) - 3: deathStored}, {len(ps) - 1: deathStored}} {
			w := newWorld()
			play(t, w, groups, ps, deaths, 30_000)
			h := hand{t: t, world: w}
			got := h.settled()
			if len(got) > len(c.want) {
				got = got[:len(c.want)] // nobody looks any more
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%s, deaths %v: settled log (-want +got):\n%s", c.expr, deaths, diff)
			}
		}
	}
}

// What has settled by the sources that an identity had stays settled when a series of a source that lags
// becomes an operand of it, a start in between or not.
func TestOperandOfLaggingSourceComesLater(t *testing.T) {
	at := func(d time.Duration) int64 { return timelineStart.Add(d).UnixMilli() }
	one := func(arrives, d time.Duration, metric string, v float64, watermark int64) parcel {
		l := labels.FromStrings("__name__", metric, "i", "x")
		return parcel{at(arrives), sample.Batch{Source: sample.Source{Name: "src-" + metric}, Watermark: watermark, Samples: []sample.Sample{{Labels: l, T: at(d), V: v}}}}
	}
	for _, expr := range []string{"g > 5 unless on(i) a", "g + 0 > 5 or a > 100", "abs(g) > 5 unless on(i) a"} {
		for _, first := range []float64{1, 9} {
			groups := parseOne(t, "groups: [{name: g, interval: 1m, rules: [{alert: A, expr: '"+expr+"', consecutive: 1, lateness: 5m, missing_after: 0s}]}]")
			var ps []parcel
			for d := time.Minute; d <= 25*time.Minute; d += time.Minute {
				if d != 4*time.Minute {
					ps = append(ps, one(d, d, "g", first, sample.Current))
				}
			}
			ps = append(ps,
				one(20*time.Minute+time.Second, 20*time.Minute, "a", 9, at(2*time.Minute)), // 4m has settled
				one(22*time.Minute+time.Second, 4*time.Minute, "g", 10-first, sample.Current),
				one(23*time.Minute+time.Second, 3*time.Minute, "a", 9, at(2*time.Minute)),
				one(24*time.Minute+time.Second, 24*time.Minute, "a", 9, at(23*time.Minute)),
			)
			sortParcels(ps)
			lives := newWorld()
			play(t, lives, groups, ps, nil, 30_000)
			want := settledLines(lives)
			if len(want) == 0 != (first == 1) {
				t.Errorf("%s, %v: settled log %q", expr, first, want)
			}
			for i := range ps {
				for _, how := range []death{deathForeseen, deathListed, deathStored, deathJudged} {
					dies := newWorld()
					play(t, dies, groups, ps, map[int]death{i: how}, 30_000)
					if diff := cmp.Diff(want, settledLines(dies)); diff != "" {
						t.Errorf("%s, %v, death %d at %d: settled log (-without crash +with):\n%s", expr, first, how, i, diff)
					}
				}
			}
		}
	}
}

// What two sources bring of history at one time is judged together, whichever of them is done first.
func TestOperandsFilledInTogether(t *testing.T) {
	at := func(d time.Duration) int64 { return timelineStart.Add(d).UnixMilli() }
	history := func(arrives time.Duration, metric string, from, to time.Duration, fillIn bool) parcel {
		b := sample.Batch{Source: sample.Source{Name: "src-" + metric}, FillIn: fillIn}
		l := labels.FromStrings("__name__", metric, "i", "x")
		for d := from; d <= to; d += time.Minute {
			b.Samples = append(b.Samples, sample.Sample{Labels: l, T: at(d), V: 9})
		}
		return parcel{at(arrives), b}
	}
	for _, expr := range []string{"g > 5 unless on(i) a", "abs(g) > 5 unless on(i) a", "g > 5 unless on(i) b unless on(i) a", "abs(g) > 5 unless on(i) b unless on(i) a"} {
		groups := parseOne(t, "groups: [{name: g, interval: 1m, rules: [{alert: A, expr: '"+expr+"', consecutive: 1, lateness: 5m, missing_after: 0s}]}]")
		ps := []parcel{
			history(30*time.Minute, "b", 30*time.Minute, 30*time.Minute, false), // which has no history
			history(30*time.Minute, "g", time.Minute, 15*time.Minute, true),
			history(30*time.Minute+time.Second, "a", time.Minute, 10*time.Minute, true),
			history(30*time.Minute+2*time.Second, "g", 16*time.Minute, 30*time.Minute, false),
			history(31*time.Minute, "a", 11*time.Minute, 30*time.Minute, false),
		}
		for i := range ps {
			w := newWorld()
			play(t, w, groups, ps, map[int]death{i: deathStored}, 30_000)
			if got := settledLines(w); len(got) != 0 {
				t.Errorf("%s, death at %d: settled log %q, but a was there all along", expr, i, got)
			}
		}
	}
}

// Up-samples of which the first ones came late, in another order: which was the first that a check knows of is the
// same after a start.
func TestLateUpsInAnotherOrder(t *testing.T) {
	groups := parseOne(t, "groups: [{name: g, interval: 1m, rules: [{alert: A, expr: a > 5, consecutive: 1, no_data_after: 1, lateness: 1m, missing_after: 0s}]}]")
	at := func(d time.Duration) int64 { return timelineStart.Add(d).UnixMilli() }
	ups := func(arrives time.Duration, of ...time.Duration) parcel {
		b := sample.Batch{Source: sample.Source{Name: "src-a"}}
		for _, d := range of {
			b.Ups = append(b.Ups, sample.Up{T: at(d)})
		}
		return parcel{at(arrives), b}
	}
	l := labels.FromStrings("__name__", "a", "i", "x")
	ps := []parcel{
		{at(time.Minute), sample.Batch{Source: sample.Source{Name: "src-a"}, Samples: []sample.Sample{{Labels: l, T: at(0), V: 9}}}},
		ups(2*time.Minute+time.Second, -10*time.Second),
		ups(3*time.Minute+time.Second, 110*time.Second, 170*time.Second),
		ups(4*time.Minute+time.Second, 50*time.Second),
		ups(5*time.Minute+time.Second, 4*time.Minute),
	}
	w := newWorld()
	play(t, w, groups, ps, nil, 30_000)
	if diff := cmp.Diff(settledLines(w), replayed(t, w, groups, at(time.Hour))); diff != "" {
		t.Errorf("settled log (-server +replay):\n%s", diff)
	}
}

// A start with an alert of absent() whose sample the store has, but nobody had judged: nothing before the first contact
// is judged, whatever comes for it.
func TestStartTakesBackAnAbsence(t *testing.T) {
	groups := parseOne(t, "groups: [{name: g, interval: 1m, rules: [{alert: A, expr: absent(a), consecutive: 1, lateness: 10m}]}]")
	at := func(d time.Duration) int64 { return timelineStart.Add(d).UnixMilli() }
	one := func(d time.Duration) parcel {
		l := labels.FromStrings("__name__", "a", "i", "x")
		return parcel{at(d), sample.Batch{Source: sample.Source{Name: "src-a"}, Samples: []sample.Sample{{Labels: l, T: at(d - 10*time.Second), V: 9}}}}
	}
	ps := []parcel{
		one(time.Second), one(time.Minute + time.Second), // which is told to be absent at 1m
		{at(2 * time.Minute), sample.Batch{Source: sample.Source{Name: "src-a"}, Ups: []sample.Up{{T: at(-3 * time.Minute)}}}},
	}
	diesAsItLives(t, groups, ps, map[int]death{1: deathStored})
}

// An operand that comes in the millisecond in which the fill-in of the first ends comes after what settles with that.
func TestOperandComesAsAFillInEnds(t *testing.T) {
	at := func(d time.Duration) int64 { return timelineStart.Add(d).UnixMilli() }
	one := func(arrives time.Duration, metric string, watermark int64, fillIn bool, v float64, ds ...time.Duration) parcel {
		b := sample.Batch{Source: sample.Source{Name: "src-" + metric}, FillIn: fillIn, Watermark: watermark}
		for _, d := range ds {
			b.Samples = append(b.Samples, sample.Sample{Labels: labels.FromStrings("__name__", metric, "i", "x"), T: at(d), V: v})
		}
		return parcel{at(arrives), b}
	}
	for _, expr := range []string{"g > 5 unless on(i) a", "abs(g) > 5 unless on(i) a"} {
		groups := parseOne(t, "groups: [{name: g, interval: 1m, rules: [{alert: A, expr: '"+expr+"', consecutive: 1, lateness: 5m, missing_after: 0s}]}]")
		ps := []parcel{
			one(30*time.Minute, "g", 0, true, 9, 3*time.Minute, 5*time.Minute, 6*time.Minute),
			one(30*time.Minute+time.Second, "g", 0, false, 9, 30*time.Minute),
			one(30*time.Minute+time.Second, "a", at(2*time.Minute), false, 9, 30*time.Minute),
			one(31*time.Minute, "g", 0, false, 1, 4*time.Minute),
			one(32*time.Minute, "a", sample.Current, false, 9, 32*time.Minute),
		}
		for _, how := range []death{deathForeseen, deathListed, deathStored, deathJudged} {
			diesAsItLives(t, groups, ps, map[int]death{3: how})
		}
	}
}

// A source that begins to deliver for a rule that is evaluated is asked about the checks anew that had not settled, too.
func TestSourceOfAnEvaluatedRuleComesLater(t *testing.T) {
	at := func(d time.Duration) int64 { return timelineStart.Add(d).UnixMilli() }
	one := func(d time.Duration, source, i string, v float64) parcel {
		l := labels.FromStrings("__name__", "a", "i", i)
		return parcel{at(d), sample.Batch{Source: sample.Source{Name: source}, Samples: []sample.Sample{{Labels: l, T: at(d), V: v}}}}
	}
	groups := parseOne(t, "groups: [{name: g, interval: 1m, rules: [{alert: A, expr: abs(a) > 5, consecutive: 1, missing: hold, max_gap: 20, no_data_after: 5, lateness: 5m, missing_after: 0s}]}]")
	ps := []parcel{one(time.Minute, "src-1", "x", 9)}
	for d := time.Minute + time.Second; d < 20*time.Minute; d += time.Minute { // it looks in vain all the time
		ps = append(ps, parcel{at(d), sample.Batch{Source: sample.Source{Name: "src-2"}, Ups: []sample.Up{{T: at(d)}}}})
	}
	ps = append(ps, one(10*time.Minute+30*time.Second, "src-2", "y", 1)) // 2m to 5m have settled as missing
	sortParcels(ps)
	for _, deaths := range []map[int]death{nil, {len(ps) - 11: deathStored}, {len(ps) - 8: deathStored}, {len(ps) - 1: deathStored}} {
		w := newWorld()
		play(t, w, groups, ps, deaths, 30_000)
		h := hand{t: t, world: w}
		if diff := cmp.Diff([]string{"1m inactive->firing run 1"}, h.settled()); diff != "" {
			t.Errorf("deaths %v: settled log (-want +got):\n%s", deaths, diff)
		}
	}
}

// Where the first source of a series is still filling in, what another one has settled of it stays settled when a
// series of a source that lags comes.
func TestOperandComesWhileOneOfTwoFillsIn(t *testing.T) {
	at := func(d time.Duration) int64 { return timelineStart.Add(d).UnixMilli() }
	one := func(arrives time.Duration, source, metric string, watermark int64, fillIn bool, v float64, d time.Duration) parcel {
		l := labels.FromStrings("__name__", metric, "i", "x")
		return parcel{at(arrives), sample.Batch{Source: sample.Source{Name: source}, FillIn: fillIn, Watermark: watermark, Samples: []sample.Sample{{Labels: l, T: at(d), V: v}}}}
	}
	groups := parseOne(t, "groups: [{name: g, interval: 1m, rules: [{alert: A, expr: g > 5 unless on(i) a, consecutive: 1, lateness: 5m, missing_after: 0s}]}]")
	ps := []parcel{one(time.Minute, "src-1", "g", 0, true, 9, time.Minute)}
	for d := 90 * time.Second; d < 7*time.Minute; d += time.Minute {
		if d != 210*time.Second {
			ps = append(ps, one(d, "src-2", "g", 0, false, 9, d))
		}
	}
	ps = append(ps,
		one(20*time.Minute, "src-3", "a", at(2*time.Minute), false, 9, 20*time.Minute),
		one(21*time.Minute, "src-2", "g", 0, false, 1, 210*time.Second), // too late: 4m has settled
		one(22*time.Minute, "src-3", "a", sample.Current, false, 9, 22*time.Minute),
	)
	for _, how := range []death{deathForeseen, deathListed, deathStored, deathJudged} {
		diesAsItLives(t, groups, ps, map[int]death{len(ps) - 2: how})
	}
}

// The source that is the first to deliver for a rule that is evaluated is asked about all checks, and one is waited for
// since it came first, whichever of its series a start reads first.
func TestFirstSourceOfAnEvaluatedRule(t *testing.T) {
	at := func(d time.Duration) int64 { return timelineStart.Add(d).UnixMilli() }
	one := func(arrives time.Duration, source, i string, watermark int64, v float64, d time.Duration) parcel {
		l := labels.FromStrings("__name__", "a", "i", i)
		return parcel{at(arrives), sample.Batch{Source: sample.Source{Name: source}, Watermark: watermark, Samples: []sample.Sample{{Labels: l, T: at(d), V: v}}}}
	}
	groups := parseOne(t, "groups: [{name: g, interval: 1m, rules: [{alert: A, expr: abs(a) > 5, consecutive: 1, max_gap: 9, no_data_after: 5, lateness: 5m, missing_after: 0s}]}]")

	history := one(30*time.Minute, "src-1", "x", 0, 9, time.Minute)
	for d := 50 * time.Second; d < 30*time.Minute; d += time.Minute { // it looked in vain since
		history.batch.Ups = append(history.batch.Ups, sample.Up{T: at(d), OK: d < time.Minute})
	}
	for _, deaths := range []map[int]death{nil, {0: deathStored}} {
		w := newWorld()
		play(t, w, groups, []parcel{history}, deaths, 30_000)
		h := hand{t: t, world: w}
		if diff := cmp.Diff([]string{"1m inactive->firing run 1"}, h.settled()); diff != "" {
			t.Errorf("deaths %v: settled log (-want +got):\n%s", deaths, diff)
		}
	}

	ps := []parcel{
		one(time.Second, "src-1", "z", 0, 1, 0),
		one(time.Minute, "src-2", "b", at(50*time.Second), 9, 50*time.Second),
		one(20*time.Minute, "src-2", "a", at(2*time.Minute), 1, 2*time.Minute),
		one(26*time.Minute, "src-2", "b", at(3*time.Minute), 1, 4*time.Minute), // in time: its source is waited for
		one(30*time.Minute, "src-2", "b", sample.Current, 1, 30*time.Minute),
	}
	for _, how := range []death{deathForeseen, deathListed, deathStored, deathJudged} {
		for i := 2; i < 4; i++ {
			diesAsItLives(t, groups, ps, map[int]death{i: how})
		}
	}
}
