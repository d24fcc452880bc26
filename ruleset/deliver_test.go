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
		v    float64 // of the second source's first sample
		want []string
	}{
		// The first source looked in vain from 2m on, the second one all the time, and it comes at 10m30s.
		// Checks up to 5m have settled by then, unobserved; 6m to 10m become missing, and that is no-data.
		{"a > 5", 9, []string{"1m inactive->firing run 1", "10m firing->no_data run 1", "11m no_data->firing run 2"}},
		{"a + 0 * a > 5", 1, []string{"1m inactive->firing run 1", "10m firing->no_data run 1", "11m no_data->resolved run 1"}},
	} {
		groups := parseOne(t, "groups: [{name: g, interval: 1m, rules: [{alert: A, expr: '"+c.expr+"', consecutive: 1, missing: hold, max_gap: 20, no_data_after: 5, lateness: 5m, missing_after: 0s}]}]")
		ps := []parcel{up(time.Second, "src-1", true), up(time.Second, "src-2", true), one(time.Minute, "src-1", 9)}
		for d := 90 * time.Second; d < 12*time.Minute; d += time.Minute {
			ps = append(ps, up(d, "src-1", false), up(d+time.Second, "src-2", true))
		}
		ps = append(ps, one(10*time.Minute+30*time.Second, "src-2", c.v))
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
	for _, expr := range []string{"g > 5 unless on(i) a", "abs(g) > 5 unless on(i) a"} {
		groups := parseOne(t, "groups: [{name: g, interval: 1m, rules: [{alert: A, expr: '"+expr+"', consecutive: 1, lateness: 5m, missing_after: 0s}]}]")
		ps := []parcel{
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
