// Package onboard finds out what an AccessKey is good for: whose it is, which of
// the readings that this program makes it may make, and in which regions the
// account has resources of which products. It only reads.
package onboard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"watchkeeper/exporters/aliyun"
	"watchkeeper/exporters/aliyun/inventory"
)

// Status says what a probe of a permission showed.
type Status string

// The statuses.
const (
	Granted Status = "granted"
	Missing Status = "missing"
	// Unclear: the answer is an empty list, which is also the answer to a missing
	// permission, or the service could not be asked.
	Unclear Status = "unclear"
)

// Identity is whose key it is.
type Identity struct {
	Account string `json:"account"`
	ARN     string `json:"arn"`
	Type    string `json:"type"` // Account, RAMUser, AssumedRoleUser
}

// Permission is a RAM action and whether the key has it.
type Permission struct {
	Action  string `json:"action"`  // such as ecs:DescribeInstances
	Product string `json:"product"` // of the catalogue, or what it is read for
	Status  Status `json:"status"`
	Message string `json:"message,omitempty"` // what the service said

	needs feature
}

// Use is how many resources a product has in a region.
type Use struct {
	Product   string `json:"product"`
	Region    string `json:"region"` // "" for a global product
	Resources int    `json:"resources"`
}

// Report is what was found.
type Report struct {
	Identity    Identity     `json:"identity"`
	Permissions []Permission `json:"permissions"`
	Regions     []string     `json:"regions"` // that hold resources
	Uses        []Use        `json:"uses"`    // those above zero
	// Unread are regions and products that could not be listed, with the reason.
	Unread []string `json:"unread,omitempty"`
	// Metrics tells whether CloudMonitor may be read; without it nothing is watched.
	Metrics bool `json:"metrics"`
}

// parallel is how many calls run at once; the account's budget bounds them too.
const parallel = 8

// Examine asks the account. Regions empty means all that the account may use.
// An error means that the key is refused or the service cannot be reached.
func Examine(ctx context.Context, client aliyun.Client, region string, regions []string) (*Report, error) {
	r := &Report{}
	var err error
	if r.Identity, err = identity(ctx, client, region); err != nil {
		return nil, fmt.Errorf("check the AccessKey: %w", err)
	}
	if len(regions) == 0 {
		if regions, err = allRegions(ctx, client, region); err != nil {
			return nil, fmt.Errorf("find the regions (or name them): %w", err)
		}
	}
	if err := r.probe(ctx, client, region); err != nil {
		return nil, err
	}
	if err := r.discover(ctx, client, regions); err != nil {
		return nil, err
	}
	r.confirmLists()
	return r, nil
}

func identity(ctx context.Context, client aliyun.Client, region string) (Identity, error) {
	body, err := client.Do(ctx, aliyun.Request{
		Product: "Sts", Version: "2015-04-01", Action: "GetCallerIdentity", Region: region, Host: aliyun.Host("Sts", region),
	})
	if err != nil {
		return Identity{}, err
	}
	var answer struct{ AccountID, Arn, IdentityType string }
	if err := json.Unmarshal(body, &answer); err != nil || answer.AccountID == "" {
		return Identity{}, &aliyun.Error{Kind: aliyun.ErrAnswer, Status: 200, Message: "GetCallerIdentity tells no account"}
	}
	return Identity{Account: answer.AccountID, ARN: answer.Arn, Type: answer.IdentityType}, nil
}

func allRegions(ctx context.Context, client aliyun.Client, region string) ([]string, error) {
	body, err := client.Do(ctx, aliyun.Request{
		Product: "Ecs", Version: "2014-05-26", Action: "DescribeRegions", Region: region, Host: aliyun.Host("Ecs", region),
	})
	if err != nil {
		return nil, err
	}
	var answer struct {
		Regions struct{ Region []struct{ RegionID string } }
	}
	if err := json.Unmarshal(body, &answer); err != nil || len(answer.Regions.Region) == 0 {
		return nil, &aliyun.Error{Kind: aliyun.ErrAnswer, Status: 200, Message: "DescribeRegions tells no region"}
	}
	var ids []string
	for _, x := range answer.Regions.Region {
		ids = append(ids, x.RegionID)
	}
	slices.Sort(ids)
	return ids, nil
}

// probe makes each reading once.
func (r *Report) probe(ctx context.Context, client aliyun.Client, region string) error {
	r.Permissions = make([]Permission, len(probes))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i, p := range probes {
		group.Go(func() error {
			found := Permission{Action: p.action, Product: p.product, needs: p.needs}
			body, err := p.call(ctx, client, region)
			found.Status, found.Message = outcome(err)
			if found.Status == Granted && p.emptyWhenDenied && !holds(body) {
				found.Status, found.Message = Unclear, "the service answers without the permission, too, with an empty list"
			}
			r.Permissions[i] = found
			return ctx.Err()
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	r.Metrics = r.has("cms:QueryMetricList")
	return nil
}

// outcome reads an error: what the service refuses for another reason, it permits.
func outcome(err error) (Status, string) {
	switch {
	case err == nil, errors.Is(err, aliyun.ErrParameter):
		return Granted, ""
	case errors.Is(err, aliyun.ErrForbidden):
		return Missing, ""
	}
	return Unclear, err.Error()
}

func (r *Report) has(action string) bool {
	return slices.ContainsFunc(r.Permissions, func(p Permission) bool { return p.Action == action && p.Status == Granted })
}

// listTimeout bounds the list of one product in one region: a region that does
// not answer must not hold up the others.
const listTimeout = 30 * time.Second

// discover counts the resources of every product that may be listed.
func (r *Report) discover(ctx context.Context, client aliyun.Client, regions []string) error {
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for _, product := range inventory.Products() {
		if r.refused(product) {
			continue
		}
		global := inventory.Global(product)
		for i, region := range regions {
			if global && i > 0 {
				break
			}
			group.Go(func() error {
				one, cancel := context.WithTimeout(ctx, listTimeout)
				defer cancel()
				size, err := inventory.Measure(one, client, product, region)
				mu.Lock()
				defer mu.Unlock()
				shown := region
				if global {
					shown = ""
				}
				switch {
				case ctx.Err() != nil:
					return ctx.Err()
				case err != nil:
					r.Unread = append(r.Unread, fmt.Sprintf("%s in %s: %v", product, region, err))
				case size.Resources > 0:
					r.Uses = append(r.Uses, Use{Product: product, Region: shown, Resources: size.Resources})
				}
				return nil
			})
		}
	}
	if err := group.Wait(); err != nil {
		return err
	}
	slices.Sort(r.Unread)
	slices.SortFunc(r.Uses, compareUses)
	for _, u := range r.Uses {
		if u.Region != "" && !slices.Contains(r.Regions, u.Region) {
			r.Regions = append(r.Regions, u.Region)
		}
	}
	slices.Sort(r.Regions)
	return nil
}

// listedBy names the permission's product where another one's list has it.
var listedBy = map[string]string{"memcache": "kvstore"}

// refused tells whether a product cannot be listed.
func (r *Report) refused(product string) bool {
	if by := listedBy[product]; by != "" {
		product = by
	}
	return slices.ContainsFunc(r.Permissions, func(p Permission) bool { return p.Product == product && p.Status == Missing })
}

// confirmLists: a list that holds something is permitted.
func (r *Report) confirmLists() {
	for i, p := range r.Permissions {
		if p.Status == Unclear && p.needs == inventoryFeature && r.uses(p.Product) {
			r.Permissions[i].Status, r.Permissions[i].Message = Granted, ""
		}
	}
}

func (r *Report) uses(product string) bool {
	return slices.ContainsFunc(r.Uses, func(u Use) bool { return u.Product == product })
}

// Products are those with resources, in the catalogue's words.
func (r *Report) Products() []string {
	var out []string
	for _, u := range r.Uses {
		if !slices.Contains(out, u.Product) {
			out = append(out, u.Product)
		}
	}
	return out
}

// Events are the sources of events that the key may read in full; those of
// products without resources are left out.
func (r *Report) Events() []string {
	var out []string
	for _, source := range aliyun.EventSources() {
		needed := 0
		whole := true
		for _, p := range r.Permissions {
			if string(p.needs) == source {
				needed++
				// An empty list of disks is unclear; the account has instances.
				whole = whole && p.Status != Missing && (p.Status == Granted || r.uses("ecs"))
			}
		}
		product := map[string]string{aliyun.EventsECS: "ecs", aliyun.EventsSnapshots: "ecs", aliyun.EventsBackups: "rds"}[source]
		if needed > 0 && whole && (product == "" || r.uses(product)) {
			out = append(out, source)
		}
	}
	return out
}

// Cost tells whether balance and bill may be read.
func (r *Report) Cost() bool {
	return !slices.ContainsFunc(r.Permissions, func(p Permission) bool { return p.needs == costFeature && p.Status != Granted })
}
