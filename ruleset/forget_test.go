package ruleset

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"pgregory.net/rapid"

	"watchkeeper/internal/property"
	"watchkeeper/internal/sample"
)

// drawReturn draws what is delivered of a scenario's series long after it.
func drawReturn(t *rapid.T, before scenario, after time.Duration) []parcel {
	s := scenario{rule: before.rule, ups: before.ups}
	for _, metric := range []string{"a", "b", "c", "g1", "g2", "g3"} {
		for _, i := range []string{"x", "y"} {
			l := labels.FromStrings(model.MetricNameLabel, metric[:1], "i", i)
			if vantage := metric[1:]; vantage != "" {
				l = labels.FromStrings(model.MetricNameLabel, metric[:1], "i", i, "p", vantage)
			}
			if rapid.Bool().Draw(t, "comes back") {
				s.drawSeries(t, l)
			}
		}
	}
	ps := drawParcels(t, s)
	ms := after.Milliseconds()
	for i := range ps {
		ps[i].at += ms
		b := &ps[i].batch
		for n := range b.Samples {
			b.Samples[n].T += ms
		}
		b.Ups = slices.Clone(b.Ups)
		for n := range b.Ups {
			b.Ups[n].T += ms
		}
		for n := range b.Ends {
			b.Ends[n].T += ms
		}
	}
	return ps
}

// An operand that went silent long ago, with its identity, is not there when another
// brings the identity back, though its memory is let go only later: that its source
// does not look is nobody's concern.
func TestAForgottenOperandIsNotThere(t *testing.T) {
	w := newWorld()
	e, err := w.engine(parseOne(t, "groups: [{name: g, interval: 1m, rules: [{alert: A, expr: a > 5 or b > 5, consecutive: 1, no_data_after: 3}]}]"))
	if err != nil {
		t.Fatal(err)
	}
	now := timelineStart
	send := func(metric string, v float64) {
		t.Helper()
		var b sample.Batch
		if !math.IsNaN(v) {
			b = batchOf(metric, now.UnixMilli(), "x")
			b.Samples[0].V = v
		}
		b.Source.Name, b.Ups = metric, []sample.Up{{T: now.UnixMilli(), OK: metric == "a"}}
		if err := e.Ingest(t.Context(), w.accept(b, now.UnixMilli()), now); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		now = now.Add(time.Minute)
		send("a", 1)
		send("b", 1)
	}
	for e.rules[0].watched > 0 { // until the identity is forgotten, and series not yet
		now = now.Add(forgetRound / hashShards)
		if err := e.Advance(t.Context(), now); err != nil {
			t.Fatal(err)
		}
	}
	if e.series.n != 2 {
		t.Fatalf("%d series are kept", e.series.n)
	}
	send("a", 9)
	for range 8 {
		now = now.Add(time.Minute)
		send("a", math.NaN())
		send("b", math.NaN())
	}
	var got []State
	for _, en := range w.entries {
		if en.Log == LogLive {
			got = append(got, en.To)
		}
	}
	if diff := cmp.Diff([]State{StateFiring, StateNoData}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if e.series.n != 1 {
		t.Errorf("%d series are kept", e.series.n)
	}
	if n := len(e.sources[sample.Source{Name: "b"}].series); n != 1 { // until sources are looked at
		t.Errorf("%d series of b", n)
	}
	now = now.Add(forgetRound)
	if err := e.Advance(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	if b := e.sources[sample.Source{Name: "b"}]; b != nil && len(b.series) != 0 {
		t.Errorf("%d series of b are still listed", len(b.series))
	}
}

// An identity that has been forgotten begins as one never seen: whether the memory of
// its operands is gone already makes no difference.
func TestForgottenIdentitiesBeginAnew(t *testing.T) {
	tried := 0
	property.Check(t, func(rt *rapid.T) {
		s := drawScenario(rt)
		groups := parseOne(rt, s.rule)
		r := groups[0].Rules[0]
		silence := 48*time.Hour + time.Duration(rapid.IntRange(30, 12*60).Draw(rt, "minutes beyond 48 h"))*time.Minute
		ps := drawParcels(rt, s)
		again := drawReturn(rt, s, silence)
		play := func(known bool) (lines []string, forgotten bool) {
			w := newWorld()
			e, err := w.engine(groups)
			if err != nil {
				t.Fatal(err)
			}
			now := timelineStart.UnixMilli() - 60_000
			advance := func(to, step int64) {
				for ; now < to; now += step {
					if err := e.Advance(t.Context(), time.UnixMilli(now)); err != nil {
						t.Fatal(err)
					}
				}
			}
			give := func(p parcel) {
				if err := e.Ingest(t.Context(), w.accept(p.batch, p.at), time.UnixMilli(p.at)); err != nil {
					t.Fatal(err)
				}
			}
			for _, p := range ps {
				if !known {
					p.batch.Samples, p.batch.Ends = nil, nil
				}
				advance(p.at, 30_000)
				give(p)
			}
			begin := timelineStart.Add(silence).UnixMilli()
			// Every source looks on: they are not forgotten, and no more is known of one than of the other.
			for at := now; at < begin-60_000; at += (10 * time.Minute).Milliseconds() {
				advance(at, 60_000)
				for _, name := range []string{"a", "b", "c", "g1", "g2", "g3"} {
					give(parcel{at: at, batch: sample.Batch{Source: sample.Source{Name: "src-" + name}, Ups: []sample.Up{{T: at, OK: true}}}})
				}
			}
			advance(begin-60_000, 60_000)
			if known && (e.rules[0].watched > 0 || len(e.Alerts()) > 0) {
				return nil, false
			}
			told := len(w.entries)
			for _, p := range again {
				advance(p.at, 30_000)
				give(p)
			}
			advance(begin+60*60_000, 30_000)
			for _, en := range w.entries[told:] {
				lines = append(lines, fmt.Sprintf("%s at %d check %d %s %s->%s %v %s", en.Log, en.At-begin, r.lastCheck(en.Check), en.Identity, en.From, en.To, en.Value, en.Reason))
			}
			return lines, true
		}
		got, forgotten := play(true)
		if !forgotten {
			return
		}
		tried++
		want, _ := play(false)
		if diff := cmp.Diff(want, got); diff != "" {
			rt.Fatalf("%s\n%s\nreturns: %v\n(-never seen +forgotten):\n%s", s.rule, s, strings.ReplaceAll(fmt.Sprint(again), "} {", "}\n{"), diff)
		}
	})
	t.Logf("%d tried", tried)
}
