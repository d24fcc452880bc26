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
