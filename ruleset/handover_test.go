package ruleset

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/internal/journal"
	"watchkeeper/internal/sample"
)

// A step that has much to tell tells first of alerts that fire. Each identity's
// entries come in order, once, also from a sink that refuses some of the calls.
func TestWhatFiresIsToldFirst(t *testing.T) {
	const n = 300
	for _, refuse := range []bool{false, true} {
		t.Run(fmt.Sprintf("refuse=%v", refuse), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, 2))
			down := errors.New("down")
			var told []Entry
			sink := sinkFunc(func(es []Entry) error {
				if refuse && rng.IntN(3) > 0 {
					return down
				}
				told = append(told, es...)
				return nil
			})
			w := newWorld()
			groups := parseOne(t, "groups: [{name: g, interval: 1m, rules: [{alert: A, expr: x > 1, consecutive: 2}]}]")
			e, err := New(DefaultConfig(), groups, w.store, w, sink, metrics.NewSet(), discard())
			if err != nil {
				t.Fatal(err)
			}
			// Three in turn: one resolves, one begins to breach, one fires at the last check.
			values := [][]float64{{9, 0, 0}, {9, 0, 9}, {0, 9, 9}}
			var now time.Time
			for check, of := range values {
				now = timelineStart.Add(time.Duration(check+1) * time.Minute)
				b := sample.Batch{Source: sample.Source{Name: "test"}, Watermark: sample.Current}
				for i := range n {
					b.Samples = append(b.Samples, sample.Sample{
						Labels: labels.FromStrings("__name__", "x", "i", fmt.Sprintf("%03d", i)), T: now.UnixMilli() - 1, V: of[i%3],
					})
				}
				if err := e.Ingest(t.Context(), w.accept(b, now.UnixMilli()-1), now.Add(-time.Millisecond)); err != nil && !errors.Is(err, down) {
					t.Fatal(err)
				}
				if check == len(values)-1 {
					for e.flush(t.Context()) != nil { // what went before
					}
					told = told[:0]
				}
				for err := e.Advance(t.Context(), now); err != nil; err = e.Advance(t.Context(), now) {
					if !errors.Is(err, down) {
						t.Fatal(err)
					}
				}
			}
			if len(told) != n {
				t.Fatalf("%d entries of %d", len(told), n)
			}
			seen := map[string]bool{}
			for i, en := range told {
				if firing := en.To == StateFiring; firing != (i < n/3) {
					t.Fatalf("entry %d is %s", i, en.To)
				}
				if seen[en.ID] {
					t.Fatalf("%s twice", en.ID)
				}
				seen[en.ID] = true
			}
		})
	}
}

// brokenJournal takes no record.
type brokenJournal struct{ *world }

func (brokenJournal) Record(context.Context, ...journal.Record) error { return errDisk }

// Whoever hands a batch over may close the sink when Ingest has returned, also with
// an error: what goes to the sink while the batch is judged has arrived.
func TestNothingIsHandedOverBehindAnError(t *testing.T) {
	var late atomic.Bool
	var returned atomic.Bool
	sink := sinkFunc(func([]Entry) error {
		time.Sleep(10 * time.Millisecond)
		if returned.Load() {
			late.Store(true)
		}
		return nil
	})
	w := newWorld()
	groups := parseOne(t, "groups: [{name: g, interval: 1m, rules: [{alert: A, expr: x > 1, consecutive: 1}]}]")
	e, err := New(DefaultConfig(), groups, w.store, brokenJournal{w}, sink, metrics.NewSet(), discard())
	if err != nil {
		t.Fatal(err)
	}
	names := make([]string, 2*handOverEvery)
	for i := range names {
		names[i] = fmt.Sprint(i)
	}
	first, then := timelineStart.Add(time.Second), timelineStart.Add(25*time.Hour)
	b := batchOf("x", first.UnixMilli(), names...)
	b.Watermark = first.UnixMilli()
	if err := e.Ingest(t.Context(), w.accept(b, first.UnixMilli()), first); err != nil {
		t.Fatal(err)
	}
	// Time has passed: all fires, and is settled by force, which cannot be written down.
	err = e.Ingest(t.Context(), w.accept(batchOf("x", then.UnixMilli(), names[0]), then.UnixMilli()), then)
	returned.Store(true)
	if !errors.Is(err, errDisk) {
		t.Fatalf("Ingest: %v", err)
	}
	e.out.flushing.Lock() // held by whoever hands over
	defer e.out.flushing.Unlock()
	if late.Load() {
		t.Error("the sink is called after Ingest has returned")
	}
}

// A journal that takes nothing does not keep alerts from being judged and told.
func TestABrokenJournalHoldsUpNoAlert(t *testing.T) {
	w := newWorld()
	groups := parseOne(t, "groups: [{name: g, interval: 1m, rules: [{alert: A, expr: x > 1, consecutive: 1}]}]")
	e, err := New(DefaultConfig(), groups, w.store, brokenJournal{w}, w, metrics.NewSet(), discard())
	if err != nil {
		t.Fatal(err)
	}
	ingest := func(b sample.Batch, now time.Time) error {
		b.Watermark = sample.Current
		return e.Ingest(t.Context(), w.accept(b, now.UnixMilli()), now)
	}
	if err := ingest(batchOf("x", timelineStart.UnixMilli(), "late"), timelineStart); err != nil {
		t.Fatal(err)
	}
	now := timelineStart.Add(2 * time.Hour)
	b := batchOf("x", now.UnixMilli())
	for i := range 200 {
		b.Samples = append(b.Samples, batchOf("x", now.UnixMilli(), fmt.Sprint(i)).Samples...)
	}
	b.Samples = append(b.Samples, batchOf("x", timelineStart.Add(2*time.Minute).UnixMilli(), "late").Samples...)
	if err := ingest(b, now); !errors.Is(err, errDisk) {
		t.Fatalf("the journal's error: %v", err)
	}
	firing := 0
	for _, en := range w.entries {
		if en.To == StateFiring && en.Log == LogLive {
			firing++
		}
	}
	if firing < 200 {
		t.Errorf("%d alerts of 200 were told", firing)
	}
}

// A sink that fails is tried again by Advance alone: those who bring batches neither wait for it
// nor try it each. What they bring is judged meanwhile, and told when the sink is back.
func TestASinkThatFailsIsTriedByAdvanceAlone(t *testing.T) {
	w := newWorld()
	down, tries := true, 0
	sink := sinkFunc(func(es []Entry) error {
		if tries++; down {
			return errDisk
		}
		return w.Log(t.Context(), es)
	})
	groups := parseOne(t, "groups: [{name: g, interval: 1m, rules: [{alert: A, expr: x > 1, consecutive: 1}]}]")
	e, err := New(DefaultConfig(), groups, w.store, w, sink, metrics.NewSet(), discard())
	if err != nil {
		t.Fatal(err)
	}
	const batches = 50
	for i := range batches {
		b := batchOf("x", timelineStart.UnixMilli(), fmt.Sprint(i))
		if err := e.Ingest(t.Context(), w.accept(b, timelineStart.UnixMilli()), timelineStart); (err != nil) != (i == 0) {
			t.Fatalf("batch %d: %v", i, err)
		}
	}
	if tries > 2 { // the first batch, whose step may hand over, too
		t.Errorf("%d batches tried %d times", batches, tries)
	}
	before := tries
	for range 3 {
		if err := e.Advance(t.Context(), timelineStart); !errors.Is(err, errDisk) {
			t.Fatalf("Advance: %v", err)
		}
	}
	if tries != before+3 {
		t.Errorf("Advance tried %d times of 3", tries-before)
	}
	down = false
	if err := e.Advance(t.Context(), timelineStart); err != nil {
		t.Fatal(err)
	}
	if err := e.Ingest(t.Context(), w.accept(batchOf("x", timelineStart.UnixMilli(), "last"), timelineStart.UnixMilli()), timelineStart); err != nil {
		t.Fatal(err)
	}
	if len(w.entries) != batches+1 {
		t.Errorf("%d of %d alerts were told", len(w.entries), batches+1)
	}
}
