package docker

// Of the engine.
const (
	metricInfo       = "docker_info"       // version
	metricContainers = "docker_containers" // by state: running, paused, stopped
)

// Of a running container; all carry the label `container`, its name.
const (
	metricCPUUsedPercent       = "docker_container_cpu_used_percent"
	metricCPUSecondsTotal      = "docker_container_cpu_seconds_total"
	metricMemoryUsedBytes      = "docker_container_memory_used_bytes"
	metricMemoryLimitBytes     = "docker_container_memory_limit_bytes"
	metricProcesses            = "docker_container_processes"
	metricRestartsTotal        = "docker_container_restarts_total"
	metricUptimeSeconds        = "docker_container_uptime_seconds"
	metricReceiveBytesTotal    = "docker_container_network_receive_bytes_total"
	metricTransmitBytesTotal   = "docker_container_network_transmit_bytes_total"
	metricContainerDescription = "docker_container_info" // image
)
