package ruleset

import (
	"context"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/internal/sample"
)

// What is rebuilt needs little of what is older than the samples that it is built from:
// when each source sent its first up-sample, what one that is silent declared last, when
// the series of an alert without data had its last sample. A start must not fail for a
// block of months ago that is damaged. It goes around that, and takes for what it cannot
// read what has an alert stand and nothing settle.

// readAround calls read for the times up to hi, all at once, and where that fails for those
// in front of what cannot be read, to the hour, and then for those behind it, as often as it
// takes to find them. It returns the hours that are lost, if any: known, where going around
// these is enough.
func (e *Engine) readAround(ctx context.Context, hi int64, what string, known checkRange, read func(lo, hi int64) error) (lost checkRange, err error) {
	if hi <= 0 {
		return checkRange{}, nil
	}
	if err = read(0, hi); err == nil || ctx.Err() != nil {
		return checkRange{}, err
	}
	if known.hi != 0 && known.hi < hi && read(0, known.lo-1) == nil && read(known.hi+1, hi) == nil {
		return known, nil
	}
	hour := time.Hour.Milliseconds()
	first, last := unreadable(0, hi/hour, func(lo, hi int64) error { return read(lo*hour, (hi+1)*hour-1) })
	if ctx.Err() != nil {
		return checkRange{}, ctx.Err()
	}
	lost = checkRange{first * hour, (last+1)*hour - 1}
	e.logger.Error("samples cannot be read: judging goes on without "+what,
		"err", err, "from", time.UnixMilli(lost.lo).UTC(), "to", time.UnixMilli(lost.hi).UTC())
	return lost, nil
}

// readOldUps reads when the sources sent their first up-samples, of those up to hi.
func (e *Engine) readOldUps(ctx context.Context, hi int64, p *past, ms []*labels.Matcher) (lost checkRange, err error) {
	return e.readAround(ctx, hi, "when sources sent their first up-samples", checkRange{}, func(lo, hi int64) error {
		return firstPoints(ctx, e.store, lo, hi, ms, func(l labels.Labels, pt point) (more bool) {
			s := e.source(sourceOf(l))
			late := p.isLateUp(s, pt.t)
			s.addUp(sample.Up{T: pt.t}, late)
			return late // the one after it is the first for some
		})
	})
}

// assumeUps has the sources that are as old as what is lost of the up-samples, and that
// sent some later, send their first in it: they are asked whether they looked. One that
// sent none later may never have.
func (e *Engine) assumeUps(lost checkRange, one *source) {
	if lost.hi == 0 {
		return
	}
	for _, s := range e.sources {
		if (one == nil || one == s) && s.contact != 0 && s.contact <= lost.hi && s.firstUp > lost.hi {
			s.noteFirst(max(s.contact, lost.lo), false)
		}
	}
}

// readOldWatermarks reads what the sources have declared that are silent since then. Where
// what one declared last is lost, what it declared before holds it back: it settles by force.
func (e *Engine) readOldWatermarks(ctx context.Context, from int64) error {
	var known checkRange
	for _, s := range e.sources {
		if s.contact == 0 || s.watermark != 0 || s.contact > from {
			continue
		}
		read := func(lo, hi int64) error {
			if lo > hi {
				return nil
			}
			return e.readWatermarks(ctx, lo, hi, s)
		}
		lost, err := e.readAround(ctx, from, "what sources declared that are silent", known, read)
		if err != nil {
			return err
		}
		if lost.hi == 0 {
			continue
		}
		known = lost
		s.watermark, s.reached = 0, 0 // read in order, and once
		if err := read(0, lost.lo-1); err != nil {
			return err
		}
		if err := read(lost.hi+1, from); err != nil {
			return err
		}
	}
	return nil
}
