package aliyun

var drdsMetrics = namespaceRows(nsDRDS, avgOnly, nil,
	metric{name: "CPUUtilization", unit: "%", shape: percent(5, 40)},
	metric{name: "MemoryUtilization", unit: "%", shape: percent(30, 60)},
	metric{name: "LogicRT", unit: "ms", shape: rate(80)},
	metric{name: "PhysicsRT", unit: "ms", shape: rate(30)},
	metric{name: "LogicQPS", unit: "Count/s", shape: rate(900)},
	metric{name: "PhysicsQPS", unit: "Count/s", shape: rate(2000)},
	metric{name: "ConnectionCount", unit: "Count", shape: rate(300)},
	metric{name: "ThreadCount", unit: "Count", shape: rate(50)},
	metric{name: "NetworkInputTraffic", unit: "bit/s", shape: rate(1e6)},
	metric{name: "NetworkOutputTraffic", unit: "bit/s", shape: rate(5e6)},
)
