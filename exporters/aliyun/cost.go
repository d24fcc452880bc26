package aliyun

import (
	"slices"
	"time"

	"watchkeeper/exporters/aliyun/catalog"
)

// Round is how often one API is called by a collector: so many calls in each round.
type Round struct {
	API   string // Ecs.DescribeInstances
	Calls int
	Every time.Duration
}

// CountsForQuota reports whether calls of an API ("Cms.DescribeMetricList") use up
// the account's calls of the month.
func CountsForQuota(name string) bool { return api(name).countsForMonth() }

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

// PollCost is how many calls the polls of a metric take.
type PollCost struct {
	// Calls of a poll that looks back the short overlap; of every poll when Every is 1.
	Calls int
	// WholeCalls are those of a poll that looks back the whole overlap.
	WholeCalls int
	// Every is of how many polls one looks back the whole overlap.
	Every int
}

// Mean is how many calls a poll takes in the mean.
func (c PollCost) Mean() float64 {
	return float64(c.Calls*(c.Every-1)+c.WholeCalls) / float64(c.Every)
}

// PollCost is what polls of a metric take when it has so many series: the pages of the
// points between two polls and of the overlap, of which points that are late or
// missing are taken to be there.
func (a AccountConfig) PollCost(m catalog.Metric, series int) PollCost {
	interval := a.IntervalOf(m.Lane)
	c := PollCost{Every: int(max((a.lateInterval(interval)+interval-1)/interval, 1))}
	c.WholeCalls = pages(m, series, a.WholeWindow(m))
	c.Calls = c.WholeCalls
	if c.Every > 1 {
		c.Calls = pages(m, series, interval+a.shortOverlap())
	}
	return c
}

// WholeWindow is how much event time a poll reads that looks back the whole overlap.
func (a AccountConfig) WholeWindow(m catalog.Metric) time.Duration {
	interval := a.IntervalOf(m.Lane)
	between := (a.lateInterval(interval) + interval - 1) / interval * interval
	return max(between, interval) + time.Duration(a.Overlap)
}

// PointsPerPoll is how many points of each series a poll reads that looks back the
// whole overlap.
func (a AccountConfig) PointsPerPoll(m catalog.Metric) int { return points(m, a.WholeWindow(m)) }

// points of a series in a window. One of more than a minute has the time of its
// begin and comes after its end, so the newest is not there.
func points(m catalog.Metric, window time.Duration) int {
	period := time.Duration(m.Period()) * time.Second
	n := int((window + period - 1) / period)
	if period > time.Minute {
		n--
	}
	return max(n, 1)
}

// pages of a metric's points in a window: an empty one is a call, too.
func pages(m catalog.Metric, series int, window time.Duration) int {
	return max((series*points(m, window)+MaxPoints-1)/MaxPoints, 1)
}
