package iis

const (
	metricUptimeSeconds    = "iis_uptime_seconds"
	metricServiceStartType = "iis_service_start_type" // by service, as the next
	metricServiceState     = "iis_service_state"
)
