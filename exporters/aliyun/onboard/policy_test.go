package onboard_test

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"watchkeeper/exporters"
	"watchkeeper/exporters/aliyun"
	"watchkeeper/exporters/aliyun/catalog"
	"watchkeeper/exporters/aliyun/cdn"
	"watchkeeper/exporters/aliyun/cost"
	"watchkeeper/exporters/aliyun/events"
	"watchkeeper/exporters/aliyun/inventory"
	"watchkeeper/exporters/aliyun/onboard"
	"watchkeeper/exporters/aliyun/performance"
	"watchkeeper/exporters/aliyun/sdk"
	"watchkeeper/internal/sample"
	sim "watchkeeper/internal/sim/aliyun"
)

type nowhere struct{}

func (nowhere) Append(context.Context, sample.Batch) error { return nil }

// With a key that may do what the whole policy says, and nothing else, every
// collector of every product reads; no action of the policy is without use.
func TestTheWholePolicyIsWhatCollectorsNeed(t *testing.T) {
	known, err := catalog.Load()
	if err != nil {
		t.Fatal(err)
	}
	policy := onboard.WholePolicy().Statement[0].Action
	unlimited := map[string]float64{}
	for api := range sim.DefaultRateLimits() {
		unlimited[api] = -1
	}
	server, err := sim.New(sim.Config{
		Seed: 3, Keys: []sim.Key{{ID: "id", Secret: "secret", Permissions: policy}}, ECSInstances: 2, RateLimits: unlimited, RequestLog: 10_000,
		Products: map[string]int{
			"acs_rds_dashboard": 5, "acs_slb_dashboard": 6, "acs_kvstore": 3, "acs_mongodb": 3, "acs_drds": 1, "acs_cdn": 1, "acs_elasticsearch": 1,
			"acs_oss_dashboard": 1, "acs_vpc_eip": 1, "acs_alb": 1, "acs_memcache": 1,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	listener := httptest.NewServer(server)
	t.Cleanup(listener.Close)
	collect(t, listener.Listener.Addr().String(), known.Products())

	for _, r := range server.Requests() {
		if r.Code == "Forbidden.RAM" || r.Code == "AccessForbidden" {
			t.Errorf("%s is refused: its permission is not in the policy", r.API)
		}
	}
	// An API without its permission may also answer with an empty list.
	used := map[string]bool{}
	for _, r := range server.Requests() {
		used[r.Permission] = true
	}
	for permission := range used {
		if !slices.Contains(policy, permission) {
			t.Errorf("%s is used and not in the policy", permission)
		}
	}
	for _, permission := range policy {
		if !used[permission] {
			t.Errorf("%s is in the policy and not used", permission)
		}
	}
}

// collect runs every collector of an account that reads everything.
func collect(t *testing.T, address string, products []string) {
	t.Helper()
	set := metrics.NewSet()
	accounts, err := aliyun.New(aliyun.Config{Accounts: []aliyun.AccountConfig{{
		Name: "main", Regions: []string{"cn-hangzhou"}, AccessKeyID: "id", AccessKeySecret: aliyun.NewSecret("secret"), Scheme: "http", Endpoint: address,
		CallsPerSecond: 100, Products: products, Events: aliyun.EventsConfig{Read: aliyun.EventSources()}, Cost: aliyun.CostConfig{Read: true},
		APICallsPerSecond: map[string]float64{"Cms.DescribeMetricList": 1000, "Actiontrail.LookupEvents": 100, "BssOpenApi.DescribeInstanceBill": 100},
	}}}, "acme", aliyun.Deps{
		NewClient: sdk.New, Budgets: aliyun.NewBudgets(set), Metrics: set, Log: slog.New(slog.DiscardHandler),
		Resume: func(context.Context, sample.Source) (time.Time, bool, error) {
			return time.Now().Add(-time.Hour), true, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	a := accounts[0]
	counters, err := performance.Jobs(a)
	if err != nil {
		t.Fatal(err)
	}
	lists, err := inventory.Jobs(a, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, j := range slices.Concat(a.Jobs(), counters, cdn.Jobs(a), lists, events.Jobs(a), cost.Jobs(a)) {
		if err := j.Collector.Collect(t.Context(), time.Now(), exporters.Sink(nowhere{})); err != nil {
			t.Errorf("%s: %v", j.Collector.Source().Name, err)
		}
	}
}
