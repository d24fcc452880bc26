package ruleset

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/internal/sample"
)

// A start does not know the beginning of a run that crosses the beginning of what it
// reads: it logs nothing of it, instead of another alert than there was.
func TestRunAcrossTheBeginningOfTheWindow(t *testing.T) {
	groups, err := Parse("edge.yml", []byte("groups: [{name: g, interval: 1m, rules: [{alert: High, expr: a > 5, consecutive: 3, lateness: 0s}]}]"))
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld()
	e, err := w.engine(groups)
	if err != nil {
		t.Fatal(err)
	}
	start := timelineStart
	at := func(m int) time.Time { return start.Add(time.Duration(m) * time.Minute) }
	deliver := func(e *Engine, m int) {
		v := 1.0
		if m >= 10 && m < 50 || m >= 1500 && m < 1510 {
			v = 9
		}
		b := sample.Batch{Source: sample.Source{Name: "src"}, Watermark: sample.Current, Ups: []sample.Up{{T: at(m).UnixMilli() - 1000, OK: true}},
			Samples: []sample.Sample{{Labels: labels.FromStrings(model.MetricNameLabel, "a", "i", "x"), T: at(m).UnixMilli() - 1000, V: v}}}
		if err := e.Ingest(context.Background(), w.accept(b, at(m).UnixMilli()), at(m)); err != nil {
			t.Fatal(err)
		}
	}
	const last = 26*60 + 30 // the alert has begun before the window, and is over in it
	for m := 1; m <= last; m++ {
		deliver(e, m)
	}
	before := len(w.entries)
	var settled int
	for _, en := range w.entries {
		if en.Log == LogSettled {
			settled++
		}
	}
	if settled != 6 {
		t.Fatalf("%d settled entries, want pending, firing and resolved of two alerts", settled)
	}
	if e, err = w.engine(groups); err != nil {
		t.Fatal(err)
	}
	if err := e.Recover(context.Background(), at(last), w.alerts()); err != nil {
		t.Fatal(err)
	}
	deliver(e, last+1)
	for _, en := range w.entries[before:] {
		t.Errorf("after the start: %s %s at check %s: %s to %s", en.Log, en.Identity, time.UnixMilli(en.Check).Sub(start), en.From, en.To)
	}
	// What lies well behind the beginning is logged again by a start that finds it missing.
	lost := newWorld()
	lost.store, lost.records = w.store, w.records
	if e, err = lost.engine(groups); err != nil {
		t.Fatal(err)
	}
	if err := e.Recover(context.Background(), at(last+1), w.alerts()); err != nil {
		t.Fatal(err)
	}
	if n := len(lost.entries); n != 3 {
		t.Errorf("%d entries told again, want those of the second alert: %v", n, lost.entries)
	}
}

// What a start tells is news to the log, though it be said of one check, at one
// millisecond and as the same line of its own as before the start.
func TestLinesOfAStartAreItsOwn(t *testing.T) {
	w := newWorld()
	at := timelineStart.Add(time.Minute)
	start := func() *Engine {
		e, err := w.engine(parseOne(t, "groups: [{name: g, interval: 1m, rules: [{alert: High, expr: a > 5, consecutive: 1}]}]"))
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Recover(t.Context(), at, w.alerts()); err != nil {
			t.Fatal(err)
		}
		return e
	}
	deliver := func(e *Engine, ts int64, v float64) {
		b := sample.Batch{Source: sample.Source{Name: "src"}, Samples: []sample.Sample{{Labels: labels.FromStrings(model.MetricNameLabel, "a", "i", "x"), T: at.UnixMilli() - 50 + ts, V: v}}}
		if err := e.Ingest(t.Context(), w.accept(b, at.UnixMilli()), at); err != nil {
			t.Fatal(err)
		}
	}
	e := start()
	deliver(e, 1, 9)
	deliver(e, 2, 1)
	e = start()
	deliver(e, 3, 9)
	var said []State
	for _, en := range w.entries {
		said = append(said, en.To)
	}
	if want := []State{StateFiring, StateInactive, StateFiring}; !slices.Equal(said, want) {
		t.Errorf("the live log says %q, want %q", said, want)
	}
}

// An evaluated alert is taken back by a start that finds a sample which nobody had judged,
// and with it its identity, be there older samples or not.
func TestUnjudgedSampleTakesAnEvaluatedAlertBack(t *testing.T) {
	for _, older := range []bool{false, true} {
		w := newWorld()
		groups := parseOne(t, "groups: [{name: g, interval: 1m, rules: [{alert: A, expr: count by (i) (abs(a) > 90) >= 1, consecutive: 1}]}]")
		e, err := w.engine(groups)
		if err != nil {
			t.Fatal(err)
		}
		now := timelineStart
		deliver := func(b sample.Batch) {
			t.Helper()
			if err := e.Ingest(t.Context(), w.accept(b, now.UnixMilli()), now); err != nil {
				t.Fatal(err)
			}
		}
		if older {
			deliver(batchOf("a", now.UnixMilli(), "y"))
		}
		now = now.Add(30 * time.Hour)
		deliver(batchOf("a", now.UnixMilli()-1, "x"))
		amends := batchOf("a", now.UnixMilli(), "x")
		amends.Samples[0].V = 0
		w.accept(amends, now.UnixMilli())
		before := len(w.entries)
		if e, err = w.engine(groups); err != nil {
			t.Fatal(err)
		}
		if err := e.Recover(t.Context(), now, w.alerts()); err != nil {
			t.Fatal(err)
		}
		for range 120 {
			now = now.Add(time.Minute)
			if err := e.Advance(t.Context(), now); err != nil {
				t.Fatal(err)
			}
		}
		var got []string
		for _, en := range w.entries[before:] {
			if en.Identity.Get("i") == "x" {
				got = append(got, fmt.Sprintf("%s %s->%s %s", en.Log, en.From, en.To, en.Reason))
			}
		}
		if want := []string{"live firing->inactive recovered"}; !slices.Equal(got, want) {
			t.Errorf("older samples %v: after the start %q, want %q", older, got, want)
		}
	}
}
