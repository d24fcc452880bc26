package storage

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
)

// windowRange is the span of an imported block in ms, aligned to it: one of the
// TSDB's own block ranges (2h times powers of 3), so that a month makes some
// fifteen blocks and compaction can go on from there.
var windowRange = (54 * time.Hour).Milliseconds()

const (
	spoolRecord = 4 + 8 + 8 // series id, time, value
	spoolBuffer = 1600 * spoolRecord
	commitEvery = 10_000  // samples per transaction of a block's builder
	maxReadBack = 4 << 20 // stored samples held in memory for comparison
)

// window is the samples of one block while they wait on disk, in the order in
// which they came. Its file is open only while it is written or read: there may
// be hundreds.
type window struct {
	path string
	from int64
	buf  []byte
}

func (w *window) add(id uint32, t int64, bits uint64) error {
	w.buf = binary.LittleEndian.AppendUint32(w.buf, id)
	w.buf = binary.LittleEndian.AppendUint64(w.buf, uint64(t))
	w.buf = binary.LittleEndian.AppendUint64(w.buf, bits)
	if len(w.buf) >= spoolBuffer {
		return w.flush()
	}
	return nil
}

func (w *window) flush() error {
	f, err := os.OpenFile(w.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	_, err = f.Write(w.buf)
	w.buf = w.buf[:0]
	return errors.Join(err, f.Close())
}

// each calls f with every sample of the window.
func (w *window) each(f func(id uint32, t int64, bits uint64) error) error {
	if err := w.flush(); err != nil {
		return err
	}
	in, err := os.Open(w.path)
	if err != nil {
		return err
	}
	defer in.Close()
	r := bufio.NewReaderSize(in, 1<<18)
	var rec [spoolRecord]byte
	for {
		if _, err := io.ReadFull(r, rec[:]); err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("read back: %w", err)
		}
		le := binary.LittleEndian
		if err := f(le.Uint32(rec[:4]), int64(le.Uint64(rec[4:12])), le.Uint64(rec[12:])); err != nil {
			return err
		}
	}
}

// build writes the window's block into the import's folder and returns its id,
// zero when every sample was stored before.
func (im *Importer) build(ctx context.Context, w *window) (id ulid.ULID, err error) {
	// The builder takes samples up to half its range behind the newest, so it is
	// told twice the range.
	bw, err := tsdb.NewBlockWriter(slog.New(slog.DiscardHandler), im.dir, 2*windowRange)
	if err != nil {
		return ulid.ULID{}, err
	}
	defer func() { err = errors.Join(err, bw.Close()) }()
	seen, err := im.storedIn(w)
	if err != nil {
		return ulid.ULID{}, err
	}
	defer func() { err = errors.Join(err, seen.close()) }()
	n, err := im.fill(ctx, w, bw, seen)
	if err != nil || n == 0 {
		return ulid.ULID{}, err
	}
	if id, err = bw.Flush(ctx); err != nil {
		return ulid.ULID{}, fmt.Errorf("write block: %w", err)
	}
	return id, markOutOfOrder(filepath.Join(im.dir, id.String(), "meta.json"))
}

// fill hands the samples of w that are not stored yet to bw.
func (im *Importer) fill(ctx context.Context, w *window, bw *tsdb.BlockWriter, seen *storedRange) (n int, err error) {
	refs := make(map[uint32]storage.SeriesRef)
	app := bw.AppenderV2(ctx)
	err = w.each(func(id uint32, t int64, bits uint64) error {
		ser := im.series[id]
		old, ok, err := seen.at(ser, t)
		switch {
		case err != nil:
			return err
		case ok && old == bits:
			im.stats.Duplicates++
			return nil
		case ok:
			im.refuse(ser, t, old, bits)
			return nil
		}
		ref, err := app.Append(refs[id], ser.labels, 0, t, math.Float64frombits(bits), nil, nil, storage.AOptions{})
		if err != nil {
			return fmt.Errorf("%s at %d: %w", ser.labels, t, err)
		}
		refs[id] = ref
		if n++; n%commitEvery == 0 {
			if err := app.Commit(); err != nil {
				return err
			}
			app = bw.AppenderV2(ctx)
		}
		return nil
	})
	if err != nil {
		return 0, errors.Join(err, app.Rollback())
	}
	im.stats.Samples += n
	return n, app.Commit()
}

func (im *Importer) refuse(ser *importSeries, t int64, old, bits uint64) {
	im.stats.Conflicts++
	im.s.metrics.refused[ReasonConflict].Inc()
	if len(im.stats.Refused) < maxRefused {
		im.stats.Refused = append(im.stats.Refused, Refusal{
			Labels: ser.labels, T: t, V: math.Float64frombits(bits), Reason: ReasonConflict,
			Detail: fmt.Sprintf("%v is stored", math.Float64frombits(old)),
		})
	}
}

// storedRange looks up what the store holds in a window.
type storedRange struct {
	q        storage.Querier // nil when the store holds nothing there
	from, to int64
	read     map[uint32][]stored
	n        int // samples in read
}

func (im *Importer) storedIn(w *window) (*storedRange, error) {
	r := &storedRange{from: w.from, to: w.from + windowRange - 1, read: make(map[uint32][]stored)}
	if im.s.MinTime() > r.to || im.s.MaxTime() < r.from {
		return r, nil
	}
	q, err := im.s.db.Querier(r.from, r.to)
	if err != nil {
		return nil, err
	}
	r.q = q
	return r, nil
}

func (r *storedRange) at(ser *importSeries, t int64) (uint64, bool, error) {
	if r.q == nil {
		return 0, false, nil
	}
	all, ok := r.read[ser.id]
	if !ok {
		var err error
		if all, err = readSeries(r.q, ser.labels, r.from, r.to); err != nil {
			return 0, false, err
		}
		if r.n += len(all); r.n > maxReadBack {
			clear(r.read)
			r.n = len(all)
		}
		r.read[ser.id] = all
	}
	return find(all, t)
}

func (r *storedRange) close() error {
	if r.q == nil {
		return nil
	}
	return r.q.Close()
}

// markOutOfOrder says in a block's metadata that it is out-of-order data. The
// TSDB takes the end of its in-order blocks for the beginning of its head, and
// at the next start would drop everything in the write-ahead log before it.
func markOutOfOrder(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var meta tsdb.BlockMeta
	if err := json.Unmarshal(b, &meta); err != nil {
		return fmt.Errorf("block metadata: %w", err)
	}
	meta.Compaction.SetOutOfOrder()
	if b, err = json.MarshalIndent(&meta, "", "\t"); err != nil {
		return fmt.Errorf("block metadata: %w", err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close())
}

// find returns the value at t of samples in order of time.
func find(all []stored, t int64) (bits uint64, ok bool, err error) {
	i, found := slices.BinarySearchFunc(all, t, func(p stored, t int64) int {
		switch {
		case p.t < t:
			return -1
		case p.t > t:
			return 1
		}
		return 0
	})
	if !found {
		return 0, false, nil
	}
	return all[i].bits, true, nil
}

func floorTo(t, unit int64) int64 {
	if r := t % unit; r < 0 {
		return t - r - unit
	} else {
		return t - r
	}
}
