package probe

import (
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// Bounds of an HTTP configuration.
const (
	maxHeaders   = 50
	maxBodyText  = 1 << 20
	maxChecks    = 100
	sha256Digits = 64
)

// HTTP says what is sent to a URL and what its answer must be.
type HTTP struct {
	// Method is GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS. Default GET, or
	// POST with a body or form.
	Method string `yaml:"method"`
	// Headers are sent; ${name} in a value stands for a secret of the target or
	// a value of an earlier step. They do not follow a redirect to another host.
	// Default: none but User-Agent.
	Headers map[string]string `yaml:"headers"`
	// Body is sent; ${name} as in headers, escaped where the header Content-Type
	// says JSON. Default: none.
	Body string `yaml:"body"`
	// Form is sent as a form (application/x-www-form-urlencoded) in place of a
	// body; ${name} in its values as in headers. Default: none.
	Form map[string]string `yaml:"form"`
	// ExpectStatus are the statuses that are good. Default: 200 to 299, and 300
	// to 399 too where no redirect is followed.
	ExpectStatus []int `yaml:"expect_status"`
	// ExpectBody is a regular expression (RE2) that the body must contain.
	// Default: any body will do.
	ExpectBody string `yaml:"expect_body"`
	// RejectBody is a regular expression that the body must not contain.
	// Default: none.
	RejectBody string `yaml:"reject_body"`
	// ExpectJSON are values that the body, as JSON, must hold. Default: none.
	ExpectJSON []JSONCheck `yaml:"expect_json"`
	// Checksum watches whether the content changes. Default: not.
	Checksum *Checksum `yaml:"checksum"`
	// MaxBodyBytes is how much of the body is read, decompressed; what comes
	// after it is not looked at. Default 1048576, at most 67108864.
	MaxBodyBytes int64 `yaml:"max_body_bytes"`
	// MaxRedirects is how many redirects are followed; 0 follows none, and the
	// redirect itself is the answer. Default 10, at most 50.
	MaxRedirects *int `yaml:"max_redirects"`
	// RedirectHosts are the hosts to which redirects may lead, besides the URL's
	// own. Default: any.
	RedirectHosts []string `yaml:"redirect_hosts"`

	TLS `yaml:",inline"`
}

// JSONCheck is one value of a JSON body.
type JSONCheck struct {
	// Path leads to the value: names and indices such as data.items[0].status; a
	// name with other characters in quotes, data["a.b"]. Required.
	Path string `yaml:"path"`
	// Equals is the value's text: of a string what is between its quotes, of
	// anything else as it stands in the body. Exactly one of equals and matches is set.
	Equals *string `yaml:"equals"`
	// Matches is a regular expression that the value's text must contain.
	Matches string `yaml:"matches"`
}

// Checksum watches a content by its SHA-256. Line ends count as \n, and blanks
// at the ends of lines and of the whole do not count.
type Checksum struct {
	// SHA256 is the checksum in 64 hexadecimal digits. Default: that of the first good
	// answer since the start or the last change of the configuration.
	SHA256 string `yaml:"sha256"`
	// Ignore are regular expressions whose matches do not count: times, tokens.
	// Default: none.
	Ignore []string `yaml:"ignore"`
	// Raw counts every byte as it is. Default false.
	Raw bool `yaml:"raw"`
}

var methods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

// validate names the first value that cannot be used. known are the names that
// ${name} may have.
func (h HTTP) validate(known map[string]bool) error {
	if h.Method != "" && !slices.Contains(methods, h.Method) {
		return fmt.Errorf("method: %q is none of %s", h.Method, strings.Join(methods, ", "))
	}
	if err := h.validateSent(known); err != nil {
		return err
	}
	for i, s := range h.ExpectStatus {
		if s < 100 || s > 599 {
			return fmt.Errorf("expect_status[%d]: %d is not an HTTP status", i, s)
		}
	}
	if err := h.validateContent(); err != nil {
		return err
	}
	if h.MaxRedirects != nil && (*h.MaxRedirects < 0 || *h.MaxRedirects > maxRedirects) {
		return fmt.Errorf("max_redirects: %d is not between 0 and %d", *h.MaxRedirects, maxRedirects)
	}
	return h.TLS.validate()
}

func (h HTTP) validateSent(known map[string]bool) error {
	if len(h.Headers) > maxHeaders || len(h.Form) > maxHeaders {
		return fmt.Errorf("headers: more than %d", maxHeaders)
	}
	for name, value := range h.Headers {
		if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
			return fmt.Errorf("headers: %q is not a header that can be sent", name)
		}
		if err := checkNames(value, known); err != nil {
			return fmt.Errorf("headers.%s: %w", name, err)
		}
	}
	for name, value := range h.Form {
		if err := checkNames(value, known); err != nil {
			return fmt.Errorf("form.%s: %w", name, err)
		}
	}
	switch {
	case h.Body != "" && len(h.Form) > 0:
		return fmt.Errorf("body: is set beside form; give one of them")
	case len(h.Body) > maxBodyText:
		return fmt.Errorf("body: longer than %d bytes", maxBodyText)
	case (h.Body != "" || len(h.Form) > 0) && (h.Method == "GET" || h.Method == "HEAD"):
		return fmt.Errorf("body: a request with %s has none", h.Method)
	}
	if err := checkNames(h.Body, known); err != nil {
		return fmt.Errorf("body: %w", err)
	}
	return nil
}

func (h HTTP) validateContent() error {
	if _, err := regexp.Compile(h.ExpectBody); err != nil {
		return fmt.Errorf("expect_body: %w", err)
	}
	if _, err := regexp.Compile(h.RejectBody); err != nil {
		return fmt.Errorf("reject_body: %w", err)
	}
	if h.Method == "HEAD" && (h.ExpectBody != "" || len(h.ExpectJSON) > 0 || h.Checksum != nil) {
		return fmt.Errorf("expect_body: an answer to HEAD has no body")
	}
	if len(h.ExpectJSON) > maxChecks {
		return fmt.Errorf("expect_json: more than %d", maxChecks)
	}
	for i, c := range h.ExpectJSON {
		if err := c.validate(); err != nil {
			return fmt.Errorf("expect_json[%d].%w", i, err)
		}
	}
	if h.Checksum != nil {
		if err := h.Checksum.validate(); err != nil {
			return fmt.Errorf("checksum.%w", err)
		}
	}
	if h.MaxBodyBytes < 0 || h.MaxBodyBytes > maxMaxBodyBytes {
		return fmt.Errorf("max_body_bytes: %d is not between 0 and %d", h.MaxBodyBytes, maxMaxBodyBytes)
	}
	return nil
}

func (c JSONCheck) validate() error {
	if _, err := parseJSONPath(c.Path); err != nil {
		return fmt.Errorf("path: %w", err)
	}
	if (c.Equals == nil) == (c.Matches == "") {
		return fmt.Errorf("equals: exactly one of equals and matches must be set")
	}
	if _, err := regexp.Compile(c.Matches); err != nil {
		return fmt.Errorf("matches: %w", err)
	}
	return nil
}

func (c Checksum) validate() error {
	if _, err := hex.DecodeString(c.SHA256); err != nil || c.SHA256 != "" && len(c.SHA256) != sha256Digits {
		return fmt.Errorf("sha256: want %d hexadecimal digits", sha256Digits)
	}
	if len(c.Ignore) > maxChecks {
		return fmt.Errorf("ignore: more than %d", maxChecks)
	}
	for i, pattern := range c.Ignore {
		if _, err := regexp.Compile(pattern); err != nil {
			return fmt.Errorf("ignore[%d]: %w", i, err)
		}
	}
	if c.Raw && len(c.Ignore) > 0 {
		return fmt.Errorf("ignore: is set beside raw; give one of them")
	}
	return nil
}
