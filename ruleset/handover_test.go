package ruleset

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/prometheus/prometheus/model/labels"

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
