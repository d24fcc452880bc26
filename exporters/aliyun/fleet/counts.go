package fleet

import "github.com/VictoriaMetrics/metrics"

// counts are the own metrics of a collector, those of CloudMonitor's points
// under the same names.
type counts struct {
	reads, failures                   *metrics.Counter
	read, delivered, duplicates, late *metrics.Counter
	misdated                          *metrics.Counter
	gapSeconds                        *metrics.FloatCounter
}

func newCounts(set *metrics.Set, labels string) counts {
	return counts{
		reads:      set.GetOrCreateCounter("watchkeeper_aliyun_resource_reads_total" + labels + "}"),
		failures:   set.GetOrCreateCounter("watchkeeper_aliyun_resource_read_failures_total" + labels + "}"),
		read:       set.GetOrCreateCounter("watchkeeper_aliyun_points_read_total" + labels + "}"),
		delivered:  set.GetOrCreateCounter("watchkeeper_aliyun_points_delivered_total" + labels + "}"),
		duplicates: set.GetOrCreateCounter("watchkeeper_aliyun_points_duplicate_total" + labels + "}"),
		late:       set.GetOrCreateCounter("watchkeeper_aliyun_points_late_total" + labels + "}"),
		misdated:   set.GetOrCreateCounter("watchkeeper_aliyun_points_dropped_total" + labels + `,reason="misdated"}`),
		gapSeconds: set.GetOrCreateFloatCounter("watchkeeper_aliyun_gap_seconds_total" + labels + "}"),
	}
}
