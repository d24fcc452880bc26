package ruleset

import (
	"context"
	"fmt"
	"math"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"watchkeeper/internal/sample"
)

// recoverSources takes up the journal's sources with the up-samples from then on
// and the watermarks since then, at least the latest that the store has.
func (e *Engine) recoverSources(ctx context.Context, p *past, from int64) error {
	e.useSources(p)
	if err := e.readUps(ctx, from, p, nil, nil); err != nil {
		return err
	}
	if err := e.readWatermarks(ctx, from, e.now, nil); err != nil {
		return err
	}
	// Silent for longer than that; what they declared last still stands.
	return e.readOldWatermarks(ctx, from)
}

// useSources takes up the journal's sources.
func (e *Engine) useSources(p *past) {
	for id, s := range p.sources {
		e.sources[id] = s
	}
	if p.first != 0 && (e.started == 0 || p.first < e.started) {
		e.started = p.first
	}
}

// readUps reads the up-samples from then on, of one source or (nil) of all, and
// when each source sent its first ever. With slots one a slot is kept, and those that came late.
func (e *Engine) readUps(ctx context.Context, from int64, p *past, one *source, slots *Rule) error {
	ms := factMatchers(sample.UpMetric, one)
	lost, err := e.readOldUps(ctx, from-1, p, ms)
	if err != nil {
		return fmt.Errorf("first up-samples: %w", err)
	}
	defer e.assumeUps(lost, one)
	err = readSeries(ctx, e.store, from, math.MaxInt64/2, ms, func(l labels.Labels, pt point) {
		s := e.source(sourceOf(l))
		late := p.isLateUp(s, pt.t)
		if n := len(s.ups); slots != nil && !late && n > 0 && slots.checkOf(s.ups[n-1]) == slots.checkOf(pt.t) && !p.isLateUp(s, s.ups[n-1]) {
			return
		}
		s.addUp(sample.Up{T: pt.t, OK: pt.v == 1}, late)
	})
	if err != nil {
		return fmt.Errorf("up-samples: %w", err)
	}
	return nil
}

// readWatermarks reads the watermarks declared in [from, to].
func (e *Engine) readWatermarks(ctx context.Context, from, to int64, one *source) error {
	err := readSeries(ctx, e.store, from, max(from, to), factMatchers(sample.WatermarkMetric, one), func(l labels.Labels, pt point) {
		s := e.source(sourceOf(l))
		if s.watermark == 0 && s.contact < from {
			s.watermark = watermarkOf(pt.v) // what it was before is not known
			return
		}
		s.declare(watermarkOf(pt.v), pt.t-1)
	})
	if err != nil {
		return fmt.Errorf("watermarks: %w", err)
	}
	return nil
}

func sourceOf(l labels.Labels) sample.Source {
	return sample.Source{Customer: l.Get("customer"), Name: l.Get("source")}
}

func factMatchers(metric string, one *source) []*labels.Matcher {
	ms := []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, model.MetricNameLabel, metric)}
	if one != nil {
		ms = append(ms, labels.MustNewMatcher(labels.MatchEqual, "customer", one.id.Customer),
			labels.MustNewMatcher(labels.MatchEqual, "source", one.id.Name))
	}
	return ms
}

// watermarkOf reads a stored watermark: seconds, +Inf for sample.Current.
func watermarkOf(seconds float64) int64 {
	if math.IsInf(seconds, 1) {
		return sample.Current
	}
	return int64(math.Round(seconds * 1000))
}

// firstPoints calls fn with the first float points in [mint, maxt] of each series
// that matches, as long as it wants more.
func firstPoints(ctx context.Context, store storage.Queryable, mint, maxt int64, ms []*labels.Matcher, fn func(labels.Labels, point) (more bool)) error {
	q, err := store.Querier(mint, maxt)
	if err != nil {
		return fmt.Errorf("open querier: %w", err)
	}
	defer q.Close()
	set := q.Select(ctx, true, &storage.SelectHints{Start: mint, End: maxt}, ms...)
	var it chunkenc.Iterator
	for set.Next() {
		it = set.At().Iterator(it)
		for vt := it.Next(); vt != chunkenc.ValNone; vt = it.Next() {
			if vt != chunkenc.ValFloat {
				continue
			}
			if t, v := it.At(); t >= mint && t <= maxt && !fn(set.At().Labels(), point{t, v}) {
				break
			}
		}
		if err := it.Err(); err != nil {
			return fmt.Errorf("read series %s: %w", set.At().Labels(), err)
		}
	}
	return set.Err()
}
