package app

import (
	"context"
	"fmt"
	"time"

	"watchkeeper/internal/api"
	"watchkeeper/internal/storage"
	"watchkeeper/ruleset"
	"watchkeeper/ruleset/coverage"
	"watchkeeper/ruleset/override"
)

// CoverageOf computes the coverage of a store's resources at now. The groups
// are the rules in force; applied says which of them come from overrides; refused, unless
// nil, what limits keep from being judged.
func CoverageOf(ctx context.Context, cfg coverage.Config, store *storage.Store, groups []ruleset.Group, applied []override.Applied, refused ruleset.Refuser, now time.Time) (*coverage.Report, error) {
	return coverage.Compute(ctx, cfg, store, records{store.Journal()}, groups, applied, refused, now)
}

// CoverageOfCustomer is what a report says of one customer, of whom something must
// be known.
func CoverageOfCustomer(r *coverage.Report, customer string) (*coverage.Report, error) {
	if r = r.Of(customer); r.Resources == 0 {
		return nil, api.Mark(fmt.Errorf("no resource of the customer %q is known: mend the name, or look whether anything is delivered", customer), api.ErrNotFound)
	}
	return r, nil
}

// coverage answers the API, one request at a time: each reads the newest
// samples of every series that a rule judges.
func (a *App) coverage() api.Coverage {
	alone := make(chan struct{}, 1)
	return func(ctx context.Context, customer string) (any, error) {
		select {
		case alone <- struct{}{}:
			defer func() { <-alone }()
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		r, err := a.coverageNow(ctx)
		if err != nil || customer == "" {
			return r, err
		}
		return CoverageOfCustomer(r, customer)
	}
}

func (a *App) coverageNow(ctx context.Context) (*coverage.Report, error) {
	a.mu.Lock()
	loaded := a.loaded
	a.mu.Unlock()
	return CoverageOf(ctx, loaded.coverage, a.store, loaded.groups, loaded.applied, a.engine.Refusing(), a.now())
}

// coverageEvery is how often the coverage is computed for its metrics.
const coverageEvery = 5 * time.Minute

// keepCoverage keeps the metrics of coverage up to date.
func (a *App) keepCoverage(ctx context.Context) error {
	gauges, holes := coverage.NewGauges(a.set), judgingSeries{deliver: sink{a.pipeline}.Append}
	inMiddles(ctx, coverageEvery, func(time.Time) {
		r, err := a.coverageNow(ctx)
		if err != nil {
			if ctx.Err() == nil {
				a.log.Warn("coverage is not known", "err", err)
			}
			return
		}
		gauges.Set(r)
		if err := holes.writeHoles(ctx, r, a.customers()); err != nil && ctx.Err() == nil {
			a.log.Warn("holes of the coverage are not written as series", "err", err)
		}
	})
	return nil
}
