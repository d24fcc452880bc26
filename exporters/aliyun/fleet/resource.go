package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/exporters"
	"watchkeeper/internal/sample"
)

// resource is what is known of one. One goroutine at a time uses it.
type resource struct {
	Resource
	source sample.Source

	complete time.Time // end of the newest window that was read and delivered; zero: none
	started  bool      // resume was asked
	fillIn   bool      // the history of the first contact is not all delivered
	absent   time.Time // since when lists lack it; zero: listed
	gone     bool      // its series have ended
	series   map[string]*series
}

// series is one of a resource's and what was delivered of it lately.
type series struct {
	labels labels.Labels
	times  []int64 // Unix ms, ascending
}

// window is a stretch (start, end] of event time to read, of which (fresh, end]
// is read for the first time.
type window struct{ start, fresh, end time.Time }

// one reads a resource from the end of its newest window to at, less the delay.
func (c *Collector) one(ctx, work context.Context, r *resource, at time.Time, sink exporters.Sink) error {
	if err := c.start(work, r, at); err != nil {
		return err
	}
	err := work.Err()
	for _, w := range c.windows(r, at) {
		if err != nil {
			break
		}
		err = c.read(work, r, w, at, sink)
	}
	if err == nil && r.fillIn && !r.complete.IsZero() {
		if err = sink.Append(work, sample.Batch{Source: r.source, Watermark: c.watermark(r.complete)}); err == nil {
			r.fillIn = false
		}
	}
	if errors.Is(err, ErrGone) && !r.absent.IsZero() {
		return c.end(ctx, r, sink)
	}
	if err != nil {
		return c.fail(ctx, r, at, err, sink)
	}
	return nil
}

// start finds out, once, whether the resource was read in an earlier run.
func (c *Collector) start(ctx context.Context, r *resource, at time.Time) error {
	if r.started {
		return nil
	}
	r.fillIn = true
	if c.resume != nil {
		end, known, err := c.resume(ctx, r.source)
		if err != nil {
			return fmt.Errorf("resume: %w", err)
		}
		if known && !end.After(at) {
			r.complete, r.fillIn = end.Truncate(c.cfg.Step), false
		}
	}
	r.started = true
	return nil
}

// windows splits what is to be read, oldest first. There is none when nothing is
// new and nothing can come late.
func (c *Collector) windows(r *resource, at time.Time) []window {
	end := at.Add(-c.cfg.Delay).Truncate(c.cfg.Step)
	from := r.complete
	if from.IsZero() {
		from = at.Add(-c.cfg.FillIn).Truncate(c.cfg.Step)
		if latest := end.Add(-c.cfg.Step); from.After(latest) {
			from = latest
		}
	} else if oldest := at.Add(-c.cfg.CatchUp).Truncate(c.cfg.Step); from.Before(oldest) {
		c.log.Warn("gap given up: outage longer than catch_up", "instance", r.ID, "from", from, "to", oldest)
		c.counts.gapSeconds.Add(oldest.Sub(from).Seconds())
		from = oldest
	}
	if !from.Before(end) {
		if c.cfg.Overlap == 0 {
			return nil
		}
		return []window{{start: end.Add(-c.cfg.Overlap), fresh: end, end: end}}
	}
	var out []window
	for from.Before(end) {
		w := window{start: from.Add(-c.cfg.Overlap), fresh: from, end: end}
		if w.end.Sub(w.start) > c.cfg.Chunk {
			w.end = w.start.Add(c.cfg.Chunk).Truncate(c.cfg.Step)
		}
		out = append(out, w)
		from = w.end
	}
	return out
}

// watermark is the one that holds when everything up to end is delivered.
func (c *Collector) watermark(end time.Time) int64 {
	if c.cfg.Delay == 0 {
		return sample.Current
	}
	return end.UnixMilli()
}

// read reads one window and delivers it; the cursor moves only when sink has it.
func (c *Collector) read(ctx context.Context, r *resource, w window, at time.Time, sink exporters.Sink) error {
	points, err := c.reader.Read(ctx, r.Resource, w.start, w.end)
	if err != nil {
		return err
	}
	batch := sample.Batch{Source: r.source, FillIn: r.fillIn, Watermark: w.end.UnixMilli()}
	if newest := at.Add(-c.cfg.Delay).Truncate(c.cfg.Step); !r.fillIn && !w.end.Before(newest) {
		batch.Watermark = c.watermark(w.end)
	}
	var staged map[string][]int64
	batch.Samples, staged = c.fresh(r, w, points)
	for t := w.fresh.Add(c.cfg.Step); !t.After(w.end); t = t.Add(c.cfg.Step) {
		batch.Ups = append(batch.Ups, sample.Up{T: t.UnixMilli(), OK: true})
	}
	if err := sink.Append(ctx, batch); err != nil {
		return fmt.Errorf("deliver: %w", err)
	}
	r.commit(batch.Samples, staged, w.start)
	r.complete = w.end
	c.counts.delivered.Add(len(batch.Samples))
	return nil
}

// fresh leaves out what was delivered before, and points of another time than
// was asked for: those of a wrong time zone would be eight hours off.
func (c *Collector) fresh(r *resource, w window, points []sample.Sample) (out []sample.Sample, staged map[string][]int64) {
	staged = map[string][]int64{}
	c.counts.read.Add(len(points))
	var buf []byte
	for _, p := range points {
		t := time.UnixMilli(p.T)
		if t.After(w.end) || t.Before(w.start) {
			c.counts.misdated.Inc()
			continue
		}
		buf = p.Labels.Bytes(buf)
		key := string(buf)
		known := r.series[key]
		if known != nil && known.has(p.T) || slices.Contains(staged[key], p.T) || t.Equal(w.start) {
			c.counts.duplicates.Inc()
			continue
		}
		if known != nil && p.T < known.newest() {
			c.counts.late.Inc()
		}
		staged[key] = append(staged[key], p.T)
		out = append(out, p)
	}
	slices.SortStableFunc(out, func(a, b sample.Sample) int { return cmp.Compare(a.T, b.T) })
	return out, staged
}

// commit takes over what sink has acknowledged. Times that no later window
// reaches are forgotten.
func (r *resource) commit(samples []sample.Sample, staged map[string][]int64, before time.Time) {
	var buf []byte
	for _, p := range samples {
		buf = p.Labels.Bytes(buf)
		if r.series[string(buf)] == nil {
			r.series[string(buf)] = &series{labels: p.Labels}
		}
	}
	for key, times := range staged {
		s := r.series[key]
		s.times = append(s.times, times...)
		slices.Sort(s.times)
	}
	for key, s := range r.series {
		i, _ := slices.BinarySearch(s.times, before.UnixMilli())
		if s.times = slices.Delete(s.times, 0, i); len(s.times) == 0 {
			delete(r.series, key)
		}
	}
}

func (s *series) has(t int64) bool {
	_, found := slices.BinarySearch(s.times, t)
	return found
}

func (s *series) newest() int64 { return s.times[len(s.times)-1] }

// fail declares that this check of the resource failed and that it does not
// deliver currently, and returns err.
func (c *Collector) fail(ctx context.Context, r *resource, at time.Time, err error, sink exporters.Sink) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return err // we are being stopped; the resource is not at fault
	}
	batch := sample.Batch{Source: r.source, Ups: []sample.Up{{T: at.UnixMilli(), OK: false}}, FillIn: r.fillIn}
	if !r.complete.IsZero() {
		batch.Watermark = r.complete.UnixMilli()
	}
	if appendErr := sink.Append(ctx, batch); appendErr != nil {
		return errors.Join(err, fmt.Errorf("declare failure: %w", appendErr))
	}
	return err
}

// end ends the series of a resource that list and reading agree is gone.
func (c *Collector) end(ctx context.Context, r *resource, sink exporters.Sink) error {
	batch := sample.Batch{Source: r.source, Watermark: sample.Current}
	for _, s := range r.series {
		batch.Ends = append(batch.Ends, sample.End{Labels: s.labels, T: s.newest(), Reason: reasonDeleted})
	}
	if len(batch.Ends) > 0 {
		if err := sink.Append(ctx, batch); err != nil {
			return fmt.Errorf("end series: %w", err)
		}
	}
	c.log.Info("resource is gone", "instance", r.ID, "series", len(batch.Ends))
	r.gone = true
	return nil
}
