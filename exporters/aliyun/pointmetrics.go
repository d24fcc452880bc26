package aliyun

import "github.com/VictoriaMetrics/metrics"

// pointMetrics counts what happens to the points of one account's namespace.
type pointMetrics struct {
	read, delivered, duplicates, late  *metrics.Counter
	malformed, noStatistic, collisions *metrics.Counter
	gapSeconds                         *metrics.FloatCounter
}

func newPointMetrics(set *metrics.Set, b *budget, region, namespace string) *pointMetrics {
	counter := func(name string, more ...string) *metrics.Counter {
		return set.GetOrCreateCounter("watchkeeper_aliyun_" + name + b.labels(append([]string{"region", region, "namespace", namespace}, more...)...))
	}
	return &pointMetrics{
		read:        counter("points_read_total"),
		delivered:   counter("points_delivered_total"),
		duplicates:  counter("points_duplicate_total"),
		late:        counter("points_late_total"),
		malformed:   counter("points_dropped_total", "reason", "malformed"),
		noStatistic: counter("points_dropped_total", "reason", "no_statistic"),
		collisions:  counter("points_dropped_total", "reason", "collision"),
		gapSeconds:  set.GetOrCreateFloatCounter("watchkeeper_aliyun_gap_seconds_total" + b.labels("region", region, "namespace", namespace)),
	}
}

func (m *pointMetrics) page(c pointCounts) {
	m.read.Add(c.read)
	m.malformed.Add(c.malformed)
	m.noStatistic.Add(c.noStatistic)
}
