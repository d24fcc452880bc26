package aliyun

func esNodes(r *resource) [][]string {
	var out [][]string
	for i := range 3 {
		out = append(out, []string{r.address(i)})
	}
	return out
}

var esMetrics = concat(
	namespaceRows(nsES, valueMax, nil,
		metric{name: "ClusterStatus", unit: "value", shape: always(0)},
		metric{name: "ClusterAutoSnapshotLatestStatus", unit: "value", statistics: maxOnly, shape: always(0)},
		metric{name: "ClusterQueryQPS", unit: "count", statistics: avgMax, shape: rate(500)},
		metric{name: "ClusterIndexQPS", unit: "count", statistics: avgMax, shape: rate(1500)},
	),
	namespaceRows(nsES, avgMax, esNodes,
		metric{name: "NodeCPUUtilization", unit: "%", keys: nodeIP, shape: percent(5, 50)},
		metric{name: "NodeHeapMemoryUtilization", unit: "%", keys: nodeIP, shape: percent(30, 70)},
		metric{name: "NodeDiskUtilization", unit: "%", keys: nodeIP, shape: percent(20, 60).slow()},
		metric{name: "NodeLoad_1m", unit: "value", keys: nodeIP, shape: rate(3)},
		metric{name: "NodeStatsFullGcCollectionCount", unit: "count", keys: nodeIP, statistics: maxOnly, shape: always(0)},
		metric{name: "NodeStatsExceptionLogCount", unit: "count", keys: nodeIP, statistics: maxOnly, shape: around(0, 2)},
	),
)

var nodeIP = []string{"nodeIP"}
