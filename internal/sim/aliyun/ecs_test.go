package aliyun

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"
)

func TestDescribeInstancesPages(t *testing.T) {
	s := newTestServer(t, nil)
	f := func(params map[string]string, want int) []ecsInstance {
		t.Helper()
		a := ecs(t, s, params)
		if a.Status != 200 || len(a.Instances.Instance) != want {
			t.Errorf("%v: %d instances, want %d", params, len(a.Instances.Instance), want)
		}
		return a.Instances.Instance
	}
	f(nil, 10)
	f(map[string]string{"PageSize": "25"}, 25)
	f(map[string]string{"PageSize": "25", "PageNumber": "2"}, 5)
	f(map[string]string{"PageSize": "25", "PageNumber": "3"}, 0)
	ecs(t, s, map[string]string{"PageSize": "101"}).wantCode(t, 400, "InvalidParameter")
	ecs(t, s, map[string]string{"NextToken": "x"}).wantCode(t, 400, "InvalidParameter")
	ecs(t, s, map[string]string{"RegionId": "-"}).wantCode(t, 400, "MissingParameter")
	ecs(t, s, map[string]string{"RegionId": "mars-1"}).wantCode(t, 404, "InvalidRegionId.NotFound")
}

func TestDescribeInstancesFilters(t *testing.T) {
	s := newTestServer(t, nil)
	all := ecs(t, s, map[string]string{"PageSize": "100"}).Instances.Instance
	count := func(keep func(ecsInstance) bool) (n int) {
		for _, i := range all {
			if keep(i) {
				n++
			}
		}
		return n
	}
	f := func(want int, params map[string]string) {
		t.Helper()
		if got := string(ecs(t, s, params).TotalCount); got != fmt.Sprint(want) {
			t.Errorf("%v: %s instances, want %d", params, got, want)
		}
	}
	ids, err := json.Marshal([]string{all[0].InstanceID, all[7].InstanceID, "i-nobody"})
	if err != nil {
		t.Fatal(err)
	}
	f(30, nil)
	f(2, map[string]string{"InstanceIds": string(ids)})
	f(0, map[string]string{"InstanceIds": "[]"})
	f(1, map[string]string{"InstanceName": all[4].InstanceName})
	f(30, map[string]string{"InstanceName": "*-*"})
	f(count(func(i ecsInstance) bool { return i.InstanceChargeType == "PostPaid" }), map[string]string{"InstanceChargeType": "PostPaid"})
	f(count(func(i ecsInstance) bool { return i.Tags.Tag[1].TagValue == "prod" }), map[string]string{"Tag.1.Key": "env", "Tag.1.Value": "prod"})
	f(0, map[string]string{"Tag.1.Key": "nothing"})
	ecs(t, s, map[string]string{"InstanceIds": "i-1"}).wantCode(t, 400, "InvalidParameter")
}

func TestExpiry(t *testing.T) {
	s := newTestServer(t, func(c *Config) { c.ECSInstances = 100 })
	kinds := map[string]int{}
	for _, i := range ecs(t, s, map[string]string{"PageSize": "100"}).Instances.Instance {
		kinds[i.InstanceChargeType]++
		end, err := time.Parse("2006-01-02T15:04Z", i.ExpiredTime)
		if err != nil {
			t.Fatal(err)
		}
		if never := i.ExpiredTime == "2099-12-31T15:59Z"; never != (i.InstanceChargeType == "PostPaid") {
			t.Errorf("%s expires %s", i.InstanceChargeType, i.ExpiredTime)
		}
		if !end.After(noon) {
			t.Errorf("%s has expired", i.InstanceID)
		}
	}
	if kinds["PrePaid"] == 0 || kinds["PostPaid"] == 0 {
		t.Errorf("kinds %v", kinds)
	}
}

func TestRegionsShareTheInstances(t *testing.T) {
	s := newTestServer(t, func(c *Config) { c.Regions = []string{"cn-hangzhou", "cn-beijing"} })
	seen := map[string]bool{}
	for _, region := range s.cfg.Regions {
		for _, i := range ecs(t, s, map[string]string{"RegionId": region, "PageSize": "100"}).Instances.Instance {
			if i.RegionID != region || seen[i.InstanceID] {
				t.Errorf("%s of %s shows in %s", i.InstanceID, i.RegionID, region)
			}
			seen[i.InstanceID] = true
		}
		points := cms(t, s, "DescribeMetricLast", map[string]string{"RegionId": region}).points(t)
		if len(points) != 15 {
			t.Errorf("%s: metrics of %d instances, want 15", region, len(points))
		}
	}
	if len(seen) != 30 {
		t.Errorf("%d instances, want 30", len(seen))
	}
}

func TestAssumeRole(t *testing.T) {
	s := newTestServer(t, nil)
	var body struct {
		Credentials struct{ AccessKeyID, AccessKeySecret, SecurityToken, Expiration string }
	}
	params := map[string]string{"Action": "AssumeRole", "Version": stsVersion, "RoleSessionName": "watch",
		"RoleArn": "acs:ram::1234567890123456:role/monitor"}
	a := send(t, s, signed("sts.cn-hangzhou.aliyuncs.com", testKey, params))
	if err := json.Unmarshal([]byte(a.Raw), &body); err != nil {
		t.Fatal(err)
	}
	got := Key{ID: body.Credentials.AccessKeyID, Secret: body.Credentials.AccessKeySecret, SecurityToken: body.Credentials.SecurityToken}
	who := map[string]string{"Action": "GetCallerIdentity", "Version": stsVersion}
	send(t, s, signed("sts.cn-hangzhou.aliyuncs.com", got, who)).wantCode(t, 200, "")
	params["RoleArn"] = "acs:ram::999:role/monitor"
	send(t, s, signed("sts.cn-hangzhou.aliyuncs.com", testKey, params)).wantCode(t, 404, "EntityNotExist.Role")
}
