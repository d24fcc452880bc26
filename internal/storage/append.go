package storage

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/internal/journal"
	"watchkeeper/internal/sample"
)

// item is one value on its way into the store.
type item struct {
	series *series
	t      int64
	v      float64
	kind   itemKind
}

type itemKind uint8

const (
	itemSample itemKind = iota
	itemUp
	itemEnd // the stale marker of an end mark
)

// buffers are what a batch needs while it is being taken, and the next one again.
type buffers struct {
	good  []checked
	items []item
}

var bufferPool = sync.Pool{New: func() any { return new(buffers) }}

// putBack lets go of what the buffers hold.
func (b *buffers) putBack() {
	clear(b.good)
	clear(b.items)
	bufferPool.Put(b)
}

// batch is a sample.Batch while it is being taken.
type batch struct {
	*buffers
	in     sample.Batch
	source *source
	nowMs  int64
	ends   []sample.End // those that will be accepted
	res    Result

	foresee    func(sample.Batch) ([]journal.Record, error) // see AppendOld; nil in Append
	endRecords []journal.Record                             // of ends, where they are journaled with what it returns
}

// Append takes what may be taken of a batch and says exactly what that was.
//
//   - A sample more than MaxFuture ahead of the clock, a second value for a
//     stored (series, timestamp), a sample too old for the out-of-order window
//     and one with bad labels are refused; the others of the batch are kept.
//     The same value once more is dropped in silence, and counted.
//   - The label customer is set; a sender that claims another is refused.
//   - Up-samples become samples of sample.UpMetric; a watermark becomes one of
//     sample.WatermarkMetric, at the time of arrival, when it says something new.
//   - An end mark goes to the journal, and a stale marker is written 1 ms after
//     its T, so that queries see the series end. A real sample that stands there
//     is left alone; one that comes there later is a conflict. Beyond a number
//     a day, the end marks of a customer are refused.
//   - Who delivers a series, a source's first contact and the end of its fill-in
//     go to the journal before the samples are written.
//
// An error means that nothing was taken and that the same batch may be sent
// again: ErrDiskFull, ErrFailed, or a failed read of what is stored already.
// ErrNoSource is the caller's mistake.
func (s *Store) Append(ctx context.Context, b sample.Batch) (Result, error) {
	return s.counted(func() (Result, error) { return s.append(ctx, b, nil) })
}

// counted counts what became of a batch.
func (s *Store) counted(take func() (Result, error)) (Result, error) {
	start := time.Now()
	s.metrics.batches.Inc()
	res, err := take()
	if err != nil {
		s.metrics.batchesFailed.Inc()
		return Result{}, err
	}
	s.metrics.appended.Add(len(res.Accepted.Samples))
	s.metrics.duplicates.Add(res.Duplicates)
	s.metrics.duration.UpdateDuration(start)
	return res, nil
}

func (s *Store) append(ctx context.Context, in sample.Batch, foresee func(sample.Batch) ([]journal.Record, error)) (Result, error) {
	if err := s.checkSource(in.Source); err != nil {
		return Result{}, err
	}
	if err := s.space.check(); err != nil {
		return Result{}, err
	}
	if err := ctx.Err(); err != nil {
		return Result{}, fmt.Errorf("storage: %w", err)
	}
	b := &batch{buffers: bufferPool.Get().(*buffers), in: in, source: s.sources.of(in.Source), nowMs: s.now().UnixMilli(), foresee: foresee}
	defer b.putBack()
	b.res.Accepted = sample.Batch{Source: in.Source, FillIn: in.FillIn}
	s.check(b)

	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		return Result{}, s.broken
	}
	records := s.resolve(b)
	if len(records) > 0 {
		// Only new series, sources and ends come here. The fsync must not hold up
		// the others, and what other batches do meanwhile does no harm: nothing
		// was decided yet.
		s.mu.Unlock()
		err := s.journal.Append(records...)
		s.mu.Lock()
		if err != nil {
			s.ends.giveBack(in.Source.Customer, len(b.ends))
			return Result{}, fmt.Errorf("%w: %w", ErrFailed, err)
		}
		for _, r := range records {
			s.replay(r)
		}
	}
	if err := s.write(b); err != nil {
		b.source.watermarkAt = 0   // it is new when it comes again
		for _, e := range b.ends { // nobody was told of them: they are new when they come again
			if ser := s.index.get(e.Labels.Hash(), e.Labels); ser != nil {
				ser.endT = 0
			}
		}
		return Result{}, err
	}
	return b.res, nil
}

func (s *Store) checkSource(src sample.Source) error {
	if src.Customer == "" || src.Name == "" {
		return ErrNoSource
	}
	for _, v := range []string{src.Customer, src.Name} {
		if !utf8.ValidString(v) || len(v) > s.cfg.MaxLabelValueBytes {
			return fmt.Errorf("%w: %.40q is too long or not valid UTF-8", ErrNoSource, v)
		}
	}
	return nil
}

// checked is a sample whose labels are in order.
type checked struct {
	sample.Sample
	series *series // nil when the store has not met it
}

// checkLabels needs no look at the labels of a series that the store knows as
// it was sent: it would not know it, were anything wrong with them. last is the series
// of the sample before.
func (s *Store) checkLabels(c *labelCheck, last *series, x sample.Sample) (checked, Reason, string) {
	ser := s.index.getAfter(last, x.Labels)
	if ser != nil && !ser.reserved && ser.customer == c.customer {
		return checked{x, ser}, "", ""
	}
	l, reason, detail := c.check(x.Labels)
	x.Labels = l
	return checked{x, nil}, reason, detail
}

// check does what needs neither lock nor disk, and refuses what it can.
func (s *Store) check(b *batch) {
	limit := b.nowMs + time.Duration(s.cfg.MaxFuture).Milliseconds()
	labelCheck := newLabelCheck(&s.cfg, b.in.Source)
	b.good = slices.Grow(b.good[:0], len(b.in.Samples))
	var last *series
	for _, in := range b.in.Samples {
		refusal := Refusal{Labels: in.Labels, T: in.T, V: in.V}
		in.V = canonical(in.V)
		var x checked
		x, refusal.Reason, refusal.Detail = s.checkLabels(labelCheck, last, in)
		if refusal.Reason == "" && x.T > limit {
			refusal.Reason, refusal.Detail = ReasonFuture, fmt.Sprintf("%s ahead of the clock", ahead(x.T, b.nowMs))
		}
		if refusal.Reason != "" {
			b.res.refuse(&s.metrics, refusal)
			continue
		}
		b.good = append(b.good, x)
		last = x.series
	}
	for _, e := range b.in.Ends {
		refusal := Refusal{Labels: e.Labels, T: e.T}
		e.Labels, refusal.Reason, refusal.Detail = labelCheck.check(e.Labels)
		if refusal.Reason == "" && e.T > limit {
			refusal.Reason = ReasonFuture
		}
		if refusal.Reason == "" && len(e.Reason) > maxEndReason {
			refusal.Reason, refusal.Detail = ReasonLabels, fmt.Sprintf("the reason of its end is longer than %d bytes", maxEndReason)
		}
		if refusal.Reason != "" {
			b.res.refuseEnd(&s.metrics, refusal)
			continue
		}
		b.ends = append(b.ends, e)
	}
	s.checkFacts(b, limit)
}

func ahead(t, now int64) time.Duration {
	const most = int64(time.Duration(1<<63-1) / time.Millisecond)
	return time.Duration(min(t-now, most)) * time.Millisecond
}

// resolve finds or makes the series of the batch and returns what the journal
// has to know before they may be written. The caller holds mu.
func (s *Store) resolve(b *batch) []journal.Record {
	b.source.heard = max(b.source.heard, b.nowMs)
	records := s.contactRecords(b)
	b.items = slices.Grow(b.items[:0], len(b.good)+len(b.in.Ups)+len(b.ends))
	var news map[*series]int // the series whose source is new, to their record
	for _, x := range b.good {
		ser := x.series
		if ser == nil || ser.swept.Load() {
			ser = s.seriesOf(x.Labels, b.nowMs)
		}
		if ser == nil {
			b.res.refuse(&s.metrics, Refusal{Labels: x.Labels, T: x.T, V: x.V, Reason: ReasonSeries})
			continue
		}
		ser.seen = max(ser.seen, x.T)
		b.items = append(b.items, item{series: ser, t: x.T, v: x.V})
		if s.index.delivers(ser, b.source.id) {
			continue
		}
		if i, ok := news[ser]; ok {
			records[i].T = min(records[i].T, x.T)
			continue
		}
		if news == nil {
			news = make(map[*series]int)
		}
		news[ser] = len(records)
		records = append(records, b.record(journal.Record{Kind: journal.KindSeries, Labels: ser.labels, T: x.T, Arrive: b.nowMs}))
	}
	s.resolveUps(b)
	return s.resolveEnds(b, records, news)
}

func (b *batch) record(r journal.Record) journal.Record {
	r.Customer, r.Source = b.in.Source.Customer, b.in.Source.Name
	return r
}

// seriesOf returns nil when there are too many series.
func (s *Store) seriesOf(l labels.Labels, nowMs int64) *series {
	hash := l.Hash()
	if ser := s.index.getOrCreate(hash, l, s.cfg.MaxSeries); ser != nil {
		return ser
	}
	if nowMs-s.lastSweep < time.Hour.Milliseconds() {
		return nil
	}
	s.lastSweep = nowMs
	s.index.sweep(nowMs - time.Duration(s.cfg.Retention).Milliseconds())
	return s.index.getOrCreate(hash, l, s.cfg.MaxSeries)
}

// write decides about each item and commits. The caller holds mu.
func (s *Store) write(b *batch) error {
	if s.broken != nil {
		return s.broken
	}
	// In order of time, whatever the sender's order: each series then grows
	// forwards within the batch, and what the TSDB says of a sample when it is
	// handed over still holds when it is committed.
	byTime := func(x, y item) int { return cmp.Compare(x.t, y.t) }
	if !slices.IsSortedFunc(b.items, byTime) {
		slices.SortStableFunc(b.items, byTime)
	}
	b.res.Accepted.Samples = make([]sample.Sample, 0, len(b.items))
	tx := s.begin(b)
	for i := range b.items {
		if err := s.takeItem(tx, b, &b.items[i]); err != nil {
			return tx.rollback(err)
		}
	}
	if err := s.takeWatermark(tx, b); err != nil {
		return tx.rollback(err)
	}
	b.res.Accepted.Ends = b.ends
	if err := s.journalAhead(b); err != nil {
		return tx.rollback(err)
	}
	return tx.commit()
}

func (s *Store) takeItem(tx *tx, b *batch, it *item) error {
	out, err := tx.take(it.series, it.t, it.v)
	if err != nil {
		return err
	}
	if it.kind == itemEnd {
		return nil // what stands 1 ms behind the end, or is too old to, is left alone
	}
	switch out {
	case taken:
		if it.kind == itemUp {
			b.res.Accepted.Ups = append(b.res.Accepted.Ups, sample.Up{T: it.t, OK: it.v == 1})
			return nil
		}
		b.res.Accepted.Samples = append(b.res.Accepted.Samples, sample.Sample{Labels: it.series.labels, T: it.t, V: it.v, Ref: it.series.id})
	case duplicate:
		if it.kind == itemSample {
			b.res.Duplicates++
		}
	case conflict:
		b.res.refuse(&s.metrics, Refusal{
			Labels: it.series.labels, T: it.t, V: it.v,
			Reason: ReasonConflict, Detail: fmt.Sprintf("%v is stored, %v was sent", tx.stored, it.v),
		})
	case tooOld:
		b.res.refuse(&s.metrics, Refusal{
			Labels: it.series.labels, T: it.t, V: it.v,
			Reason: ReasonTooOld, Detail: fmt.Sprintf("more than %s behind the newest sample", s.cfg.OutOfOrderWindow),
		})
	}
	return nil
}
