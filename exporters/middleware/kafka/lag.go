package kafka

import (
	"maps"
	"slices"
	"strconv"

	"watchkeeper/exporters/middleware/server"
)

// addLags adds the totals of all groups first, then single partitions as far as
// they are wanted.
func (c *cluster) addLags(groups []groupLag, out *server.Reading) {
	out.Add(metricGroups, float64(len(groups)))
	for _, g := range groups {
		c.consumers.Add(out, g.name, func() { g.addTotals(out) })
	}
	left := c.partitions
	for _, g := range groups {
		for _, topic := range slices.Sorted(maps.Keys(g.topics)) {
			partitions := slices.Sorted(maps.Keys(g.topics[topic]))
			partitions = partitions[:min(left, len(partitions))]
			left -= len(partitions)
			c.consumers.Add(out, g.name+"\x00"+topic, func() { g.addPartitions(topic, partitions, out) })
		}
	}
	if out.Missed("groups") != nil || out.Missed("lag") != nil {
		c.consumers.Carry()
		return
	}
	c.consumers.Settle(out, "deleted")
}

func (g groupLag) addTotals(out *server.Reading) {
	if g.state != "" {
		out.Add(metricGroupEmpty, flag(g.state == "Empty" || g.state == "Dead"), "group", g.name)
	}
	if len(g.topics) == 0 {
		return // it has committed nothing
	}
	total := 0.0
	for _, topic := range slices.Sorted(maps.Keys(g.topics)) {
		lag := 0.0
		for _, p := range g.topics[topic] {
			lag += float64(p.lag)
		}
		out.Add(metricTopicLagMessages, lag, "group", g.name, "topic", topic)
		total += lag
	}
	out.Add(metricGroupLagMessages, total, "group", g.name)
}

func (g groupLag) addPartitions(topic string, partitions []int32, out *server.Reading) {
	for _, p := range partitions {
		dims := []string{"group", g.name, "topic", topic, "partition", strconv.Itoa(int(p))}
		out.Add(metricPartitionLag, float64(g.topics[topic][p].lag), dims...)
		out.Add(metricPartitionCommitted, float64(g.topics[topic][p].committed), dims...)
	}
}

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
