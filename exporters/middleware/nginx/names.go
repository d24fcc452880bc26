package nginx

// The figures of stub_status, and the master's uptime.
const (
	metricUptimeSeconds            = "nginx_uptime_seconds"
	metricConnectionsActive        = "nginx_connections_active"
	metricConnectionsAcceptedTotal = "nginx_connections_accepted_total"
	metricConnectionsHandledTotal  = "nginx_connections_handled_total"
	metricRequestsTotal            = "nginx_requests_total"
	metricConnectionsReading       = "nginx_connections_reading"
	metricConnectionsWriting       = "nginx_connections_writing"
	metricConnectionsWaiting       = "nginx_connections_waiting"
)
