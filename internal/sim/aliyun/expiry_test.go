package aliyun

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

var (
	diskList     = api{"ecs.cn-hangzhou.aliyuncs.com", ecsVersion, "DescribeDisks"}
	snapshotList = api{"ecs.cn-hangzhou.aliyuncs.com", ecsVersion, "DescribeSnapshots"}
	ecsList      = api{"ecs.cn-hangzhou.aliyuncs.com", ecsVersion, "DescribeInstances"}
	slbAttribute = api{"slb.aliyuncs.com", slbVersion, "DescribeLoadBalancerAttribute"}
	rdsExpiring  = api{"rds.aliyuncs.com", rdsVersion, "DescribeDBInstancesByExpireTime"}
	rdsAttribute = api{"rds.aliyuncs.com", rdsVersion, "DescribeDBInstanceAttribute"}
)

// expiries are what the products' own actions say, in all their formats; zero: never.
func expiries(t *testing.T, s *Server) map[string]time.Time {
	t.Helper()
	out := map[string]time.Time{}
	read := func(a api, path, id, field, layout, never string, params map[string]string) {
		t.Helper()
		for _, row := range items(t, a.get(t, s, params), path) {
			text := fmt.Sprint(row[field])
			if text == never {
				out[fmt.Sprint(row[id])] = time.Time{}
				continue
			}
			var end time.Time
			var err error
			if layout == "ms" {
				var n int64
				n, err = strconv.ParseInt(text, 10, 64)
				end = time.UnixMilli(n)
			} else {
				end, err = time.Parse(layout, text)
			}
			if err != nil {
				t.Fatalf("%s: %v", a.action, err)
			}
			out[fmt.Sprint(row[id])] = end
		}
	}
	hundred := map[string]string{"PageSize": "100"}
	read(ecsList, "Instances.Instance", "InstanceId", "ExpiredTime", "2006-01-02T15:04Z", "2099-12-31T15:59Z", hundred)
	read(rdsList, "Items.DBInstance", "DBInstanceId", "ExpireTime", "2006-01-02T15:04:05Z", "", hundred)
	read(redisList, "Instances.KVStoreInstance", "InstanceId", "EndTime", "2006-01-02T15:04:05Z", "", hundred)
	read(mongoList, "DBInstances.DBInstance", "DBInstanceId", "ExpireTime", "2006-01-02T15:04Z", "", map[string]string{"PageSize": "100", "DBInstanceType": "sharding"})
	read(mongoList, "DBInstances.DBInstance", "DBInstanceId", "ExpireTime", "2006-01-02T15:04Z", "", hundred)
	read(drdsList, "Instances.Instance", "DrdsInstanceId", "ExpireDate", "ms", "0", map[string]string{"PageSize": "50"})
	read(eipList, "EipAddresses.EipAddress", "AllocationId", "ExpiredTime", "2006-01-02T15:04Z", "", hundred)
	for _, id := range s.Instances(nsSLB) {
		body := slbAttribute.get(t, s, map[string]string{"LoadBalancerId": id})
		end, err := time.Parse(time.RFC3339, fmt.Sprint(body["EndTime"]))
		if err != nil || fmt.Sprint(body["EndTimeStamp"]) != fmt.Sprint(end.UnixMilli()) {
			t.Fatalf("%s ends %v, %v", id, body["EndTime"], body["EndTimeStamp"])
		}
		if end.Year() == 2999 {
			end = time.Time{}
		}
		out[id] = end
	}
	return out
}

func TestExpiryAgreesWithTheBillService(t *testing.T) {
	counts := map[string]int{nsRDS: 20, nsSLB: 20, nsRedis: 20, nsMongoDB: 20, nsDRDS: 20, nsEIP: 20, nsES: 20}
	s := newTestServer(t, func(c *Config) { c.Products = counts; c.ECSInstances = 20 })
	soon := noon.Add(3 * day)
	for _, namespace := range []string{nsECS, nsRDS, nsSLB, nsRedis, nsMongoDB, nsDRDS, nsEIP, nsES} {
		inject(t, s, Expire{Instance: s.Instances(namespace)[4], At: soon})
	}
	own := expiries(t, s)
	never, scripted := 0, 0
	for _, row := range items(t, bssList.get(t, s, map[string]string{"PageSize": "300"}), "Data.InstanceList") {
		id := fmt.Sprint(row["InstanceID"])
		end, listed := own[id]
		if row["ProductCode"] == "elasticsearch" {
			continue // its list speaks another protocol; the SDK tests read it
		}
		text := ""
		if !end.IsZero() {
			text = end.UTC().Format("2006-01-02T15:04:05Z")
		} else {
			never++
		}
		if truth := s.Expiry(id); !truth.Equal(end) {
			t.Errorf("%s ends %s, in truth %s", id, end, truth)
		}
		if end.Equal(soon) {
			scripted++
		}
		if !listed || row["EndTime"] != text || (row["SubscriptionType"] == "PayAsYouGo") != end.IsZero() {
			t.Errorf("%s ends %q by its product, %v by the bill service (%v)", id, text, row["EndTime"], row["SubscriptionType"])
		}
	}
	if never < 20 || scripted != 7 {
		t.Errorf("%d of %d never end, %d end soon", never, len(own), scripted)
	}
	soonEnding := items(t, bssList.get(t, s, map[string]string{
		"EndTimeStart": soon.Add(-time.Hour).Format(secondLayout), "EndTimeEnd": soon.Add(time.Hour).Format(secondLayout),
	}), "Data.InstanceList")
	if len(soonEnding) != 8 || soonEnding[0]["RenewStatus"] != "ManualRenewal" {
		t.Errorf("ending soon: %v", soonEnding)
	}
}

func TestExpiredInstancesAreLocked(t *testing.T) {
	now := noon
	s := newTestServer(t, func(c *Config) { allProducts(c); c.Now = func() time.Time { return now } })
	id, server := s.Instances(nsRDS)[0], s.Instances(nsECS)[0]
	inject(t, s, Expire{Instance: id, At: noon.Add(day)}, Expire{Instance: server, At: noon.Add(day)})
	expiring := func(params map[string]string) []string {
		return texts(items(t, rdsExpiring.get(t, s, params), "Items.DBInstanceExpireTime"), "DBInstanceId")
	}
	if got := expiring(map[string]string{"ExpirePeriod": "2"}); len(got) != 1 || got[0] != id {
		t.Errorf("expiring within two days: %v", got)
	}
	now = noon.Add(2 * day)
	if got := expiring(map[string]string{"Expired": "True"}); len(got) != 1 || got[0] != id {
		t.Errorf("expired: %v", got)
	}
	lock := items(t, rdsAttribute.get(t, s, map[string]string{"DBInstanceId": id}), "Items.DBInstanceAttribute")[0]["LockMode"]
	row := items(t, ecsList.get(t, s, map[string]string{"InstanceIds": `["` + server + `"]`}), "Instances.Instance")[0]
	if lock != "LockByExpiration" || row["Status"] != "Stopped" || !strings.Contains(fmt.Sprint(row["OperationLocks"]), "financial") {
		t.Errorf("RDS is %v, ECS %v with %v", lock, row["Status"], row["OperationLocks"])
	}
	inject(t, s, Expire{Instance: id, At: noon.AddDate(1, 0, 0)}) // renewed
	if got := expiring(map[string]string{"Expired": "True"}); len(got) != 0 {
		t.Errorf("still expired: %v", got)
	}
	if err := s.Inject(Expire{Instance: s.Instances(nsCDN)[0], At: noon}); err == nil {
		t.Error("a CDN domain can expire")
	}
	rdsAttribute.fails(t, s, 404, "InvalidDBInstanceId.NotFound", map[string]string{"DBInstanceId": "rm-nobody"})
	rdsExpiring.fails(t, s, 400, "InvalidParameter", map[string]string{"ExpirePeriod": "181"})
}
