package aliyun

// redisRows makes the same metrics for each architecture, under its prefix.
func redisRows() []metric {
	series := map[string]func(*resource) [][]string{
		"Standard": isVariant(redisStandard),
		"Sharding": nodesOf(redisCluster, "$-db-%d", 4),
		"Splitrw":  nodesOf(redisSplit, "$-db-%d", 2),
	}
	var all []metric
	for _, prefix := range []string{"Standard", "Sharding", "Splitrw"} {
		rows := []metric{
			{name: "CpuUsage", unit: "%", shape: percent(5, 40)},
			{name: "ConnectionUsage", unit: "%", shape: percent(1, 30)},
			{name: "MemoryUsage", unit: "%", shape: percent(30, 65).slow()},
			{name: "QPSUsage", unit: "%", shape: percent(1, 30)},
			{name: "UsedMemory", unit: "Bytes", shape: around(1e9, 3e9)},
			{name: "UsedConnection", unit: "Count", shape: rate(500)},
			{name: "UsedQPS", unit: "countSecond", shape: rate(9000)},
			{name: "AvgRt", unit: "us", shape: rate(200)},
			{name: "HitRate", unit: "%", shape: around(90, 99)},
		}
		for i := range rows {
			rows[i].name = prefix + rows[i].name
			if prefix != "Standard" {
				rows[i].keys = []string{"nodeId"}
			}
		}
		all = append(all, namespaceRows(nsRedis, avgMax, series[prefix], rows...)...)
	}
	return all
}

var redisMetrics = concat(
	redisRows(),
	namespaceRows(nsRedis, avgMax, nodesOf(redisCluster, "$-proxy-%d", 2),
		metric{name: "ShardingProxyCpuUsage", unit: "%", keys: []string{"nodeId"}, shape: percent(5, 40)},
		metric{name: "ShardingProxyConnectionUsage", unit: "%", keys: []string{"nodeId"}, shape: percent(1, 30)},
	),
	// The older names, which instances without a prefix of their own still have.
	namespaceRows(nsRedis, avgMax, isVariant(redisStandard),
		metric{name: "CpuUsage", unit: "%", shape: percent(5, 40)},
		metric{name: "ConnectionUsage", unit: "%", shape: percent(1, 30)},
		metric{name: "MemoryUsage", unit: "%", shape: percent(30, 65).slow()},
	),
)
