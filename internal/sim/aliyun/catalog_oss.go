package aliyun

func storageClasses(r *resource) [][]string { return [][]string{{r.region, "standard"}} }

var ossMetrics = namespaceRows(nsOSS, valueOnly, nil,
	metric{name: "Availability", unit: "%", shape: always(100)},
	metric{name: "RequestValidRate", unit: "%", shape: around(99, 100)},
	metric{name: "SuccessRate", unit: "%", shape: around(98, 100)},
	metric{name: "NetworkErrorRate", unit: "%", shape: around(0, 0.5)},
	metric{name: "ServerErrorRate", unit: "%", shape: always(0)},
	metric{name: "ServerErrorCount", unit: "Frequency", shape: always(0)},
	metric{name: "TotalRequestCount", unit: "Frequency", shape: rate(5000)},
	metric{name: "ValidRequestCount", unit: "Frequency", shape: rate(5000)},
	metric{name: "InternetSend", unit: "Bytes", shape: rate(1e8)},
	metric{name: "InternetRecv", unit: "Bytes", shape: rate(2e7)},
	metric{name: "IntranetSend", unit: "Bytes", shape: rate(1e8)},
	metric{name: "IntranetRecv", unit: "Bytes", shape: rate(2e7)},
	metric{name: "CdnSend", unit: "Bytes", shape: rate(3e7)},
	metric{name: "CdnRecv", unit: "Bytes", shape: rate(1e6)},
	metric{name: "GetObjectE2eLatency", unit: "ms", shape: rate(60)},
	metric{name: "MeteringStorageUtilization", unit: "Bytes", period: 3600, shape: around(1e11, 9e11),
		keys: []string{"region", "storageType"}, series: storageClasses},
)
