package storage

import (
	"context"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb"
)

// Admin is the store as Prometheus's web API wants it for its status and
// administration paths (web/api/v1.TSDBAdminStats).
type Admin struct{ s *Store }

// Admin returns the administration side of the store.
func (s *Store) Admin() Admin { return Admin{s} }

// CleanTombstones removes deleted samples from disk.
func (a Admin) CleanTombstones() error { return a.s.db.CleanTombstones() }

// Delete deletes the samples of [mint, maxt] of the matching series. What was
// judged of them stays judged.
func (a Admin) Delete(ctx context.Context, mint, maxt int64, ms ...*labels.Matcher) error {
	return a.s.db.Delete(ctx, mint, maxt, ms...)
}

// Snapshot writes a copy of the samples to dir.
func (a Admin) Snapshot(dir string, withHead bool) error { return a.s.db.Snapshot(dir, withHead) }

// Stats returns the head's cardinality statistics.
func (a Admin) Stats(statsByLabelName string, limit int) (*tsdb.Stats, error) {
	return a.s.db.Head().Stats(statsByLabelName, limit), nil
}

// WALReplayStatus returns how far the read of the write-ahead log was.
func (a Admin) WALReplayStatus() (tsdb.WALReplayStatus, error) {
	return a.s.stats.Head.WALReplayStatus.GetWALReplayStatus(), nil
}

// BlockMetas returns the metadata of all blocks.
func (a Admin) BlockMetas() ([]tsdb.BlockMeta, error) { return a.s.db.BlockMetas(), nil }
