package aliyun

// albMetrics: their names are not confirmed by the vendor's documents.
var albMetrics = namespaceRows(nsALB, avgOnly, nil,
	metric{name: "LoadBalancerActiveConnection", unit: "Count", shape: rate(3000)},
	metric{name: "LoadBalancerNewConnection", unit: "Count/s", shape: rate(400)},
	metric{name: "LoadBalancerQPS", unit: "Count/s", shape: rate(1200)},
	metric{name: "LoadBalancerHTTPCode5XX", unit: "Count/s", shape: around(0, 0.5)},
	metric{name: "LoadBalancerUpstreamResponseTime", unit: "s", shape: around(0.01, 0.2)},
	metric{name: "ServerGroupUnHealthyHostCount", unit: "Count", keys: []string{"serverGroupId"}, series: serverGroups, statistics: maxOnly, shape: always(0)},
)

func serverGroups(r *resource) [][]string { return [][]string{{"sgp-" + idText(mix(r.key, 41), 18)}} }
