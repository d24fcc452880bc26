package aliyun

// listeners of a load balancer, as port and protocol.
func listeners(r *resource) [][]string {
	return [][]string{{"80", "http"}, {"443", "https"}, {"3306", "tcp"}}[:1+mix(r.key, 40)%3]
}

// listenersWithAddress is the older form, port and vip.
func listenersWithAddress(r *resource) [][]string {
	var out [][]string
	for _, l := range listeners(r) {
		out = append(out, []string{l[0], r.address(0)})
	}
	return out
}

var (
	portProtocol = []string{"port", "protocol"}
	portVIP      = []string{"port", "vip"}
)

var slbMetrics = namespaceRows(nsSLB, minAvgMax, nil,
	metric{name: "DropConnection", unit: "Count/s", keys: portProtocol, series: listeners, shape: always(0)},
	metric{name: "InstanceDropConnection", unit: "Count/s", shape: always(0)},
	metric{name: "InstanceMaxConnectionUtilization", unit: "%", shape: percent(1, 40)},
	metric{name: "InstanceQpsUtilization", unit: "%", shape: percent(1, 40)},
	metric{name: "InstanceNewConnectionUtilization", unit: "%", shape: percent(1, 40)},
	metric{name: "InstanceTrafficTXUtilization", unit: "%", shape: percent(1, 40)},
	metric{name: "UnhealthyServerCount", unit: "Count", keys: portVIP, series: listenersWithAddress, shape: always(0)},
	metric{name: "HeathyServerCount", unit: "Count", keys: portVIP, series: listenersWithAddress, shape: always(3)},
	metric{name: "TrafficRXNew", unit: "bit/s", keys: portProtocol, series: listeners, shape: rate(1e7)},
	metric{name: "TrafficTXNew", unit: "bit/s", keys: portProtocol, series: listeners, shape: rate(6e7)},
	metric{name: "ActiveConnection", unit: "Count", keys: portProtocol, series: listeners, shape: rate(2000)},
	metric{name: "InactiveConnection", unit: "Count", keys: portProtocol, series: listeners, shape: rate(9000)},
	metric{name: "NewConnection", unit: "Count/s", keys: portProtocol, series: listeners, shape: rate(300)},
	metric{name: "MaxConnection", unit: "Count/s", keys: portProtocol, series: listeners, shape: rate(3000)},
	metric{name: "Qps", unit: "Count/s", keys: portProtocol, series: httpListeners, shape: rate(800)},
	metric{name: "Rt", unit: "ms", keys: portProtocol, series: httpListeners, shape: rate(90)},
	metric{name: "InstanceActiveConnection", unit: "Count", shape: rate(4000)},
	metric{name: "InstanceNewConnection", unit: "Count/s", shape: rate(600)},
	metric{name: "InstanceQps", unit: "Count/s", shape: rate(1500)},
	metric{name: "InstanceRt", unit: "ms", shape: rate(90)},
	metric{name: "PacketRX", unit: "Count/s", keys: portProtocol, series: listeners, shape: rate(5000)},
	metric{name: "PacketTX", unit: "Count/s", keys: portProtocol, series: listeners, shape: rate(9000)},
	metric{name: "DropPacketRX", unit: "Count/s", keys: portProtocol, series: listeners, shape: always(0)},
	metric{name: "DropPacketTX", unit: "Count/s", keys: portProtocol, series: listeners, shape: always(0)},
	metric{name: "StatusCode2xx", unit: "Count/s", keys: portProtocol, series: httpListeners, shape: rate(750)},
	metric{name: "StatusCode4xx", unit: "Count/s", keys: portProtocol, series: httpListeners, shape: rate(8)},
	metric{name: "StatusCode5xx", unit: "Count/s", keys: portProtocol, series: httpListeners, shape: around(0, 0.5)},
)

func httpListeners(r *resource) [][]string {
	all := listeners(r)
	if len(all) == 3 {
		all = all[:2] // the third one is layer 4
	}
	return all
}
