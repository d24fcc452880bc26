package host

// Metrics of a host. The names are the contract's; a test compares them.
const (
	metricInfo            = "host_info"
	metricECSInfo         = "host_ecs_info"
	metricUptimeSeconds   = "host_uptime_seconds"
	metricBootTimeSeconds = "host_boot_time_seconds"
	metricUsers           = "host_users"

	metricCPUUsedPercent   = "host_cpu_used_percent"
	metricCPUIOWaitPercent = "host_cpu_iowait_percent"
	metricCPUSecondsTotal  = "host_cpu_seconds_total"
	metricCPUCores         = "host_cpu_cores"
	metricLoad1            = "host_load1"
	metricLoad5            = "host_load5"
	metricLoad15           = "host_load15"
	metricLoad1PerCore     = "host_load1_per_core"

	metricProcesses        = "host_processes"
	metricProcessesRunning = "host_processes_running"
	metricProcessesBlocked = "host_processes_blocked"

	metricMemoryUsedPercent    = "host_memory_used_percent"
	metricMemoryAvailableBytes = "host_memory_available_bytes"
	metricMemoryTotalBytes     = "host_memory_total_bytes"
	metricMemoryUsedBytes      = "host_memory_used_bytes"
	metricMemoryFreeBytes      = "host_memory_free_bytes"
	metricMemoryCachedBytes    = "host_memory_cached_bytes"
	metricMemoryBuffersBytes   = "host_memory_buffers_bytes"
	metricSwapTotalBytes       = "host_swap_total_bytes"
	metricSwapUsedBytes        = "host_swap_used_bytes"

	metricFilesystemInfo              = "host_filesystem_info"
	metricFilesystemAvailablePercent  = "host_filesystem_available_percent"
	metricFilesystemAvailableBytes    = "host_filesystem_available_bytes"
	metricFilesystemSizeBytes         = "host_filesystem_size_bytes"
	metricFilesystemUsedBytes         = "host_filesystem_used_bytes"
	metricFilesystemInodesFreePercent = "host_filesystem_inodes_free_percent"
	metricFilesystemInodes            = "host_filesystem_inodes"
	metricFilesystemInodesFree        = "host_filesystem_inodes_free"

	metricDiskReadBytesTotal        = "host_disk_read_bytes_total"
	metricDiskWrittenBytesTotal     = "host_disk_written_bytes_total"
	metricDiskReadsTotal            = "host_disk_reads_total"
	metricDiskWritesTotal           = "host_disk_writes_total"
	metricDiskReadTimeSecondsTotal  = "host_disk_read_time_seconds_total"
	metricDiskWriteTimeSecondsTotal = "host_disk_write_time_seconds_total"
	metricDiskIOTimeSecondsTotal    = "host_disk_io_time_seconds_total"

	metricNetworkReceiveBytesTotal    = "host_network_receive_bytes_total"
	metricNetworkTransmitBytesTotal   = "host_network_transmit_bytes_total"
	metricNetworkReceivePacketsTotal  = "host_network_receive_packets_total"
	metricNetworkTransmitPacketsTotal = "host_network_transmit_packets_total"
	metricNetworkReceiveErrorsTotal   = "host_network_receive_errors_total"
	metricNetworkTransmitErrorsTotal  = "host_network_transmit_errors_total"
	metricNetworkReceiveDropsTotal    = "host_network_receive_drops_total"
	metricNetworkTransmitDropsTotal   = "host_network_transmit_drops_total"
)
