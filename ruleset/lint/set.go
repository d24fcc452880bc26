package lint

import (
	"math"
	"slices"

	"github.com/prometheus/prometheus/promql/parser"
)

// interval is a range of numbers; an open end is not part of it.
type interval struct {
	lo, hi         float64
	loOpen, hiOpen bool
}

func (i interval) empty() bool {
	return i.lo > i.hi || i.lo == i.hi && (i.loOpen || i.hiOpen)
}

func (i interval) intersect(j interval) interval {
	out := i
	if j.lo > i.lo || j.lo == i.lo && j.loOpen {
		out.lo, out.loOpen = j.lo, j.loOpen
	}
	if j.hi < i.hi || j.hi == i.hi && j.hiOpen {
		out.hi, out.hiOpen = j.hi, j.hiOpen
	}
	return out
}

// set is a union of intervals, none of them empty.
type set []interval

var everything = interval{lo: math.Inf(-1), hi: math.Inf(1)}

// values is what an operator lets pass. NaN is no number: nothing is equal to it,
// less or greater, and everything is different.
func values(op parser.ItemType, v float64) set {
	switch {
	case math.IsNaN(v) && op == parser.NEQ:
		return set{everything}
	case math.IsNaN(v):
		return nil
	case v == 0:
		v = 0 // and not -0
	}
	below := interval{lo: math.Inf(-1), hi: v}
	above := interval{lo: v, hi: math.Inf(1)}
	switch op {
	case parser.LTE:
		return set{below}
	case parser.GTE:
		return set{above}
	case parser.EQLC:
		return set{{lo: v, hi: v}}
	}
	below.hiOpen, above.loOpen = true, true
	switch op {
	case parser.LSS:
		return set{below}.intersect(set{everything})
	case parser.GTR:
		return set{above}.intersect(set{everything})
	}
	return set{below, above}.intersect(set{everything}) // !=
}

func (s set) intersect(t set) set {
	var out set
	for _, i := range s {
		for _, j := range t {
			if x := i.intersect(j); !x.empty() {
				out = append(out, x)
			}
		}
	}
	return out
}

func (s set) complement() set {
	out := set{everything}
	for _, i := range s {
		out = out.intersect(set{
			{lo: math.Inf(-1), hi: i.lo, hiOpen: !i.loOpen},
			{lo: i.hi, loOpen: !i.hiOpen, hi: math.Inf(1)},
		})
	}
	return out
}

// within says whether every number of s is in t. Between two intervals of a set
// there is always a number that is in neither, so none of s lies in two of t.
func (s set) within(t set) bool {
	for _, i := range s {
		if !i.empty() && !slices.ContainsFunc(t, func(j interval) bool { return i.intersect(j) == i }) {
			return false
		}
	}
	return true
}
