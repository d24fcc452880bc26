package aliyun

import (
	"context"
	"fmt"
	"time"

	"watchkeeper/internal/sample"
)

// NewestFunc tells the time of the newest stored sample, not older than since, of the
// series that a source delivers; zero: there is none.
type NewestFunc func(ctx context.Context, source sample.Source, since time.Time) (time.Time, error)

// readPoints is until when an earlier run read points, given that it read whole
// windows until end: the last of them may have been empty for want of a permission.
// It is the zero time when there is no point within the reach of lookBack.
func (c *metricCollector) readPoints(ctx context.Context, end time.Time) (time.Time, error) {
	if c.newest == nil {
		return end, nil
	}
	// Most often the newest points are new; then little is read.
	for _, reach := range []time.Duration{time.Duration(c.account.Overlap), time.Duration(c.account.FillIn)} {
		t, err := c.newest(ctx, c.source, end.Add(-reach))
		if err != nil {
			return time.Time{}, fmt.Errorf("newest sample: %w", err)
		}
		if !t.IsZero() {
			return t, nil
		}
	}
	return time.Time{}, nil
}
