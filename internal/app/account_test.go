package app

import (
	"slices"
	"testing"

	"watchkeeper/exporters/aliyun/cost"
	"watchkeeper/exporters/aliyun/events"
	"watchkeeper/ruleset/aliyunaccount"
)

// Rules and collectors, which do not know one another, mean the same metrics.
func TestAccountRulesReadWhatIsCollected(t *testing.T) {
	delivered := append(events.Metrics(), cost.Metrics()...)
	for _, m := range aliyunaccount.Metrics() {
		if !slices.Contains(delivered, m) {
			t.Errorf("pack %s reads %s, which nothing delivers", aliyunaccount.Name, m)
		}
	}
}
