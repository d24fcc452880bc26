package app

import (
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/internal/sample"
)

// What a collector reads as sources of their own is configured with it.
func TestResourcesOfACollectorAreConfigured(t *testing.T) {
	r := removal{sources: map[sample.Source]bool{
		{Customer: "acme", Name: "aliyun/main/cn-hangzhou/rds-performance"}:            true,
		{Customer: "acme", Name: "aliyun/main/cn-hangzhou/acs_rds_dashboard/CpuUsage"}: true,
	}}
	for name, gone := range map[string]bool{
		"aliyun/main/cn-hangzhou/rds-performance":            false,
		"aliyun/main/cn-hangzhou/rds-performance/rm-1":       false,
		"aliyun/main/cn-hangzhou/rds-performance-old/rm-1":   true,
		"aliyun/main/cn-beijing/rds-performance/rm-1":        true,
		"aliyun/main/cn-hangzhou/acs_rds_dashboard/CpuUsage": false,
		"aliyun/main/cn-hangzhou/acs_rds_dashboard/IOPS":     true,
	} {
		if got := r.gone(sample.Source{Customer: "acme", Name: name}, labels.EmptyLabels()); got != gone {
			t.Errorf("%s: gone %t, want %t", name, got, gone)
		}
		if !r.gone(sample.Source{Customer: "other", Name: name}, labels.EmptyLabels()) {
			t.Errorf("%s of another customer is not gone", name)
		}
	}
}
