package probe

// Code says how a probe went. 0 is good, as the contract has it; the others
// tell a person where to look. The values are the contract's; a test compares
// them. New causes are appended, none is ever renumbered: stored samples hold
// the numbers.
type Code int

// The codes, with their causes.
const (
	OK                 Code = 0  // answered as expected
	DNSFailed          Code = 1  // the name did not resolve
	ConnectFailed      Code = 2  // refused, unreachable, reset while connecting
	TLSFailed          Code = 3  // handshake, or a certificate that is not to be trusted
	Timeout            Code = 4  // no answer in time, in whatever phase
	StatusFailed       Code = 5  // an HTTP status that is not expected, too many redirects included
	BodyFailed         Code = 6  // an answer whose content is not the expected one
	ProtocolError      Code = 7  // an answer that is not of the protocol, or was cut
	ContentChanged     Code = 8  // the content's checksum is another one
	CertificateExpires Code = 9  // good, but a certificate is valid for less than min_validity
	JSONFailed         Code = 10 // not JSON, or a value in it is not the expected one
	RcodeFailed        Code = 11 // a DNS response code that is not expected
	ExtractFailed      Code = 12 // a script's step has no value to take from the answer
	RedirectFailed     Code = 13 // a redirect to a host to which none may lead

	lastCode = RedirectFailed
)

var codeNames = [...]string{"ok", "dns", "connect", "tls", "timeout", "status", "body", "protocol",
	"content_changed", "certificate_expires", "json", "rcode", "extract", "redirect"}

func (c Code) String() string {
	if c < 0 || int(c) >= len(codeNames) {
		return "unknown"
	}
	return codeNames[c]
}
