package aliyun

import (
	"fmt"
	"strings"
)

// metric is a row of the catalogue: one MetricName in one namespace.
type metric struct {
	namespace, name string
	unit            string
	period          int      // smallest, in seconds
	statistics      string   // letters of statisticNames, in the order of answers
	keys            []string // dimension keys after the first (the resource's id), in order
	shape           shape
	// series gives, per series of the resource, the values of keys. Nil: one series,
	// without further keys. An empty result: the resource does not have the metric.
	series func(*resource) [][]string
}

// statisticNames are the letters of metric.statistics.
var statisticNames = map[byte]string{'I': "Minimum", 'A': "Average", 'X': "Maximum", 'V': "Value", 'S': "Sum"}

// Sets of statistics in use.
const (
	minAvgMax = "IAX"
	avgMax    = "AX"
	avgOnly   = "A"
	maxOnly   = "X"
	valueMax  = "VX"
	valueOnly = "V"
	sumOnly   = "S"
)

// catalog has one row per metric; a product's rows stand in a file of their own.
var catalog = joinRows(ecsMetrics, rdsMetrics, slbMetrics, redisMetrics, mongoMetrics, drdsMetrics, cdnMetrics, esMetrics, ossMetrics, eipMetrics, albMetrics, memcacheMetrics)

func joinRows(lists ...[]metric) []*metric {
	var all []*metric
	for _, list := range lists {
		for i := range list {
			all = append(all, &list[i])
		}
	}
	return all
}

// namespaceRows fills in what the rows of a namespace have in common. A row that
// names its period or statistics keeps them.
func namespaceRows(namespace, statistics string, series func(*resource) [][]string, rows ...metric) []metric {
	for i := range rows {
		rows[i].namespace = namespace
		if rows[i].period == 0 {
			rows[i].period = 60
		}
		if rows[i].statistics == "" {
			rows[i].statistics = statistics
		}
		if rows[i].series == nil {
			rows[i].series = series
		}
	}
	return rows
}

func findMetric(namespace, name string) *metric {
	for _, m := range catalog {
		if m.namespace == namespace && m.name == name {
			return m
		}
	}
	return nil
}

func (m *metric) seriesOf(r *resource) [][]string {
	if m.series == nil {
		return oneSeries
	}
	return m.series(r)
}

var oneSeries = [][]string{nil}

// dimensions of one series, without userId.
func (m *metric) dimensions(r *resource, values []string) map[string]string {
	dims := map[string]string{r.product.idKey: r.id}
	for i, key := range m.keys {
		dims[key] = values[i]
	}
	return dims
}

// allKeys are the dimension keys as DescribeMetricMetaList prints them.
func (m *metric) allKeys() []string {
	return append([]string{"userId", productOf(m.namespace).idKey}, m.keys...)
}

// periods that can be asked for.
func (m *metric) periods() []string {
	var out []string
	for _, p := range knownPeriods {
		if p >= m.period && p%m.period == 0 {
			out = append(out, fmt.Sprint(p))
		}
	}
	return out
}

var knownPeriods = []int{15, 60, 300, 900, 3600}

// ---- which series a resource has ----

func isVariant(variants ...string) func(*resource) [][]string {
	return func(r *resource) [][]string {
		for _, v := range variants {
			if r.variant == v {
				return oneSeries
			}
		}
		return nil
	}
}

// nodesOf gives n numbered nodes to the resources of a variant.
func nodesOf(variant, pattern string, n int) func(*resource) [][]string {
	return func(r *resource) [][]string {
		if r.variant != variant {
			return nil
		}
		out := make([][]string, n)
		for i := range out {
			out[i] = []string{strings.ReplaceAll(fmt.Sprintf(pattern, i), "$", r.id)}
		}
		return out
	}
}
