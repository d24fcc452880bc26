package storage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/internal/journal"
	"watchkeeper/internal/sample"
)

// importPrefix is that of the folders in which imports are put together.
const importPrefix = "import-"

// ErrOrder says that the samples of a series came out of order in an import.
// Sort the history; within a series time must rise.
var ErrOrder = errors.New("samples out of order")

// ImportStats says what an import did.
type ImportStats struct {
	Samples    int // stored
	Series     int
	Duplicates int // stored before with the same value
	Conflicts  int // refused: stored before with another value
	Refused    []Refusal
	Blocks     int
	MinT, MaxT int64 // of all samples, Unix ms
}

// Importer brings history into the store as blocks, past the out-of-order
// window and faster than Append. Nothing shows before Commit; a sample that
// cannot be taken fails the import as a whole, except that one which conflicts
// with a stored one is left out and counted.
//
// Memory grows with the number of series, not of samples; samples wait on disk.
// An Importer is for one goroutine. Appends to the store may go on meanwhile.
// What is imported is stored, not judged.
type Importer struct {
	s       *Store
	dir     string
	nowMs   int64
	byHash  map[uint64][]*importSeries
	series  []*importSeries
	windows map[int64]*window
	pairs   map[pair]int64 // who delivered, to the first T
	stats   ImportStats
}

type importSeries struct {
	id     uint32
	labels labels.Labels
	lastT  int64
	last   uint64
	some   bool
}

type pair struct {
	series uint32
	source sample.Source
}

// NewImporter starts an import. Commit or Close ends it.
func (s *Store) NewImporter() (*Importer, error) {
	dir, err := os.MkdirTemp(s.cfg.Dir, importPrefix)
	if err != nil {
		return nil, fmt.Errorf("storage: import: %w", err)
	}
	return &Importer{
		s:       s,
		dir:     dir,
		nowMs:   s.now().UnixMilli(),
		byHash:  make(map[uint64][]*importSeries),
		windows: make(map[int64]*window),
		pairs:   make(map[pair]int64),
		stats:   ImportStats{MinT: math.MaxInt64, MaxT: math.MinInt64},
	}, nil
}

// Append adds a batch of a source's history: samples, in order of time within
// each series, and up-samples. It is journalled that the source delivers the
// series. End marks and the watermark have no place in history and are an error.
func (im *Importer) Append(b sample.Batch) error {
	if err := im.s.checkSource(b.Source); err != nil {
		return err
	}
	if len(b.Ends) > 0 || b.Watermark != 0 {
		return fmt.Errorf("storage: import: batch with end marks or a watermark")
	}
	c := newLabelCheck(&im.s.cfg, b.Source)
	for _, x := range b.Samples {
		ser, err := im.add(c, x)
		if err != nil {
			return fmt.Errorf("storage: import: %w", err)
		}
		p := pair{ser.id, b.Source}
		if _, ok := im.pairs[p]; !ok {
			im.pairs[p] = x.T
		}
	}
	up := factLabels(sample.UpMetric, b.Source)
	for _, u := range b.Ups {
		if err := im.addTo(im.seriesOf(up), u.T, upValue(u.OK)); err != nil {
			return fmt.Errorf("storage: import: %w", err)
		}
	}
	return nil
}

// add checks one sample and adds it.
func (im *Importer) add(c *labelCheck, x sample.Sample) (*importSeries, error) {
	l, reason, detail := c.check(x.Labels)
	if reason != "" {
		return nil, fmt.Errorf("%s: %s: %s", x.Labels, reason, detail)
	}
	ser := im.seriesOf(l)
	return ser, im.addTo(ser, x.T, x.V)
}

func (im *Importer) seriesOf(l labels.Labels) *importSeries {
	h := l.Hash()
	for _, ser := range im.byHash[h] {
		if labels.Equal(ser.labels, l) {
			return ser
		}
	}
	ser := &importSeries{id: uint32(len(im.series)), labels: l}
	im.series = append(im.series, ser)
	im.byHash[h] = append(im.byHash[h], ser)
	return ser
}

func (im *Importer) addTo(ser *importSeries, t int64, v float64) error {
	bits := math.Float64bits(canonical(v))
	switch {
	case t > im.nowMs+time.Duration(im.s.cfg.MaxFuture).Milliseconds():
		return fmt.Errorf("%s at %d: %s", ser.labels, t, ReasonFuture)
	case t < im.nowMs-time.Duration(im.s.cfg.Retention).Milliseconds():
		return fmt.Errorf("%s at %d: %s: beyond the retention of %s", ser.labels, t, ReasonTooOld, im.s.cfg.Retention)
	case ser.some && t < ser.lastT:
		return fmt.Errorf("%w: %s at %d after %d", ErrOrder, ser.labels, t, ser.lastT)
	case ser.some && t == ser.lastT && bits != ser.last:
		return fmt.Errorf("%s at %d: %s", ser.labels, t, ReasonConflict)
	case ser.some && t == ser.lastT:
		im.stats.Duplicates++
		return nil
	case len(im.series) > im.s.cfg.MaxSeries:
		return fmt.Errorf("%s: %s", ser.labels, ReasonSeries)
	}
	ser.lastT, ser.last, ser.some = t, bits, true
	im.stats.MinT, im.stats.MaxT = min(im.stats.MinT, t), max(im.stats.MaxT, t)
	return im.window(t).add(ser.id, t, bits)
}

func (im *Importer) window(t int64) *window {
	from := floorTo(t, windowRange)
	w := im.windows[from]
	if w == nil {
		w = &window{path: filepath.Join(im.dir, fmt.Sprintf("spool-%d", from)), from: from}
		im.windows[from] = w
	}
	return w
}

// Commit writes the blocks and shows them, all or none. Those that could meet
// samples being appended now are written while appends wait.
func (im *Importer) Commit(ctx context.Context) (ImportStats, error) {
	stats, err := im.commit(ctx)
	if err := errors.Join(err, im.Close()); err != nil {
		return ImportStats{}, fmt.Errorf("storage: import: %w", err)
	}
	return stats, nil
}

func (im *Importer) commit(ctx context.Context) (ImportStats, error) {
	im.s.importing.Lock()
	defer im.s.importing.Unlock()
	if err := im.journalPairs(); err != nil {
		return ImportStats{}, err
	}
	windows := make([]*window, 0, len(im.windows))
	for _, w := range im.windows {
		windows = append(windows, w)
	}
	slices.SortFunc(windows, func(a, b *window) int { return cmp.Compare(a.from, b.from) })

	var blocks []ulid.ULID
	build := func(w *window) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		id, err := im.build(ctx, w)
		if err == nil && id != (ulid.ULID{}) {
			blocks = append(blocks, id)
		}
		return err
	}
	floor := im.s.appendFloor()
	for len(windows) > 0 && windows[0].from+windowRange <= floor {
		if err := build(windows[0]); err != nil {
			return ImportStats{}, err
		}
		windows = windows[1:]
	}
	im.s.mu.Lock()
	defer im.s.mu.Unlock()
	for _, w := range windows {
		if err := build(w); err != nil {
			return ImportStats{}, err
		}
	}
	if err := im.publish(ctx, blocks); err != nil {
		return ImportStats{}, err
	}
	im.stats.Blocks, im.stats.Series = len(blocks), len(im.series)
	im.remember()
	return im.stats, nil
}

// appendFloor is the time before which nothing can be appended any more. It
// only rises.
func (s *Store) appendFloor() int64 {
	newest := s.db.Head().MaxTime()
	if newest == math.MinInt64 {
		return newest // an empty head takes anything
	}
	return newest - time.Duration(s.cfg.OutOfOrderWindow).Milliseconds()
}

// publish moves the finished blocks to the others and makes the TSDB see them.
func (im *Importer) publish(ctx context.Context, blocks []ulid.ULID) error {
	var moved []string
	undo := func(err error) error {
		for _, dir := range moved {
			err = errors.Join(err, os.RemoveAll(dir))
		}
		return err
	}
	for _, id := range blocks {
		to := filepath.Join(im.s.cfg.Dir, tsdbDir, id.String())
		if err := os.Rename(filepath.Join(im.dir, id.String()), to); err != nil {
			return undo(err)
		}
		moved = append(moved, to)
	}
	// The one public call that reloads the blocks at once. It also writes out
	// the out-of-order samples, which would be done within two hours anyway.
	if err := im.s.db.CompactOOOHead(ctx); err != nil {
		return undo(fmt.Errorf("reload blocks: %w", err))
	}
	return nil
}

// remember brings the index up to the imported samples. The caller holds mu.
func (im *Importer) remember() {
	for _, ser := range im.series {
		known := im.s.index.get(ser.labels.Hash(), ser.labels)
		if known == nil || !ser.some {
			continue
		}
		if known.seen = max(known.seen, ser.lastT); known.known && ser.lastT >= known.newest {
			known.known = false // newest may have moved; to be read again
		}
	}
}

func (im *Importer) journalPairs() error {
	rs := make([]journal.Record, 0, len(im.pairs))
	for p, t := range im.pairs {
		l := im.series[p.series].labels
		src := im.s.sources.of(p.source)
		if known := im.s.index.get(l.Hash(), l); known != nil && im.s.index.delivers(known, src.id) {
			continue
		}
		rs = append(rs, journal.Record{
			Kind: journal.KindSeries, Customer: p.source.Customer, Source: p.source.Name, Labels: l, T: t, Arrive: im.nowMs,
		})
	}
	slices.SortFunc(rs, func(a, b journal.Record) int {
		return cmp.Or(cmp.Compare(a.T, b.T), cmp.Compare(a.Customer, b.Customer), cmp.Compare(a.Source, b.Source), labels.Compare(a.Labels, b.Labels))
	})
	if err := im.s.journal.Append(rs...); err != nil {
		return err
	}
	im.s.mu.Lock()
	defer im.s.mu.Unlock()
	for _, r := range rs {
		im.s.replay(r)
	}
	return nil
}

// Close removes what an import left on disk. After Commit it does nothing.
func (im *Importer) Close() error { return os.RemoveAll(im.dir) }

// removeAbandoned removes what imports cut off by a crash left behind.
func removeAbandoned(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() && strings.HasPrefix(e.Name(), importPrefix) {
			err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
		}
	}
	return err
}
