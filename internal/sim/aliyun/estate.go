package aliyun

import (
	"fmt"
	"net/netip"
	"time"
)

// resource is one generated instance of a product.
type resource struct {
	product *product
	id      string
	name    string
	region  string // "" for a global product
	key     uint64 // hash from which all its details come
	number  int    // within its product, from 0
	created time.Time
	variant string // architecture of a Redis, kind of a MongoDB …; "" if there is one only
}

// estate is all that the account owns. It does not change after newEstate; what
// happens to a resource over time is in the faults.
type estate struct {
	byID      map[string]*resource
	byProduct map[string][]*resource // by namespace, in the order of paging
	byRegion  map[place][]*resource
}

// place is a product in a region.
type place struct{ namespace, region string }

// accountOpened is before the first resource's creation. Fixed, so that restarts agree.
var accountOpened = time.Date(2023, 3, 1, 0, 0, 0, 0, time.UTC)

func newEstate(cfg Config) *estate {
	e := &estate{byID: map[string]*resource{}, byProduct: map[string][]*resource{}, byRegion: map[place][]*resource{}}
	for i := range products {
		p := &products[i]
		count := cfg.Products[p.namespace]
		if p.namespace == nsECS {
			count = cfg.ECSInstances
		}
		for n := range count {
			e.add(newResource(cfg, p, n))
		}
	}
	return e
}

func (e *estate) add(r *resource) {
	for e.byID[r.id] != nil { // a collision of hashes
		r.id += "x"
	}
	e.byID[r.id] = r
	e.byProduct[r.product.namespace] = append(e.byProduct[r.product.namespace], r)
	at := place{r.product.namespace, r.region}
	e.byRegion[at] = append(e.byRegion[at], r)
}

func newResource(cfg Config, p *product, number int) *resource {
	key := mix(mixText(mixText(cfg.Seed, cfg.AccountID), p.namespace), uint64(number))
	region := ""
	if !p.global {
		region = cfg.Regions[number%len(cfg.Regions)]
	}
	r := &resource{
		product: p,
		region:  region,
		key:     key,
		number:  number,
		name:    fmt.Sprintf("%s-%s-%03d", pick(key, roles...), pick(key>>8, stages...), number),
		created: accountOpened.Add(time.Duration(mix(key, 1)%(600*24*60)) * time.Minute),
	}
	if len(p.variants) > 0 {
		r.variant = p.variants[number%len(p.variants)]
	}
	r.id = p.newID(r)
	return r
}

var (
	roles  = []string{"web", "api", "job", "cache", "gateway", "search"}
	stages = []string{"prod", "prod", "prod", "staging"}
)

// in returns the resources of a namespace that a region shows. Global products show
// in every region; which region the real service wants for them is not documented.
func (e *estate) in(namespace, region string) []*resource {
	if p := productOf(namespace); p != nil && p.global {
		region = ""
	}
	return e.byRegion[place{namespace, region}]
}

// address is a private address in the resource's own /29.
func (r *resource) address(host int) string {
	base := uint32(10)<<24 | uint32(len(r.product.namespace))<<19 | uint32(r.number)<<3
	base += uint32(host + 1)
	return netip.AddrFrom4([4]byte{byte(base >> 24), byte(base >> 16), byte(base >> 8), byte(base)}).String()
}

// Instances returns the ids of a namespace (acs_ecs_dashboard) in the order of paging,
// those that a Create or Delete hides included.
func (s *Server) Instances(namespace string) []string {
	var ids []string
	for _, r := range s.estate.byProduct[namespace] {
		ids = append(ids, r.id)
	}
	return ids
}
