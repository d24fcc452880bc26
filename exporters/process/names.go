package process

// Metrics of a declaration; all carry the label `process`.
const (
	metricState            = "process_state" // 1 runs as declared, else 0
	metricCount            = "process_count"
	metricCPUUsedPercent   = "process_cpu_used_percent" // of one core
	metricResidentBytes    = "process_resident_memory_bytes"
	metricVirtualBytes     = "process_virtual_memory_bytes"
	metricOpenFiles        = "process_open_fds"
	metricThreads          = "process_threads"
	metricStartTimeSeconds = "process_start_time_seconds" // of the youngest
	metricRestartsTotal    = "process_restarts_total"
)
