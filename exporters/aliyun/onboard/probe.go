package onboard

import (
	"cmp"
	"context"
	"encoding/json"
	"time"

	"watchkeeper/exporters/aliyun"
)

// feature is what a permission is needed for: a word of aliyun.EventSources, or
// one of these.
type feature string

const (
	metricsFeature   feature = "metrics"
	inventoryFeature feature = "inventory"
	countersFeature  feature = "counters" // of single databases, domains and load balancers
	costFeature      feature = "cost"
)

// probe is one reading and the RAM action that permits it. Most actions are named
// as their API; those of CloudMonitor's queries and of the bill service have names
// of their own in the vendor's documents, misspellings included.
type probe struct {
	action  string
	product string
	needs   feature
	// emptyWhenDenied: without the permission the answer is an empty list.
	emptyWhenDenied bool
	call            func(ctx context.Context, client aliyun.Client, region string) ([]byte, error)
}

var probes = []probe{
	{action: "cms:QueryMetricList", product: "metrics", needs: metricsFeature, call: metricList},

	{action: "ecs:DescribeInstances", product: "ecs", needs: inventoryFeature, emptyWhenDenied: true, call: do("Ecs", "2014-05-26", "DescribeInstances", nil)},
	{action: "rds:DescribeDBInstances", product: "rds", needs: inventoryFeature, call: do("Rds", "2014-08-15", "DescribeDBInstances", nil)},
	{action: "slb:DescribeLoadBalancers", product: "slb", needs: inventoryFeature, call: do("Slb", "2014-05-15", "DescribeLoadBalancers", nil)},
	{action: "alb:ListLoadBalancers", product: "alb", needs: inventoryFeature, call: do("Alb", "2020-06-16", "ListLoadBalancers", nil)},
	{action: "kvstore:DescribeInstances", product: "kvstore", needs: inventoryFeature, call: do("R-kvstore", "2015-01-01", "DescribeInstances", nil)},
	{action: "dds:DescribeDBInstances", product: "mongodb", needs: inventoryFeature, call: do("Dds", "2015-12-01", "DescribeDBInstances", nil)},
	{action: "drds:DescribeDrdsInstances", product: "drds", needs: inventoryFeature, call: do("Drds", "2019-01-23", "DescribeDrdsInstances", nil)},
	{action: "cdn:DescribeUserDomains", product: "cdn", needs: inventoryFeature, call: do("Cdn", "2018-05-10", "DescribeUserDomains", nil)},
	{action: "elasticsearch:ListInstance", product: "es-cloud", needs: inventoryFeature, call: elasticsearch},
	{action: "vpc:DescribeEipAddresses", product: "eip", needs: inventoryFeature, call: do("Vpc", "2016-04-28", "DescribeEipAddresses", nil)},

	{action: "cms:QueryMetricLast", product: "oss", needs: inventoryFeature, call: buckets},

	// No such database, domain or load balancer is a permission to ask.
	{action: "rds:DescribeDBInstanceAttribute", product: "RDS storage", needs: countersFeature, call: do("Rds", "2014-08-15", "DescribeDBInstanceAttribute", nobody("DBInstanceId", "rm-0"))},
	{action: "rds:DescribeDBInstancePerformance", product: "RDS counters", needs: countersFeature, call: do("Rds", "2014-08-15", "DescribeDBInstancePerformance", nobody("DBInstanceId", "rm-0"))},
	{action: "rds:DescribeSlowLogRecords", product: "RDS slow queries", needs: countersFeature, call: do("Rds", "2014-08-15", "DescribeSlowLogRecords", nobody("DBInstanceId", "rm-0"))},
	{action: "slb:DescribeLoadBalancerAttribute", product: "SLB expiry", needs: countersFeature, call: do("Slb", "2014-05-15", "DescribeLoadBalancerAttribute", nobody("LoadBalancerId", "lb-0"))},
	{action: "cdn:DescribeDomainHttpCodeData", product: "CDN requests", needs: countersFeature, call: do("Cdn", "2018-05-10", "DescribeDomainHttpCodeData", nobody("DomainName", "0.invalid"))},
	{action: "cdn:DescribeDomainSrcHttpCodeData", product: "CDN requests", needs: countersFeature, call: do("Cdn", "2018-05-10", "DescribeDomainSrcHttpCodeData", nobody("DomainName", "0.invalid"))},

	{action: "ecs:DescribeInstanceHistoryEvents", product: "ECS events", needs: aliyun.EventsECS, call: do("Ecs", "2014-05-26", "DescribeInstanceHistoryEvents", nil)},
	{action: "cms:DescribeSystemEventAttribute", product: "system events", needs: aliyun.EventsCloudMonitor, call: do("Cms", "2019-01-01", "DescribeSystemEventAttribute", nil)},
	{action: "actiontrail:LookupEvents", product: "changes", needs: aliyun.EventsActionTrail, call: do("Actiontrail", "2020-07-06", "LookupEvents", nil)},
	{action: "yundun-sas:DescribeSuspEvents", product: "security", needs: aliyun.EventsSecurity, call: do("Sas", "2018-12-03", "DescribeSuspEvents", nil)},
	{action: "yundun-sas:DescribeVulList", product: "security", needs: aliyun.EventsSecurity, call: do("Sas", "2018-12-03", "DescribeVulList", map[string]string{"Type": "cve"})},
	{action: "rds:DescribeBackups", product: "RDS backups", needs: aliyun.EventsBackups, call: do("Rds", "2014-08-15", "DescribeBackups", nobody("DBInstanceId", "rm-0"))},
	{action: "ecs:DescribeDisks", product: "snapshots", needs: aliyun.EventsSnapshots, emptyWhenDenied: true, call: do("Ecs", "2014-05-26", "DescribeDisks", nil)},
	{action: "ecs:DescribeSnapshots", product: "snapshots", needs: aliyun.EventsSnapshots, emptyWhenDenied: true, call: do("Ecs", "2014-05-26", "DescribeSnapshots", nil)},

	{action: "bss:DescribeAcccount", product: "balance", needs: costFeature, call: do("BssOpenApi", "2017-12-14", "QueryAccountBalance", nil)},
	{action: "bssapi:DescribeInstanceBill", product: "bill", needs: costFeature, call: bill},
}

// do calls an action of the RPC style.
func do(product, version, action string, query map[string]string) func(context.Context, aliyun.Client, string) ([]byte, error) {
	return func(ctx context.Context, client aliyun.Client, region string) ([]byte, error) {
		return client.Do(ctx, aliyun.Request{
			Product: product, Version: version, Action: action, Region: region, Host: aliyun.Host(product, region), Query: query,
		})
	}
}

// nobody names a resource that does not exist, within the last hour.
func nobody(parameter, id string) map[string]string {
	const layout = "2006-01-02T15:04Z"
	now := time.Now().UTC()
	return map[string]string{parameter: id, "Key": "MySQL_QPSTPS", "StartTime": now.Add(-time.Hour).Format(layout), "EndTime": now.Format(layout)}
}

func buckets(ctx context.Context, client aliyun.Client, region string) ([]byte, error) {
	return do("Cms", "2019-01-01", "DescribeMetricLast", map[string]string{
		"Namespace": "acs_oss_dashboard", "MetricName": "MeteringStorageUtilization", "Period": "3600", "Length": "1",
	})(ctx, client, region)
}

func metricList(ctx context.Context, client aliyun.Client, region string) ([]byte, error) {
	now := time.Now()
	_, err := client.MetricList(ctx, aliyun.MetricQuery{
		Region: region, Namespace: "acs_ecs_dashboard", Metric: "CPUUtilization", Period: 60, Start: now.Add(-10 * time.Minute), End: now, Length: 1,
	})
	return nil, err
}

func elasticsearch(ctx context.Context, client aliyun.Client, region string) ([]byte, error) {
	return client.Do(ctx, aliyun.Request{
		Product: "elasticsearch", Version: "2017-06-13", Action: "ListInstance", Region: region, Host: aliyun.Host("elasticsearch", region),
		Path: "/openapi/instances", Query: map[string]string{"page": "1", "size": "1"},
	})
}

func bill(ctx context.Context, client aliyun.Client, region string) ([]byte, error) {
	cycle := time.Now().In(time.FixedZone("UTC+8", 8*60*60)).Format("2006-01")
	return do("BssOpenApi", "2017-12-14", "DescribeInstanceBill", map[string]string{"BillingCycle": cycle, "MaxResults": "1"})(ctx, client, region)
}

// holds tells whether a list has anything.
func holds(body []byte) bool {
	var list struct{ TotalCount int }
	return json.Unmarshal(body, &list) == nil && list.TotalCount > 0
}

func compareUses(a, b Use) int {
	return cmp.Or(cmp.Compare(a.Product, b.Product), cmp.Compare(a.Region, b.Region))
}
