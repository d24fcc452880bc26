package sdk_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"watchkeeper/exporters/aliyun"
	sim "watchkeeper/internal/sim/aliyun"
)

type oneCall func(ctx context.Context, client aliyun.Client, region string) error

// kinds of calls of the SDK.
var kinds = map[string]oneCall{
	"metrics": func(ctx context.Context, client aliyun.Client, region string) error {
		_, err := client.MetricList(ctx, aliyun.MetricQuery{
			Region: region, Namespace: "acs_ecs_dashboard", Metric: "CPUUtilization", Period: 60, Start: noon.Add(-10 * time.Minute), End: noon, Length: 100,
		})
		return err
	},
	"instances": func(ctx context.Context, client aliyun.Client, region string) error {
		_, err := client.Instances(ctx, aliyun.InstanceQuery{Region: region, Length: 10})
		return err
	},
	"RPC": func(ctx context.Context, client aliyun.Client, region string) error {
		_, err := client.Do(ctx, aliyun.Request{Product: "Rds", Version: "2014-08-15", Action: "DescribeDBInstances", Region: region, Host: "rds.aliyuncs.com"})
		return err
	},
	"ROA": func(ctx context.Context, client aliyun.Client, region string) error {
		_, err := client.Do(ctx, aliyun.Request{
			Product: "elasticsearch", Version: "2017-06-13", Action: "ListInstance", Region: region, Host: "elasticsearch." + region + ".aliyuncs.com", Path: "/openapi/instances",
		})
		return err
	},
}

// panicking answers what makes the SDK panic: a code that is a number.
func panicking(t *testing.T) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"Code":400,"Message":"a number"}`)
	}))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// Every kind of call of several accounts at once, some given up in the middle, some
// answered by what makes the SDK panic: neither its tables nor its clients may be
// touched without a lock, and no panic gets out (meaningful with -race).
func TestEveryKindOfCallAtOnce(t *testing.T) {
	regions := []string{"cn-hangzhou", "cn-beijing", "cn-shanghai"}
	c := newCloud(t, func(cfg *sim.Config) {
		cfg.Regions = regions
		cfg.Products = map[string]int{"acs_rds_dashboard": 2, "acs_elasticsearch": 2}
		cfg.RateLimits = map[string]float64{"Cms.DescribeMetricList": -1, "Cms": -1, "Ecs": -1, "Rds": -1, "Sts": -1, "elasticsearch": -1}
	})
	c.Hit(t, sim.Outage{When: sim.When{API: "Rds"}, Kind: sim.Slow, Delay: 50 * time.Millisecond})
	role := func(cfg *aliyun.AccountConfig) { cfg.RoleARN = "acs:ram::1234567890123456:role/watchkeeper" }
	clients := []aliyun.Client{bare(t, c.Address), bare(t, c.Address), account(t, c.Address, nil, role).Client()}
	broken := bare(t, panicking(t))
	var wg sync.WaitGroup
	for name, call := range kinds {
		for i, region := range regions {
			for _, client := range clients {
				wg.Go(func() {
					for range 4 {
						if err := call(t.Context(), client, region); err != nil {
							t.Errorf("%s: %v", name, err)
						}
					}
				})
			}
			wg.Go(func() {
				if err := call(t.Context(), broken, region); !errors.Is(err, aliyun.ErrAnswer) {
					t.Errorf("%s: %v, want ErrAnswer", name, err)
				}
			})
			wg.Go(func() { // given up while the request is under way, or before
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*10*time.Millisecond)
				defer cancel()
				if err := call(ctx, clients[0], region); err != nil && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%s: %v", name, err)
				}
			})
		}
	}
	wg.Wait()
}
