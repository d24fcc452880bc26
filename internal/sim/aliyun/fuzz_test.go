package aliyun

import (
	"net/http"
	"net/http/httptest"
	"net/url"
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
