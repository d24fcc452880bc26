package aliyun

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/exporters"
	"watchkeeper/exporters/aliyun/catalog"
	"watchkeeper/internal/sample"
)

// Bounds of one collection.
const (
	// maxPages of one window: 20,000 resources with a point a minute for chunk
	// plus the longest overlap need fewer.
	maxPages = 4096
	// cursorLifetime is how long a silent series' cursor is kept.
	cursorLifetime = 24 * time.Hour
	// declareReserve of a collection's time is kept for telling of its failure:
	// after the time-out the scheduler takes nothing more.
	declareReserve = 5 * time.Second
)

// Why a series ended.
const reasonDeleted = "deleted"

// metricCollector reads one CloudMonitor metric of one account in one region:
// the points of all resources, by calls without Dimensions.
//
// Each metric is a source of its own, because each is a call of its own: an
// up-sample says that somebody looked, and when the call for one metric fails,
// nobody looked at that metric while the others were looked at. It also
// gives the scheduler what it needs to spread the calls over the interval.
type metricCollector struct {
	source   sample.Source
	account  AccountConfig
	region   string // asked
	base     labels.Labels
	metric   catalog.Metric
	reader   *pointReader
	client   Client
	presence *Presence // shared with the product's inventory
	resume   ResumeFunc
	newest   NewestFunc
	gate     *gate
	counts   *pointMetrics
	log      *slog.Logger

	// complete is the end of the newest window that was fetched whole and
	// delivered; zero before the first.
	complete time.Time
	// lastPoints is the end of the newest whole window that held any point.
	lastPoints time.Time
	late       lateLooks
	started    bool // resume was asked
	fillIn     bool // the history of the first contact is not all delivered
	series     map[string]*series
}

var _ exporters.Collector = (*metricCollector)(nil)

func (c *metricCollector) Source() sample.Source { return c.source }

// Collect reads from the end of the newest whole window, less the overlap (see
// lateLooks), to at's minute. What is delivered in which order:
//
//	first contact   history in chunks, FillIn set; then an empty batch that ends it
//	usual poll      one batch, watermark Current
//	after an outage chunks with the watermark at their ends, the last one Current
//	failure         what was read; then an up-sample of 0 at at, with the
//	                watermark at the end of the newest whole window
//	no call left    an empty batch with that watermark: what was not looked at
//	                stays open and is read by a later poll
func (c *metricCollector) Collect(ctx context.Context, at time.Time, sink exporters.Sink) error {
	if err := c.start(ctx, at); err != nil {
		return err
	}
	if skipped := c.gate.admit(time.Now()); skipped != "" {
		return c.skip(ctx, skipped, sink)
	}
	work, cancel := reserve(ctx, declareReserve)
	defer cancel()
	if err := c.collect(work, at, sink); err != nil {
		return c.fail(ctx, at, err, sink)
	}
	return nil
}

func (c *metricCollector) collect(ctx context.Context, at time.Time, sink exporters.Sink) error {
	end := at.Truncate(time.Minute)
	from := c.from(at)
	start, whole := c.late.start(from, end)
	if ended := c.ended(from); whole && ended.Before(start) {
		start = ended
	}
	todo := windows(start, from, end)
	todo[0].start = c.lookBack(at, todo[0])
	for i, w := range todo {
		if err := c.read(ctx, w, i == len(todo)-1, sink); err != nil {
			return err
		}
	}
	if whole {
		c.late.done = end
	}
	if c.fillIn {
		if err := sink.Append(ctx, sample.Batch{Source: c.source, Watermark: sample.Current}); err != nil {
			return fmt.Errorf("end fill-in: %w", err)
		}
		c.fillIn = false
	}
	c.forget(end)
	return c.endGone(ctx, at, sink)
}

// skip passes over a poll. The source then does not deliver currently, but
// nothing failed either.
func (c *metricCollector) skip(ctx context.Context, reason string, sink exporters.Sink) error {
	c.log.Debug("poll skipped", "reason", reason)
	if c.complete.IsZero() {
		return nil // not even begun
	}
	if err := sink.Append(ctx, sample.Batch{Source: c.source, Watermark: unixMilli(c.complete), FillIn: c.fillIn}); err != nil {
		return fmt.Errorf("declare skipped poll: %w", err)
	}
	return nil
}

// start finds out, once, whether this source was read in an earlier run.
func (c *metricCollector) start(ctx context.Context, at time.Time) error {
	if c.started {
		return nil
	}
	c.fillIn = true
	if c.resume != nil {
		end, known, err := c.resume(ctx, c.source)
		if err != nil {
			return fmt.Errorf("resume: %w", err)
		}
		if known && !end.After(at) {
			if c.lastPoints, err = c.readPoints(ctx, end.Truncate(time.Minute)); err != nil {
				return fmt.Errorf("resume: %w", err)
			}
			c.complete, c.fillIn = end.Truncate(time.Minute), false
		}
	}
	c.started = true
	return nil
}

// from is where new event time begins.
func (c *metricCollector) from(at time.Time) time.Time {
	if c.complete.IsZero() {
		return at.Add(-time.Duration(c.account.FillIn)).Truncate(time.Minute)
	}
	oldest := at.Add(-time.Duration(c.account.CatchUp)).Truncate(time.Minute)
	if c.complete.Before(oldest) {
		c.log.Warn("gap given up: outage longer than catch_up", "from", c.complete, "to", oldest)
		c.counts.gapSeconds.Add(oldest.Sub(c.complete).Seconds())
		return oldest
	}
	return c.complete
}

// lookBack is where the first window starts. An empty answer may also be a
// missing permission, so after empty ones it reaches back to the last points,
// at most as far as a fill-in; as long as the answers are empty that costs nothing.
func (c *metricCollector) lookBack(at time.Time, w window) time.Time {
	switch {
	case c.complete.IsZero():
		return w.fresh
	case !c.lastPoints.Before(c.complete):
		return w.start
	}
	back := c.lastPoints
	if oldest := at.Add(-time.Duration(c.account.FillIn)).Truncate(time.Minute); back.Before(oldest) {
		back = oldest
	}
	// The last poll with points may have looked back the short overlap only.
	if back = back.Add(-c.late.whole - c.late.between); back.Before(w.start) {
		return back
	}
	return w.start
}

// ended is where a whole look at a metric of long periods begins. A point has the
// time of its period's begin, so that of an hour is older than the overlap when it comes.
func (c *metricCollector) ended(from time.Time) time.Time {
	if period := time.Duration(c.metric.Period()) * time.Second; period > c.late.whole {
		return from.Add(-period - c.late.whole)
	}
	return from.Add(-c.late.whole)
}

// read fetches one window and delivers it; state moves only when sink has it.
func (c *metricCollector) read(ctx context.Context, w window, last bool, sink exporters.Sink) error {
	got, fetchErr := c.fetch(ctx, w)
	batch := sample.Batch{Source: c.source, Samples: got.samples, FillIn: c.fillIn}
	if fetchErr != nil {
		if len(got.samples) == 0 || ctx.Err() != nil {
			return fetchErr
		}
		batch.Watermark = unixMilli(c.complete)
		if err := sink.Append(ctx, batch); err != nil {
			return errors.Join(fetchErr, fmt.Errorf("deliver: %w", err))
		}
		c.commit(got)
		return fetchErr
	}
	for _, t := range minutes(w.fresh, w.end) {
		batch.Ups = append(batch.Ups, sample.Up{T: t, OK: true})
	}
	batch.Watermark = w.end.UnixMilli()
	if last && !c.fillIn {
		batch.Watermark = sample.Current
	}
	if err := sink.Append(ctx, batch); err != nil {
		return fmt.Errorf("deliver: %w", err)
	}
	c.commit(got)
	c.gate.costs(c.account.PollCost(c.metric, len(got.staged)).Mean())
	c.complete = w.end
	if got.read > 0 {
		c.lastPoints = w.end
	}
	return nil
}

// fail declares that this check failed and that the source does not deliver
// currently, and returns err. It does so itself, not the scheduler, since the
// scheduler's word at the very first contact would end the fill-in before it began.
func (c *metricCollector) fail(ctx context.Context, at time.Time, err error, sink exporters.Sink) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return err // we are being stopped; the source is not at fault
	}
	batch := sample.Batch{
		Source:    c.source,
		Ups:       []sample.Up{{T: at.UnixMilli(), OK: false}},
		Watermark: unixMilli(c.complete),
		FillIn:    c.fillIn,
	}
	if declareErr := sink.Append(ctx, batch); declareErr != nil {
		return errors.Join(err, fmt.Errorf("declare failure: %w", declareErr))
	}
	return err
}

// reserve ends the context early enough to leave d for what follows; a quarter
// of the time when there is little.
func reserve(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, deadline.Add(-min(d, time.Until(deadline)/4)))
}

// fetched is what one window brought, not yet delivered: the samples, and the
// series as they will be once they are.
type fetched struct {
	read    int // points in the answer, duplicates included
	samples []sample.Sample
	staged  map[string]*series
}

// fetch reads all pages of a window. With an error it returns what the pages
// before it held.
func (c *metricCollector) fetch(ctx context.Context, w window) (fetched, error) {
	got := fetched{staged: map[string]*series{}}
	q := MetricQuery{
		Region: c.region, Namespace: c.metric.Namespace, Metric: c.metric.Metric, Period: c.metric.Period(),
		Start: w.start, End: w.end, Length: MaxPoints,
	}
	var err error
	for n := 1; ; n++ {
		var page MetricPage
		if page, err = c.client.MetricList(ctx, q); err != nil {
			break
		}
		var counts pointCounts
		counts, err = c.reader.each(page.Datapoints, func(p point) { c.stage(&got, p) })
		c.counts.page(counts)
		got.read += counts.read
		if err != nil || page.NextToken == "" {
			break
		}
		if page.NextToken == q.NextToken || n >= maxPages {
			err = &Error{Kind: ErrAnswer, Status: 200, Message: fmt.Sprintf("paging does not end (page %d)", n)}
			break
		}
		q.NextToken = page.NextToken
	}
	// Pages may be in any order; the store's cheap path is in order of time.
	slices.SortStableFunc(got.samples, func(a, b sample.Sample) int { return cmp.Compare(a.T, b.T) })
	if err != nil {
		return got, fmt.Errorf("%s %s: %w", c.metric.Namespace, c.metric.Metric, err)
	}
	return got, nil
}

// stage turns a point into a sample unless it was delivered before.
func (c *metricCollector) stage(got *fetched, p point) {
	key := seriesKey(p.dims)
	s := got.staged[key]
	if s == nil {
		s = c.newSeries(c.series[key], p.dims)
		got.staged[key] = s
	}
	period := int64(c.metric.Period()) * 1000
	slot := p.t / period
	// A point off the period's grid has no slot of its own; the store tells
	// whether it is new.
	if p.t%period == 0 {
		if s.cursor.seen(slot) {
			if old := c.series[key]; old != nil && old.cursor.seen(slot) {
				c.counts.duplicates.Inc()
			} else {
				c.counts.collisions.Inc()
			}
			return
		}
		if slot < s.cursor.last {
			c.counts.late.Inc()
		}
		s.cursor.mark(slot)
	}
	s.newest, s.ended = max(s.newest, p.t), false
	got.samples = append(got.samples, sample.Sample{Labels: s.labels, T: p.t, V: p.value})
}

// newSeries copies a known series for staging, or makes a new one.
func (c *metricCollector) newSeries(known *series, dims []string) *series {
	if known != nil {
		s := *known
		return &s
	}
	s := &series{}
	b := labels.NewBuilder(c.base)
	for i, dim := range dims {
		b.Set(c.reader.labels[i], dim) // an empty value sets no label
		if c.reader.labels[i] == catalog.InstanceLabel {
			s.instance = dim
		}
	}
	s.labels = b.Labels()
	return s
}

func seriesKey(dims []string) string {
	if len(dims) == 1 {
		return dims[0]
	}
	var key []byte
	for _, d := range dims {
		key = append(key, d...)
		key = append(key, 0xff) // never in valid UTF-8
	}
	return string(key)
}

// commit takes over what sink has acknowledged.
func (c *metricCollector) commit(got fetched) {
	c.counts.delivered.Add(len(got.samples))
	for key, s := range got.staged {
		c.series[key] = s
		c.presence.Point(s.instance, time.UnixMilli(s.newest))
	}
}

// forget drops series that have been silent for long; should one speak again,
// the store drops what it has already.
func (c *metricCollector) forget(end time.Time) {
	before := end.Add(-cursorLifetime)
	for key, s := range c.series {
		if s.newest < before.UnixMilli() {
			delete(c.series, key)
		}
	}
}

// endGone ends the series of instances that inventory and points agree are gone.
// Their cursors stay, for the overlap shows their last points again.
func (c *metricCollector) endGone(ctx context.Context, at time.Time, sink exporters.Sink) error {
	batch := sample.Batch{Source: c.source}
	var ended []*series
	for _, s := range c.series {
		if !s.ended && c.presence.Gone(s.instance, at) {
			batch.Ends = append(batch.Ends, sample.End{Labels: s.labels, T: s.newest, Reason: reasonDeleted})
			ended = append(ended, s)
		}
	}
	if len(ended) == 0 {
		return nil
	}
	if err := sink.Append(ctx, batch); err != nil {
		return fmt.Errorf("end series: %w", err)
	}
	for _, s := range ended {
		s.ended = true
	}
	return nil
}

// unixMilli is 0, "leave the watermark", for the zero time.
func unixMilli(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}
