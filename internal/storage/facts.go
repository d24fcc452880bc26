package storage

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"watchkeeper/internal/journal"
	"watchkeeper/internal/sample"
)

// watermarkEvery is how often an unchanged watermark is written again, so that
// it stays within the look-back of a query.
const watermarkEvery = time.Minute

// warmUpRange is how far behind the newest sample the start reads. Series that
// are silent for longer are read when they come back.
const warmUpRange = 10 * time.Minute

// checkFacts refuses up-samples and a watermark from the future.
func (s *Store) checkFacts(b *batch, limit int64) {
	ups := b.in.Ups[:0:0]
	for _, u := range b.in.Ups {
		if u.T > limit {
			b.res.refuse(&s.metrics, Refusal{Labels: factLabels(sample.UpMetric, b.in.Source), T: u.T, V: upValue(u.OK), Reason: ReasonFuture})
			continue
		}
		ups = append(ups, u)
	}
	b.in.Ups = ups
	if w := b.in.Watermark; w != sample.Current && w > limit {
		b.res.refuse(&s.metrics, Refusal{Labels: factLabels(sample.WatermarkMetric, b.in.Source), T: b.nowMs, V: watermarkValue(w), Reason: ReasonWatermark})
		b.in.Watermark = 0
	}
}

func upValue(ok bool) float64 {
	if ok {
		return 1
	}
	return 0
}

func watermarkValue(w int64) float64 {
	if w == sample.Current {
		return math.Inf(1)
	}
	return float64(w) / 1000
}

// contactRecords returns the journal records of a source's first batch and of
// the end of its fill-in. The end is recorded even when there was no fill-in: a
// contact without it is a fill-in under way.
func (s *Store) contactRecords(b *batch) []journal.Record {
	var rs []journal.Record
	if !b.source.contacted {
		rs = append(rs, b.record(journal.Record{Kind: journal.KindContact, Arrive: b.nowMs}))
	}
	if !b.source.fillInEnded && !b.in.FillIn {
		rs = append(rs, b.record(journal.Record{Kind: journal.KindFillInEnd, Arrive: b.nowMs}))
	}
	return rs
}

func (s *Store) resolveUps(b *batch) {
	if len(b.in.Ups) == 0 {
		return
	}
	if b.source.up == nil {
		b.source.up = s.factSeries(sample.UpMetric, b.in.Source)
	}
	for _, u := range b.in.Ups {
		b.items = append(b.items, item{series: b.source.up, t: u.T, v: upValue(u.OK), kind: itemUp})
	}
}

// factSeries is not held to the limit: facts grow with the sources alone.
func (s *Store) factSeries(name string, src sample.Source) *series {
	l := factLabels(name, src)
	return s.index.getOrCreate(l.Hash(), l, math.MaxInt)
}

// resolveEnds adds the stale markers and journal records of the end marks. An
// end told before is dropped; an end of another's series is refused, and so is one
// beyond the customer's limit.
func (s *Store) resolveEnds(b *batch, records []journal.Record, news map[*series]int) []journal.Record {
	kept := b.ends[:0]
	for _, e := range b.ends {
		ser := s.index.get(e.Labels.Hash(), e.Labels)
		if ser == nil || !s.index.delivers(ser, b.source.id) && !contains(news, ser) {
			b.res.refuseEnd(&s.metrics, Refusal{Labels: e.Labels, T: e.T, Reason: ReasonForeign})
			continue
		}
		if ser.endT == e.T {
			continue
		}
		if !s.ends.take(b.in.Source.Customer, b.nowMs) {
			b.res.refuseEnd(&s.metrics, Refusal{Labels: e.Labels, T: e.T, Reason: ReasonEnds, Detail: fmt.Sprintf("%d are taken in a day", s.cfg.MaxEndsPerDay)})
			continue
		}
		e.Labels, ser.seen = ser.labels, max(ser.seen, e.T)
		kept = append(kept, e)
		record := b.record(journal.Record{Kind: journal.KindEnd, Labels: ser.labels, T: e.T, Arrive: b.nowMs, Reason: e.Reason})
		if b.foresee == nil {
			records = append(records, record)
		} else {
			b.endRecords = append(b.endRecords, record)
		}
		b.items = append(b.items, item{series: ser, t: e.T + 1, v: math.Float64frombits(value.StaleNaN), kind: itemEnd})
	}
	b.ends = kept
	return records
}

func contains(m map[*series]int, ser *series) bool {
	_, ok := m[ser]
	return ok
}

// takeWatermark writes the watermark at the time of arrival when it says
// something new. The series is a step function of arrival time.
func (s *Store) takeWatermark(tx *tx, b *batch) error {
	w, src := b.in.Watermark, b.source
	if w == 0 {
		return nil
	}
	b.res.Accepted.Watermark = w
	if src.watermark == w && b.nowMs-src.watermarkAt < watermarkEvery.Milliseconds() {
		return nil
	}
	if src.mark == nil {
		src.mark = s.factSeries(sample.WatermarkMetric, b.in.Source)
	}
	at := b.nowMs
	if src.mark.known && src.mark.filled {
		at = max(at, src.mark.newest+1) // two in one millisecond, or a clock set back
	}
	out, err := tx.take(src.mark, at, watermarkValue(w))
	if err != nil {
		return err
	}
	if out == conflict || out == tooOld {
		// Only after a restart with the clock set back: the watermarks of the
		// time before stand in the way.
		if out, err = tx.take(src.mark, src.mark.newest+1, watermarkValue(w)); err != nil {
			return err
		}
	}
	if out == conflict || out == tooOld {
		// The clock is a day or more behind the samples: those are too old as well.
		b.res.refuse(&s.metrics, Refusal{Labels: src.mark.labels, T: at, V: watermarkValue(w), Reason: ReasonTooOld})
		b.res.Accepted.Watermark = 0
		return nil
	}
	src.watermark, src.watermarkAt = w, b.nowMs
	return nil
}

// replay brings what is remembered up to a journal record. The caller holds mu,
// or nobody else knows the store yet.
func (s *Store) replay(r journal.Record) {
	src := s.sources.of(sample.Source{Customer: r.Customer, Name: r.Source})
	switch r.Kind {
	case journal.KindContact:
		src.contacted = true
	case journal.KindFillInEnd:
		src.fillInEnded = true
	case journal.KindSeries, journal.KindEnd:
		ser := s.index.getOrCreate(r.Labels.Hash(), r.Labels, math.MaxInt)
		ser.seen = max(ser.seen, r.T)
		if r.Kind == journal.KindSeries {
			s.index.addSource(ser, src.id)
		} else {
			ser.endT = r.T
		}
	}
}

// warmUp reads the newest samples of all live series in one pass, which after
// a restart saves one look at the TSDB per series.
func (s *Store) warmUp(ctx context.Context) error {
	if s.db.Head().NumSeries() == 0 {
		return nil
	}
	from := s.db.Head().MaxTime() - warmUpRange.Milliseconds()
	q, err := s.db.Querier(from, math.MaxInt64)
	if err != nil {
		return fmt.Errorf("read newest samples: %w", err)
	}
	defer q.Close()
	set := q.Select(ctx, false, nil, labels.MustNewMatcher(labels.MatchNotEqual, "__name__", ""))
	var it chunkenc.Iterator
	for set.Next() {
		ls := set.At().Labels()
		ser := s.index.getOrCreate(ls.Hash(), ls, math.MaxInt)
		it = set.At().Iterator(it)
		if err := ser.setNewest(it); err != nil {
			return fmt.Errorf("read newest samples of %s: %w", ls, err)
		}
	}
	return set.Err()
}

func (ser *series) setNewest(it chunkenc.Iterator) error {
	for vt := it.Next(); vt != chunkenc.ValNone; vt = it.Next() {
		if vt != chunkenc.ValFloat {
			continue
		}
		t, v := it.At()
		ser.known, ser.filled, ser.newest, ser.bits = true, true, t, math.Float64bits(v)
	}
	return it.Err()
}
