package slo

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/internal/calendar"
)

// maxSeries bounds what one contract may read.
const maxSeries = 10_000

// track is one series over the period: its checks and the time that they cover,
// split by verdict. down and open are disjoint parts of covered.
type track struct {
	labels  labels.Labels
	pieces  []SeriesVerdicts
	covered calendar.Set
	down    calendar.Set // breach
	open    calendar.Set // missing or unobserved
}

// tracksOf sorts what the reader gave by series and clips it to the period.
func tracksOf(pieces []SeriesVerdicts, period calendar.Interval) ([]track, error) {
	if len(pieces) > maxSeries {
		return nil, fmt.Errorf("%d series match, more than %d", len(pieces), maxSeries)
	}
	sorted := slices.Clone(pieces)
	slices.SortStableFunc(sorted, func(a, b SeriesVerdicts) int {
		return cmp.Or(labels.Compare(a.Labels, b.Labels), a.First.Compare(b.First))
	})
	var tracks []track
	for _, piece := range sorted {
		if piece.Interval < time.Millisecond || piece.Interval%time.Millisecond != 0 {
			return nil, fmt.Errorf("series %s: interval %s is not a whole number of milliseconds", piece.Labels, piece.Interval)
		}
		if !touches(piece, period) {
			continue
		}
		if n := len(tracks); n == 0 || !labels.Equal(tracks[n-1].labels, piece.Labels) {
			tracks = append(tracks, track{labels: piece.Labels})
		}
		last := &tracks[len(tracks)-1]
		last.pieces = append(last.pieces, piece)
	}
	for n := range tracks {
		if err := tracks[n].measure(period); err != nil {
			return nil, err
		}
	}
	return tracks, nil
}

func touches(piece SeriesVerdicts, period calendar.Interval) bool {
	all := calendar.Interval{From: slot(piece, 0).From, To: slot(piece, len(piece.Verdicts)-1).To}
	return !all.Intersect(period).Empty()
}

// slot is the time for which the verdict of check k stands.
func slot(piece SeriesVerdicts, k int) calendar.Interval {
	step := piece.Interval.Milliseconds()
	at := piece.First.UnixMilli() + int64(k)*step
	return calendar.Interval{From: at - step, To: at}
}

// checksIn are the indices [from, to) of the checks whose slots have time in i.
func checksIn(piece SeriesVerdicts, i calendar.Interval) (from, to int) {
	if i.Empty() {
		return 0, 0
	}
	step, start := piece.Interval.Milliseconds(), slot(piece, 0).From
	clamp := func(k int64) int { return int(min(max(k, 0), int64(len(piece.Verdicts)))) }
	return clamp((i.From - start) / step), clamp((i.To - start + step - 1) / step)
}

func (t *track) measure(period calendar.Interval) error {
	var covered, good, down, open []calendar.Interval
	for _, piece := range t.pieces {
		from, to := checksIn(piece, period)
		for k := from; k < to; k++ {
			i := slot(piece, k).Intersect(period)
			covered = extend(covered, i)
			switch piece.Verdicts[k] {
			case Good:
				good = extend(good, i)
			case Breach:
				down = extend(down, i)
			case Missing, Unobserved:
				open = extend(open, i)
			default:
				return fmt.Errorf("series %s: unknown %s", t.labels, piece.Verdicts[k])
			}
		}
	}
	t.covered, t.down = calendar.NewSet(covered...), calendar.NewSet(down...)
	// Where pieces overlap (the interval changed), a measurement outweighs its absence.
	t.open = calendar.NewSet(open...).Subtract(calendar.NewSet(good...).Union(t.down))
	return nil
}

// extend appends i, or lengthens the last interval where i follows it.
func extend(list []calendar.Interval, i calendar.Interval) []calendar.Interval {
	if n := len(list); n > 0 && list[n-1].To == i.From {
		list[n-1].To = i.To
		return list
	}
	return append(list, i)
}

// counts are the checks with time in i, by verdict.
func (t *track) counts(i calendar.Interval) Counts {
	var c Counts
	for _, piece := range t.pieces {
		from, to := checksIn(piece, i)
		for k := from; k < to; k++ {
			switch piece.Verdicts[k] {
			case Good:
				c.Good++
			case Breach:
				c.Breach++
			case Missing:
				c.Missing++
			case Unobserved:
				c.Unobserved++
			}
		}
	}
	return c
}

// checks is the number of checks counted.
func (c Counts) checks() int { return c.Good + c.Breach + c.Missing + c.Unobserved }

// combined is the time at which the service is down, given each series' own
// down time; only series with a check at the moment take part.
func (u *Unavailable) combined(tracks []track, down []calendar.Set) calendar.Set {
	covered := make([]calendar.Set, len(tracks))
	for n := range tracks {
		covered[n] = tracks[n].covered
	}
	return calendar.Overlay([][]calendar.Set{covered, down}, func(n []int) bool {
		switch u.Combine {
		case CombineAll:
			return n[0] > 0 && n[1] == n[0]
		case CombineK:
			return n[1] >= u.K
		}
		return n[1] > 0
	})
}

// hashInputs covers everything that the figures depend on.
func hashInputs(c *Contract, cycle calendar.Cycle, period calendar.Interval, tracks []track) string {
	h := sha256.New()
	number := func(v int64) { _ = binary.Write(h, binary.BigEndian, v) }
	text := func(s string) { number(int64(len(s))); h.Write([]byte(s)) }
	text("watchkeeper slo inputs 1")
	text(c.hash)
	text(cycle.Name)
	number(period.From)
	number(period.To)
	for _, t := range tracks {
		text(t.labels.String())
		for _, piece := range t.pieces {
			from, to := checksIn(piece, period)
			number(piece.Interval.Milliseconds())
			number(slot(piece, from).To)
			number(int64(to - from))
			for _, v := range piece.Verdicts[from:to] {
				h.Write([]byte{byte(v)})
			}
		}
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}
