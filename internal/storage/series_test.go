package storage

import (
	"fmt"
	"math"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"pgregory.net/rapid"

	"watchkeeper/internal/property"
)

// Whatever order a sender chooses, what came after a series last is a guess and no more;
// a series that was swept is found by nobody.
func TestSeriesAreFoundInAnyOrder(t *testing.T) {
	property.Check(t, func(rt *rapid.T) {
		x := newIndex()
		var last *series
		for range 60 {
			if rapid.IntRange(0, 19).Draw(rt, "sweep") == 0 {
				x.sweep(math.MaxInt64)
			}
			l := labels.FromStrings("__name__", "x", "i", fmt.Sprint(rapid.IntRange(0, 4).Draw(rt, "series")))
			want := x.get(l.Hash(), l)
			got := x.getAfter(last, l)
			if got != want {
				rt.Fatalf("%s: found %v, want %v", l, got, want)
			}
			if got == nil {
				got = x.getOrCreate(l.Hash(), l, 10)
			}
			last = got
		}
	})
}
