package app

import (
	"context"
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/alertrouter/incident"
	"watchkeeper/internal/storage"
)

// knows implements api.Customers.
func (a *App) knows(ctx context.Context, customer string) (bool, error) {
	if slices.Contains(a.config().CustomerNames(), customer) {
		return true, nil
	}
	if has, err := HasSamples(ctx, a.store, customer); has || err != nil {
		return has, err
	}
	return HasIncidents(ctx, a.router.Incidents(), customer)
}

// HasSamples tells whether a store has series of a customer.
func HasSamples(ctx context.Context, store *storage.Store, customer string) (bool, error) {
	q, err := store.Querier(math.MinInt64, math.MaxInt64)
	if err != nil {
		return false, err
	}
	defer q.Close()
	names, _, err := q.LabelValues(ctx, "customer", nil, labels.MustNewMatcher(labels.MatchEqual, "customer", customer))
	return len(names) > 0, err
}

// HasIncidents tells whether there is or was an incident of a customer.
func HasIncidents(ctx context.Context, store *incident.Store, customer string) (bool, error) {
	list, err := store.List(ctx, incident.Filter{Customer: customer, Limit: 1})
	return len(list) > 0, err
}
