package aliyun

import (
	"testing"
	"time"
)

func TestFlowControl(t *testing.T) {
	now := noon
	s := newTestServer(t, func(c *Config) {
		c.Now = func() time.Time { return now }
		c.RateLimits = map[string]float64{"Cms.DescribeMetricList": 2, "Cms": 1}
	})
	f := func(action string, status int, code string) {
		t.Helper()
		cms(t, s, action, nil).wantCode(t, status, code)
	}
	f("DescribeMetricList", 200, "200")
	f("DescribeMetricList", 200, "200")
	f("DescribeMetricList", 400, "Throttling.User")
	f("DescribeProjectMeta", 200, "200") // each API has its own bucket
	f("DescribeProjectMeta", 400, "Throttling.User")
	f("DescribeMetricMetaList", 200, "200")
	now = now.Add(500 * time.Millisecond)
	f("DescribeMetricList", 200, "200")
	f("DescribeMetricList", 400, "Throttling.User")
	now = now.Add(time.Hour) // the bucket does not fill beyond a second's worth
	f("DescribeMetricList", 200, "200")
	f("DescribeMetricList", 200, "200")
	f("DescribeMetricList", 400, "Throttling.User")
}

func TestDefaultRateLimits(t *testing.T) {
	s := newTestServer(t, func(c *Config) { c.RateLimits = nil })
	for range 50 {
		cms(t, s, "DescribeMetricList", nil).wantCode(t, 200, "200")
	}
	cms(t, s, "DescribeMetricList", nil).wantCode(t, 400, "Throttling.User")
}

func TestMonthlyQuota(t *testing.T) {
	now := noon
	s := newTestServer(t, func(c *Config) { c.Now = func() time.Time { return now }; c.QuotaPerMonth = 2 })
	cms(t, s, "DescribeMetricList", nil).wantCode(t, 200, "200")
	cms(t, s, "DescribeMetricLast", nil).wantCode(t, 200, "200")
	cms(t, s, "DescribeProjectMeta", nil).wantCode(t, 200, "200") // not a metric query
	refused := cms(t, s, "DescribeMetricList", nil)
	if refused.Status != 400 || refused.Message != "user api quota limit" {
		t.Errorf("beyond the quota: %s", refused.Raw)
	}
	if got := s.QuotaUsed(); got != 2 {
		t.Errorf("%d calls used, want 2", got)
	}
	now = time.Date(2026, 11, 30, 16, 0, 0, 0, time.UTC) // December begins in China
	cms(t, s, "DescribeMetricList", nil).wantCode(t, 200, "200")
}

func TestCallsAndRequests(t *testing.T) {
	s := newTestServer(t, func(c *Config) { c.RequestLog = 2 })
	cms(t, s, "DescribeProjectMeta", nil)
	cms(t, s, "DescribeMetricList", nil)
	cms(t, s, "DescribeMetricList", map[string]string{"MetricName": "Nothing"})
	if calls := s.Calls(); calls["Cms.DescribeMetricList"] != 2 || calls["Cms.DescribeProjectMeta"] != 1 {
		t.Errorf("calls %v", calls)
	}
	log := s.Requests()
	if len(log) != 2 || log[0].Status != 200 || log[1].Status != 404 || log[1].Code != "ResourceNotFound" ||
		log[1].Parameters["MetricName"] != "Nothing" || log[1].KeyID != "testid" || log[1].Region != "cn-hangzhou" {
		t.Errorf("log %+v", log)
	}
	if _, ok := log[0].Parameters["Signature"]; ok {
		t.Error("the log holds signatures")
	}
}
