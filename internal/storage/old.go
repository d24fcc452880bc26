package storage

import (
	"context"
	"fmt"

	"watchkeeper/internal/journal"
	"watchkeeper/internal/sample"
)

// AppendOld is Append of a batch of which something may come after its check has settled, which
// nobody can tell from what is stored. Before anything of it is there, foresee is given what will
// be taken, and the records that it returns are synced to the journal; so are the end marks,
// behind them. An error of foresee is returned, and nothing was taken. Other batches wait
// meanwhile.
func (s *Store) AppendOld(ctx context.Context, b sample.Batch, foresee func(accepted sample.Batch) ([]journal.Record, error)) (Result, error) {
	return s.counted(func() (Result, error) { return s.append(ctx, b, foresee) })
}

// journalAhead journals what must be there before the batch is. The caller holds mu: what becomes
// of each item is decided, and must stay so.
func (s *Store) journalAhead(b *batch) error {
	if b.foresee == nil {
		return nil
	}
	records, err := b.foresee(b.res.Accepted)
	if err == nil {
		if err = s.journal.Append(append(records, b.endRecords...)...); err != nil {
			err = fmt.Errorf("%w: %w", ErrFailed, err)
		}
	}
	if err != nil {
		s.ends.giveBack(b.in.Source.Customer, len(b.endRecords))
		return err
	}
	for _, r := range b.endRecords {
		s.replay(r)
	}
	return nil
}
