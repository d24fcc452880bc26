package aliyun

import (
	"fmt"
	"strings"
	"time"
)

const rdsVersion = "2014-08-15"

// Bounds of the RDS lists.
const (
	maxAttributeIDs   = 30
	maxExpirePeriod   = 180 // days
	rdsDefaultPerPage = 30
	rdsNoInstance     = "InvalidDBInstanceId.NotFound"
)

func registerRDS(s *Server) {
	add := s.adder(productRDS, rdsVersion, "rds")
	add("DescribeDBInstances", s.describeRDSInstances)
	add("DescribeDBInstanceAttribute", s.describeRDSAttribute)
	add("DescribeDBInstancesByExpireTime", s.describeRDSByExpireTime)
	add("DescribeDBInstancePerformance", s.describeRDSPerformance)
	add("DescribeBackups", s.describeRDSBackups)
	add("DescribeSlowLogs", s.describeSlowLogs)
	add("DescribeSlowLogRecords", s.describeSlowLogRecords)
}

func (s *Server) describeRDSInstances(c *call) (any, *apiError) {
	if e := s.requireRegion(c); e != nil {
		return nil, e
	}
	rows := s.listed(c, nsRDS, func(r *resource) bool {
		engine, version := r.engine()
		return c.filter("DBInstanceId", r.id) && c.filter("Engine", engine) && c.filter("EngineVersion", version) &&
			c.filter("PayType", s.rdsPayType(r)) && c.filter("DBInstanceType", r.rdsType()) && c.filter("ZoneId", r.zone()) &&
			strings.Contains(s.nameOf(r), c.params["SearchKey"])
	})
	if c.wantsToken() {
		shown, next, _, e := tokenPage(s, c, rows, byNumber, rdsDefaultPerPage, 100)
		if e != nil {
			return nil, e
		}
		return s.rdsAnswer(c, shown, len(rows), 1, next), nil
	}
	number, size, e := c.page(pageNumber(rdsDefaultPerPage, 100))
	if e != nil {
		return nil, e
	}
	return s.rdsAnswer(c, pageOf(rows, number, size), len(rows), number, ""), nil
}

func (s *Server) rdsAnswer(c *call, shown []*resource, total, number int, next string) any {
	return object{
		"RequestId": c.requestID, "PageNumber": number, "PageRecordCount": len(shown), "TotalRecordCount": total,
		"NextToken": next, "Items": object{"DBInstance": objects(shown, s.rdsInstance)},
	}
}

func (s *Server) rdsInstance(r *resource) object {
	engine, version := r.engine()
	i := object{
		"DBInstanceId": r.id, "DBInstanceDescription": s.nameOf(r), "RegionId": r.region, "ZoneId": r.zone(),
		"Engine": engine, "EngineVersion": version, "DBInstanceClass": r.rdsClass(), "DBInstanceMemory": r.rdsMemory(),
		"DBInstanceCPU": fmt.Sprint(r.rdsCores()), "DBInstanceStorageType": "cloud_essd", "Category": "HighAvailability",
		"DBInstanceType": r.rdsType(), "DBInstanceStatus": "Running", "PayType": s.rdsPayType(r),
		"CreateTime": r.created.Format(secondLayout), "ExpireTime": s.expiryText(r, secondLayout, ""), "DestroyTime": "",
		"LockMode": s.rdsLockMode(r), "LockReason": "", "InstanceNetworkType": "VPC", "DBInstanceNetType": "Intranet",
		"ConnectionMode": "Standard", "VpcId": r.vpc(), "VSwitchId": "vsw-" + idText(mixText(3, r.zone()), 20),
		"ConnectionString": r.rdsHost(), "ResourceGroupId": "", "DeletionProtection": false, "MutriORsignle": true,
		"InsId": 1, "TipsLevel": 0, "ReadOnlyDBInstanceIds": object{"ReadOnlyDBInstanceId": []object{}},
	}
	if primary := s.rdsPrimary(r); primary != nil {
		i["MasterInstanceId"] = primary.id
	}
	return i
}

func (s *Server) describeRDSAttribute(c *call) (any, *apiError) {
	ids := splitList(c.params["DBInstanceId"])
	if len(ids) == 0 {
		return nil, missingParameter("DBInstanceId")
	}
	if len(ids) > maxAttributeIDs {
		return nil, invalidParameter("DBInstanceId")
	}
	items := []object{}
	for _, id := range ids {
		one := &call{params: map[string]string{"DBInstanceId": id}}
		r, e := s.instance(one, nsRDS, "DBInstanceId", rdsNoInstance)
		if e != nil {
			return nil, e
		}
		if !c.empty {
			items = append(items, s.rdsAttribute(r))
		}
	}
	return object{"RequestId": c.requestID, "Items": object{"DBInstanceAttribute": items}}, nil
}

func (s *Server) rdsAttribute(r *resource) object {
	i := s.rdsInstance(r)
	delete(i, "CreateTime") // it is called CreationTime here
	delete(i, "MutriORsignle")
	port := map[string]string{"MySQL": "3306", "PostgreSQL": "5432", "PPAS": "3433", "SQLServer": "1433"}[i["Engine"].(string)]
	i["CreationTime"] = r.created.Format(secondLayout)
	i["DBInstanceStorage"] = 100 * r.rdsCores()
	i["MaxConnections"], i["MaxIOPS"] = 1000*r.rdsCores(), 2000*r.rdsCores()
	i["Port"] = port
	i["MaintainTime"] = "18:00Z-22:00Z"
	i["SecurityIPList"] = "10.0.0.0/8"
	i["AvailabilityValue"] = "100.0%"
	return i
}

// describeRDSByExpireTime lists the prepaid instances that end within ExpirePeriod
// days, or that have ended.
func (s *Server) describeRDSByExpireTime(c *call) (any, *apiError) {
	period, e := c.number("ExpirePeriod", maxExpirePeriod, 0, maxExpirePeriod)
	if e != nil {
		return nil, e
	}
	now := s.now()
	horizon := now.Add(time.Duration(period) * day)
	rows := s.listed(c, nsRDS, func(r *resource) bool {
		end := s.expiryOf(r)
		if end.IsZero() {
			return false
		}
		if strings.EqualFold(c.params["Expired"], "true") {
			return !end.After(now)
		}
		return end.After(now) && !end.After(horizon)
	})
	number, size, e := c.page(pageNumber(rdsDefaultPerPage, 100))
	if e != nil {
		return nil, e
	}
	shown := objects(pageOf(rows, number, size), func(r *resource) object {
		return object{
			"DBInstanceId": r.id, "DBInstanceDescription": s.nameOf(r), "DBInstanceStatus": "Running", "PayType": s.rdsPayType(r),
			"ExpireTime": s.expiryText(r, secondLayout, ""), "LockMode": s.rdsLockMode(r),
		}
	})
	return object{
		"RequestId": c.requestID, "PageNumber": number, "PageRecordCount": len(shown), "TotalRecordCount": len(rows),
		"Items": object{"DBInstanceExpireTime": shown},
	}, nil
}

// ---- details of a generated instance ----

func (r *resource) engine() (name, version string) {
	switch r.variant {
	case rdsPostgres:
		return "PostgreSQL", "14.0"
	case rdsMSSQL:
		return "SQLServer", "2008r2"
	case rdsPPAS:
		return "PPAS", "10.0"
	}
	return "MySQL", "8.0"
}

func (r *resource) rdsType() string {
	if r.variant == rdsReadOnly {
		return "Readonly"
	}
	return "Primary"
}

// rdsPrimary is the instance that a read-only one replicates: the first MySQL instance
// of its region, if there is one.
func (s *Server) rdsPrimary(r *resource) *resource {
	if r.variant != rdsReadOnly {
		return nil
	}
	for _, other := range s.estate.in(nsRDS, r.region) {
		if other.variant == rdsMySQL {
			return other
		}
	}
	return nil
}

func (s *Server) rdsPayType(r *resource) string {
	if s.prepaid(r) {
		return "Prepaid"
	}
	return "Postpaid"
}

func (s *Server) rdsLockMode(r *resource) string {
	if s.expired(r) {
		return "LockByExpiration"
	}
	return "Unlock"
}

func (r *resource) rdsCores() int { return pick(mix(r.key, 80), 2, 4, 8) }

// rdsMemory is in MB.
func (r *resource) rdsMemory() int { return r.rdsCores() * 4096 }

func (r *resource) rdsClass() string {
	return map[int]string{2: "mysql.n4.medium.2c", 4: "mysql.n4.large.2c", 8: "mysql.n4.xlarge.2c"}[r.rdsCores()]
}

func (r *resource) rdsHost() string {
	engine, _ := r.engine()
	return r.id + "." + strings.ToLower(engine) + ".rds.aliyuncs.com"
}
