package contract

// Values of probe_icmp_code, probe_tcp_code and probe_http_code. The contract
// compares with 0 only; the others tell a person where to look.
const (
	ProbeOK            = 0 // answered as expected
	ProbeDNSFailed     = 1 // the name did not resolve
	ProbeConnectFailed = 2 // refused, unreachable, reset while connecting
	ProbeTLSFailed     = 3 // handshake or certificate
	ProbeTimeout       = 4 // no answer in time, in whatever phase
	ProbeStatusFailed  = 5 // an HTTP status that is not among the expected ones
	ProbeBodyFailed    = 6 // an answer whose content is not the expected one
	ProbeProtocolError = 7 // an answer that is not of the protocol, or was cut
)
