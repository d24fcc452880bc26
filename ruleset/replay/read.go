package replay

import (
	"context"
	"fmt"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// readPoints calls fn for every number in [mint, maxt] of the series that match.
func readPoints(ctx context.Context, q queryable, mint, maxt int64, ms []*labels.Matcher, fn func(l labels.Labels, t int64, v float64)) error {
	querier, err := q.Querier(mint, maxt)
	if err != nil {
		return fmt.Errorf("open querier: %w", err)
	}
	defer querier.Close()
	set := querier.Select(ctx, true, &storage.SelectHints{Start: mint, End: maxt}, ms...)
	var it chunkenc.Iterator
	for set.Next() {
		l := set.At().Labels()
		it = set.At().Iterator(it)
		for vt := it.Next(); vt != chunkenc.ValNone; vt = it.Next() {
			if vt != chunkenc.ValFloat {
				continue
			}
			if t, v := it.At(); t >= mint && t <= maxt {
				fn(l, t, v)
			}
		}
		if err := it.Err(); err != nil {
			return fmt.Errorf("read series %s: %w", l, err)
		}
	}
	if err := set.Err(); err != nil {
		return fmt.Errorf("select series: %w", err)
	}
	return nil
}
