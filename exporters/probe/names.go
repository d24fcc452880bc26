package probe

// Metrics of probes. The names are the contract's; a test compares them.
const (
	metricICMPCode                        = "probe_icmp_code"
	metricICMPRoundTrip                   = "probe_icmp_round_trip_seconds"
	metricTCPCode                         = "probe_tcp_code"
	metricTCPConnectDuration              = "probe_tcp_connect_duration_seconds"
	metricTCPExchangeDuration             = "probe_tcp_exchange_duration_seconds"
	metricUDPCode                         = "probe_udp_code"
	metricUDPExchangeDuration             = "probe_udp_exchange_duration_seconds"
	metricDNSCode                         = "probe_dns_code"
	metricDNSDuration                     = "probe_dns_duration_seconds"
	metricDNSAnswers                      = "probe_dns_answers"
	metricHTTPCode                        = "probe_http_code"
	metricHTTPStatusCode                  = "probe_http_status_code"
	metricHTTPDuration                    = "probe_http_duration_seconds"
	metricHTTPPhaseDuration               = "probe_http_phase_duration_seconds"
	metricHTTPBodyBytes                   = "probe_http_body_bytes"
	metricScriptFailedStep                = "probe_script_failed_step"
	metricScriptStepDuration              = "probe_script_step_duration_seconds"
	metricTLSNotAfterTimestamp            = "probe_tls_not_after_timestamp_seconds"
	metricTLSCertificateNotAfterTimestamp = "probe_tls_certificate_not_after_timestamp_seconds"
	metricTLSVersion                      = "probe_tls_version"

	metricVantageOK                = "probe_vantage_ok"
	metricVantageReferencesReached = "probe_vantage_references_reached"
	metricVantageTargets           = "probe_vantage_targets"
	metricVantageTargetsGood       = "probe_vantage_targets_good"
	metricVantageMeanDuration      = "probe_vantage_mean_duration_seconds"
)

// Values of the label product, the contract's too.
const (
	productWebsite = "website"
	productPort    = "port"
	productPing    = "ping"
	productUDP     = "udp"
	productDNS     = "dns"
	productVantage = "vantage"
)
