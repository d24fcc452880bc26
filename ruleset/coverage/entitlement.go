package coverage

import (
	"fmt"
	"maps"
	"slices"

	"watchkeeper/ruleset/contract"
)

// Entitlements are what a contract pays for. 0 means without limit.
type Entitlements struct {
	// MiddlewareInstances counts every server of a middleware. Default 50.
	MiddlewareInstances int `yaml:"middleware_instances"`
	// URLs is the number of watched addresses. Default 5.
	URLs int `yaml:"urls"`
	// VantagePoints is from how many places each URL is watched. Default 3.
	VantagePoints int `yaml:"vantage_points"`
	// Ports is the number of watched ports. Default 0: without limit.
	Ports int `yaml:"ports"`
}

// DefaultEntitlements are those of the sample contract.
func DefaultEntitlements() Entitlements {
	return Entitlements{MiddlewareInstances: 50, URLs: 5, VantagePoints: 3}
}

func (e Entitlements) validate() error {
	for _, x := range []struct {
		name string
		n    int
	}{{"middleware_instances", e.MiddlewareInstances}, {"urls", e.URLs}, {"vantage_points", e.VantagePoints}, {"ports", e.Ports}} {
		if x.n < 0 {
			return fmt.Errorf("%s: %d: must not be negative", x.name, x.n)
		}
	}
	return nil
}

// Usage is what a customer uses of one entitlement.
type Usage struct {
	Customer string `json:"customer"`
	What     string `json:"what"` // middleware instances, URLs, vantage points per URL, ports
	Used     int    `json:"used"`
	Entitled int    `json:"entitled"` // 0: without limit
	Note     string `json:"note,omitempty"`
}

// What entitlements are about.
const (
	UsageMiddleware = "middleware instances"
	UsageURLs       = "URLs"
	UsageVantages   = "vantage points per URL"
	UsagePorts      = "ports"
)

// middleware are the products of which each server counts.
var middleware = []string{
	contract.ProductApache, contract.ProductNginx, contract.ProductPHP, contract.ProductJava, contract.ProductTomcat, contract.ProductMySQL,
	contract.ProductIIS, contract.ProductDocker, contract.ProductZooKeeper, contract.ProductRabbitMQ, contract.ProductKafka,
	contract.ProductElasticsearch, contract.ProductKubernetes,
}

// usage counts by customer, in their order.
func (s *scan) usage(cfg Config) []Usage {
	type used struct{ middleware, urls, ports, vantages int }
	by := map[string]*used{}
	for _, r := range s.resources() {
		u := by[r.customer]
		if u == nil {
			u = &used{}
			by[r.customer] = u
		}
		switch {
		case slices.Contains(middleware, r.product):
			u.middleware++
		case r.product == contract.ProductPort:
			u.ports++
		case r.product == contract.ProductWebsite:
			u.urls++
			if n := len(s.vantages[r]); u.urls == 1 || n < u.vantages {
				u.vantages = n
			}
		}
	}
	var out []Usage
	for _, customer := range slices.Sorted(maps.Keys(by)) {
		e, ok := cfg.Customers[customer]
		if !ok {
			e = cfg.Entitlements
		}
		u := by[customer]
		out = append(out, over(customer, UsageMiddleware, u.middleware, e.MiddlewareInstances), over(customer, UsageURLs, u.urls, e.URLs))
		v := Usage{Customer: customer, What: UsageVantages, Used: u.vantages, Entitled: e.VantagePoints}
		if u.urls > 0 && u.vantages < e.VantagePoints {
			v.Note = "a URL is watched from fewer places than the contract says"
		}
		out = append(out, v, over(customer, UsagePorts, u.ports, e.Ports))
	}
	return out
}

func over(customer, what string, used, entitled int) Usage {
	u := Usage{Customer: customer, What: what, Used: used, Entitled: entitled}
	if entitled > 0 && used > entitled {
		u.Note = "more than the contract entitles to"
	}
	return u
}
