package app

import (
	"context"
	"time"

	"watchkeeper/internal/api"
	"watchkeeper/internal/storage"
	"watchkeeper/ruleset"
	"watchkeeper/ruleset/coverage"
	"watchkeeper/ruleset/override"
)

// CoverageOf computes the coverage of a store's resources at now. The groups
// are the rules in force; applied says which of them come from overrides.
func CoverageOf(ctx context.Context, store *storage.Store, groups []ruleset.Group, applied []override.Applied, now time.Time) (*coverage.Report, error) {
	return coverage.Compute(ctx, coverage.DefaultConfig(), store, records{store.Journal()}, groups, applied, now)
}

// coverage answers the API, one request at a time: each reads the newest
// samples of every series that a rule judges.
func (a *App) coverage() api.Coverage {
	alone := make(chan struct{}, 1)
	return func(ctx context.Context) (any, error) {
		select {
		case alone <- struct{}{}:
			defer func() { <-alone }()
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		return CoverageOf(ctx, a.store, a.rules(), nil, a.now())
	}
}
