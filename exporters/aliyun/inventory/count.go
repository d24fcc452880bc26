package inventory

import (
	"context"
	"fmt"
	"time"

	"watchkeeper/exporters/aliyun"
)

// Size is how much a product's list holds in a region.
type Size struct {
	// Resources is how many there are.
	Resources int
	// Rows of each query that makes up the list (MongoDB has two); nil: the first
	// one holds all.
	Rows []int
	// Detailed is how many resources are asked about one by one.
	Detailed int
}

// Measure lists a product's resources in a region and says how many there are.
func Measure(ctx context.Context, client aliyun.Client, product, region string) (Size, error) {
	p := productOf(product)
	if p == nil {
		return Size{}, fmt.Errorf("no inventory of product %q", product)
	}
	l := lister{product: p, region: region, client: client}
	got, err := l.list(ctx)
	s := Size{Resources: len(got.resources), Rows: got.rows}
	for i := range got.resources {
		if p.detail != nil && p.detail.wanted(&got.resources[i]) {
			s.Detailed++
		}
	}
	return s, err
}

// Rounds are the calls that the inventory of a product in a region makes when it
// holds so much.
func Rounds(cfg aliyun.AccountConfig, product string, s Size) []aliyun.Round {
	p := productOf(product)
	if p == nil {
		return nil
	}
	interval := time.Duration(cfg.InventoryInterval)
	rows := s.Rows
	if rows == nil {
		rows = make([]int, max(len(p.queries), 1))
		rows[0] = s.Resources
	}
	calls := 0
	for _, n := range rows {
		calls += max((n+p.paging.length-1)/p.paging.length, 1)
	}
	out := []aliyun.Round{{API: p.service + "." + p.action, Calls: calls, Every: interval}}
	if p.detail != nil && s.Detailed > 0 {
		// At the first round after the details' lifetime.
		every := (detailLifetime + interval - 1) / interval * interval
		out = append(out, aliyun.Round{API: p.service + "." + p.detail.action, Calls: (s.Detailed + p.detail.batch - 1) / p.detail.batch, Every: every})
	}
	return out
}

// Listed are the products whose resources an account lists, in their order.
func Listed(cfg aliyun.AccountConfig) ([]string, error) {
	wanted, err := selected(cfg)
	var out []string
	for _, p := range wanted {
		out = append(out, p.name)
	}
	return out, err
}

// Global reports whether a product is listed once for the whole account.
func Global(product string) bool {
	p := productOf(product)
	return p != nil && p.global
}
