package aliyun

// memcacheMetrics: neither the namespace nor the names are confirmed.
var memcacheMetrics = namespaceRows(nsMemcache, avgMax, nil,
	metric{name: "UsedMemCache", unit: "Bytes", shape: around(1e8, 9e8)},
	metric{name: "HitRate", unit: "%", shape: around(90, 99)},
	metric{name: "UsedQps", unit: "Count/s", shape: rate(3000)},
	metric{name: "UsedConnection", unit: "Count", shape: rate(300)},
	metric{name: "ItemCount", unit: "Count", shape: around(1e5, 9e5)},
	metric{name: "Evict", unit: "Count/s", shape: always(0)},
	metric{name: "IntranetIn", unit: "Byte/s", shape: rate(1e6)},
	metric{name: "IntranetOut", unit: "Byte/s", shape: rate(4e6)},
)
