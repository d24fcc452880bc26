package plan

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"watchkeeper/exporters/aliyun"
	"watchkeeper/exporters/aliyun/catalog"
	"watchkeeper/exporters/aliyun/cdn"
	"watchkeeper/exporters/aliyun/cost"
	"watchkeeper/exporters/aliyun/events"
	"watchkeeper/exporters/aliyun/inventory"
	"watchkeeper/exporters/aliyun/performance"
)

// maxLivePages bounds the pages of one metric that are counted.
const maxLivePages = 4096

// Live asks the accounts how much they hold: one round of metric queries, which
// count for the quota, and of each list.
func Live(ctx context.Context, accounts []*aliyun.Account, now time.Time) (SizesFunc, error) {
	sizes := map[[2]string]Sizes{}
	for _, a := range accounts {
		for i, region := range a.Config().Regions {
			s, err := live(ctx, a, region, i == 0, now)
			if err != nil {
				return nil, fmt.Errorf("account %q: %w", a.Name(), err)
			}
			sizes[[2]string{a.Name(), region}] = *s
		}
	}
	return func(account, region string) Sizes { return sizes[[2]string{account, region}] }, nil
}

func live(ctx context.Context, a *aliyun.Account, region string, first bool, now time.Time) (*Sizes, error) {
	s := empty()
	for _, m := range a.Collected() {
		if m.Scope == catalog.Global && !first {
			continue
		}
		resources, series, err := count(ctx, a, region, m, now)
		if err != nil {
			return s, err
		}
		s.Resources[m.Product] = max(s.Resources[m.Product], resources)
		s.Series[m.Key()] = series
	}
	cfg := a.Config()
	if slices.Contains(cfg.Products, "rds") && !cfg.Performance.Off {
		engines, err := performance.Engines(ctx, a, region)
		if err != nil {
			return s, err
		}
		s.Resources["rds"] = 0
		for engine, n := range engines {
			s.Resources["rds-"+strings.ToLower(engine)] += n
			s.Resources["rds"] += n
		}
	}
	if slices.Contains(cfg.Products, "cdn") && !cfg.CDNRequests.Off && first {
		n, err := cdn.Domains(ctx, a)
		if err != nil {
			return s, err
		}
		s.Resources["cdn"] = n
	}
	return s, liveLists(ctx, a, region, first, now, s)
}

// liveLists measures what is listed beside metrics: the inventory, events, bills.
func liveLists(ctx context.Context, a *aliyun.Account, region string, first bool, now time.Time, s *Sizes) error {
	products, err := inventory.Listed(a.Config())
	if err != nil {
		return err
	}
	for _, p := range products {
		if inventory.Global(p) && !first {
			continue
		}
		l, err := inventory.Measure(ctx, a.Client(), p, region)
		if err != nil && !errors.Is(err, aliyun.ErrForbidden) { // the call is made and refused
			return fmt.Errorf("inventory of %s: %w", p, err)
		}
		s.take(p, l)
	}
	e, err := events.Measure(ctx, a, region)
	if err != nil {
		return fmt.Errorf("events: %w", err)
	}
	s.Events = &e
	if !first {
		return nil
	}
	b, err := cost.Measure(ctx, a, now)
	if errors.Is(err, aliyun.ErrForbidden) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("bills: %w", err)
	}
	s.Bills = &b
	return nil
}

// count pages through the points of one poll.
func count(ctx context.Context, a *aliyun.Account, region string, m catalog.Metric, now time.Time) (resources, series int, err error) {
	cfg := a.Config()
	end := now.Truncate(time.Minute)
	q := aliyun.MetricQuery{
		Region: region, Namespace: m.Namespace, Metric: m.Metric, Period: m.Period(), Length: aliyun.MaxPoints,
		Start: end.Add(-cfg.WholeWindow(m)), End: end,
	}
	keys, instances := map[string]bool{}, map[string]bool{}
	read := 0
	for page := 1; ; page++ {
		got, err := a.Client().MetricList(ctx, q)
		if err != nil {
			return 0, 0, fmt.Errorf("%s %s: %w", m.Namespace, m.Metric, err)
		}
		var points []map[string]any
		if err := json.Unmarshal([]byte(cmp.Or(got.Datapoints, "[]")), &points); err != nil {
			return 0, 0, fmt.Errorf("%s %s: points: %w", m.Namespace, m.Metric, err)
		}
		read += len(points)
		for _, p := range points {
			var key strings.Builder
			for _, dims := range []map[string]string{m.Dimensions, m.OptionalDimensions} {
				for _, name := range slices.Sorted(maps.Keys(dims)) {
					fmt.Fprintf(&key, "%v\x00", p[name])
					if dims[name] == catalog.InstanceLabel {
						instances[fmt.Sprint(p[name])] = true
					}
				}
			}
			keys[key.String()] = true
		}
		if got.NextToken == "" {
			// Points that have a dimension which the catalogue does not know are pages, too.
			each := cfg.PointsPerPoll(m)
			return len(instances), max(len(keys), (read+each-1)/each), nil
		}
		if page >= maxLivePages || got.NextToken == q.NextToken {
			return 0, 0, fmt.Errorf("%s %s: paging does not end", m.Namespace, m.Metric)
		}
		q.NextToken = got.NextToken
	}
}
