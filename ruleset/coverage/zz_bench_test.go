package coverage

import (
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb"
)

func TestZZBig(t *testing.T) {
	db, err := tsdb.Open(t.TempDir(), nil, nil, tsdb.DefaultOptions(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	metrics := []string{"aliyun_ecs_cpu_utilization_percent", "aliyun_ecs_disk_utilization_percent", "aliyun_ecs_memory_utilization_percent", "aliyun_ecs_iowait_percent", "aliyun_ecs_inode_utilization_percent"}
	refs := map[string]uint64{}
	_ = refs
	for m := 180; m >= 0; m-- {
		app := db.Appender(t.Context())
		for i := range 20000 {
			for _, n := range metrics {
				l := labels.FromStrings("__name__", n, "customer", fmt.Sprint("c", i%50), "product", "ecs", "region", "cn", "instance", fmt.Sprint("i-", i))
				if _, err := app.Append(0, l, now.Add(-time.Duration(m)*time.Minute).UnixMilli(), float64(i%100)); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := app.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		begin := time.Now()
		r, err := Compute(t.Context(), DefaultConfig(), db, nil, pack(t), nil, now)
		if err != nil {
			t.Fatal(err)
		}
		t.Log(time.Since(begin), r.Resources, r.Totals)
	}
}
