package ruleset

import (
	"context"
	"fmt"
	"math"
	"regexp"
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

// drawSilence draws what goes on for hours in which most of a scenario is silent: some
// series go on, a sample now and then, and some sources look or say that they cannot.
func drawSilence(t *rapid.T, s scenario, silence time.Duration) []parcel {
	const every = 30 * 60_000
	var out []parcel
	begin, end := timelineStart.UnixMilli()+(scenarioChecks+25)*60_000, timelineStart.Add(silence).UnixMilli()-2*60_000
	for _, metric := range []string{"a", "b", "c", "g1", "g2", "g3"} {
		if metric[0] == 'g' && !strings.Contains(s.rule, "(i)") && !strings.Contains(s.rule, "(p)") {
			continue
		}
		var going []labels.Labels
		for _, i := range []string{"x", "y"} {
			l := labels.FromStrings(model.MetricNameLabel, metric[:1], "i", i)
			if vantage := metric[1:]; vantage != "" {
				l = labels.FromStrings(model.MetricNameLabel, metric[:1], "i", i, "p", vantage)
			}
			if rapid.IntRange(0, 2).Draw(t, "goes on") == 0 {
				going = append(going, l)
			}
		}
		value := rapid.SampledFrom([]float64{0, 9, -9}).Draw(t, "all the while")
		looks := rapid.SampledFrom([]int{-1, 0, 1}).Draw(t, "looks")
		if len(going) == 0 && looks < 0 {
			continue
		}
		for at := begin; at < end; at += every {
			b := sample.Batch{Source: sample.Source{Name: "src-" + metric}}
			for _, l := range going {
				b.Samples = append(b.Samples, sample.Sample{Labels: l, T: at - 20_000, V: value})
			}
			if looks >= 0 {
				b.Ups = []sample.Up{{T: at - 10_000, OK: looks == 1}}
			}
			out = append(out, parcel{at: at, batch: b})
		}
	}
	return out
}

// A silence of hours, over which the process dies or not: the settled log is the same.
func TestCrashAfterHoursOfSilence(t *testing.T) {
	tried := 0
	property.Check(t, func(rt *rapid.T) {
		s := drawScenario(rt)
		if rapid.IntRange(0, 3).Draw(rt, "any rule") > 0 { // one that can do without an operand
			op := rapid.SampledFrom([]string{"or", "unless"}).Draw(rt, "set")
			expr := fmt.Sprintf("expr: '(%s > 5 %s %s)'", rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "left"), op, drawExpr(rt, 1))
			s.rule = regexp.MustCompile("expr: '.*'").ReplaceAllLiteralString(s.rule, expr)
		}
		groups := parseOne(rt, s.rule)
		r := groups[0].Rules[0]
		silence := time.Duration(rapid.IntRange(20, 70).Draw(rt, "hours"))*time.Hour + 30*time.Minute
		ps := drawParcels(rt, s)
		ps = append(ps, drawSilence(rt, s, silence)...)
		for _, ups := range s.ups { // who is silent often cannot be looked at
			if rapid.Bool().Draw(rt, "looks no more") {
				for i := range ups {
					ups[i].OK = false
				}
			}
		}
		ps = append(ps, drawReturn(rt, s, silence)...)
		slices.SortStableFunc(ps, func(a, b parcel) int {
			if a.at != b.at {
				return compareInt(a.at, b.at)
			}
			return strings.Compare(a.batch.Source.Name, b.batch.Source.Name)
		})
		until := timelineStart.Add(silence + time.Hour).UnixMilli()
		if r.Missing == MissingBreach {
			return // a silence that is a breach
		}
		crashAt := rapid.IntRange(0, len(ps)-1).Draw(rt, "crash at")
		knows := true // all that stands or stood in the recover window began in it
		edge := ps[crashAt].at - time.Duration(DefaultConfig().RecoverWindow).Milliseconds()
		play := func(crashes bool) (lines []string) {
			w := newWorld()
			e, err := w.engine(groups)
			if err != nil {
				t.Fatal(err)
			}
			now := timelineStart.UnixMilli() - 60_000
			advance := func(to int64) {
				for now < to {
					if err := e.Advance(context.Background(), time.UnixMilli(now)); err != nil {
						t.Fatal(err)
					}
					now += min(60_000*10, max(30_000, (to-now)/2/30_000*30_000))
				}
			}
			for i, p := range ps {
				advance(p.at)
				b := w.accept(p.batch, p.at)
				if crashes && i == crashAt {
					for _, a := range w.alerts() {
						knows = knows && (a.Opened >= edge || !a.State.Open() && a.Check < edge)
					}
					if e, err = w.engine(groups); err != nil {
						t.Fatal(err)
					}
					if err := e.Recover(context.Background(), time.UnixMilli(p.at), w.alerts()); err != nil {
						t.Fatal(err)
					}
				}
				if err := e.Ingest(context.Background(), b, time.UnixMilli(p.at)); err != nil {
					t.Fatal(err)
				}
			}
			advance(until)
			var settled []Entry
			for _, en := range w.entries {
				// A run that began before what a start reads is known only by its open incident.
				if en.Log == LogSettled && (en.Check < edge || en.Check > edge+time.Hour.Milliseconds()) {
					settled = append(settled, en)
				}
			}
			slices.SortStableFunc(settled, CompareSettled)
			for _, en := range settled {
				v := en.Value
				if en.To != StateFiring && en.To != StatePending {
					v = math.NaN()
				}
				lines = append(lines, fmt.Sprintf("%d %s %s->%s value=%v", r.lastCheck(en.Check), en.Identity, en.From, en.To, v))
			}
			return lines
		}
		want, got := play(false), play(true)
		if !knows {
			return
		}
		tried++
		if diff := cmp.Diff(want, got); diff != "" {
			rt.Fatalf("%s\n%s\nsilence %s, crash at %s\n%s\nsettled log (-without crash +with):\n%s", s.rule, s, silence, time.Duration(ps[crashAt].at-timelineStart.UnixMilli())*time.Millisecond,
				strings.ReplaceAll(fmt.Sprint(ps), "} {", "}\n{"), diff)
		}
	})
	t.Logf("%d tried", tried)
}
