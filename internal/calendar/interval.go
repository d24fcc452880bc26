package calendar

import (
	"slices"
	"time"
)

// Interval is the time (From, To] in Unix milliseconds. From >= To is empty.
type Interval struct {
	From int64 `json:"from"`
	To   int64 `json:"to"`
}

// Between is the interval (from, to].
func Between(from, to time.Time) Interval {
	return Interval{From: from.UnixMilli(), To: to.UnixMilli()}
}

// Empty says that no millisecond lies in i.
func (i Interval) Empty() bool { return i.From >= i.To }

// Milliseconds is the length of i, 0 when empty.
func (i Interval) Milliseconds() int64 { return max(0, i.To-i.From) }

// Intersect is the time in both i and o.
func (i Interval) Intersect(o Interval) Interval {
	return Interval{From: max(i.From, o.From), To: min(i.To, o.To)}
}

// Set is a set of milliseconds as intervals that are sorted, not empty, and
// neither overlap nor touch: equal sets are equal slices. Build it with NewSet.
type Set []Interval

// NewSet is the union of any intervals; the argument is left as it is.
func NewSet(intervals ...Interval) Set {
	sorted := make([]Interval, 0, len(intervals))
	for _, i := range intervals {
		if !i.Empty() {
			sorted = append(sorted, i)
		}
	}
	slices.SortFunc(sorted, func(a, b Interval) int {
		if a.From < b.From {
			return -1
		}
		if a.From > b.From {
			return 1
		}
		return 0
	})
	var set Set
	for _, i := range sorted {
		if n := len(set); n > 0 && i.From <= set[n-1].To {
			set[n-1].To = max(set[n-1].To, i.To)
			continue
		}
		set = append(set, i)
	}
	return set
}

// Union is the time in s or o.
func (s Set) Union(o Set) Set { return NewSet(slices.Concat(s, o)...) }

// Intersect is the time in both s and o.
func (s Set) Intersect(o Set) Set {
	var set Set
	for a, b := 0, 0; a < len(s) && b < len(o); {
		if i := s[a].Intersect(o[b]); !i.Empty() {
			set = append(set, i)
		}
		if s[a].To < o[b].To {
			a++
		} else {
			b++
		}
	}
	return set
}

// Subtract is the time in s that is not in o.
func (s Set) Subtract(o Set) Set {
	var set Set
	b := 0
	for _, i := range s {
		for b < len(o) && o[b].To <= i.From {
			b++
		}
		from := i.From
		for k := b; k < len(o) && o[k].From < i.To; k++ {
			if o[k].From > from {
				set = append(set, Interval{From: from, To: o[k].From})
			}
			from = o[k].To
		}
		if from < i.To {
			set = append(set, Interval{From: from, To: i.To})
		}
	}
	return set
}

// Milliseconds is the length of s; time that several intervals shared when the
// set was built counts once.
func (s Set) Milliseconds() int64 {
	var total int64
	for _, i := range s {
		total += i.Milliseconds()
	}
	return total
}

// Overlay is the time at which enough answers true, given how many of the sets
// in which the moment lies: counts[k] of layers[k]. It is how "all of those
// that exist", "any" and "k of n" are computed.
func Overlay(layers [][]Set, enough func(counts []int) bool) Set {
	type edge struct {
		at    int64
		layer int
		step  int
	}
	var edges []edge
	for k, sets := range layers {
		for _, s := range sets {
			for _, i := range s {
				edges = append(edges, edge{i.From, k, 1}, edge{i.To, k, -1})
			}
		}
	}
	slices.SortFunc(edges, func(a, b edge) int {
		if a.at < b.at {
			return -1
		}
		if a.at > b.at {
			return 1
		}
		return 0
	})
	counts := make([]int, len(layers))
	var found []Interval
	for n := 0; n < len(edges); {
		at := edges[n].at
		for ; n < len(edges) && edges[n].at == at; n++ {
			counts[edges[n].layer] += edges[n].step
		}
		if n < len(edges) && enough(counts) {
			found = append(found, Interval{From: at, To: edges[n].at})
		}
	}
	return NewSet(found...)
}
