package plan_test

import (
	"strings"
	"testing"

	"watchkeeper/exporters/aliyun"
	"watchkeeper/exporters/aliyun/plan"
)

func TestPlanOfGivenSizes(t *testing.T) {
	as := accounts(t, "127.0.0.1:1", aliyun.AccountConfig{
		Regions: []string{"cn-hangzhou", "cn-beijing"}, Products: []string{"ecs", "rds", "cdn"}, Cost: aliyun.CostConfig{Read: true},
		Events: aliyun.EventsConfig{Read: []string{aliyun.EventsECS, aliyun.EventsBackups, aliyun.EventsSnapshots}},
	})
	given, err := plan.ParseSizes([]string{"ecs=2000", "rds=250", "rds-readonly=50", "cdn=3", "ecs-disks=5050", "metric:diskusage_utilization=5000"}, []string{"ecs", "rds", "cdn"})
	if err != nil {
		t.Fatal(err)
	}
	p, err := plan.New(as, func(_, region string) plan.Sizes {
		if region == "cn-hangzhou" {
			return given
		}
		return plan.Sizes{}
	})
	if err != nil {
		t.Fatal(err)
	}
	// The rows of one API in a region add up.
	f := func(region, what string, calls int, month int64) {
		t.Helper()
		var c int
		var m int64
		for _, r := range p.Rows {
			if r.Region == region && (r.Metric == what || r.Metric == "" && r.API == what) {
				c, m = c+r.Calls, m+r.MonthCalls
			}
		}
		if c != calls || m != month {
			t.Errorf("%s in %s: %d calls a round, %d a month; want %d and %d", what, region, c, m, calls, month)
		}
	}
	// 25 minutes of points: 5 new ones and 20 minutes of overlap.
	f("cn-hangzhou", "CPUUtilization", 35, 35*8640)        // 50,000 points
	f("cn-hangzhou", "diskusage_utilization", 87, 87*8640) // 125,000 points
	f("cn-beijing", "CPUUtilization", 1, 8640)             // an empty page is a call
	f("cn-hangzhou", "Rds.DescribeDBInstancePerformance", 250, 250*8640)
	f("cn-hangzhou", "Rds.DescribeDBInstanceAttribute", 9, 9*720) // once an hour, 30 a call
	// Three pages: twice for the counters, once for the inventory, and half-hourly for backups.
	f("cn-hangzhou", "Rds.DescribeDBInstances", 6+3+3, 9*8640+3*1440)
	f("cn-hangzhou", "Rds.DescribeBackups", 200, 200*1440)
	f("cn-hangzhou", "Ecs.DescribeInstances", 20, 20*8640)
	f("cn-beijing", "Ecs.DescribeInstances", 1, 8640)
	f("cn-hangzhou", "Ecs.DescribeInstanceHistoryEvents", 1, 8640)
	f("cn-hangzhou", "Ecs.DescribeDisks", 51, 51*1440)
	f("cn-hangzhou", "Ecs.DescribeSnapshots", 354, 354*1440) // seven a disk
	f("cn-beijing", "Ecs.DescribeSnapshots", 0, 0)           // no disks
	f("global", "BssOpenApi.QueryAccountBalance", 1, 1440)
	// 2,253 resources make 8 pages: month and yesterday, and each day five days anew.
	f("global", "BssOpenApi.DescribeInstanceBill", 16+40, 16*1440+40*30)
	f("global", "Cdn.DescribeDomainHttpCodeData", 3, 3*8640)
	f("global", "hitRate", 1, 8640)
	if !p.Over() || p.Totals[0].Cut == "none" {
		t.Errorf("2,000 instances fit into the free quota: %+v", p.Totals[0])
	}
	var counted int64
	for _, r := range p.Rows {
		if r.Counts {
			counted += r.MonthCalls
		}
	}
	if counted != p.Totals[0].CountedCalls {
		t.Errorf("total %d, rows %d", p.Totals[0].CountedCalls, counted)
	}
}

func TestParseSizes(t *testing.T) {
	for text, says := range map[string]string{"ecs": "PRODUCT=NUMBER", "ecs=many": "PRODUCT=NUMBER", "ecs=-1": "PRODUCT=NUMBER", "ecs=1x": "PRODUCT=NUMBER", "wine=3": "wine"} {
		if _, err := plan.ParseSizes([]string{text}, []string{"ecs"}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", text, err)
		}
	}
	s, err := plan.ParseSizes([]string{"rds=3", "rds-postgresql=1"}, []string{"rds"})
	if err != nil || s.Resources["rds"] != 3 || s.Resources["rds-postgresql"] != 1 {
		t.Errorf("%+v, %v", s, err)
	}
}
