package ruleset

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"pgregory.net/rapid"

	"watchkeeper/internal/journal"
	"watchkeeper/internal/property"
	"watchkeeper/internal/sample"
)

// death is the moment of a batch's way at which the process dies.
type death int

const (
	deathNever    death = iota
	deathForeseen       // before the journal has what of the batch comes late
	deathListed         // before the store has the batch
	deathStored         // before the engine has taken it
	deathJudged         // before anybody is answered
)

// drawDeaths draws between least and most batches and when the process dies with them.
func drawDeaths(t *rapid.T, ps []parcel, least, most int) map[int]death {
	deaths := map[int]death{}
	for range rapid.IntRange(least, most).Draw(t, "crashes") {
		at := rapid.IntRange(0, len(ps)-1).Draw(t, "crash at")
		deaths[at] = death(rapid.IntRange(int(deathForeseen), int(deathJudged)).Draw(t, "crash when"))
	}
	return deaths
}

// deliver gives a batch to the store and the engine, as the server does, and returns errDead
// where the process dies with it.
func (w *world) deliver(e *Engine, b sample.Batch, at int64, dies death) error {
	now, ctx := time.UnixMilli(at), noContext
	if e.MayBeLate(b, now) {
		return w.deliverOld(e, b, at, dies)
	}
	if dies == deathForeseen || dies == deathListed {
		return errDead
	}
	b = w.accept(b, at)
	if dies == deathStored {
		return errDead
	}
	before := w.lateListed()
	if err := e.Ingest(ctx, b, now); err != nil {
		return err
	}
	if n := w.lateListed() - before; n > 0 {
		return fmt.Errorf("%d records of late things in a batch that was said to be in time", n)
	}
	if dies == deathJudged {
		return errDead
	}
	return nil
}

func (w *world) deliverOld(e *Engine, b sample.Batch, at int64, dies death) error {
	err := e.IngestOld(noContext, b.Source, time.UnixMilli(at), func(foresee Foresee) (sample.Batch, error) {
		records, err := foresee(w.fresh(b, at))
		if err != nil {
			return sample.Batch{}, err
		}
		if dies == deathForeseen {
			return sample.Batch{}, errDead
		}
		if w.records = append(w.records, records...); dies == deathListed {
			return sample.Batch{}, errDead
		}
		if b = w.accept(b, at); dies == deathStored {
			return sample.Batch{}, errDead
		}
		return b, nil
	})
	if err == nil && dies == deathJudged {
		return errDead
	}
	return err
}

// fresh is what accept will take of a batch.
func (w *world) fresh(b sample.Batch, at int64) sample.Batch {
	known := map[string]bool{}
	stored := func(s sample.Sample) bool {
		m := w.store.series[string(s.Labels.Bytes(nil))]
		return m != nil && slices.ContainsFunc(m.points, func(p point) bool { return p.t == s.T })
	}
	who := b.Source.Customer + "/" + b.Source.Name + " "
	samples, ends := b.Samples, b.Ends
	b.Samples, b.Ends = nil, nil
	for _, s := range samples {
		if key := fmt.Sprint(s.Labels, s.T); s.T <= at+(10*time.Minute).Milliseconds() && !known[key] && !stored(s) {
			if m := w.store.series[string(s.Labels.Bytes(nil))]; m != nil {
				s.Ref = m.ref
			}
			known[key], known[s.Labels.String()] = true, true
			b.Samples = append(b.Samples, s)
		}
	}
	for _, end := range ends {
		if key := fmt.Sprint(who, end.Labels, end.T); (w.delivered[end.Labels.String()] || known[end.Labels.String()]) && !w.noted[key] && !known[key] {
			known[key] = true
			b.Ends = append(b.Ends, end)
		}
	}
	return b
}

// lateListed counts the records that the engine makes of what comes late.
func (w *world) lateListed() (n int) {
	for _, r := range w.records {
		if r.Kind == journal.KindLate || r.Kind == journal.KindEnd && r.Source == "" {
			n++
		}
	}
	return n
}

// drawLateSamples adds samples that come with any delay, most of them after their check has
// settled for some rule, and some of them with others.
func drawLateSamples(t *rapid.T, s *scenario, ps []parcel) []parcel {
	return drawSamplesLate(t, s, ps, true)
}

// drawSamplesLate is the same; with beside false each comes alone, when no check settles.
func drawSamplesLate(t *rapid.T, s *scenario, ps []parcel, beside bool) []parcel {
	start, all := timelineStart.UnixMilli(), s.series()
	if len(all) == 0 {
		return ps
	}
	for range rapid.IntRange(0, 5).Draw(t, "late samples") {
		l := rapid.SampledFrom(all).Draw(t, "late series")
		if rapid.IntRange(0, 5).Draw(t, "new series") == 0 {
			l = labels.NewBuilder(l).Set("i", "late").Labels()
		}
		smp := sample.Sample{Labels: l, T: start + rapid.Int64Range(-60_000, scenarioChecks*60_000).Draw(t, "late sample at"), V: rapid.SampledFrom([]float64{1, 9, 9, -9}).Draw(t, "late value")}
		if slices.ContainsFunc(s.samples, func(o sample.Sample) bool { return o.T == smp.T && labels.Equal(o.Labels, l) }) {
			continue
		}
		s.samples = append(s.samples, smp)
		at := max(start, smp.T) + rapid.Int64Range(0, 45*60_000).Draw(t, "late by")
		at += 30_000 - at%30_000 + 7 // when no check settles
		b := sample.Batch{Source: sample.Source{Name: "src-" + sourceName(l)}, Samples: []sample.Sample{smp}}
		if rapid.IntRange(0, 5).Draw(t, "another source") == 0 {
			b.Source.Name = rapid.SampledFrom([]string{"src-a", "src-b", "src-new"}).Draw(t, "delivered too by")
		}
		if beside && rapid.Bool().Draw(t, "beside others") {
			if i := slices.IndexFunc(ps, func(p parcel) bool { return p.batch.Source == b.Source && p.at >= at }); i >= 0 {
				ps[i].batch.Samples = append(slices.Clone(ps[i].batch.Samples), smp)
				continue
			}
		}
		ps = append(ps, parcel{at: at, batch: b})
	}
	sortParcels(ps)
	return ps
}

// drawLateScenario draws rules and what is delivered to them, in time and late.
func drawLateScenario(t *rapid.T) (scenario, []Group, []parcel) {
	s, groups, ps := drawLateEndScenario(t)
	ps = drawLateBegin(t, drawLateSamples(t, &s, drawLateUps(t, &s, ps)))
	return s, groups, ps
}

// drawLateBegin has a source begin later now and then: nothing of it comes before.
func drawLateBegin(t *rapid.T, ps []parcel) []parcel {
	if len(ps) == 0 || rapid.IntRange(0, 2).Draw(t, "begins late") > 0 {
		return ps
	}
	late := rapid.SampledFrom(ps).Draw(t, "who").batch.Source
	from := timelineStart.UnixMilli() + rapid.Int64Range(0, 30*60_000).Draw(t, "begins at")
	return slices.DeleteFunc(slices.Clone(ps), func(p parcel) bool { return p.batch.Source == late && p.at < from })
}

// Whatever comes after its check has settled, and whenever the process dies with it: the
// settled log is the same.
func TestLateAndCrash(t *testing.T) {
	listed := 0
	property.Check(t, func(rt *rapid.T) {
		s, groups, ps := drawLateScenario(rt)
		if len(ps) == 0 {
			return
		}
		ps = drawWatermarks(rt, ps)
		lives, dies, deaths := newWorld(), newWorld(), drawDeaths(rt, ps, 1, 3)
		play(t, lives, groups, ps, nil, 30_000)
		play(t, dies, groups, ps, deaths, 30_000)
		if diff := gocmp.Diff(settledLines(lives), settledLines(dies)); diff != "" {
			rt.Fatalf("%s\n%s%s\ndeaths %v, settled log (-without crash +with):\n%s", s.rule, s, describeParcels(groups, ps), deaths, diff)
		}
		listed += lives.lateListed()
	})
	t.Logf("%d things came late", listed)
}

// settledLines are those of all rules, in order.
func settledLines(w *world) (lines []string) {
	settled := slices.DeleteFunc(slices.Clone(w.entries), func(en Entry) bool { return en.Log != LogSettled })
	slices.SortStableFunc(settled, CompareSettled)
	for _, en := range settled {
		lines = append(lines, en.String())
	}
	return lines
}

// drawWatermarks has some sources lag from their first batch on. Their watermarks never go back.
func drawWatermarks(t *rapid.T, ps []parcel) []parcel {
	declared, at := map[string]int64{}, map[string]int64{}
	for i := range ps {
		b := &ps[i].batch
		last, known := declared[b.Source.Name]
		switch {
		case known && at[b.Source.Name] == ps[i].at:
			continue
		case !known && rapid.IntRange(0, 2).Draw(t, "lags") > 0:
			declared[b.Source.Name] = sample.Current
			continue
		case last == sample.Current:
			continue
		}
		b.Watermark = max(last, ps[i].at-rapid.Int64Range(1, 20*60_000).Draw(t, "lag"))
		if rapid.IntRange(0, 5).Draw(t, "current again") == 0 {
			b.Watermark = sample.Current
		}
		declared[b.Source.Name], at[b.Source.Name] = b.Watermark, ps[i].at
	}
	return ps
}

// What is foreseen of a batch is what is found when it is taken: what the journal and both logs say
// of an alert is the same where nothing is foreseen.
func TestForeseenAsTaken(t *testing.T) {
	property.Check(t, func(rt *rapid.T) {
		s, groups, ps := drawLateScenario(rt)
		ps = drawWatermarks(rt, ps)
		foreseen, found := newWorld(), newWorld()
		play(t, foreseen, groups, ps, nil, 30_000)
		e, err := found.engine(groups)
		if err != nil {
			rt.Fatal(err)
		}
		e.deadlines.Store(&deadlines{least: 1 << 60}) // nothing is old
		now := timelineStart.UnixMilli() - 60_000
		for _, p := range append(slices.Clone(ps), parcel{at: timelineStart.UnixMilli() + 60*60_000}) {
			for ; now < p.at; now += 30_000 {
				if err := e.Advance(noContext, time.UnixMilli(now)); err != nil {
					rt.Fatal(err)
				}
			}
			if p.batch.Source.Name == "" {
				break
			}
			if err := e.Ingest(noContext, found.accept(p.batch, p.at), time.UnixMilli(p.at)); err != nil {
				rt.Fatal(err)
			}
		}
		if diff := gocmp.Diff(lateRecords(found), lateRecords(foreseen)); diff != "" {
			rt.Fatalf("%s\n%s%s\njournal (-found +foreseen):\n%s", s.rule, s, describeParcels(groups, ps), diff)
		}
		if diff := gocmp.Diff(entryLines(found), entryLines(foreseen)); diff != "" {
			rt.Fatalf("%s\n%s%s\nlogs (-found +foreseen):\n%s", s.rule, s, describeParcels(groups, ps), diff)
		}
	})
}

// lateRecords are the last words of the journal on each thing that came late.
func lateRecords(w *world) map[string]string {
	out := map[string]string{}
	for _, r := range w.records {
		switch {
		case r.Kind == journal.KindLate:
			rule, through, _ := lateThrough(r)
			out[fmt.Sprint(r.Source, r.Labels, r.T, rule)] = fmt.Sprint(through, " ", r.V, " ", r.Arrive)
		case r.Kind == journal.KindEnd && r.Source == "":
			out[fmt.Sprint("end ", r.Labels, r.V)] = fmt.Sprint(r.T, " ", r.Arrive, " ", r.Reason)
		}
	}
	return out
}

// entryLines are both logs, by identity.
func entryLines(w *world) (lines []string) {
	entries := slices.Clone(w.entries)
	slices.SortStableFunc(entries, func(a, b Entry) int {
		return cmp.Or(strings.Compare(a.Rule.ID(), b.Rule.ID()), labels.Compare(a.Identity, b.Identity))
	})
	for _, en := range entries {
		lines = append(lines, fmt.Sprint(en.At, " ", en))
	}
	return lines
}

// member is a sample of the group x, which the source of its member delivers.
func member(p string, at time.Duration, v float64) sample.Batch {
	l := labels.FromStrings("__name__", "g", "i", "x", "p", p)
	return sample.Batch{Source: sample.Source{Name: "src-g" + p}, Samples: []sample.Sample{{Labels: l, T: timelineStart.Add(at).UnixMilli(), V: v}}}
}

// A member's sample that came too late does not make the group begin with the check after it,
// in whatever order a start reads the members.
func TestLateMemberBeginsNothing(t *testing.T) {
	groups := parseOne(t, `groups: [{name: g, interval: 1m, rules: [{alert: A, expr: sum by (i) (g) > 100, consecutive: 1, missing: breach, lateness: 0s, missing_after: 0s}]}]`)
	at := func(d time.Duration) int64 { return timelineStart.Add(d).UnixMilli() }
	end := member("1", 0, 1)
	end.Ends = []sample.End{{Labels: end.Samples[0].Labels, T: at(11 * time.Minute), Reason: "deleted"}}
	end.Samples = nil
	ps := []parcel{
		{at(2*time.Minute + 30*time.Second), member("2", 110*time.Second, 1)},
		{at(5*time.Minute + 50*time.Second), member("3", 5*time.Minute+50*time.Second, 1)},
		{at(9*time.Minute + 50*time.Second), member("1", 9*time.Minute+50*time.Second, 1)},
		{at(11 * time.Minute), end},
		{at(12 * time.Minute), member("1", 12*time.Minute, 1)},
	}
	ps = append([]parcel{{at(0), sample.Batch{Source: sample.Source{Name: "src-g2"}}}}, ps...) // nothing of a new source is late
	diesAsItLives(t, groups, ps, map[int]death{len(ps) - 1: deathForeseen})
}

// diesAsItLives fails unless the settled log says something, and the same where the engine dies.
func diesAsItLives(t *testing.T, groups []Group, ps []parcel, deaths map[int]death) {
	t.Helper()
	lives, dies := newWorld(), newWorld()
	play(t, lives, groups, ps, nil, 30_000)
	play(t, dies, groups, ps, deaths, 30_000)
	if diff := gocmp.Diff(settledLines(lives), settledLines(dies)); diff != "" {
		t.Errorf("settled log (-without crash +with):\n%s", diff)
	}
	if len(settledLines(lives)) == 0 {
		t.Error("it says nothing")
	}
}

// A sample with which an identity of several operands begins is late by what all of them wait
// for, as any other of it.
func TestFirstSampleIsLateByAllOperands(t *testing.T) {
	h := newHand(t, `groups: [{name: g, interval: 1m, rules: [{alert: A, expr: a > 5 and b > 5, consecutive: 1, lateness: 1m, missing_after: 0s}]}]`)
	one := func(metric string, watermark int64, at ...time.Duration) sample.Batch {
		b := sample.Batch{Source: sample.Source{Name: "src-" + metric}, Watermark: watermark}
		for _, d := range at {
			b.Samples = append(b.Samples, sample.Sample{Labels: labels.FromStrings("__name__", metric, "i", "x"), T: h.at(d), V: 9})
		}
		return b
	}
	h.deliver(0, one("a", sample.Current))
	h.deliver(time.Minute, one("b", h.at(time.Minute), time.Minute))
	h.advance(10 * time.Minute)
	h.deliver(10*time.Minute, one("a", sample.Current, time.Minute))
	h.deliver(11*time.Minute, one("b", sample.Current))
	h.advance(13 * time.Minute)
	if got := h.settled(); len(got) == 0 || got[0] != "1m inactive->firing run 1" {
		t.Errorf("settled log %q: b held the check back, so the sample of a came in time for it", got)
	}
}

// What has ended does not begin anew with a sample that came too late, in the checks that had
// settled behind it either.
func TestLateSampleBeginsNothingAnew(t *testing.T) {
	groups := parseOne(t, `groups: [{name: g, interval: 1m, rules: [{alert: A, expr: a + c > 100, consecutive: 1, missing: breach, lateness: 1m, missing_after: 0s}]}]`)
	at := func(d time.Duration) int64 { return timelineStart.Add(d).UnixMilli() }
	one := func(arrives, d time.Duration, metric string, v float64) parcel {
		l := labels.FromStrings("__name__", metric, "i", "x")
		return parcel{at(arrives), sample.Batch{Source: sample.Source{Name: "src-" + metric}, Samples: []sample.Sample{{Labels: l, T: at(d), V: v}}}}
	}
	var ps []parcel
	for d := time.Minute; d <= 9*time.Minute; d += time.Minute {
		ps = append(ps, one(d, d, "a", 1))
		switch d {
		case time.Minute, 2 * time.Minute, 8 * time.Minute:
			ps = append(ps, one(d, d, "c", 1))
		case 3 * time.Minute:
			ps = append(ps, one(d, d, "c", math.Float64frombits(value.StaleNaN)))
		case 7 * time.Minute:
			ps = append(ps, one(d+30*time.Second, 5*time.Minute, "c", 1))
		}
	}
	diesAsItLives(t, groups, ps, map[int]death{len(ps) - 1: deathStored})
}

// An end mark from before a series' first sample has no effect on the checks for which an earlier sample comes too late.
func TestLateFirstSampleAndEnd(t *testing.T) {
	groups := parseOne(t, `groups: [{name: g, interval: 1m, rules: [{alert: A, expr: a offset 2m + c > 100, consecutive: 1, missing: breach, lateness: 1m, missing_after: 0s}]}]`)
	at := func(d time.Duration) int64 { return timelineStart.Add(d).UnixMilli() }
	one := func(arrives, d time.Duration, metric string, v float64) parcel {
		l := labels.FromStrings("__name__", metric, "i", "x")
		return parcel{at(arrives), sample.Batch{Source: sample.Source{Name: "src-" + metric}, Samples: []sample.Sample{{Labels: l, T: at(d), V: v}}}}
	}
	var ps []parcel
	for d := time.Minute; d <= 6*time.Minute; d += time.Minute {
		ps = append(ps, one(d, d, "c", 1))
	}
	ps = append(ps, one(2*time.Minute, 110*time.Second, "a", 1))
	end := parcel{at(2*time.Minute + time.Second), sample.Batch{Source: sample.Source{Name: "src-a"}, Ends: []sample.End{{Labels: ps[len(ps)-1].batch.Samples[0].Labels, T: at(3 * time.Second), Reason: "deleted"}}}}
	ps = append(ps, end, one(4*time.Minute+30*time.Second, 2*time.Second, "a", 1))
	sortParcels(ps)
	lives, dies := newWorld(), newWorld()
	play(t, lives, groups, ps, nil, 30_000)
	play(t, dies, groups, ps, map[int]death{len(ps) - 1: deathStored}, 30_000)
	if diff := gocmp.Diff(settledLines(lives), settledLines(dies)); diff != "" {
		t.Errorf("settled log (-without crash +with):\n%s", diff)
	}
	if got := settledLines(lives); len(got) != 3 {
		t.Errorf("settled log: %q", got)
	}
}

// Where the store fails to take the first batch of a source, its first delivery is still to
// come: it is judged however old it is.
func TestFirstDeliveryThatTheStoreDidNotTake(t *testing.T) {
	w := newWorld()
	e, err := w.engine(parseOne(t, "groups: [{name: g, interval: 1m, rules: [{alert: A, expr: x > 5, consecutive: 1, lateness: 30m}]}]"))
	if err != nil {
		t.Fatal(err)
	}
	now := timelineStart.Add(2 * time.Hour)
	b := batchOf("x", timelineStart.UnixMilli(), "a")
	for _, failure := range []error{errDisk, nil} {
		now = now.Add(time.Second)
		err := e.IngestOld(t.Context(), b.Source, now, func(foresee Foresee) (sample.Batch, error) {
			if _, err := foresee(b); err != nil || failure != nil {
				return sample.Batch{}, cmp.Or(err, failure)
			}
			return w.accept(b, now.UnixMilli()), nil
		})
		if !errors.Is(err, failure) {
			t.Fatal(err)
		}
	}
	if len(w.entries) == 0 || w.entries[0].To != StateFiring {
		t.Errorf("told: %v", w.entries)
	}
}
