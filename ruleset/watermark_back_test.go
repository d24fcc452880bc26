package ruleset

import (
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"watchkeeper/internal/property"
	"watchkeeper/internal/sample"
)

// drawBackAndForth has sources declare any watermark, or to be current, with the first batch of
// a millisecond: what another one before it has settled in it, nobody knows after a crash.
func drawBackAndForth(t *rapid.T, ps []parcel) []parcel {
	for i := range ps {
		if i > 0 && ps[i-1].at == ps[i].at {
			continue
		}
		switch rapid.IntRange(0, 2).Draw(t, "declares") {
		case 0:
			ps[i].batch.Watermark = ps[i].at - rapid.Int64Range(1, 40*60_000).Draw(t, "lag")
		case 1:
			ps[i].batch.Watermark = sample.Current
		}
	}
	return ps
}

// However watermarks go back and forth, what has settled stays settled: the settled log is
// the same whenever the process dies.
func TestWatermarksThatGoBack(t *testing.T) {
	property.Check(t, func(rt *rapid.T) {
		s := drawLeaf(rt)
		s.ends, s.ups = nil, nil
		groups := parseOne(rt, s.rule)
		ps := slices.DeleteFunc(drawLateSamples(rt, &s, drawParcels(rt, s)), func(p parcel) bool {
			return p.at > timelineStart.UnixMilli()+55*60_000 // the rest of an hour is for what settles by it
		})
		if len(ps) == 0 {
			return
		}
		ps = drawBackAndForth(rt, ps)
		lives, dies, deaths := newWorld(), newWorld(), drawDeaths(rt, ps, 1, 3)
		play(t, lives, groups, ps, nil, 30_000)
		play(t, dies, groups, ps, deaths, 30_000)
		if diff := gocmp.Diff(settledLines(lives), settledLines(dies)); diff != "" {
			rt.Fatalf("%s\n%s%s\ndeaths %v, settled log (-without crash +with):\n%s", s.rule, s, describeParcels(groups, ps), deaths, diff)
		}
	})
}

// Of a new source nothing has settled, though engine time has been where its first batch
// comes: the watermark of that batch goes back behind nothing.
func TestTheFirstWatermarkDoesNotGoBack(t *testing.T) {
	w := newWorld()
	e, err := w.engine(parseOne(t, "groups: [{name: g, interval: 1m, rules: [{alert: A, expr: x > 1000, consecutive: 1, lateness: 30m}]}]"))
	if err != nil {
		t.Fatal(err)
	}
	now := timelineStart.Add(2 * time.Hour)
	if err := e.Advance(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	for minute, v := range []float64{1, 2000, 1} {
		b := batchOf("x", timelineStart.UnixMilli()+int64(minute)*60_000, "a")
		b.Samples[0].V, b.Watermark = v, b.Samples[0].T
		if err := e.Ingest(t.Context(), w.accept(b, now.UnixMilli()), now); err != nil {
			t.Fatal(err)
		}
		now = now.Add(time.Second)
	}
	var got []State
	for _, en := range w.entries {
		got = append(got, en.To)
	}
	if diff := gocmp.Diff([]State{StateFiring, StateNoData, StateResolved}, got); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}
