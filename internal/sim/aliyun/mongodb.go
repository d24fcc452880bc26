package aliyun

import "strconv"

const mongoVersion = "2015-12-01"

func registerMongoDB(s *Server) {
	s.adder(productMongoDB, mongoVersion, "dds")("DescribeDBInstances", s.describeMongoInstances)
}

// describeMongoInstances lists one kind of instances. What it lists without
// DBInstanceType is not documented; here replica sets alone, so that a client that
// does not ask for both kinds is found out.
func (s *Server) describeMongoInstances(c *call) (any, *apiError) {
	if e := s.requireRegion(c); e != nil {
		return nil, e
	}
	kind := c.params["DBInstanceType"]
	switch kind {
	case "":
		kind = mongoReplicaSet
	case mongoReplicaSet, mongoSharded:
	default:
		return nil, invalidParameter("DBInstanceType")
	}
	rows := s.listed(c, nsMongoDB, func(r *resource) bool {
		return r.mongoType() == kind && c.filter("DBInstanceId", r.id) && c.filter("ReplicationFactor", r.mongoReplicas()) &&
			c.filter("ChargeType", s.chargeType(r))
	})
	number, size, e := c.page(databasePaging)
	if e != nil {
		return nil, e
	}
	return object{
		"RequestId": c.requestID, "PageNumber": number, "PageSize": size, "TotalCount": len(rows),
		"DBInstances": object{"DBInstance": objects(pageOf(rows, number, size), s.mongoInstance)},
	}, nil
}

// mongoType: a single node is a replica set of one.
func (r *resource) mongoType() string {
	if r.variant == mongoSharded {
		return mongoSharded
	}
	return mongoReplicaSet
}

func (r *resource) mongoReplicas() string {
	switch r.variant {
	case mongoSingle:
		return "1"
	case mongoSharded:
		return ""
	}
	return "3"
}

func (s *Server) mongoInstance(r *resource) object {
	lock := "Unlock"
	if s.expired(r) {
		lock = "LockByExpiration"
	}
	i := object{
		"DBInstanceId": r.id, "DBInstanceDescription": s.nameOf(r), "DBInstanceStatus": "Running", "DBInstanceType": r.mongoType(),
		"DBInstanceClass": "dds.mongo.standard", "DBInstanceStorage": 100, "Engine": "MongoDB", "EngineVersion": "4.4",
		"StorageEngine": "WiredTiger", "KindCode": "1", "RegionId": r.region, "ZoneId": r.zone(), "ReplicationFactor": r.mongoReplicas(),
		"ChargeType": s.chargeType(r), "CreationTime": r.created.Format(minuteLayout), "LockMode": lock,
		"ExpireTime": s.expiryText(r, minuteLayout, ""), "DestroyTime": "", "NetworkType": "VPC", "ResourceGroupId": "",
		"Tags": object{"Tag": objects(r.tags(), shortTag)},
	}
	if r.variant == mongoSharded {
		shards := []object{}
		seen := map[string]bool{}
		for _, values := range shardRoles(r) {
			if id := values[0]; !seen[id] {
				seen[id] = true
				shards = append(shards, object{"NodeId": id, "NodeClass": "dds.shard.mid", "NodeStorage": 100, "NodeDescription": ""})
			}
		}
		mongos := []object{}
		for n := range 2 {
			mongos = append(mongos, object{"NodeId": "s-" + r.id[len("dds-"):] + "-" + strconv.Itoa(n), "NodeClass": "dds.mongos.mid", "NodeDescription": ""})
		}
		i["ShardList"], i["MongosList"] = object{"ShardAttribute": shards}, object{"MongosAttribute": mongos}
	}
	return i
}
