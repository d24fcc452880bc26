package apache

// The figures of mod_status, and CPU use.
const (
	metricCPUUsedPercent       = "apache_cpu_used_percent"
	metricUptimeSeconds        = "apache_uptime_seconds"
	metricAccessesTotal        = "apache_accesses_total"
	metricSentBytesTotal       = "apache_sent_bytes_total"
	metricDurationSecondsTotal = "apache_request_duration_seconds_total"
	metricWorkers              = "apache_workers"     // by state: busy, idle, graceful
	metricProcesses            = "apache_processes"   // of the event and worker MPM
	metricConnections          = "apache_connections" // by state, of the event MPM
	metricScoreboard           = "apache_scoreboard"  // slots by what their worker does
)
