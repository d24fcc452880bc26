package aliyun

import "fmt"

// Namespaces of CloudMonitor.
const (
	nsECS      = "acs_ecs_dashboard"
	nsRDS      = "acs_rds_dashboard"
	nsSLB      = "acs_slb_dashboard"
	nsRedis    = "acs_kvstore"
	nsMongoDB  = "acs_mongodb"
	nsDRDS     = "acs_drds"
	nsCDN      = "acs_cdn"
	nsES       = "acs_elasticsearch"
	nsOSS      = "acs_oss_dashboard"
	nsEIP      = "acs_vpc_eip"
	nsALB      = "acs_alb"
	nsMemcache = "acs_memcache"
)

// product is one kind of resource. A further product is a row here, rows in the
// metric catalogue, and a file with its list action.
type product struct {
	namespace   string
	description string
	idKey       string // the first dimension of its metrics
	global      bool   // has no region
	// postpaidOnly: there are no subscriptions, so nothing expires.
	postpaidOnly bool
	billCode     string  // ProductCode of the bill service; not documented for all
	dailyPrice   float64 // usual cost of a day in CNY
	variants     []string
	newID        func(*resource) string
}

// Variants of resources whose metrics differ.
const (
	redisStandard, redisCluster, redisSplit      = "standard", "cluster", "rwsplit"
	mongoReplicaSet, mongoSharded, mongoSingle   = "replicate", "sharding", "single"
	rdsMySQL, rdsReadOnly, rdsPostgres, rdsMSSQL = "mysql", "mysql-readonly", "postgresql", "mssql2008"
	rdsPPAS                                      = "ppas"
)

var products = []product{
	{namespace: nsECS, description: "ECS", idKey: "instanceId", newID: ecsID, billCode: "ecs", dailyPrice: 12},
	{namespace: nsRDS, description: "ApsaraDB RDS", idKey: "instanceId", newID: prefixed("rm-", 17),
		variants: []string{rdsMySQL, rdsReadOnly, rdsPostgres, rdsMSSQL, rdsPPAS}, billCode: "rds", dailyPrice: 40},
	{namespace: nsSLB, description: "Server Load Balancer", idKey: "instanceId", newID: prefixed("lb-", 21), billCode: "slb", dailyPrice: 8},
	{namespace: nsRedis, description: "ApsaraDB for Redis", idKey: "instanceId", newID: prefixed("r-", 17),
		variants: []string{redisStandard, redisCluster, redisSplit}, billCode: "redisa", dailyPrice: 25},
	{namespace: nsMongoDB, description: "ApsaraDB for MongoDB", idKey: "instanceId", newID: prefixed("dds-", 17),
		variants: []string{mongoReplicaSet, mongoSharded, mongoSingle}, billCode: "dds", dailyPrice: 30},
	{namespace: nsDRDS, description: "DRDS", idKey: "instanceId", newID: prefixed("drds", 13), billCode: "drds", dailyPrice: 60},
	{namespace: nsCDN, description: "CDN", idKey: "instanceId", global: true, newID: domainID, postpaidOnly: true, billCode: "cdn", dailyPrice: 90},
	{namespace: nsES, description: "Elasticsearch", idKey: "clusterId", newID: prefixed("es-cn-", 17), billCode: "elasticsearch", dailyPrice: 70},
	{namespace: nsOSS, description: "Object Storage Service", idKey: "BucketName", newID: bucketID, postpaidOnly: true, billCode: "oss", dailyPrice: 5},
	{namespace: nsEIP, description: "Elastic IP Address", idKey: "instanceId", newID: prefixed("eip-", 20), billCode: "eip", dailyPrice: 3},
	{namespace: nsALB, description: "Application Load Balancer", idKey: "loadBalancerId", newID: prefixed("alb-", 18),
		postpaidOnly: true, billCode: "alb", dailyPrice: 10},
	{namespace: nsMemcache, description: "ApsaraDB for Memcache", idKey: "instanceId", newID: prefixed("m-", 17), billCode: "ocs", dailyPrice: 15},
}

func productOf(namespace string) *product {
	for i := range products {
		if products[i].namespace == namespace {
			return &products[i]
		}
	}
	return nil
}

func prefixed(prefix string, n int) func(*resource) string {
	return func(r *resource) string { return prefix + idText(mix(r.key, 2), n) }
}

func ecsID(r *resource) string { return "i-" + idText(mix(r.key, 3), 4) + idText(mix(r.key, 2), 16) }

func domainID(r *resource) string { return fmt.Sprintf("static%d.example.com", r.number) }

func bucketID(r *resource) string {
	return fmt.Sprintf("%s-%s-%s", pick(r.key, "logs", "backup", "media"), idText(r.key, 5), r.region)
}
