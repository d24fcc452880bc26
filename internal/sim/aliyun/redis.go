package aliyun

const redisVersion = "2015-01-01"

func registerRedis(s *Server) {
	s.adder(productRedis, redisVersion, "kvstore")("DescribeInstances", s.describeRedisInstances)
}

// maxRedisIDs bounds the parameter InstanceIds.
const maxRedisIDs = 30

// redisKind is the InstanceType.
func (r *resource) redisKind() string {
	if r.product.namespace == nsMemcache {
		return "Memcache"
	}
	return "Redis"
}

// describeRedisInstances lists Redis and Memcache; that the latter are here is not
// confirmed.
func (s *Server) describeRedisInstances(c *call) (any, *apiError) {
	if e := s.requireRegion(c); e != nil {
		return nil, e
	}
	if len(splitList(c.params["InstanceIds"])) > maxRedisIDs {
		return nil, invalidParameter("InstanceIds")
	}
	keep := func(r *resource) bool {
		return c.filterList("InstanceIds", r.id) && c.filter("InstanceType", r.redisKind()) && c.filter("ArchitectureType", r.redisArchitecture()) &&
			c.filter("ChargeType", s.chargeType(r)) && c.filter("InstanceStatus", s.redisStatus(r))
	}
	rows := append(s.listed(c, nsRedis, keep), s.listed(c, nsMemcache, keep)...)
	number, size, e := c.page(databasePaging)
	if e != nil {
		return nil, e
	}
	return object{
		"RequestId": c.requestID, "PageNumber": number, "PageSize": size, "TotalCount": len(rows),
		"Instances": object{"KVStoreInstance": objects(pageOf(rows, number, size), s.redisInstance)},
	}, nil
}

func (r *resource) redisArchitecture() string {
	if r.variant == "" {
		return redisStandard
	}
	return r.variant
}

func (s *Server) redisStatus(r *resource) string {
	if s.expired(r) {
		return "Inactive"
	}
	return "Normal"
}

func (s *Server) redisInstance(r *resource) object {
	shards := 1
	if r.variant == redisCluster {
		shards = 4
	}
	version := "5.0"
	if r.redisKind() == "Memcache" {
		version = ""
	}
	capacity := 1024 * shards * pick(mix(r.key, 80), 1, 2, 4) // MB
	return object{
		"InstanceId": r.id, "InstanceName": s.nameOf(r), "InstanceStatus": s.redisStatus(r), "RegionId": r.region, "ZoneId": r.zone(),
		"ArchitectureType": r.redisArchitecture(), "InstanceClass": "redis.shard.small.2.ce", "InstanceType": r.redisKind(), "EngineVersion": version,
		"NodeType": "double", "ShardCount": shards, "Capacity": capacity, "Bandwidth": 96 * shards, "Connections": 10000 * shards,
		"QPS": 100000 * shards, "ConnectionDomain": r.id + ".redis.rds.aliyuncs.com", "Port": 6379, "PrivateIp": r.address(0),
		"NetworkType": "VPC", "VpcId": r.vpc(), "VSwitchId": "vsw-" + idText(mixText(3, r.zone()), 20),
		"ChargeType": s.chargeType(r), "CreateTime": r.created.Format(secondLayout), "EndTime": s.expiryText(r, secondLayout, ""),
		"HasRenewChangeOrder": false, "EditionType": "Community", "ConnectionMode": "Standard", "IsRds": true,
		"Tags": object{"Tag": objects(r.tags(), shortTag)},
	}
}
