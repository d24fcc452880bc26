package aliyun

var eipMetrics = namespaceRows(nsEIP, valueOnly, nil,
	metric{name: "net_rx.rate", unit: "bit/s", shape: rate(5e6)},
	metric{name: "net_tx.rate", unit: "bit/s", shape: rate(2e7)},
	metric{name: "net_rxPkgs.rate", unit: "Packages/s", shape: rate(900)},
	metric{name: "net_txPkgs.rate", unit: "Packages/s", shape: rate(2000)},
	metric{name: "out_ratelimit_drop_speed", unit: "Packages/s", statistics: avgOnly, shape: always(0)},
)
