package storage

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

type outcome uint8

const (
	taken     outcome = iota
	duplicate         // the same value is stored
	conflict          // another value is stored
	tooOld
)

// tx is one batch's transaction. The TSDB alone does not say what becomes of a
// second value for a timestamp: it refuses one only where it can still see the
// first (the newest in-order sample, the open out-of-order chunk), drops it in
// silence at the commit, or stores both. So tx looks first.
type tx struct {
	s       *Store
	app     storage.AppenderV2
	minT    int64 // of the batch
	maxT    int64
	touched []*series
	late    map[point]uint64     // out-of-order samples taken in this transaction
	read    map[*series][]stored // what was read back from the TSDB
	q       storage.Querier      // opened for the first look
	stored  float64              // the stored value, after a conflict
}

type point struct {
	series *series
	t      int64
}

type stored struct {
	t    int64
	bits uint64
}

// begin starts the transaction of a batch whose items are in order of time.
func (s *Store) begin(b *batch) *tx {
	// The watermark is written at the time of arrival.
	x := &tx{s: s, app: s.db.AppenderV2(context.Background()), minT: b.nowMs, maxT: b.nowMs}
	if n := len(b.items); n > 0 {
		x.minT, x.maxT = min(b.nowMs, b.items[0].t), max(b.nowMs, b.items[n-1].t)
	}
	return x
}

// take hands one value over, unless a value is stored for its time. Calls for
// one series come in order of time.
func (x *tx) take(ser *series, t int64, v float64) (outcome, error) {
	bits := math.Float64bits(v)
	if !ser.known {
		if err := x.learn(ser, t); err != nil {
			return 0, err
		}
	}
	switch {
	case t > ser.newest || t == ser.newest && !ser.filled:
	case t == ser.newest:
		return x.compare(ser.bits, bits), nil
	default:
		old, ok, err := x.lookup(ser, t)
		if err != nil {
			return 0, err
		}
		if ok {
			return x.compare(old, bits), nil
		}
	}
	ref, err := x.app.Append(ser.ref, ser.labels, 0, t, v, nil, nil, storage.AOptions{})
	switch {
	case err == nil:
	case errors.Is(err, storage.ErrTooOldSample), errors.Is(err, storage.ErrOutOfBounds), errors.Is(err, storage.ErrOutOfOrderSample):
		return tooOld, nil
	default:
		return 0, fmt.Errorf("%w: series %s: %w", ErrFailed, ser.labels, err)
	}
	x.touched = append(x.touched, ser)
	ser.ref = ref
	if t >= ser.newest {
		ser.newest, ser.bits, ser.filled = t, bits, true
		return taken, nil
	}
	if x.late == nil {
		x.late = make(map[point]uint64)
	}
	x.late[point{ser, t}] = bits
	return taken, nil
}

func (x *tx) compare(old, bits uint64) outcome {
	if old == bits {
		return duplicate
	}
	x.stored = math.Float64frombits(old)
	return conflict
}

// learn finds the newest sample of a series that was not seen since the start,
// as far as it is not before t.
func (x *tx) learn(ser *series, t int64) error {
	ser.known, ser.newest, ser.filled = true, t, false
	if x.fresh(ser, t) {
		return nil
	}
	ser.known = false // until the read succeeded
	all, err := x.history(ser, t, math.MaxInt64)
	if err != nil {
		return err
	}
	ser.known = true
	if len(all) == 0 {
		return nil
	}
	last := all[len(all)-1]
	ser.newest, ser.bits, ser.filled = last.t, last.bits, true
	x.keep(ser, all)
	return nil
}

// fresh says that nothing at or after t can be stored of a series, by what is
// known without reading: it is not in the head, and no block reaches t.
func (x *tx) fresh(ser *series, t int64) bool {
	if g, ok := x.app.(storage.GetRef); ok {
		if ref, _ := g.GetRef(ser.labels, ser.labels.Hash()); ref != 0 {
			ser.ref = ref
			return false
		}
	}
	for _, b := range x.s.db.Blocks() {
		if b.Meta().MaxTime > t {
			return false
		}
	}
	return true
}

// lookup returns the stored value at t, which is older than the newest.
func (x *tx) lookup(ser *series, t int64) (bits uint64, ok bool, err error) {
	if bits, ok := x.late[point{ser, t}]; ok {
		return bits, true, nil
	}
	all, ok := x.read[ser]
	if !ok {
		if all, err = x.history(ser, t, x.maxT); err != nil {
			return 0, false, err
		}
		x.keep(ser, all)
	}
	return find(all, t)
}

// keep remembers what was read of a series for its later samples in the batch.
func (x *tx) keep(ser *series, all []stored) {
	if x.read == nil {
		x.read = make(map[*series][]stored)
	}
	end := len(all)
	for end > 0 && all[end-1].t > x.maxT {
		end--
	}
	x.read[ser] = slices.Clip(all[:end:end])
}

// history reads the stored samples of one series in [from, to].
func (x *tx) history(ser *series, from, to int64) ([]stored, error) {
	x.s.metrics.lookups.Inc()
	if x.q == nil {
		q, err := x.s.db.Querier(min(x.minT, from), math.MaxInt64)
		if err != nil {
			return nil, fmt.Errorf("storage: read: %w", err)
		}
		x.q = q
	}
	return readSeries(x.q, ser.labels, from, to)
}

func readSeries(q storage.Querier, l labels.Labels, from, to int64) ([]stored, error) {
	matchers := make([]*labels.Matcher, 0, l.Len())
	l.Range(func(lb labels.Label) {
		matchers = append(matchers, labels.MustNewMatcher(labels.MatchEqual, lb.Name, lb.Value))
	})
	set := q.Select(context.Background(), false, &storage.SelectHints{Start: from, End: to}, matchers...)
	var all []stored
	for set.Next() {
		// A series with more labels matches as well.
		if !labels.Equal(set.At().Labels(), l) {
			continue
		}
		it := set.At().Iterator(nil)
		for vt := it.Seek(from); vt != chunkenc.ValNone; vt = it.Next() {
			if vt != chunkenc.ValFloat {
				continue // never written by this package
			}
			t, v := it.At()
			if t > to {
				break
			}
			all = append(all, stored{t, math.Float64bits(v)})
		}
		if err := it.Err(); err != nil {
			return nil, fmt.Errorf("storage: read series %s: %w", l, err)
		}
	}
	if err := set.Err(); err != nil {
		return nil, fmt.Errorf("storage: read series %s: %w", l, err)
	}
	return all, nil
}

// rollback undoes the transaction and returns why.
func (x *tx) rollback(cause error) error {
	x.forget()
	return errors.Join(cause, x.close(), x.app.Rollback())
}

func (x *tx) commit() error {
	if err := x.close(); err != nil {
		return x.rollback(err)
	}
	if err := x.app.Commit(); err != nil {
		x.forget()
		// The log may end within a record now, and what is written behind it
		// would be cut off by the repair at the next start: stop here.
		x.s.broken = fmt.Errorf("%w: %w; free space and restart", ErrFailed, err)
		x.s.logger.Error("write-ahead log failed, nothing more is taken until a restart", "err", err)
		return x.s.broken
	}
	return x.s.secureLate()
}

func (x *tx) close() error {
	if x.q == nil {
		return nil
	}
	q := x.q
	x.q = nil
	return q.Close()
}

// forget makes the touched series be read again before they are believed.
func (x *tx) forget() {
	for _, ser := range x.touched {
		ser.seen, ser.known = max(ser.seen, ser.newest), false
	}
}
