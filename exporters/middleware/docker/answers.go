package docker

import (
	"strings"
	"time"

	"watchkeeper/exporters/middleware/server"
)

// info is /info.
type info struct {
	ServerVersion     string
	NCPU              float64
	ContainersRunning *float64
	ContainersPaused  *float64
	ContainersStopped *float64
}

func (i info) add(out *server.Reading) {
	out.Add(metricInfo, 1, "version", i.ServerVersion)
	for state, n := range map[string]*float64{"running": i.ContainersRunning, "paused": i.ContainersPaused, "stopped": i.ContainersStopped} {
		if n != nil {
			out.Add(metricContainers, *n, "state", state)
		}
	}
}

// container is one element of /containers/json and what was asked about it.
type container struct {
	ID    string `json:"Id"`
	Names []string
	Image string

	answered  bool
	inspected inspected
	stats     stats
}

// name is the container's own name; further names come from links of others.
func (c container) name() string {
	for _, n := range c.Names {
		if n = strings.TrimPrefix(n, "/"); n != "" && !strings.Contains(n, "/") {
			return n
		}
	}
	return c.ID[:min(12, len(c.ID))]
}

// inspected is /containers/ID/json.
type inspected struct {
	RestartCount float64
	State        struct{ StartedAt time.Time }
	HostConfig   struct{ NanoCpus, CpuQuota, CpuPeriod float64 }
}

// cores is how many cores the container may use; all those of the host without a quota.
func (i inspected) cores(ofHost float64) float64 {
	const defaultPeriod = 100_000 // microseconds
	h := i.HostConfig
	switch {
	case h.NanoCpus > 0:
		return h.NanoCpus / 1e9
	case h.CpuQuota > 0 && h.CpuPeriod > 0:
		return h.CpuQuota / h.CpuPeriod
	case h.CpuQuota > 0:
		return h.CpuQuota / defaultPeriod
	}
	return ofHost
}

// stats is /containers/ID/stats.
type stats struct {
	Read     time.Time `json:"read"`
	CPUStats struct {
		CPUUsage struct {
			Total float64 `json:"total_usage"` // nanoseconds
		} `json:"cpu_usage"`
	} `json:"cpu_stats"`
	MemoryStats struct {
		Usage *float64           `json:"usage"`
		Limit *float64           `json:"limit"`
		Stats map[string]float64 `json:"stats"`
	} `json:"memory_stats"`
	PIDsStats struct {
		Current *float64 `json:"current"`
	} `json:"pids_stats"`
	Networks map[string]struct {
		RxBytes float64 `json:"rx_bytes"`
		TxBytes float64 `json:"tx_bytes"`
	} `json:"networks"`
}

// percentSince returns the use of the container's cores between two readings.
func (s stats) percentSince(last stats, cores float64) (float64, bool) {
	elapsed := s.Read.Sub(last.Read).Seconds()
	grown := (s.CPUStats.CPUUsage.Total - last.CPUStats.CPUUsage.Total) / 1e9
	if last.Read.IsZero() || elapsed <= 0 || grown < 0 || cores <= 0 { // less than before: it was restarted
		return 0, false
	}
	return 100 * grown / (elapsed * cores), true
}

// memoryUsed is the memory in use without the page cache that can be dropped,
// as docker stats shows it; cgroup v1 and v2 name that cache differently.
func (s stats) memoryUsed() (float64, bool) {
	if s.MemoryStats.Usage == nil {
		return 0, false
	}
	usage := *s.MemoryStats.Usage
	for _, name := range []string{"total_inactive_file", "inactive_file"} {
		if cache, ok := s.MemoryStats.Stats[name]; ok && cache < usage {
			return usage - cache, true
		}
	}
	return usage, true
}

func (c container) add(out *server.Reading, last stats, hostCores float64) {
	dims := []string{"container", c.name()}
	out.Add(metricContainerDescription, 1, "container", c.name(), "image", c.Image)
	if percent, ok := c.stats.percentSince(last, c.inspected.cores(hostCores)); ok {
		out.Add(metricCPUUsedPercent, percent, dims...)
	}
	out.Add(metricCPUSecondsTotal, c.stats.CPUStats.CPUUsage.Total/1e9, dims...)
	if used, ok := c.stats.memoryUsed(); ok {
		out.Add(metricMemoryUsedBytes, used, dims...)
	}
	if limit := c.stats.MemoryStats.Limit; limit != nil {
		out.Add(metricMemoryLimitBytes, *limit, dims...)
	}
	if n := c.stats.PIDsStats.Current; n != nil {
		out.Add(metricProcesses, *n, dims...)
	}
	out.Add(metricRestartsTotal, c.inspected.RestartCount, dims...)
	if started := c.inspected.State.StartedAt; !started.IsZero() {
		out.Add(metricUptimeSeconds, max(0, out.At.Sub(started).Seconds()), dims...)
	}
	var received, sent float64
	for _, n := range c.stats.Networks {
		received += n.RxBytes
		sent += n.TxBytes
	}
	if len(c.stats.Networks) > 0 {
		out.Add(metricReceiveBytesTotal, received, dims...)
		out.Add(metricTransmitBytesTotal, sent, dims...)
	}
}
