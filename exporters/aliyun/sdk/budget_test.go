package sdk_test

import (
	"testing"
	"time"

	"watchkeeper/exporters/aliyun"
)

// An account whose quota is far too small is read once and then as the quota
// allows: never more calls than it has, and no collection fails for it.
func TestTheQuotaIsKept(t *testing.T) {
	const quota = 60
	c := newCloud(t, nil)
	a := account(t, c.Address, resumeAt(noon), func(cfg *aliyun.AccountConfig) { cfg.CallsPerMonth = quota })
	jobs := a.Jobs()
	out := &sink{}
	for n := 1; n <= 10; n++ {
		c.Set(noon.Add(time.Duration(5*n)*time.Minute + 17*time.Second))
		for _, j := range jobs {
			if err := j.Collector.Collect(t.Context(), c.Now(), out); err != nil {
				t.Fatalf("round %d, %s: %v", n, j.Collector.Source().Name, err)
			}
		}
	}
	made := c.Calls()["Cms.DescribeMetricList"]
	if made > quota || made != c.QuotaUsed() {
		t.Errorf("%d calls, of which the provider counted %d, with a quota of %d", made, c.QuotaUsed(), quota)
	}
	if made < len(jobs)-5 {
		t.Errorf("%d calls for %d collectors: not even the first round was made", made, len(jobs))
	}
	level := 0.0
	for _, b := range out.Batches() {
		for _, x := range b.Samples {
			if x.Labels.Get("__name__") == aliyun.MetricDegradeLevel {
				level = x.V
			}
		}
	}
	if level < float64(aliyun.DegradeAlarm) {
		t.Errorf("the account says that its level is %v", level)
	}
}
