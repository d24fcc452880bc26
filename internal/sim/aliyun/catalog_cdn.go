package aliyun

var cdnMetrics = namespaceRows(nsCDN, minAvgMax, nil,
	metric{name: "hitRate", unit: "%", shape: around(85, 99)},
	metric{name: "BPS", unit: "bit/s", shape: rate(2e8)},
	metric{name: "QPS", unit: "Count", statistics: sumOnly, shape: rate(4000)},
	metric{name: "code4xx", unit: "%", shape: around(0, 2)},
	metric{name: "code5xx", unit: "%", shape: around(0, 0.1)},
	metric{name: "InternetOut", unit: "byte", statistics: sumOnly, shape: rate(1e9)},
)
