package aliyun

import (
	"cmp"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"testing"
)

// Whatever stands in the parameters of a signed request, the answer is one of the
// API's, and never a failure of the simulator's own.
func FuzzMetricList(f *testing.F) {
	f.Add("60", "1700000000000", "2026-11-21 12:00:00", `[{"instanceId":"i-1"}]`, "10", "")
	f.Add("", "", "", `[null]`, "", "MTIz")
	f.Add("3600", "2026-11-21T00:00:00Z", "9223372036854775807", `{"device":"/"}`, "-1", "%")
	f.Add("15", "-1", "0", `[[[[`, "1e3", "\n")
	s, err := New(Config{Keys: []Key{testKey}, ECSInstances: 3, RateLimits: map[string]float64{"Cms.DescribeMetricList": -1}, QuotaPerMonth: -1})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, period, start, end, dimensions, length, token string) {
		params := map[string]string{
			"Action": "DescribeMetricList", "Version": cmsVersion, "Namespace": nsECS, "MetricName": "diskusage_utilization",
			"Period": period, "StartTime": start, "EndTime": end, "Dimensions": dimensions, "Length": length, "NextToken": token,
		}
		a := send(t, s, signed("metrics.cn-hangzhou.aliyuncs.com", testKey, params))
		if a.Code == "" || a.Status != 200 && a.Status != 400 {
			t.Errorf("%d %s", a.Status, a.Raw)
		}
	})
}

func FuzzUnsigned(f *testing.F) {
	f.Add("GET", "/", "Action=DescribeInstances&Version=2014-05-26", "acs a:b")
	f.Add("POST", "/openapi/instances", "page=%zz", "acs :")
	s, err := New(Config{Keys: []Key{testKey}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, method, path, query, authorization string) {
		r := httptest.NewRequest(http.MethodPost, "http://elasticsearch.cn-hangzhou.aliyuncs.com/", nil)
		r.Method, r.URL = method, &url.URL{Path: path, RawQuery: query}
		r.Header.Set("Authorization", authorization)
		if a := send(t, s, r); a.Code == "" || a.Status < 400 {
			t.Errorf("an unsigned request got %d %s", a.Status, a.Raw)
		}
	})
}

// Every action, with any values in the parameters that any of them knows.
func FuzzActions(f *testing.F) {
	f.Add(uint(0), "StartTime", "2026-11-21T00:00Z", "EndTime", "2026-11-21T01:00Z")
	f.Add(uint(1), "PageSize", "-1", "PageNumber", "9223372036854775807")
	f.Add(uint(2), "MaxResults", "1", "NextToken", "AAAA")
	f.Add(uint(3), "Interval", "86400", "StartTime", "0001-01-01T00:00:00Z")
	f.Add(uint(4), "BillingCycle", "2026-11", "Granularity", "DAILY")
	f.Add(uint(5), "Key", "CpuUsage,", "EventPublishTime.Start", "x")
	f.Add(uint(6), "StartTime", "2026-11-21Z", "EndTime", "9999-12-31Z")
	counts := map[string]int{}
	for _, p := range products {
		if p.namespace != nsECS {
			counts[p.namespace] = 3
		}
	}
	cfg := Config{Keys: []Key{testKey}, ECSInstances: 3, Products: counts, QuotaPerMonth: -1, RateLimits: DefaultRateLimits()}
	for api := range cfg.RateLimits {
		cfg.RateLimits[api] = -1
	}
	s, err := New(cfg)
	if err != nil {
		f.Fatal(err)
	}
	names := slices.SortedFunc(maps.Keys(s.actions), func(a, b actionName) int {
		return cmp.Or(cmp.Compare(a.version, b.version), cmp.Compare(a.action, b.action))
	})
	names = slices.DeleteFunc(names, func(n actionName) bool { return n.version == elasticsearchVersion }) // ROA
	f.Fuzz(func(t *testing.T, which uint, name1, value1, name2, value2 string) {
		n := names[which%uint(len(names))]
		params := map[string]string{
			"DBInstanceId": s.Instances(nsRDS)[0], "LoadBalancerId": s.Instances(nsSLB)[0], "DomainName": s.Instances(nsCDN)[0],
			"Namespace": nsECS, "MetricName": "CPUUtilization", "Orderby": "Average", "Key": "MySQL_IOPS",
			"Action": n.action, "Version": n.version,
		}
		for name, value := range map[string]string{name1: value1, name2: value2} {
			if name != "Action" && name != "Version" {
				params[name] = value
			}
		}
		if a := send(t, s, signed("127.0.0.1", testKey, params)); a.Status != 200 && (a.Code == "" || a.Status >= 500) {
			t.Errorf("%s: %d %s", n.action, a.Status, a.Raw)
		}
	})
}
