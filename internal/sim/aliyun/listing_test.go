package aliyun

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// api is one action as the tests call it.
type api struct{ host, version, action string }

// get calls an action and decodes its answer; numbers stay json.Number.
func (a api) get(t *testing.T, s *Server, params map[string]string) object {
	t.Helper()
	status, body := a.send(t, s, testKey, params)
	if status != 200 {
		t.Fatalf("%s %v: %d %v", a.action, params, status, body)
	}
	return body
}

func (a api) send(t *testing.T, s *Server, key Key, params map[string]string) (int, object) {
	t.Helper()
	all := map[string]string{"Action": a.action, "Version": a.version}
	maps.Copy(all, params)
	w := httptest.NewRecorder()
	s.ServeHTTP(w, signed(a.host, key, all))
	decoder := json.NewDecoder(w.Body)
	decoder.UseNumber()
	var body object
	if err := decoder.Decode(&body); err != nil {
		t.Fatalf("%s: %v", a.action, err)
	}
	return w.Code, body
}

// fails fails the test unless the call gets this error.
func (a api) fails(t *testing.T, s *Server, status int, code string, params map[string]string) {
	t.Helper()
	if got, body := a.send(t, s, testKey, params); got != status || body["Code"] != code {
		t.Errorf("%s %v: got %d %v, want %d %s", a.action, params, got, body["Code"], status, code)
	}
}

// at follows a path of names into an answer.
func at(t *testing.T, body any, path string) any {
	t.Helper()
	for name := range strings.SplitSeq(path, ".") {
		o, ok := body.(object)
		if !ok {
			t.Fatalf("no %s in %v", path, body)
		}
		body = o[name]
	}
	return body
}

// items are the objects of a list in an answer. The list must be there, not null.
func items(t *testing.T, body object, path string) []object {
	t.Helper()
	list, ok := at(t, body, path).([]any)
	if !ok {
		t.Fatalf("%s is no list in %v", path, body)
	}
	out := []object{}
	for _, item := range list {
		out = append(out, item.(object))
	}
	return out
}

func texts(list []object, field string) []string {
	out := []string{}
	for _, item := range list {
		out = append(out, fmt.Sprint(item[field]))
	}
	return out
}

// allProducts is an account with some of everything.
func allProducts(c *Config) {
	c.Products = map[string]int{}
	for _, p := range products {
		if p.namespace != nsECS {
			c.Products[p.namespace] = 70
		}
	}
	c.ECSInstances = 70
}

// list is a list action that pages by number.
type list struct {
	api
	namespace, path, id string
	paging              paging
	total               string
	extra               map[string]string
}

var (
	rdsList   = api{"rds.aliyuncs.com", rdsVersion, "DescribeDBInstances"}
	slbList   = api{"slb.aliyuncs.com", slbVersion, "DescribeLoadBalancers"}
	albList   = api{"alb.cn-hangzhou.aliyuncs.com", albVersion, "ListLoadBalancers"}
	redisList = api{"r-kvstore.aliyuncs.com", redisVersion, "DescribeInstances"}
	mongoList = api{"mongodb.aliyuncs.com", mongoVersion, "DescribeDBInstances"}
	drdsList  = api{"drds.cn-hangzhou.aliyuncs.com", drdsVersion, "DescribeDrdsInstances"}
	cdnList   = api{"cdn.aliyuncs.com", cdnVersion, "DescribeUserDomains"}
	eipList   = api{"vpc.aliyuncs.com", vpcVersion, "DescribeEipAddresses"}
	bssList   = api{"business.aliyuncs.com", bssVersion, "QueryAvailableInstances"}
)

var lists = []list{
	{rdsList, nsRDS, "Items.DBInstance", "DBInstanceId", pageNumber(30, 100), "TotalRecordCount", nil},
	{slbList, nsSLB, "LoadBalancers.LoadBalancer", "LoadBalancerId", pageNumber(50, 100), "TotalCount", nil},
	{redisList, nsRedis, "Instances.KVStoreInstance", "InstanceId", databasePaging, "TotalCount", map[string]string{"InstanceType": "Redis"}},
	{drdsList, nsDRDS, "Instances.Instance", "DrdsInstanceId", pageNumber(30, 50), "Total", nil},
	{cdnList, nsCDN, "Domains.PageData", "DomainName", pageNumber(20, 500), "TotalCount", nil},
	{eipList, nsEIP, "EipAddresses.EipAddress", "AllocationId", pageNumber(10, 100), "TotalCount", nil},
	{bssList, nsES, "Data.InstanceList", "InstanceID", bssPaging, "Data.TotalCount", map[string]string{"ProductCode": "elasticsearch"}},
}

func TestListsPageToTheEnd(t *testing.T) {
	s := newTestServer(t, allProducts)
	for _, l := range lists {
		got := []string{}
		for page := 1; ; page++ {
			params := map[string]string{l.paging.number: strconv.Itoa(page)}
			maps.Copy(params, l.extra)
			body := l.get(t, s, params)
			rows := items(t, body, l.path)
			got = append(got, texts(rows, l.id)...)
			if total := fmt.Sprint(at(t, body, l.total)); total != "70" {
				t.Errorf("%s: %s is %s, want 70", l.action, l.total, total)
			}
			if want := min(l.paging.fallback, 70-(page-1)*l.paging.fallback); len(rows) != max(0, want) {
				t.Errorf("%s: %d rows in page %d, want %d", l.action, len(rows), page, want)
			}
			if len(rows) == 0 {
				break
			}
		}
		if diff := cmp.Diff(s.Instances(l.namespace), got); diff != "" {
			t.Errorf("%s: %s", l.action, diff)
		}
		l.fails(t, s, 400, "InvalidParameter", map[string]string{l.paging.size: strconv.Itoa(l.paging.largest + 1)})
	}
	redisList.fails(t, s, 400, "InvalidParameter", map[string]string{"PageSize": "40"}) // 30, 50 or 100
}

func TestListsByToken(t *testing.T) {
	s := newTestServer(t, allProducts)
	f := func(a api, path, id string, want int) {
		t.Helper()
		got, token := []string{}, ""
		for {
			body := a.get(t, s, map[string]string{"MaxResults": "33", "NextToken": token})
			got = append(got, texts(items(t, body, path), id)...)
			if token = fmt.Sprint(body["NextToken"]); token == "" {
				break
			}
		}
		if slices.Sort(got); len(slices.Compact(got)) != want {
			t.Errorf("%s: %d rows, want %d", a.action, len(got), want)
		}
		a.fails(t, s, 400, "InvalidParameter", map[string]string{"MaxResults": "33", "NextToken": "x"})
	}
	f(rdsList, "Items.DBInstance", "DBInstanceId", 70)
	f(albList, "LoadBalancers", "LoadBalancerId", 70)
	disks := 0
	for _, r := range s.estate.byProduct[nsECS] {
		disks += 1 + r.dataDisks()
	}
	f(diskList, "Disks.Disk", "DiskId", disks)
}

// A resource that goes between two pages neither hides nor repeats another one.
func TestTokenSurvivesADeletion(t *testing.T) {
	now := noon
	s := newTestServer(t, func(c *Config) { allProducts(c); c.Now = func() time.Time { return now } })
	ids := s.Instances(nsRDS)
	inject(t, s, Delete{Instance: ids[1], At: noon.Add(time.Minute)})
	first := rdsList.get(t, s, map[string]string{"MaxResults": "5"})
	now = noon.Add(time.Hour)
	second := rdsList.get(t, s, map[string]string{"MaxResults": "5", "NextToken": fmt.Sprint(first["NextToken"])})
	if diff := cmp.Diff(ids[5:10], texts(items(t, second, "Items.DBInstance"), "DBInstanceId")); diff != "" {
		t.Error(diff)
	}
}

func TestListsCanBeEmpty(t *testing.T) {
	s := newTestServer(t, allProducts)
	nobody := Key{ID: "nobody", Secret: "s", Permissions: []string{}}
	s.SetKey(nobody)
	for _, l := range append(slices.Clone(lists), list{api: albList, path: "LoadBalancers"}, list{api: mongoList, path: "DBInstances.DBInstance"}) {
		if status, body := l.send(t, s, nobody, l.extra); status != 403 || body["Code"] != "Forbidden.RAM" {
			t.Errorf("%s without permission: %d %v", l.action, status, body["Code"])
		}
		s.ClearFaults()
		inject(t, s, Outage{Kind: EmptyList})
		if rows := items(t, l.get(t, s, l.extra), l.path); len(rows) != 0 {
			t.Errorf("%s shows %d rows", l.action, len(rows))
		}
	}
	// ECS answers an empty list instead of an error.
	for path, a := range map[string]api{"Disks.Disk": diskList, "Snapshots.Snapshot": snapshotList} {
		s.ClearFaults()
		if status, body := a.send(t, s, nobody, nil); status != 200 || len(items(t, body, path)) != 0 {
			t.Errorf("%s without permission: %d %v", a.action, status, body)
		}
	}
}

// Without DBInstanceType only one kind is listed.
func TestMongoListsOneKind(t *testing.T) {
	s := newTestServer(t, func(c *Config) { c.Products = map[string]int{nsMongoDB: 9} })
	f := func(kind string, want int) []object {
		rows := items(t, mongoList.get(t, s, map[string]string{"DBInstanceType": kind}), "DBInstances.DBInstance")
		if len(rows) != want {
			t.Errorf("%q: %d instances, want %d", kind, len(rows), want)
		}
		return rows
	}
	f("", 6)
	replicas := f("replicate", 6)
	sharded := f("sharding", 3)
	if got := texts(replicas, "ReplicationFactor"); !slices.Contains(got, "1") || !slices.Contains(got, "3") {
		t.Errorf("replication factors %v", got)
	}
	if shards := items(t, sharded[0], "ShardList.ShardAttribute"); len(shards) != 2 {
		t.Errorf("shards %v", shards)
	}
	mongoList.fails(t, s, 400, "InvalidParameter", map[string]string{"DBInstanceType": "single"})
}

func TestNewInstancesAppearEverywhere(t *testing.T) {
	now := noon
	s := newTestServer(t, func(c *Config) { allProducts(c); c.Now = func() time.Time { return now } })
	for _, l := range lists {
		id := s.Instances(l.namespace)[0]
		inject(t, s, Create{Instance: id, At: noon.Add(time.Hour)}, Rename{Instance: id, Name: "new-name", At: noon.Add(time.Hour)})
		count := func() string { return fmt.Sprint(at(t, l.get(t, s, l.extra), l.total)) }
		now = noon
		before := count()
		now = noon.Add(time.Hour)
		if after := count(); before != "69" || after != "70" {
			t.Errorf("%s: %s before, %s after", l.action, before, after)
		}
	}
	if name := items(t, slbList.get(t, s, nil), "LoadBalancers.LoadBalancer")[0]["LoadBalancerName"]; name != "new-name" {
		t.Errorf("renamed to %v", name)
	}
}

func TestFiltersOfLists(t *testing.T) {
	s := newTestServer(t, allProducts)
	ids := s.Instances(nsRedis)
	f := func(l list, want int, params map[string]string) {
		t.Helper()
		if rows := items(t, l.get(t, s, params), l.path); len(rows) != want {
			t.Errorf("%s %v: %d rows, want %d", l.action, params, len(rows), want)
		}
	}
	f(lists[2], 2, map[string]string{"InstanceIds": ids[0] + "," + ids[5] + ",r-nobody"})
	lists[2].fails(t, s, 400, "InvalidParameter", map[string]string{"InstanceIds": strings.Repeat("r-x,", 30)})
	f(lists[2], 24, map[string]string{"ArchitectureType": "standard", "InstanceType": "Redis"})
	f(lists[2], 30, map[string]string{"InstanceType": "Memcache"})
	f(lists[4], 1, map[string]string{"DomainName": "static7.example.com", "DomainSearchType": "full_match"})
	f(lists[0], 14, map[string]string{"Engine": "SQLServer", "PageSize": "100"})
	rdsList.fails(t, s, 404, "InvalidRegionId.NotFound", map[string]string{"RegionId": "mars-1"})
	bssList.fails(t, s, 400, "MissingParameter", map[string]string{"Region": "cn-hangzhou"})
}
