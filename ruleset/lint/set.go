package lint

import (
	"math"

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

// set is a union of intervals.
type set []interval

var everything = interval{lo: math.Inf(-1), hi: math.Inf(1)}

// values is what an operator lets pass.
func values(op parser.ItemType, v float64) set {
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
		return set{below}
	case parser.GTR:
		return set{above}
	}
	return set{below, above} // !=
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
		var rest set
		if !math.IsInf(i.lo, -1) {
			rest = append(rest, interval{lo: math.Inf(-1), hi: i.lo, hiOpen: !i.loOpen})
		}
		if !math.IsInf(i.hi, 1) {
			rest = append(rest, interval{lo: i.hi, loOpen: !i.hiOpen, hi: math.Inf(1)})
		}
		out = out.intersect(rest)
	}
	return out
}

// within says whether every number of s is in t.
func (s set) within(t set) bool { return len(s.intersect(t.complement())) == 0 }
