package probe

import (
	"errors"
	"fmt"
	"net"
	"slices"
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
	// Region is where that place is, such as cn-hangzhou; the label `region` of
	// every series. Default: none.
	Region string `yaml:"region"`
	// ReferenceTargets are what this place must be able to reach: while it cannot
	// reach more than half of them it is counted out, and what it sees is nobody's
	// failure. Take several that fail independently. Default: none, never counted out.
	ReferenceTargets []Reference `yaml:"reference_targets"`
	// MaxConcurrency is how many probes of one interval run at once. Default: 100,
	// or as many as it takes to be through in time when all targets hang.
	MaxConcurrency int `yaml:"max_concurrency"`
	// Targets are what is probed. Default: none.
	Targets []Target `yaml:"targets"`
}

// Target is one address that is probed in one way. Exactly one of url, script,
// tcp, udp, dns and icmp is set.
type Target struct {
	// Name identifies the target; the label `instance` of its series. Unique
	// among the customer's targets.
	Name string `yaml:"name"`
	// URL is fetched: http:// or https://. Credentials in it are never shown.
	URL URL `yaml:"url"`
	// Script is a sequence of requests: log in, take a token, use it, check.
	Script []Step `yaml:"script"`
	// TCP is a host:port that must accept connections.
	TCP string `yaml:"tcp"`
	// UDP is a host:port that must answer what exchange says.
	UDP string `yaml:"udp"`
	// DNS is a question to a name server.
	DNS *DNS `yaml:"dns"`
	// ICMP is a host name or address that must answer an echo request ("ping").
	ICMP string `yaml:"icmp"`
	// Interval between two probes. Default 1m, the contract's.
	Interval model.Duration `yaml:"interval"`
	// Timeout of one probe with all its phases and steps; at most two fifths of the
	// interval and 15s. Default 10s, or as much as that allows.
	Timeout model.Duration `yaml:"timeout"`
	// HTTP says what is sent to a URL and what is expected of its answer.
	HTTP HTTP `yaml:"http"`
	// TLS is spoken over TCP: at once, or from the step of exchange with starttls
	// on. Default: no TLS, or with a starttls step the system's certificates.
	TLS *TLS `yaml:"tls"`
	// Exchange is what is said over TCP or UDP. Default: nothing.
	Exchange []Exchange `yaml:"exchange"`
	// Secrets are values that ${name} stands for in headers, bodies, forms, URLs of
	// steps and what exchange sends. They never show in series, logs or errors.
	// Default: none.
	Secrets map[string]Secret `yaml:"secrets"`
}

// DefaultConfig returns a configuration without targets.
func DefaultConfig() Config { return Config{Vantage: "local"} }

// Validate names the first value that cannot be used.
func (c Config) Validate() error {
	if err := validateName(c.Vantage); err != nil {
		return fmt.Errorf("vantage: %w", err)
	}
	if len(c.Region) > maxNameBytes || !utf8.ValidString(c.Region) {
		return fmt.Errorf("region: must be UTF-8 of at most %d bytes", maxNameBytes)
	}
	if err := validateReferences(c.ReferenceTargets); err != nil {
		return err
	}
	if c.MaxConcurrency < 0 || c.MaxConcurrency > maxConcurrency {
		return fmt.Errorf("max_concurrency: %d is not between 0 and %d", c.MaxConcurrency, maxConcurrency)
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
		need := concurrency(interval, targets)
		if need > maxConcurrency {
			return fmt.Errorf("targets: the %d targets with interval %s take too long when all time out; shorten their time-outs or probe less often",
				len(targets), model.Duration(interval))
		}
		if least := leastConcurrency(interval, targets); c.MaxConcurrency > 0 && c.MaxConcurrency < least {
			return fmt.Errorf("max_concurrency: %d is too few for the %d targets with interval %s when all time out; it takes %d",
				c.MaxConcurrency, len(targets), model.Duration(interval), least)
		}
	}
	return nil
}

// ResolvePaths makes the files' paths relative to a folder, that of the
// configuration file.
func (c *Config) ResolvePaths(resolve func(string) string) {
	for i := range c.ReferenceTargets {
		c.ReferenceTargets[i].CAFile = resolve(c.ReferenceTargets[i].CAFile)
	}
	for i := range c.Targets {
		t := &c.Targets[i]
		t.HTTP.CAFile = resolve(t.HTTP.CAFile)
		if t.TLS != nil {
			t.TLS.CAFile = resolve(t.TLS.CAFile)
		}
		for j := range t.Script {
			t.Script[j].HTTP.CAFile = resolve(t.Script[j].HTTP.CAFile)
		}
		for name, s := range t.Secrets {
			s.File = resolve(s.File)
			t.Secrets[name] = s
		}
	}
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
	return t.validateTalk()
}

func (t Target) validateAddress() error {
	set := 0
	for _, is := range []bool{t.URL != "", len(t.Script) > 0, t.TCP != "", t.UDP != "", t.DNS != nil, t.ICMP != ""} {
		if is {
			set++
		}
	}
	if set != 1 {
		return errors.New("url: exactly one of url, script, tcp, udp, dns and icmp must be set")
	}
	switch {
	case t.URL != "":
		if _, err := t.URL.parse(); err != nil {
			return fmt.Errorf("url: %w", err)
		}
	case t.DNS != nil:
		if err := t.DNS.validate(); err != nil {
			return fmt.Errorf("dns.%w", err)
		}
	case t.TCP != "":
		return validateHostPort("tcp", t.TCP)
	case t.UDP != "":
		return validateHostPort("udp", t.UDP)
	case t.ICMP != "":
		return validatePingable("icmp", t.ICMP)
	}
	return nil
}

// validateTalk checks what is said to the target once it is reached.
func (t Target) validateTalk() error {
	known, err := validateSecrets(t.Secrets)
	if err != nil {
		return err
	}
	if t.TCP == "" && t.UDP == "" && len(t.Exchange) > 0 {
		return errors.New("exchange: is for tcp and udp")
	}
	if t.TCP == "" && t.TLS != nil {
		return errors.New("tls: is for tcp; a url has its settings in http")
	}
	if t.UDP != "" && !slices.ContainsFunc(t.Exchange, func(e Exchange) bool { return e.Expect != "" || e.ExpectHex != "" }) {
		return errors.New("exchange: a UDP port shows that it serves only by an answer; say what to send and expect")
	}
	if err := validateExchanges(t.Exchange, known, t.TCP != ""); err != nil {
		return err
	}
	if t.TLS != nil {
		if err := t.TLS.validate(); err != nil {
			return fmt.Errorf("tls.%w", err)
		}
	}
	if err := validateScript(t.Script, known); err != nil {
		return err
	}
	if err := checkNames(string(t.URL), known); err != nil {
		return fmt.Errorf("url: %w", err)
	}
	if err := t.HTTP.validate(known); err != nil {
		return fmt.Errorf("http.%w", err)
	}
	return nil
}

func validateHostPort(key, address string) error {
	if host, port, err := net.SplitHostPort(address); err != nil || host == "" || !validPort(port) {
		return fmt.Errorf("%s: %q is not a host:port", key, address)
	}
	return nil
}

func validPort(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0
}

func validatePingable(key, host string) error {
	if _, _, err := net.SplitHostPort(host); err == nil {
		return fmt.Errorf("%s: %q has a port; ping knows none", key, host)
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

// maxTimeout leaves the other half of the contract's minute for probes that
// had to wait for others.
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
