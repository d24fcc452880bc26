package nginx

// The figures of stub_status, the master's uptime, and what stands for it where
// that is not known.
const (
	metricUptimeSeconds            = "nginx_uptime_seconds"
	metricRestartSeenAgeSeconds    = "nginx_restart_seen_age_seconds"
	metricConnectionsActive        = "nginx_connections_active"
	metricConnectionsAcceptedTotal = "nginx_connections_accepted_total"
	metricConnectionsHandledTotal  = "nginx_connections_handled_total"
	metricRequestsTotal            = "nginx_requests_total"
	metricConnectionsReading       = "nginx_connections_reading"
	metricConnectionsWriting       = "nginx_connections_writing"
	metricConnectionsWaiting       = "nginx_connections_waiting"
)
