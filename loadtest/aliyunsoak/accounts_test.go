//go:build unix

package aliyunsoak

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"watchkeeper/exporters/aliyun"
	"watchkeeper/exporters/aliyun/catalog"
	sim "watchkeeper/internal/sim/aliyun"
)

const secret = "soak-secret"

// fastLane polls two metrics every minute.
const fastLane = `
product: ecs
namespace: acs_ecs_dashboard
metrics:
- {metric: CPUUtilization, name: aliyun_ecs_cpu_utilization_percent, help: "CPU utilization.", unit: percent, statistics: [Average], dimensions: {instanceId: instance}, lane: fast, rows: [ecs-cpu]}
- {metric: cpu_wait, name: aliyun_ecs_iowait_percent, help: "Waiting for IO.", unit: percent, statistics: [Average], dimensions: {instanceId: instance}, min_period: 15, lane: fast, rows: [ecs-iowait]}
`

// everything is an account with all products in two regions, read through a role.
func everything(t *testing.T, dir string) *customer {
	file := filepath.Join(dir, "fast.yml")
	if err := os.WriteFile(file, []byte(fastLane), 0o600); err != nil {
		t.Fatal(err)
	}
	known, err := catalog.Load()
	if err != nil {
		t.Fatal(err)
	}
	limits := map[string]float64{"Cms.DescribeMetricList": 20}
	for _, p := range products {
		if p != "Cms" {
			limits[p] = 20
		}
	}
	c := newCloud(t, sim.Config{
		Seed: 11, Keys: []sim.Key{{ID: "LTAIsoak", Secret: secret}}, Regions: []string{"cn-hangzhou", "cn-beijing"}, ECSInstances: 40,
		Products: map[string]int{
			"acs_rds_dashboard": 8, "acs_slb_dashboard": 6, "acs_kvstore": 8, "acs_mongodb": 6, "acs_drds": 2, "acs_cdn": 3, "acs_elasticsearch": 3,
			"acs_oss_dashboard": 3, "acs_vpc_eip": 4, "acs_alb": 2, "acs_memcache": 2,
		},
		PointDelay:   &sim.Delay{Min: 90 * time.Second, Max: 150 * time.Second, LateRatio: 0.02, LateMax: 15 * time.Minute},
		MissingRatio: 0.01, QuotaPerMonth: 10_000_000, RateLimits: limits, RequestLog: -1,
	})
	return &customer{name: "acme", cloud: c, catalog: []string{file}, cfg: aliyun.AccountConfig{
		Name: "main", Regions: []string{"cn-hangzhou", "cn-beijing"}, Products: known.Products(), AccessKeyID: "LTAIsoak", AccessKeySecret: aliyun.NewSecret(secret),
		RoleARN: "acs:ram::1234567890123456:role/watchkeeper", CallsPerMonth: 10_000_000,
		Events: aliyun.EventsConfig{Read: aliyun.EventSources()}, Cost: aliyun.CostConfig{Read: true}, Scheme: "http",
	}.WithDefaults()}
}

// thrifty is an account whose quota is too small for all metrics.
func thrifty(t *testing.T) *customer {
	c := newCloud(t, sim.Config{
		Seed: 12, Keys: []sim.Key{{ID: "LTAIsoak", Secret: secret}}, ECSInstances: 20, QuotaPerMonth: thriftyQuota, RequestLog: -1,
	})
	return &customer{name: "thrifty", cloud: c, cfg: aliyun.AccountConfig{
		Name: "small", Regions: []string{"cn-hangzhou"}, AccessKeyID: "LTAIsoak", AccessKeySecret: aliyun.NewSecret(secret), CallsPerMonth: thriftyQuota, Scheme: "http",
	}.WithDefaults()}
}

const thriftyQuota = 100_000
