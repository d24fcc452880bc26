package elasticsearch

import "watchkeeper/exporters/middleware/server"

// statusCodes are the contract's, unlike the cloud product's.
var statusCodes = map[string]float64{"green": 1, "yellow": 2, "red": 3}

// health is _cluster/health.
type health struct {
	Status            string   `json:"status"`
	Nodes             *float64 `json:"number_of_nodes"`
	DataNodes         *float64 `json:"number_of_data_nodes"`
	ActivePrimary     *float64 `json:"active_primary_shards"`
	Active            *float64 `json:"active_shards"`
	Relocating        *float64 `json:"relocating_shards"`
	Initializing      *float64 `json:"initializing_shards"`
	Unassigned        *float64 `json:"unassigned_shards"`
	DelayedUnassigned *float64 `json:"delayed_unassigned_shards"`
	PendingTasks      *float64 `json:"number_of_pending_tasks"`
}

func (h health) add(out *server.Reading) {
	add := adder(out)
	add(metricNodes, h.Nodes, 1, "kind", "all")
	add(metricNodes, h.DataNodes, 1, "kind", "data")
	add(metricShards, h.ActivePrimary, 1, "state", "active_primary")
	add(metricShards, h.Active, 1, "state", "active")
	add(metricShards, h.Relocating, 1, "state", "relocating")
	add(metricShards, h.Initializing, 1, "state", "initializing")
	add(metricShards, h.Unassigned, 1, "state", "unassigned")
	add(metricShards, h.DelayedUnassigned, 1, "state", "delayed_unassigned")
	add(metricPendingTasks, h.PendingTasks, 1)
}

// adder adds figures that are there and not negative: -1 stands for "unknown".
func adder(out *server.Reading) func(metric string, v *float64, divisor float64, dims ...string) {
	return func(metric string, v *float64, divisor float64, dims ...string) {
		if v != nil && *v >= 0 {
			out.Add(metric, *v/divisor, dims...)
		}
	}
}

// node is one element of _nodes/stats. A node that did not answer in time has
// only its name.
type node struct {
	Name    string `json:"name"`
	Process struct {
		Open *float64 `json:"open_file_descriptors"`
		Max  *float64 `json:"max_file_descriptors"`
	} `json:"process"`
	OS struct {
		CPU struct {
			Percent *float64 `json:"percent"`
		} `json:"cpu"`
	} `json:"os"`
	JVM struct {
		UptimeMS *float64 `json:"uptime_in_millis"`
		Mem      struct {
			HeapPercent *float64 `json:"heap_used_percent"`
			HeapUsed    *float64 `json:"heap_used_in_bytes"`
			HeapMax     *float64 `json:"heap_max_in_bytes"`
		} `json:"mem"`
		GC struct {
			Collectors map[string]struct {
				Count  *float64 `json:"collection_count"`
				TimeMS *float64 `json:"collection_time_in_millis"`
			} `json:"collectors"`
		} `json:"gc"`
	} `json:"jvm"`
	FS struct {
		Total struct {
			Total     *float64 `json:"total_in_bytes"`
			Available *float64 `json:"available_in_bytes"`
		} `json:"total"`
	} `json:"fs"`
}

func (n node) add(out *server.Reading) {
	add, dims := adder(out), []string{"node", n.Name}
	add(metricOpenFileDescriptors, n.Process.Open, 1, dims...)
	add(metricMaxFileDescriptors, n.Process.Max, 1, dims...)
	add(metricCPUUsedPercent, n.OS.CPU.Percent, 1, dims...)
	add(metricHeapUsedPercent, n.JVM.Mem.HeapPercent, 1, dims...)
	add(metricHeapUsedBytes, n.JVM.Mem.HeapUsed, 1, dims...)
	add(metricHeapMaxBytes, n.JVM.Mem.HeapMax, 1, dims...)
	add(metricUptimeSeconds, n.JVM.UptimeMS, 1000, dims...)
	add(metricDiskTotalBytes, n.FS.Total.Total, 1, dims...)
	add(metricDiskAvailableBytes, n.FS.Total.Available, 1, dims...)
	for name, c := range n.JVM.GC.Collectors {
		add(metricGCTotal, c.Count, 1, "node", n.Name, "collector", name)
		add(metricGCSecondsTotal, c.TimeMS, 1000, "node", n.Name, "collector", name)
	}
}
