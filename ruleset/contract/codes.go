package contract

// Values of the metrics probe_…_code. The contract
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

	ProbeContentChanged     = 8  // the content's checksum is another one
	ProbeCertificateExpires = 9  // good, but a certificate expires too soon
	ProbeJSONFailed         = 10 // not JSON, or a value in it is not the expected one
	ProbeRcodeFailed        = 11 // a DNS response code that is not expected
	ProbeExtractFailed      = 12 // a script's step has no value to take from the answer
	ProbeRedirectFailed     = 13 // a redirect to a host to which none may lead
)
