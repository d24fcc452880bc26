package storage

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"

	"watchkeeper/internal/journal"
	"watchkeeper/internal/sample"
)

const (
	// compactFrom is the size in bytes from which on a journal that has doubled is
	// compacted while the store runs.
	compactFrom = 16 << 20
	// compactEvery is how often it is looked at, and compactAgain when it is tried
	// again after a failure.
	compactEvery = time.Minute
	compactAgain = time.Hour
	// worthwhile is the share of the records, one in so many, for which the journal
	// is written anew.
	worthwhile = 10
)

// Run keeps the journal short until ctx ends. Failures are logged and tried again;
// the store works without it.
func (s *Store) Run(ctx context.Context) error {
	t := time.NewTicker(compactEvery)
	defer t.Stop()
	var failed time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		if s.journal.Size() < max(compactFrom, 2*s.compacted) || time.Since(failed) < compactAgain {
			continue
		}
		if err := s.compactRunning(ctx); err != nil && ctx.Err() == nil {
			failed = time.Now()
			s.logger.Warn("journal not compacted, it grows on; tried again in an hour", "err", err)
		}
	}
}

// compactRunning drops what nobody needs any more while the store runs. What goes of
// series and sources is forgotten first, so that one which comes back is journaled anew:
// the new record is kept, whatever becomes of the old one.
func (s *Store) compactRunning(ctx context.Context) error {
	d, err := s.forgetGone(ctx)
	if err != nil {
		return err
	}
	_, err = s.compact(ctx, d)
	return err
}

// forgetGone finds what the journal can do without, and forgets the series and the
// sources of it. No import comes in between: it may bring samples of a time of which
// there were none.
func (s *Store) forgetGone(ctx context.Context) (*dispensable, error) {
	s.importing.Lock()
	defer s.importing.Unlock()
	d := s.newDispensable()
	if err := s.journal.Each(func(r journal.Record) error { d.see(r); return ctx.Err() }); err != nil {
		return nil, err
	}
	if err := d.search(ctx); err != nil {
		return nil, err
	}
	d.forget()
	return d, ctx.Err()
}

// compactStarting is the same at a start, when nobody knows the store yet and seen
// has seen what the journal holds: what the store knows is read from it again.
func (s *Store) compactStarting(seen *dispensable) error {
	if err := seen.search(context.Background()); err != nil {
		s.logger.Warn("journal not compacted at the start", "err", err)
		return nil
	}
	written, err := s.compact(context.Background(), seen)
	if err != nil {
		s.logger.Warn("journal not compacted at the start", "err", err)
	}
	if !written {
		return nil
	}
	s.index, s.sources, s.ends = newIndex(), newSources(), newEndLimit(s.cfg.MaxEndsPerDay)
	return s.readJournal(func(journal.Record) {})
}

// compact writes the journal anew where enough of it can go; it says whether it did.
func (s *Store) compact(ctx context.Context, d *dispensable) (written bool, err error) {
	before := s.journal.Size()
	if d.n == 0 || d.n < d.of/worthwhile {
		s.compacted = before
		return false, nil
	}
	if err := s.roomFor(before); err != nil {
		return false, err
	}
	d.hash()
	if err := s.journal.Compact(ctx, func(r journal.Record) bool { return !d.has(r) }); err != nil {
		return false, err
	}
	s.compacted = s.journal.Size()
	s.logger.Info("journal compacted", "bytes_before", before, "bytes", s.compacted)
	return true, nil
}

// roomFor makes sure that a second journal does not use up the space that the
// write-ahead log needs.
func (s *Store) roomFor(bytes int64) error {
	if s.space.min == 0 {
		return nil
	}
	free, err := s.space.free()
	if err != nil {
		return fmt.Errorf("ask for free space: %w", err)
	}
	if free-bytes < s.space.min {
		return fmt.Errorf("%w: %d bytes free, the new journal may take %d and %d are kept", ErrDiskFull, free, bytes, s.space.min)
	}
	return nil
}

// dispensable tells which records of the journal nobody needs any more:
//
//   - ends and late samples of a time of which the store holds no sample any more
//     and takes none;
//   - forced settlings of a source before its latest;
//   - who delivers a series, once the store holds no sample of it, and what is known
//     of a source, once nothing of it is left.
//
// The earliest contact stays: absent() is judged from it.
type dispensable struct {
	s      *Store
	before int64 // what happened before has expired
	of, n  int   // records seen, and how many of them can go

	forced map[sample.Source]int64 // the latest of each source

	searched bool                   // the store was asked what it holds
	lost     map[*series]bool       // begun before; once searched, those without a sample
	byHash   map[uint64][]*series   // those that can go, by hash of the labels
	old      map[sample.Source]bool // first heard of before
	alive    map[sample.Source]bool // something is left of these
	first    journal.Record         // the earliest contact
}

func (s *Store) newDispensable() *dispensable {
	return &dispensable{
		s: s, before: s.expiredBefore(), forced: map[sample.Source]int64{},
		lost: map[*series]bool{}, byHash: map[uint64][]*series{}, old: map[sample.Source]bool{}, alive: map[sample.Source]bool{},
	}
}

// expiredBefore is the time before which the store holds no sample and takes none.
func (s *Store) expiredBefore() int64 {
	return min(s.now().UnixMilli()-time.Duration(s.cfg.Retention).Milliseconds(), s.MinTime(), s.appendFloor())
}

func sourceOf(r journal.Record) sample.Source {
	return sample.Source{Customer: r.Customer, Name: r.Source}
}

// expired goes by arrival, too: a record may be younger than what it tells of.
func (d *dispensable) expired(r journal.Record) bool { return max(r.T, r.Arrive) < d.before }

// see takes notice of a record, which the store has taken already.
func (d *dispensable) see(r journal.Record) {
	d.of++
	src, expired := sourceOf(r), d.expired(r)
	switch r.Kind {
	case journal.KindEnd, journal.KindLate:
		if expired {
			d.n++
		}
	case journal.KindForced:
		last, there := d.forced[src]
		if there {
			d.n++
		}
		if !there || r.T > last {
			d.forced[src] = r.T
		}
	}
	d.seeOrigin(r, src, expired)
}

// seeOrigin notes what tells of series and sources.
func (d *dispensable) seeOrigin(r journal.Record, src sample.Source, expired bool) {
	if !expired {
		d.alive[src] = true
	}
	switch r.Kind {
	case journal.KindSeries:
		if ser := d.s.index.get(r.Labels.Hash(), r.Labels); expired && ser != nil {
			d.lost[ser] = true
		}
	case journal.KindContact:
		d.old[src] = expired
		if d.first.Kind == "" || r.Arrive < d.first.Arrive {
			d.first = r
		}
	}
}

// search looks which of the old series and sources the store still holds samples of.
func (d *dispensable) search(ctx context.Context) error {
	d.alive[sourceOf(d.first)] = true
	maps.DeleteFunc(d.old, func(src sample.Source, old bool) bool { return !old || d.alive[src] })
	if len(d.lost)+len(d.old) == 0 {
		return nil
	}
	q, err := d.s.db.Querier(math.MinInt64, math.MaxInt64)
	if err != nil {
		return fmt.Errorf("look for series: %w", err)
	}
	defer q.Close()
	hints := &storage.SelectHints{Start: math.MinInt64, End: math.MaxInt64, Func: "series"} // labels alone
	set := q.Select(ctx, false, hints, labels.MustNewMatcher(labels.MatchNotEqual, model.MetricNameLabel, ""))
	for set.Next() {
		if err := ctx.Err(); err != nil {
			return err
		}
		d.found(set.At().Labels())
	}
	if err := set.Err(); err != nil {
		return fmt.Errorf("look for series: %w", err)
	}
	d.searched = true
	d.n += len(d.lost) + 2*len(d.old)
	return nil
}

// hash sorts the series that can go by the hash of their labels: the index may not know
// them any more.
func (d *dispensable) hash() {
	if !d.searched {
		return
	}
	for ser := range d.lost {
		h := ser.labels.Hash()
		d.byHash[h] = append(d.byHash[h], ser)
	}
}

// forgetAtOnce is how many series or sources are forgotten while batches wait.
const forgetAtOnce = 256

// forget has the store forget the series and sources of which it holds no sample, but
// for those that a batch has brought back meanwhile.
func (d *dispensable) forget() {
	s := d.s
	pieces(slices.Collect(maps.Keys(d.lost)), func(lost []*series) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.index.remove(slices.DeleteFunc(lost, func(ser *series) bool {
			back := max(ser.newest, ser.seen) >= d.before
			if back {
				delete(d.lost, ser)
			}
			return back
		}))
	})
	pieces(slices.Collect(maps.Keys(d.old)), func(old []sample.Source) {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, id := range old {
			src := s.sources.known(id)
			if src == nil {
				continue
			}
			if src.heard >= d.before {
				d.live(id)
				continue
			}
			s.sources.remove(src)
			s.index.remove(slices.DeleteFunc([]*series{src.up, src.mark}, func(fact *series) bool { return fact == nil }))
		}
	})
}

// pieces calls fn with the list, a piece at a time.
func pieces[T any](list []T, fn func([]T)) {
	for piece := range slices.Chunk(list, forgetAtOnce) {
		fn(piece)
	}
}

// found notes that the store holds samples of a series.
func (d *dispensable) found(l labels.Labels) {
	if name := l.Get(model.MetricNameLabel); name == sample.UpMetric || name == sample.WatermarkMetric {
		d.live(sample.Source{Customer: l.Get(CustomerLabel), Name: l.Get("source")})
	}
	ser := d.s.index.get(l.Hash(), l)
	if ser == nil || !d.lost[ser] {
		return
	}
	delete(d.lost, ser)
	for _, id := range d.s.index.sourcesOf(ser) {
		d.live(d.s.sources.get(id))
	}
}

func (d *dispensable) live(src sample.Source) {
	d.alive[src] = true
	delete(d.old, src)
}

// has says whether a record can go.
func (d *dispensable) has(r journal.Record) bool {
	src, expired := sourceOf(r), d.expired(r)
	gone := d.searched && expired && !d.alive[src]
	switch r.Kind {
	case journal.KindEnd, journal.KindLate:
		return expired
	case journal.KindForced:
		last, seen := d.forced[src]
		return seen && r.T < last || gone
	case journal.KindSeries:
		return expired && slices.ContainsFunc(d.byHash[r.Labels.Hash()], func(ser *series) bool { return labels.Equal(ser.labels, r.Labels) })
	case journal.KindContact, journal.KindFillInEnd:
		return gone
	}
	return false
}
