package aliyun

import (
	"slices"
	"time"

	"watchkeeper/exporters/aliyun/catalog"
)

// IntervalOf is the interval between two polls of a lane's metrics.
func (a AccountConfig) IntervalOf(lane catalog.Lane) time.Duration {
	switch lane {
	case catalog.Fast:
		return time.Duration(a.FastInterval)
	case catalog.Normal:
		return time.Duration(a.NormalInterval)
	}
	return time.Duration(a.Interval)
}

// Collected are the catalogue's metrics that the account collects.
func (a *Account) Collected() []catalog.Metric { return slices.Clone(a.metrics) }

// CallsPerPoll is how many calls a usual poll of a metric takes when it has so
// many series: the pages of the points between two polls and of the overlap, of
// which points that are late or missing are taken to be there.
func (a AccountConfig) CallsPerPoll(m catalog.Metric, series int) int {
	return max((series*a.PointsPerPoll(m)+MaxPoints-1)/MaxPoints, 1)
}

// PointsPerPoll is how many points of each series a usual poll reads.
func (a AccountConfig) PointsPerPoll(m catalog.Metric) int {
	window := a.IntervalOf(m.Lane) + time.Duration(a.Overlap)
	period := time.Duration(m.Period()) * time.Second
	return int((window + period - 1) / period)
}
