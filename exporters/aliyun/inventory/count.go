package inventory

import (
	"context"
	"fmt"

	"watchkeeper/exporters/aliyun"
)

// Count lists a product's resources in a region and says how many there are.
func Count(ctx context.Context, client aliyun.Client, product, region string) (int, error) {
	p := productOf(product)
	if p == nil {
		return 0, fmt.Errorf("no inventory of product %q", product)
	}
	l := lister{product: p, region: region, client: client}
	got, err := l.list(ctx)
	return len(got.resources), err
}

// Global reports whether a product is listed once for the whole account.
func Global(product string) bool {
	p := productOf(product)
	return p != nil && p.global
}
