package sdktest

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/responses"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/alb"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/bssopenapi"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/cdn"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/dds"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/drds"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/ecs"
	redis "github.com/aliyun/alibaba-cloud-sdk-go/services/r-kvstore"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/rds"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/slb"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/vpc"

	"watchkeeper/internal/sim/aliyun"
)

// must unwraps what the SDK's constructors and actions return.
func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// everything is an account with some resources of every product.
func everything(c *aliyun.Config) {
	c.ECSInstances = 20
	c.Products = map[string]int{
		"acs_rds_dashboard": 40, "acs_slb_dashboard": 40, "acs_kvstore": 40, "acs_mongodb": 40, "acs_drds": 40,
		"acs_cdn": 40, "acs_elasticsearch": 5, "acs_oss_dashboard": 5, "acs_vpc_eip": 40, "acs_alb": 40,
	}
}

func rdsClient(t *testing.T, w *world) *rds.Client {
	return must[*rds.Client](t)(rds.NewClientWithOptions(region, config(w), credential(key)))
}

func slbClient(t *testing.T, w *world) *slb.Client {
	return must[*slb.Client](t)(slb.NewClientWithOptions(region, config(w), credential(key)))
}

func bssClient(t *testing.T, w *world) *bssopenapi.Client {
	return must[*bssopenapi.Client](t)(bssopenapi.NewClientWithOptions(region, config(w), credential(key)))
}

// Each list, page by page, has every id once; first is one item, for its fields.
func TestListsOfAllProducts(t *testing.T) {
	w := newWorld(t, everything)
	pages := func(namespace string, page func(number int) (ids []string)) {
		t.Helper()
		got := map[string]bool{}
		for number := 1; number <= 5; number++ {
			for _, id := range page(number) {
				if got[id] {
					t.Errorf("%s: %s is there twice", namespace, id)
				}
				got[id] = true
			}
		}
		for _, id := range w.Instances(namespace) {
			if !got[id] {
				t.Errorf("%s: %s is missing", namespace, id)
			}
		}
	}
	pages("acs_rds_dashboard", func(number int) (ids []string) {
		r := rds.CreateDescribeDBInstancesRequest()
		r.PageNumber = requests.NewInteger(number)
		a := must[*rds.DescribeDBInstancesResponse](t)(rdsClient(t, w).DescribeDBInstances(r))
		for _, i := range a.Items.DBInstance {
			if ids = append(ids, i.DBInstanceId); i.Engine == "" || i.PayType == "" || i.DBInstanceMemory == 0 || i.LockMode != "Unlock" {
				t.Errorf("RDS lacks fields: %+v", i)
			}
		}
		if a.TotalRecordCount != 40 || a.PageRecordCount != len(ids) {
			t.Errorf("RDS: %d of %d", a.PageRecordCount, a.TotalRecordCount)
		}
		return ids
	})
	pages("acs_slb_dashboard", func(number int) (ids []string) {
		r := slb.CreateDescribeLoadBalancersRequest()
		r.PageNumber, r.PageSize = requests.NewInteger(number), requests.NewInteger(15)
		a := must[*slb.DescribeLoadBalancersResponse](t)(slbClient(t, w).DescribeLoadBalancers(r))
		for _, i := range a.LoadBalancers.LoadBalancer {
			if ids = append(ids, i.LoadBalancerId); i.LoadBalancerName == "" || i.CreateTimeStamp == 0 || i.Tags.Tag[0].TagKey == "" {
				t.Errorf("SLB lacks fields: %+v", i)
			}
		}
		return ids
	})
	pages("acs_kvstore", func(number int) (ids []string) {
		c := must[*redis.Client](t)(redis.NewClientWithOptions(region, config(w), credential(key)))
		r := redis.CreateDescribeInstancesRequest()
		r.PageNumber = requests.NewInteger(number)
		a := must[*redis.DescribeInstancesResponse](t)(c.DescribeInstances(r))
		for _, i := range a.Instances.KVStoreInstance {
			if ids = append(ids, i.InstanceId); i.ArchitectureType == "" || i.Capacity == 0 || i.Port != 6379 || i.Tags.Tag[0].Key == "" {
				t.Errorf("Redis lacks fields: %+v", i)
			}
		}
		return ids
	})
	pages("acs_mongodb", func(number int) (ids []string) {
		c := must[*dds.Client](t)(dds.NewClientWithOptions(region, config(w), credential(key)))
		for _, kind := range []string{"replicate", "sharding"} {
			r := dds.CreateDescribeDBInstancesRequest()
			r.PageNumber, r.DBInstanceType = requests.NewInteger(number), kind
			a := must[*dds.DescribeDBInstancesResponse](t)(c.DescribeDBInstances(r))
			for _, i := range a.DBInstances.DBInstance {
				if ids = append(ids, i.DBInstanceId); i.DBInstanceType != kind || kind == "sharding" && len(i.ShardList.ShardAttribute) != 2 {
					t.Errorf("MongoDB lacks fields: %+v", i)
				}
			}
		}
		return ids
	})
	pages("acs_drds", func(number int) (ids []string) {
		c := must[*drds.Client](t)(drds.NewClientWithOptions(region, config(w), credential(key)))
		r := drds.CreateDescribeDrdsInstancesRequest()
		r.PageNumber = requests.NewInteger(number)
		a := must[*drds.DescribeDrdsInstancesResponse](t)(c.DescribeDrdsInstances(r))
		for _, i := range a.Instances.Instance {
			if ids = append(ids, i.DrdsInstanceId); i.CreateTime < 1e12 || i.ExpireDate != 0 && i.ExpireDate < time.Now().UnixMilli() || len(i.Vips.Vip) != 1 {
				t.Errorf("DRDS lacks fields: %+v", i)
			}
		}
		return ids
	})
	pages("acs_cdn", func(number int) (ids []string) {
		c := must[*cdn.Client](t)(cdn.NewClientWithOptions(region, config(w), credential(key)))
		r := cdn.CreateDescribeUserDomainsRequest()
		r.PageNumber = requests.NewInteger(number)
		a := must[*cdn.DescribeUserDomainsResponse](t)(c.DescribeUserDomains(r))
		for _, i := range a.Domains.PageData {
			if ids = append(ids, i.DomainName); i.DomainStatus == "" || i.DomainId == 0 || len(i.Sources.Source) != 1 {
				t.Errorf("CDN lacks fields: %+v", i)
			}
		}
		return ids
	})
	pages("acs_vpc_eip", func(number int) (ids []string) {
		c := must[*vpc.Client](t)(vpc.NewClientWithOptions(region, config(w), credential(key)))
		r := vpc.CreateDescribeEipAddressesRequest()
		r.PageNumber = requests.NewInteger(number)
		a := must[*vpc.DescribeEipAddressesResponse](t)(c.DescribeEipAddresses(r))
		for _, i := range a.EipAddresses.EipAddress {
			if ids = append(ids, i.AllocationId); i.IpAddress == "" || i.ChargeType == "" || (i.Status == "InUse") != (i.InstanceId != "") {
				t.Errorf("EIP lacks fields: %+v", i)
			}
		}
		return ids
	})
	token := ""
	pages("acs_alb", func(number int) (ids []string) {
		if number > 1 && token == "" {
			return nil
		}
		c := must[*alb.Client](t)(alb.NewClientWithOptions(region, config(w), credential(key)))
		r := alb.CreateListLoadBalancersRequest()
		r.NextToken = token
		a := must[*alb.ListLoadBalancersResponse](t)(c.ListLoadBalancers(r))
		for _, i := range a.LoadBalancers {
			if ids = append(ids, i.LoadBalancerId); i.LoadBalancerName == "" || i.LoadBalancerBillingConfig.PayType != "PostPay" || i.Tags[0].Key == "" {
				t.Errorf("ALB lacks fields: %+v", i)
			}
		}
		token = a.NextToken
		return ids
	})
}

// Texts as numbers and numbers as texts decode all the same.
func TestListWithWrongTypes(t *testing.T) {
	w := newWorld(t, everything)
	if err := w.Inject(aliyun.Outage{Kind: aliyun.WrongTypes}); err != nil {
		t.Fatal(err)
	}
	a := must[*rds.DescribeDBInstancesResponse](t)(rdsClient(t, w).DescribeDBInstances(rds.CreateDescribeDBInstancesRequest()))
	if i := a.Items.DBInstance[0]; a.TotalRecordCount != 40 || i.EngineVersion != "8.0" || i.DBInstanceMemory == 0 || !i.MutriORsignle {
		t.Errorf("%d instances, %+v", a.TotalRecordCount, i)
	}
	if text := a.GetHttpContentString(); !strings.Contains(text, `"MutriORsignle":"true"`) || !strings.Contains(text, `"EngineVersion":8.0`) || !strings.Contains(text, `"TotalRecordCount":"40"`) {
		t.Errorf("types are right: %.300s", text)
	}
}

func TestDetailsOfInstances(t *testing.T) {
	w := newWorld(t, everything)
	r := rds.CreateDescribeDBInstanceAttributeRequest()
	r.DBInstanceId = w.Instances("acs_rds_dashboard")[0]
	a := must[*rds.DescribeDBInstanceAttributeResponse](t)(rdsClient(t, w).DescribeDBInstanceAttribute(r))
	if i := a.Items.DBInstanceAttribute[0]; i.Port != "3306" || i.MaxConnections == 0 || i.DBInstanceStorage == 0 || i.CreationTime == "" {
		t.Errorf("RDS attribute lacks fields: %+v", i)
	}
	id := w.Instances("acs_slb_dashboard")[0]
	l := slb.CreateDescribeLoadBalancerAttributeRequest()
	l.LoadBalancerId = id
	b := must[*slb.DescribeLoadBalancerAttributeResponse](t)(slbClient(t, w).DescribeLoadBalancerAttribute(l))
	if b.EndTimeStamp == 0 || len(b.ListenerPortsAndProtocol.ListenerPortAndProtocol) == 0 || len(b.BackendServers.BackendServer) != 3 ||
		b.ListenerPorts.ListenerPort[0] != 80 {
		t.Errorf("SLB attribute lacks fields: %+v", b)
	}
	now := time.Now()
	breach := aliyun.Breach{Instance: id, Metric: "UnhealthyServerCount", Dimensions: map[string]string{"port": "80"}, From: now.Add(-time.Hour), To: now.Add(time.Hour), Value: 2}
	if err := w.Inject(breach); err != nil {
		t.Fatal(err)
	}
	h := slb.CreateDescribeHealthStatusRequest()
	h.LoadBalancerId, h.ListenerPort = id, requests.NewInteger(80)
	health := must[*slb.DescribeHealthStatusResponse](t)(slbClient(t, w).DescribeHealthStatus(h))
	abnormal := 0
	for _, s := range health.BackendServers.BackendServer {
		if s.ServerHealthStatus == "abnormal" {
			abnormal++
		}
	}
	if len(health.BackendServers.BackendServer) != 3 || abnormal != 2 {
		t.Errorf("health %+v", health.BackendServers)
	}
}

func TestDisksAndSnapshots(t *testing.T) {
	w := newWorld(t, everything)
	disks, token := map[string]bool{}, ""
	for {
		r := ecs.CreateDescribeDisksRequest()
		r.MaxResults, r.NextToken = requests.NewInteger(10), token
		a := must[*ecs.DescribeDisksResponse](t)(ecsClient(t, w, key).DescribeDisks(r))
		for _, d := range a.Disks.Disk {
			if disks[d.DiskId] = true; d.InstanceId == "" || d.Device == "" || d.Size == 0 {
				t.Errorf("disk lacks fields: %+v", d)
			}
			if never := d.ExpiredTime == "2099-12-31T15:59Z"; never != (d.DiskChargeType == "PostPaid") || never != d.Portable {
				t.Errorf("disk of %s expires %s", d.DiskChargeType, d.ExpiredTime)
			}
		}
		if token = a.NextToken; token == "" {
			break
		}
	}
	r := ecs.CreateDescribeSnapshotsRequest()
	r.PageSize = requests.NewInteger(100)
	a := must[*ecs.DescribeSnapshotsResponse](t)(ecsClient(t, w, key).DescribeSnapshots(r))
	if len(disks) < 20 || a.TotalCount < 100 {
		t.Errorf("%d disks, %d snapshots", len(disks), a.TotalCount)
	}
	for _, p := range a.Snapshots.Snapshot {
		if _, err := time.Parse(time.RFC3339, p.CreationTime); err != nil || !disks[p.SourceDiskId] || p.RetentionDays != 7 {
			t.Errorf("snapshot lacks fields: %+v", p)
		}
	}
}

// elasticsearchEnds are the expiries as the product's own list says, formatted as the
// bill service does.
func elasticsearchEnds(t *testing.T, w *world) map[string]string {
	t.Helper()
	client := must[*sdk.Client](t)(sdk.NewClientWithOptions(region, config(w), credential(key)))
	r := requests.NewCommonRequest()
	r.Product, r.Version, r.PathPattern, r.ApiName = "elasticsearch", "2017-06-13", "/openapi/instances", "ListInstance"
	r.Method, r.Scheme, r.Domain = "GET", "HTTP", "elasticsearch."+region+".aliyuncs.com"
	var body struct {
		Result []struct {
			InstanceID string `json:"instanceId"`
			EndTime    int64  `json:"endTime"`
		}
	}
	if err := json.Unmarshal(must[*responses.CommonResponse](t)(client.ProcessCommonRequest(r)).GetHttpContentBytes(), &body); err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, i := range body.Result {
		out[i.InstanceID] = ""
		if i.EndTime != 0 {
			out[i.InstanceID] = time.UnixMilli(i.EndTime).UTC().Format("2006-01-02T15:04:05Z")
		}
	}
	if len(out) != len(w.Instances("acs_elasticsearch")) {
		t.Errorf("%d clusters", len(out))
	}
	return out
}

func TestBillService(t *testing.T) {
	w := newWorld(t, everything)
	ends := map[string]string{}
	for page := 1; page <= 2; page++ {
		r := bssopenapi.CreateQueryAvailableInstancesRequest()
		r.PageNum, r.PageSize = requests.NewInteger(page), requests.NewInteger(300)
		a := must[*bssopenapi.QueryAvailableInstancesResponse](t)(bssClient(t, w).QueryAvailableInstances(r))
		if !a.Success || a.Data.TotalCount != 305 {
			t.Fatalf("page %d: %d instances, %s", page, a.Data.TotalCount, a.Code)
		}
		for _, i := range a.Data.InstanceList {
			ends[i.InstanceID] = i.EndTime
		}
	}
	if len(ends) != 305 {
		t.Errorf("%d instances", len(ends))
	}
	for id, end := range elasticsearchEnds(t, w) {
		if listed, ok := ends[id]; !ok || listed != end {
			t.Errorf("%s ends %q by its product, %q by the bill service", id, end, listed)
		}
	}
	balance := must[*bssopenapi.QueryAccountBalanceResponse](t)(bssClient(t, w).QueryAccountBalance(bssopenapi.CreateQueryAccountBalanceRequest()))
	if balance.Data.AvailableAmount == "" || balance.Data.Currency != "CNY" {
		t.Errorf("balance %+v", balance.Data.AvailableAmount)
	}
	china := time.FixedZone("", 8*3600)
	date := time.Now().In(china).AddDate(0, 0, -3)
	sum, token := 0.0, ""
	for {
		b := bssopenapi.CreateDescribeInstanceBillRequest()
		b.BillingCycle, b.BillingDate, b.Granularity = date.Format("2006-01"), date.Format("2006-01-02"), "DAILY"
		b.MaxResults, b.NextToken = requests.NewInteger(50), token
		bill := must[*bssopenapi.DescribeInstanceBillResponse](t)(bssClient(t, w).DescribeInstanceBill(b))
		for _, i := range bill.Data.Items {
			sum += i.PretaxAmount
		}
		if token = bill.Data.NextToken; token == "" {
			break
		}
	}
	usual, orders := w.DailyCost(date)
	if diff := sum - usual - orders; usual == 0 || diff > 0.01 || diff < -0.01 {
		t.Errorf("the bill of three days ago is %v, want %v and %v", sum, usual, orders)
	}
}
