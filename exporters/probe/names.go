package probe

// Metrics of probes. The names are the contract's; a test compares them.
const (
	metricICMPCode             = "probe_icmp_code"
	metricICMPRoundTrip        = "probe_icmp_round_trip_seconds"
	metricTCPCode              = "probe_tcp_code"
	metricTCPConnectDuration   = "probe_tcp_connect_duration_seconds"
	metricHTTPCode             = "probe_http_code"
	metricHTTPStatusCode       = "probe_http_status_code"
	metricHTTPDuration         = "probe_http_duration_seconds"
	metricHTTPPhaseDuration    = "probe_http_phase_duration_seconds"
	metricHTTPBodyBytes        = "probe_http_body_bytes"
	metricTLSNotAfterTimestamp = "probe_tls_not_after_timestamp_seconds"
)

// Values of the label product, the contract's too.
const (
	productWebsite = "website"
	productPort    = "port"
	productPing    = "ping"
)
