package probe

import (
	"fmt"
	"math"
	"net"
	"os"
	"regexp"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/prometheus/common/model"

	"watchkeeper/exporters"
)

// Limits and defaults of a configuration.
const (
	defaultInterval     = time.Minute
	defaultTimeout      = 10 * time.Second
	defaultMaxRedirects = 10
	maxRedirects        = 50
	defaultMaxBodyBytes = 1 << 20
	maxMaxBodyBytes     = 64 << 20
	maxNameBytes        = 128
	maxTargets          = 20_000
	// minConcurrency of a set's probes; more only when all of them hanging at
	// once would otherwise not fit into the interval.
	minConcurrency = 100
	maxConcurrency = 4_000
)

// Config lists the targets that one customer has probed from one place.
type Config struct {
	// Vantage names the place from which this process looks; it is the label
	// `vantage` of every series. Default "local".
	Vantage string `yaml:"vantage"`
	// Targets are what is probed. Default: none.
	Targets []Target `yaml:"targets"`
}

// Target is one address that is probed in one way.
type Target struct {
	// Name identifies the target; the label `instance` of its series. Unique
	// among the customer's targets.
	Name string `yaml:"name"`
	// URL is fetched: http:// or https://. Credentials in it are never shown.
	// Exactly one of url, tcp and icmp is set.
	URL URL `yaml:"url"`
	// TCP is a host:port that must accept connections.
	TCP string `yaml:"tcp"`
	// ICMP is a host name or address that must answer an echo request ("ping").
	ICMP string `yaml:"icmp"`
	// Interval between two probes. Default 1m, the contract's.
	Interval model.Duration `yaml:"interval"`
	// Timeout of one probe with all its phases; at most two fifths of the
	// interval and 15s. Default 10s, or as much as that allows.
	Timeout model.Duration `yaml:"timeout"`
	// HTTP says what is sent to a URL and what is expected of its answer.
	HTTP HTTP `yaml:"http"`
}

// HTTP says how a URL is fetched and what its answer must be.
type HTTP struct {
	// Method is GET or HEAD. Default GET.
	Method string `yaml:"method"`
	// ExpectStatus are the statuses that are good. Default: 200 to 299, and 300
	// to 399 too where no redirect is followed.
	ExpectStatus []int `yaml:"expect_status"`
	// ExpectBody is a regular expression (RE2) that the body must contain.
	// Default: any body will do.
	ExpectBody string `yaml:"expect_body"`
	// RejectBody is a regular expression that the body must not contain.
	// Default: none.
	RejectBody string `yaml:"reject_body"`
	// MaxBodyBytes is how much of the body is read, decompressed; what comes
	// after it is not looked at. Default 1048576, at most 67108864.
	MaxBodyBytes int64 `yaml:"max_body_bytes"`
	// MaxRedirects is how many redirects are followed; 0 follows none, and the
	// redirect itself is the answer. Default 10, at most 50.
	MaxRedirects *int `yaml:"max_redirects"`
	// CAFile holds the certificates (PEM) that are trusted instead of the
	// system's. Default: the system's.
	CAFile string `yaml:"ca_file"`
	// ServerName is expected in the certificate instead of the URL's host.
	// Default: the URL's host.
	ServerName string `yaml:"server_name"`
	// InsecureSkipVerify accepts any certificate. Its expiry is still read.
	// Default false.
	InsecureSkipVerify bool `yaml:"insecure_skip_verify"`
}

// DefaultConfig returns a configuration without targets.
func DefaultConfig() Config { return Config{Vantage: "local"} }

// Validate names the first value that cannot be used.
func (c Config) Validate() error {
	if err := validateName(c.Vantage); err != nil {
		return fmt.Errorf("vantage: %w", err)
	}
	if len(c.Targets) > maxTargets {
		return fmt.Errorf("targets: more than %d", maxTargets)
	}
	names := make(map[string]int)
	for i, t := range c.Targets {
		if err := t.validate(); err != nil {
			return fmt.Errorf("targets[%d].%w", i, err)
		}
		if j, ok := names[t.Name]; ok {
			return fmt.Errorf("targets[%d].name: %q is targets[%d] already", i, t.Name, j)
		}
		names[t.Name] = i
	}
	for interval, targets := range byInterval(c.Targets) {
		if n := concurrency(interval, targets); n > maxConcurrency {
			return fmt.Errorf("targets: the %d targets with interval %s take too long when all time out; shorten their time-outs or probe less often",
				len(targets), model.Duration(interval))
		}
	}
	return nil
}

func (t Target) validate() error {
	if err := validateName(t.Name); err != nil {
		return fmt.Errorf("name: %w", err)
	}
	if err := t.validateAddress(); err != nil {
		return err
	}
	if t.interval() < exporters.MinInterval {
		return fmt.Errorf("interval: %s is shorter than %s", t.Interval, exporters.MinInterval)
	}
	if t.Timeout < 0 || t.timeout() > maxTimeout(t.interval()) {
		return fmt.Errorf("timeout: %s is not between 0s and %s, the most with interval %s",
			t.Timeout, model.Duration(maxTimeout(t.interval())), model.Duration(t.interval()))
	}
	if err := t.HTTP.validate(); err != nil {
		return fmt.Errorf("http.%w", err)
	}
	return nil
}

func (t Target) validateAddress() error {
	set := 0
	for _, a := range []string{string(t.URL), t.TCP, t.ICMP} {
		if a != "" {
			set++
		}
	}
	switch {
	case set != 1:
		return fmt.Errorf("url: exactly one of url, tcp and icmp must be set")
	case t.URL != "":
		if _, err := t.URL.parse(); err != nil {
			return fmt.Errorf("url: %w", err)
		}
	case t.TCP != "":
		host, port, err := net.SplitHostPort(t.TCP)
		if n, perr := strconv.ParseUint(port, 10, 16); err != nil || perr != nil || host == "" || n == 0 {
			return fmt.Errorf("tcp: %q is not a host:port", t.TCP)
		}
	case t.ICMP != "":
		if _, _, err := net.SplitHostPort(t.ICMP); err == nil {
			return fmt.Errorf("icmp: %q has a port; ping knows none", t.ICMP)
		}
	}
	return nil
}

func (h HTTP) validate() error {
	if h.Method != "" && h.Method != "GET" && h.Method != "HEAD" {
		return fmt.Errorf("method: %q is neither GET nor HEAD", h.Method)
	}
	for i, s := range h.ExpectStatus {
		if s < 100 || s > 599 {
			return fmt.Errorf("expect_status[%d]: %d is not an HTTP status", i, s)
		}
	}
	if _, err := regexp.Compile(h.ExpectBody); err != nil {
		return fmt.Errorf("expect_body: %w", err)
	}
	if _, err := regexp.Compile(h.RejectBody); err != nil {
		return fmt.Errorf("reject_body: %w", err)
	}
	if h.Method == "HEAD" && h.ExpectBody != "" {
		return fmt.Errorf("expect_body: an answer to HEAD has no body")
	}
	if h.MaxBodyBytes < 0 || h.MaxBodyBytes > maxMaxBodyBytes {
		return fmt.Errorf("max_body_bytes: %d is not between 0 and %d", h.MaxBodyBytes, maxMaxBodyBytes)
	}
	if h.MaxRedirects != nil && (*h.MaxRedirects < 0 || *h.MaxRedirects > maxRedirects) {
		return fmt.Errorf("max_redirects: %d is not between 0 and %d", *h.MaxRedirects, maxRedirects)
	}
	if h.CAFile != "" {
		if _, err := os.Stat(h.CAFile); err != nil {
			return fmt.Errorf("ca_file: %w", err)
		}
	}
	return nil
}

func validateName(name string) error {
	if name == "" {
		return fmt.Errorf("must not be empty")
	}
	if len(name) > maxNameBytes || !utf8.ValidString(name) {
		return fmt.Errorf("must be UTF-8 of at most %d bytes", maxNameBytes)
	}
	return nil
}

func (t Target) interval() time.Duration {
	if t.Interval == 0 {
		return defaultInterval
	}
	return time.Duration(t.Interval)
}

func (t Target) timeout() time.Duration {
	if t.Timeout == 0 {
		return min(defaultTimeout, maxTimeout(t.interval()))
	}
	return time.Duration(t.Timeout)
}

// maxTimeout leaves half of a collection's time for probes that had to wait
// for others.
func maxTimeout(interval time.Duration) time.Duration {
	return exporters.DefaultTimeout(interval) / 2
}

func byInterval(targets []Target) map[time.Duration][]Target {
	m := make(map[time.Duration][]Target)
	for _, t := range targets {
		m[t.interval()] = append(m[t.interval()], t)
	}
	return m
}

// concurrency is how many probes of a set run at once: so many that the
// collection ends in time even when every single target hangs until its
// time-out. n workers that always take the next target end within
// sum/n + longest.
func concurrency(interval time.Duration, targets []Target) int {
	var sum, longest time.Duration
	for _, t := range targets {
		sum += t.timeout()
		longest = max(longest, t.timeout())
	}
	// A tenth is kept for what is not probing.
	budget := exporters.DefaultTimeout(interval)*9/10 - longest
	need := int(math.Ceil(sum.Seconds() / budget.Seconds()))
	return max(need, min(minConcurrency, len(targets)))
}
