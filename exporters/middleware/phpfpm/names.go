package phpfpm

// The figures of the status page; all carry the label `pool`.
const (
	metricListenQueue              = "phpfpm_listen_queue"
	metricListenQueueMax           = "phpfpm_listen_queue_max"
	metricListenQueueLength        = "phpfpm_listen_queue_length"
	metricProcesses                = "phpfpm_processes" // by state: idle, active
	metricActiveProcessesMax       = "phpfpm_active_processes_max"
	metricMaxChildrenReachedTotal  = "phpfpm_max_children_reached_total"
	metricAcceptedConnectionsTotal = "phpfpm_accepted_connections_total"
	metricSlowRequestsTotal        = "phpfpm_slow_requests_total"
	metricUptimeSeconds            = "phpfpm_uptime_seconds"
	metricMemoryPeakBytes          = "phpfpm_memory_peak_bytes" // since PHP 8.3
)
