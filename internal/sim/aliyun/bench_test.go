package aliyun

import (
	"encoding/json"
	"net/http/httptest"
	"testing"
	"time"
)

// A full page of an account of the greatest size, as a collector asks for it.
func BenchmarkMetricListPage(b *testing.B) {
	s, err := New(Config{Seed: 1, Keys: []Key{testKey}, ECSInstances: MaxECSInstances,
		Now: func() time.Time { return noon }, RateLimits: map[string]float64{"Cms.DescribeMetricList": -1}})
	if err != nil {
		b.Fatal(err)
	}
	params := window(noon.Add(-7*time.Minute), noon.Add(-2*time.Minute))
	params["Action"], params["Version"], params["Length"] = "DescribeMetricList", cmsVersion, "1440"
	params["Namespace"], params["MetricName"] = nsECS, "CPUUtilization"
	b.ReportAllocs()
	points := 0
	for b.Loop() {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, signed("metrics.cn-hangzhou.aliyuncs.com", testKey, params))
		var a answer
		if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil || a.NextToken == "" {
			b.Fatalf("%s, %v", w.Body, err)
		}
		points += 1440
	}
	b.ReportMetric(float64(points)/b.Elapsed().Seconds(), "points/s")
}

func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		if _, err := New(Config{Keys: []Key{testKey}, ECSInstances: MaxECSInstances}); err != nil {
			b.Fatal(err)
		}
	}
}

// Pages of the lists of the largest account, in the middle of a month.
func BenchmarkLargeLists(b *testing.B) {
	counts := map[string]int{}
	for _, p := range products {
		if p.namespace != nsECS {
			counts[p.namespace] = 1000
		}
	}
	s, err := New(Config{Seed: 1, Keys: []Key{testKey}, ECSInstances: MaxECSInstances, Products: counts,
		Now: func() time.Time { return noon }, RateLimits: map[string]float64{"BssOpenApi.DescribeInstanceBill": -1}})
	if err != nil {
		b.Fatal(err)
	}
	f := func(a api, params map[string]string) {
		b.Run(a.action, func(b *testing.B) {
			all := map[string]string{"Action": a.action, "Version": a.version}
			for name, value := range params {
				all[name] = value
			}
			for b.Loop() {
				w := httptest.NewRecorder()
				if s.ServeHTTP(w, signed(a.host, testKey, all)); w.Code != 200 {
					b.Fatal(w.Body)
				}
			}
		})
	}
	f(ecsList, map[string]string{"MaxResults": "100"})
	f(diskList, map[string]string{"MaxResults": "100"})
	f(snapshotList, map[string]string{"MaxResults": "100"})
	f(rdsList, map[string]string{"PageSize": "100"})
	f(bssList, map[string]string{"PageSize": "300"})
	f(bills, map[string]string{"BillingCycle": "2026-11", "Granularity": "DAILY", "BillingDate": "2026-11-18", "MaxResults": "300"})
	f(bills, map[string]string{"BillingCycle": "2026-11", "MaxResults": "300"})
	f(balance, nil)
}
