package calendar

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"watchkeeper/internal/property"
)

const span = 40 // milliseconds of the model's world

func drawSet(t *rapid.T, label string) ([]Interval, Set) {
	raw := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Interval {
		return Interval{rapid.Int64Range(0, span).Draw(t, "from"), rapid.Int64Range(0, span).Draw(t, "to")}
	}), 0, 8).Draw(t, label)
	return raw, NewSet(raw...)
}

// has is the model: a millisecond lies in (From, To].
func has(intervals []Interval, ms int64) bool {
	for _, i := range intervals {
		if i.From < ms && ms <= i.To {
			return true
		}
	}
	return false
}

func checkNormal(t *rapid.T, name string, s Set) {
	for n, i := range s {
		if i.Empty() {
			t.Fatalf("%s has an empty interval: %v", name, s)
		}
		if n > 0 && s[n-1].To >= i.From {
			t.Fatalf("%s is not sorted and apart: %v", name, s)
		}
	}
}

func TestSetAlgebraAgainstMilliseconds(t *testing.T) {
	property.Check(t, func(t *rapid.T) {
		rawA, a := drawSet(t, "a")
		rawB, b := drawSet(t, "b")
		rawC, c := drawSet(t, "c")
		k := rapid.IntRange(1, 3).Draw(t, "k")
		results := map[string]struct {
			set  Set
			want func(inA, inB, inC bool) bool
		}{
			"a":         {a, func(x, _, _ bool) bool { return x }},
			"union":     {a.Union(b), func(x, y, _ bool) bool { return x || y }},
			"intersect": {a.Intersect(b), func(x, y, _ bool) bool { return x && y }},
			"subtract":  {a.Subtract(b), func(x, y, _ bool) bool { return x && !y }},
			"overlay": {
				Overlay([][]Set{{a, b, c}}, func(n []int) bool { return n[0] >= k }),
				func(x, y, z bool) bool {
					n := 0
					for _, in := range []bool{x, y, z} {
						if in {
							n++
						}
					}
					return n >= k
				},
			},
			"layers": {
				Overlay([][]Set{{a, b}, {c}}, func(n []int) bool { return n[0] > 0 && n[1] == 0 }),
				func(x, y, z bool) bool { return (x || y) && !z },
			},
		}
		for name, r := range results {
			checkNormal(t, name, r.set)
			var total int64
			for ms := int64(0); ms <= span+1; ms++ {
				want := r.want(has(rawA, ms), has(rawB, ms), has(rawC, ms))
				if want {
					total++
				}
				if got := has(r.set, ms); got != want {
					t.Fatalf("%s: %v at %d, want %v\na %v\nb %v\nc %v\ngot %v", name, got, ms, want, rawA, rawB, rawC, r.set)
				}
			}
			if r.set.Milliseconds() != total {
				t.Fatalf("%s: %d ms, want %d", name, r.set.Milliseconds(), total)
			}
		}
	})
}

func TestTouchingIntervalsJoin(t *testing.T) {
	got := NewSet(Interval{5, 7}, Interval{1, 3}, Interval{3, 5}, Interval{9, 9}, Interval{8, 6})
	if diff := cmp.Diff(Set{{1, 7}}, got); diff != "" {
		t.Error(diff)
	}
}
