// Package inventory lists the resources of an Alibaba Cloud account: for each
// product one list action, read whole at every check.
//
// A resource's series carry its identity; what describes it (name, zone, class,
// addresses, tags, the customer's asset record) is in one series
// aliyun_<product>_info, appended at every check, so that a rename never splits
// another series. Resources are watched as soon as they are listed, and
// aliyun_resource_first_seen_timestamp_seconds says since when. One that is gone
// ends with a reason, but only when whole lists lack it again and again and no
// point of it arrives (aliyun.Presence): an empty list is also what a missing
// permission looks like.
//
// Each product is a source of its own, so that a product which the key may not
// list leaves the others alone.
package inventory

import (
	"context"
	"fmt"
	"time"

	"watchkeeper/exporters"
	"watchkeeper/exporters/aliyun"
	"watchkeeper/internal/sample"
)

// RecallFunc returns the newest stored sample of each series of a metric of a
// customer's product in a region, "" for a global product, that has one since a time. A collector asks at
// its first check, so that a restart neither finds old resources anew nor
// forgets those that were deleted meanwhile.
type RecallFunc func(ctx context.Context, metric, customer, product, region string, since time.Time) ([]sample.Sample, error)

// Jobs returns the inventory of an account: one job for each of its products
// and regions. A nil recall remembers nothing. Errors name the path within the account.
func Jobs(a *aliyun.Account, recall RecallFunc) ([]exporters.Job, error) {
	cfg := a.Config()
	wanted, err := selected(cfg)
	if err != nil {
		return nil, fmt.Errorf("account %q: %w", a.Name(), err)
	}
	var jobs []exporters.Job
	for i, region := range cfg.Regions {
		for _, p := range wanted {
			if p.global && i > 0 {
				continue
			}
			jobs = append(jobs, a.Job(newCollector(a, p, region, recall), time.Duration(cfg.InventoryInterval)))
		}
	}
	return jobs, nil
}

func newCollector(a *aliyun.Account, p *product, region string, recall RecallFunc) *collector {
	labelled, place := region, region
	if p.global {
		labelled, place = "", "global"
	}
	source := a.Source(place, p.name+"-inventory")
	return &collector{
		source: source,
		describer: describer{
			account: a.Name(), customer: a.Customer(), region: labelled, product: p,
			tagLabels: a.Config().TagLabels, assets: a.Assets(),
		},
		list:     lister{product: p, region: region, client: a.Client()},
		presence: a.Presence(p.name, labelled),
		resume:   a.Resume, recall: recall,
		log:    a.Log().With("source", source.Name),
		known:  map[string]described{},
		extras: map[string]extra{},
	}
}
