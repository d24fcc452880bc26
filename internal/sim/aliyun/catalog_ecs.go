package aliyun

// ECS: rows of the hypervisor, of the agent, and of the agent's older version.
var ecsMetrics = concat(
	ecsRows(60, nil,
		metric{name: "CPUUtilization", unit: "%", shape: percent(5, 45)},
		metric{name: "InternetInRate", unit: "bit/s", shape: rate(4e6)},
		metric{name: "InternetOutRate", unit: "bit/s", shape: rate(9e6)},
		metric{name: "IntranetInRate", unit: "bit/s", shape: rate(2e7)},
		metric{name: "IntranetOutRate", unit: "bit/s", shape: rate(2e7)},
		metric{name: "InternetOutRate_Percent", unit: "%", shape: percent(1, 30)},
		metric{name: "DiskReadBPS", unit: "Byte/s", shape: rate(3e6)},
		metric{name: "DiskWriteBPS", unit: "Byte/s", shape: rate(5e6)},
		metric{name: "DiskReadIOPS", unit: "Count/s", shape: rate(200)},
		metric{name: "DiskWriteIOPS", unit: "Count/s", shape: rate(400)},
		metric{name: "concurrentConnections", unit: "Count", shape: rate(900)},
	),
	ecsRows(60, withEIP,
		metric{name: "VPC_PublicIP_InternetOutRate_Percent", unit: "%", keys: []string{"ip"}, shape: percent(1, 30)},
	),
	ecsRows(60, withCredits,
		metric{name: "BurstCredit", unit: "None", shape: rate(20)},
		metric{name: "TotlCredit", unit: "None", shape: around(100, 500)}, // spelt so
	),
	ecsRows(15, withAgent,
		metric{name: "cpu_total", unit: "%", shape: percent(5, 45)},
		metric{name: "cpu_wait", unit: "%", shape: percent(0, 6)},
		metric{name: "memory_usedutilization", unit: "%", shape: percent(35, 65)},
		metric{name: "net_tcpconnection", unit: "Count", keys: []string{"state"}, shape: rate(600), series: tcpStates},
		metric{name: "process.number", unit: "Count", shape: rate(250)},
		metric{name: "diskusage_utilization", unit: "%", keys: []string{"device"}, shape: percent(20, 60).slow(), series: disks},
		metric{name: "fs_inodeutilization", unit: "%", keys: []string{"device"}, shape: percent(2, 20).slow(), series: disks},
	),
	ecsRows(15, withLinuxAgent,
		metric{name: "load_1m", unit: "None", shape: rate(2)},
		metric{name: "load_5m", unit: "None", shape: rate(2)},
		metric{name: "load_15m", unit: "None", shape: rate(2)},
	),
	ecsRows(60, withOldAgent,
		metric{name: "vm.MemoryUtilization", unit: "%", shape: percent(35, 65)},
		metric{name: "vm.DiskUtilization", unit: "%", keys: []string{"mountpoint"}, shape: percent(20, 60).slow(), series: mountPoints},
		metric{name: "vm.DiskIusedUtilization", unit: "%", keys: []string{"mountpoint"}, shape: percent(2, 20).slow(), series: mountPoints},
	),
)

// ecsRows fills in what a block of rows has in common.
func ecsRows(period int, series func(*resource) [][]string, rows ...metric) []metric {
	for i := range rows {
		rows[i].namespace, rows[i].period, rows[i].statistics = nsECS, period, minAvgMax
		if rows[i].series == nil {
			rows[i].series = series
		}
	}
	return rows
}

func concat(lists ...[]metric) []metric {
	var all []metric
	for _, list := range lists {
		all = append(all, list...)
	}
	return all
}

// agentKind is which CloudMonitor agent runs on an instance.
type agentKind int

const (
	currentAgent agentKind = iota
	oldAgent
	noAgent
)

// agent: of twenty instances one has no agent and two have the old one.
func (r *resource) agent() agentKind {
	switch mix(r.key, 10) % 20 {
	case 0:
		return noAgent
	case 1, 2:
		return oldAgent
	}
	return currentAgent
}

func (r *resource) windows() bool { return mix(r.key, 11)%8 == 0 }

func when(ok bool) [][]string {
	if ok {
		return oneSeries
	}
	return nil
}

func withAgent(r *resource) [][]string      { return when(r.agent() == currentAgent) }
func withLinuxAgent(r *resource) [][]string { return when(r.agent() == currentAgent && !r.windows()) }
func withOldAgent(r *resource) [][]string   { return when(r.agent() == oldAgent) }

func withCredits(r *resource) [][]string { return when(r.burstable()) }

func withEIP(r *resource) [][]string {
	if r.eip() == "" {
		return nil
	}
	return [][]string{{r.eip()}}
}

func tcpStates(r *resource) [][]string {
	if r.agent() != currentAgent {
		return nil
	}
	return [][]string{{"ESTABLISHED"}, {"NON_ESTABLISHED"}, {"TCP_TOTAL"}}
}

// dataDisks is how many disks there are besides the system disk.
func (r *resource) dataDisks() int { return int(mix(r.key, 12) % 3) }

func disks(r *resource) [][]string {
	if r.agent() != currentAgent {
		return nil
	}
	names := []string{"/dev/vda1", "/dev/vdb1", "/dev/vdc1"}
	if r.windows() {
		names = []string{`C:\`, `D:\`, `E:\`}
	}
	return perDisk(r, names)
}

func mountPoints(r *resource) [][]string {
	if r.agent() != oldAgent {
		return nil
	}
	return perDisk(r, []string{"/", "/data", "/data1"})
}

func perDisk(r *resource, names []string) [][]string {
	var out [][]string
	for _, name := range names[:1+r.dataDisks()] {
		out = append(out, []string{name})
	}
	return out
}
