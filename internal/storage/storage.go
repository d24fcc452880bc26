// Package storage is the one way in and the one way out of the stored samples.
//
// In front of the embedded Prometheus TSDB stands Store.Append. It refuses what
// would do harm or make judging ambiguous (samples from the future, a second
// value for a timestamp, bad labels), keeps the good samples of a batch, and
// tells exactly what it took, which is what the rule engine is then given.
// Reading goes through Prometheus's own storage interfaces, which Store
// implements.
//
// What is guaranteed: when Append returns without an error, the batch survives
// the death of the process, since it was handed to the operating system before;
// journal records (who delivers a series, ends, contacts) are also synced to
// disk. A power cut or a kernel crash may cost the samples that the kernel had
// not yet written by itself, about the last 30 seconds on usual settings.
// When Append returns an error, nothing of the batch was taken.
package storage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/util/compression"

	"watchkeeper/internal/journal"
	"watchkeeper/internal/sample"
)

// Names of the store's entries in its folder.
const (
	tsdbDir     = "tsdb"
	journalFile = "journal"
)

// Config says how the store keeps samples.
type Config struct {
	// Dir is the folder in which the store keeps its files. The caller holds
	// the lock on it.
	Dir string `yaml:"-"`
	// Retention is how long samples are kept. Default 400d.
	Retention model.Duration `yaml:"retention"`
	// OutOfOrderWindow is how far behind the newest stored sample another one
	// may be and still be taken. Default 24h.
	OutOfOrderWindow model.Duration `yaml:"out_of_order_window"`
	// MaxFuture is how far ahead of the clock a sample may be. One sample far
	// ahead would make the TSDB refuse everybody's. Default 10m.
	MaxFuture model.Duration `yaml:"max_future"`
	// MaxSeries is the number of series known at once beyond which new ones
	// are refused. Default 5000000.
	MaxSeries int `yaml:"max_series"`
	// MaxSourcesPerCustomer is how many sources of a customer are known at once beyond which
	// senders may name no new ones; one is known for as long as samples of it are kept.
	// Default 100000.
	MaxSourcesPerCustomer int `yaml:"max_sources_per_customer"`
	// MaxEndsPerDay is how many end marks of a customer are taken in a day (UTC);
	// each is kept as long as samples are. Default 500000.
	MaxEndsPerDay int `yaml:"max_ends_per_day"`
	// MaxLabels is the number of labels of a series, name included. Default 64.
	MaxLabels int `yaml:"max_labels"`
	// MaxLabelNameBytes is the length of a label name in bytes. Default 256.
	MaxLabelNameBytes int `yaml:"max_label_name_bytes"`
	// MaxLabelValueBytes is the length of a label value in bytes. Default 4096.
	MaxLabelValueBytes int `yaml:"max_label_value_bytes"`
	// MinFreeBytes is the free disk space below which nothing is taken, so that
	// the write-ahead log never meets a full disk. 0 turns the check off.
	// Default 134217728 (128 MiB).
	MinFreeBytes int64 `yaml:"min_free_bytes"`
}

// DefaultConfig returns the defaults. Dir has none.
func DefaultConfig() Config {
	return Config{
		Retention:             model.Duration(400 * 24 * time.Hour),
		OutOfOrderWindow:      model.Duration(24 * time.Hour),
		MaxFuture:             model.Duration(10 * time.Minute),
		MaxSeries:             5_000_000,
		MaxSourcesPerCustomer: 100_000,
		MaxEndsPerDay:         500_000,
		MaxLabels:             64,
		MaxLabelNameBytes:     256,
		MaxLabelValueBytes:    4096,
		MinFreeBytes:          128 << 20,
	}
}

// Validate names the first field that cannot be worked with.
func (c *Config) Validate() error {
	switch {
	case c.Retention < model.Duration(24*time.Hour):
		return fmt.Errorf("retention: %s is less than 1d", c.Retention)
	case c.OutOfOrderWindow <= 0:
		return fmt.Errorf("out_of_order_window: must be more than 0")
	case c.MaxFuture < 0:
		return fmt.Errorf("max_future: must not be negative")
	case c.MaxSeries < 1:
		return fmt.Errorf("max_series: must be at least 1")
	case c.MaxSourcesPerCustomer < 1:
		return fmt.Errorf("max_sources_per_customer: must be at least 1")
	case c.MaxEndsPerDay < 1:
		return fmt.Errorf("max_ends_per_day: must be at least 1")
	case c.MaxLabels < 2:
		return fmt.Errorf("max_labels: must be at least 2 (name and customer)")
	case c.MaxLabelNameBytes < len(CustomerLabel):
		return fmt.Errorf("max_label_name_bytes: must be at least %d", len(CustomerLabel))
	case c.MaxLabelValueBytes < 1:
		return fmt.Errorf("max_label_value_bytes: must be at least 1")
	case c.MinFreeBytes < 0:
		return fmt.Errorf("min_free_bytes: must not be negative")
	}
	return nil
}

// Store is the opened store. It implements Prometheus's SampleAndChunkQueryable
// and ExemplarQueryable. Its methods may be called concurrently.
type Store struct {
	cfg     Config
	logger  *slog.Logger
	now     func() time.Time
	db      *tsdb.DB
	stats   *tsdb.DBStats
	journal *journal.Journal
	index   *index
	sources *sources
	metrics storeMetrics
	wbl     *wblWatch
	space   *spaceGuard
	sandbox string // the copied folder of a read-only store; "" otherwise

	// mu serialises the deciding and writing of batches. It is held across the
	// write to the write-ahead log: whether a second value for a timestamp may
	// be taken can only be said when no first one is under way.
	mu        sync.Mutex
	broken    error // why nothing is taken any more, see ErrFailed; every Append fails with it
	lastSweep int64 // when old series were last looked for, Unix ms
	ends      *endLimit

	importing sync.Mutex // held by an import that is committed, and while what is gone is looked for; taken before mu

	compacted int64 // size of the journal when it was last compacted or found as short as it can be; Run's
}

var (
	_ storage.SampleAndChunkQueryable = (*Store)(nil)
	_ storage.ExemplarQueryable       = (*Store)(nil)
)

// Open opens the store in cfg.Dir, creating it when it is not there, and reads
// the write-ahead log and the journal. now is the clock that samples from the
// future are measured by.
func Open(cfg Config, logger *slog.Logger, set *metrics.Set, now func() time.Time) (*Store, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("storage: %w", err)
	}
	s := newStore(cfg, logger, set, now)
	if err := errors.Join(os.MkdirAll(cfg.Dir, 0o750), removeAbandoned(cfg.Dir)); err != nil {
		return nil, fmt.Errorf("storage: open: %w", err)
	}
	db, err := tsdb.Open(filepath.Join(cfg.Dir, tsdbDir), logger, s.wbl, tsdbOptions(cfg), s.stats)
	if err != nil {
		return nil, fmt.Errorf("storage: open: %w", err)
	}
	s.db = db
	if s.journal, err = journal.Open(filepath.Join(cfg.Dir, journalFile), logger, set); err != nil {
		return nil, errors.Join(fmt.Errorf("storage: %w", err), db.Close())
	}
	if err := s.loadAndCompact(); err != nil {
		return nil, errors.Join(fmt.Errorf("storage: %w", err), s.Close())
	}
	s.registerGauges(set)
	return s, nil
}

func newStore(cfg Config, logger *slog.Logger, set *metrics.Set, now func() time.Time) *Store {
	return &Store{
		cfg:     cfg,
		logger:  logger,
		now:     now,
		stats:   tsdb.NewDBStats(),
		index:   newIndex(),
		sources: newSources(),
		metrics: newStoreMetrics(set),
		wbl:     &wblWatch{Registerer: prometheus.NewRegistry()},
		space:   newSpaceGuard(cfg.Dir, cfg.MinFreeBytes),
		ends:    newEndLimit(cfg.MaxEndsPerDay),
	}
}

func tsdbOptions(cfg Config) *tsdb.Options {
	opts := tsdb.DefaultOptions()
	opts.RetentionDuration = time.Duration(cfg.Retention).Milliseconds()
	opts.OutOfOrderTimeWindow = time.Duration(cfg.OutOfOrderWindow).Milliseconds()
	// The default never merges two-hour blocks: 400 days would be 4800 of them.
	opts.MaxBlockDuration = min(opts.RetentionDuration/10, (31 * 24 * time.Hour).Milliseconds())
	opts.WALCompression = compression.Snappy
	// The folder has its own lock, see package datadir.
	opts.NoLockfile = true
	return opts
}

// load fills the index: who delivers what from the journal, the newest sample
// of each live series from the TSDB.
func (s *Store) load() error {
	if err := s.readJournal(func(journal.Record) {}); err != nil {
		return err
	}
	return s.warmUp(context.Background())
}

// loadAndCompact is load of a store that is written to.
func (s *Store) loadAndCompact() error {
	seen := s.newDispensable()
	if err := s.readJournal(seen.see); err != nil {
		return err
	}
	if err := s.compactStarting(seen); err != nil {
		return err
	}
	return s.warmUp(context.Background())
}

// readJournal brings what is remembered up to the journal, and shows it to see.
func (s *Store) readJournal(see func(journal.Record)) error {
	return s.journal.Each(func(r journal.Record) error {
		s.replay(r)
		s.ends.remember(r)
		see(r)
		return nil
	})
}

// DB returns the embedded TSDB, for status and administration. Appending to it
// directly would go around everything this package promises.
func (s *Store) DB() *tsdb.DB { return s.db }

// Journal returns the journal, for the inputs of judging that others record.
func (s *Store) Journal() *journal.Journal { return s.journal }

// MinTime returns the time of the oldest sample, blocks included, in Unix ms;
// math.MaxInt64 when there is none.
func (s *Store) MinTime() int64 {
	t := min(s.db.Head().MinTime(), s.db.Head().MinOOOTime())
	for _, b := range s.db.BlockMetas() {
		t = min(t, b.MinTime)
	}
	return t
}

// MaxTime returns the time of the newest sample in Unix ms; math.MinInt64 when
// there is none.
func (s *Store) MaxTime() int64 {
	t := max(s.db.Head().MaxTime(), s.db.Head().MaxOOOTime())
	for _, b := range s.db.BlockMetas() {
		t = max(t, b.MaxTime-1) // a block's interval is half-open
	}
	return t
}

// Querier implements storage.Queryable. Both ends are included, Unix ms.
func (s *Store) Querier(mint, maxt int64) (storage.Querier, error) {
	return s.db.Querier(mint, maxt)
}

// ChunkQuerier implements storage.ChunkQueryable.
func (s *Store) ChunkQuerier(mint, maxt int64) (storage.ChunkQuerier, error) {
	return s.db.ChunkQuerier(mint, maxt)
}

// ExemplarQuerier implements storage.ExemplarQueryable. Exemplars are not
// kept, so it finds none.
func (s *Store) ExemplarQuerier(ctx context.Context) (storage.ExemplarQuerier, error) {
	return s.db.ExemplarQuerier(ctx)
}

// SourceOf returns the source that delivers the series, and whether any ever
// did. With several it is the one that came last to it.
func (s *Store) SourceOf(l labels.Labels) (sample.Source, bool) {
	id, ok := s.index.sourceOf(l)
	if !ok {
		return sample.Source{}, false
	}
	return s.sources.get(id), true
}

// Err says why nothing is taken until the store is opened again; nil while it works.
func (s *Store) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.broken
}

// SeriesOf lists the known series that a source delivers, in no order.
func (s *Store) SeriesOf(src sample.Source) []labels.Labels {
	id, ok := s.sources.lookup(src)
	if !ok {
		return nil
	}
	return s.index.seriesOf(id)
}

// Close writes out what is pending and closes the store. Readers must be done.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = ErrClosed
	err := errors.Join(s.db.Close(), s.journal.Close())
	if s.sandbox != "" {
		err = errors.Join(err, os.RemoveAll(s.sandbox))
	}
	return err
}
