package probe

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"
)

// maxReferences bounds the reference targets.
const maxReferences = 20

// Reference is a target by which a vantage point judges itself. Exactly one of
// its addresses is set.
type Reference struct {
	// URL must give an HTTP answer, whatever it says.
	URL URL `yaml:"url"`
	// TCP is a host:port that must accept connections.
	TCP string `yaml:"tcp"`
	// ICMP is a host name or address that must answer an echo request.
	ICMP string `yaml:"icmp"`
	// CAFile holds the certificates (PEM) that are trusted instead of the
	// system's. Default: the system's.
	CAFile string `yaml:"ca_file"`
}

func validateReferences(list []Reference) error {
	if len(list) > maxReferences {
		return fmt.Errorf("reference_targets: more than %d", maxReferences)
	}
	for i, r := range list {
		if err := r.validate(); err != nil {
			return fmt.Errorf("reference_targets[%d].%w", i, err)
		}
	}
	return nil
}

func (r Reference) validate() error {
	set := 0
	for _, a := range []string{string(r.URL), r.TCP, r.ICMP} {
		if a != "" {
			set++
		}
	}
	switch {
	case set != 1:
		return errors.New("url: exactly one of url, tcp and icmp must be set")
	case r.TCP != "":
		return validateHostPort("tcp", r.TCP)
	case r.ICMP != "":
		return validatePingable("icmp", r.ICMP)
	}
	if _, err := r.URL.parse(); err != nil {
		return fmt.Errorf("url: %w", err)
	}
	return nil
}

func (r Reference) String() string {
	switch {
	case r.TCP != "":
		return r.TCP
	case r.ICMP != "":
		return r.ICMP
	default:
		return r.URL.String()
	}
}

func newReference(r Reference) (prober, error) {
	switch {
	case r.TCP != "":
		return newPortProber(Target{TCP: r.TCP})
	case r.ICMP != "":
		return icmpProber{host: r.ICMP}, nil
	default:
		none := 0
		return newHTTPProber(Target{URL: r.URL, HTTP: HTTP{MaxRedirects: &none, MaxBodyBytes: 1, TLS: TLS{CAFile: r.CAFile}}})
	}
}

// standing is what a vantage point found when it looked at its references.
type standing struct {
	ok      bool
	reached int
}

// references tell a fault of the place that looks from those of its targets.
type references struct {
	probers             []prober // none: the place is never at fault
	names               []string
	timeout             time.Duration
	checks, countedOuts *metrics.Counter
	log                 *slog.Logger
	out                 bool // as of the last check, to log changes only
}

func newReferences(list []Reference, interval time.Duration, set *metrics.Set, log *slog.Logger) (*references, error) {
	r := &references{
		timeout:     referenceTimeout(interval),
		checks:      set.GetOrCreateCounter("watchkeeper_probe_vantage_checks_total"),
		countedOuts: set.GetOrCreateCounter("watchkeeper_probe_vantage_counted_out_total"),
		log:         log,
	}
	for i, ref := range list {
		p, err := newReference(ref)
		if err != nil {
			return nil, fmt.Errorf("reference_targets[%d]: %w", i, err)
		}
		r.probers = append(r.probers, p)
		r.names = append(r.names, ref.String())
	}
	return r, nil
}

// look probes all references at once. More than half of them must be reached.
func (r *references) look(ctx context.Context) standing {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	reached := make([]bool, len(r.probers))
	var probes sync.WaitGroup
	for i, p := range r.probers {
		probes.Go(func() { reached[i] = reaches(p.probe(ctx)) })
	}
	probes.Wait()
	s := standing{}
	for _, ok := range reached {
		if ok {
			s.reached++
		}
	}
	s.ok = 2*s.reached > len(r.probers)
	return s
}

// reaches reports whether somebody answered, with whatever.
func reaches(r result) bool {
	switch {
	case r.local != nil:
		return false
	case r.code == DNSFailed, r.code == ConnectFailed, r.code == TLSFailed, r.code == Timeout:
		return false
	default:
		return true
	}
}

// note counts a check and logs when the place goes out or comes back.
func (r *references) note(s standing) {
	r.checks.Inc()
	if !s.ok {
		r.countedOuts.Inc()
	}
	switch {
	case !s.ok && !r.out:
		r.log.Warn("vantage point counted out: it cannot reach its reference targets", "reached", s.reached, "references", r.names)
	case s.ok && r.out:
		r.log.Info("vantage point counts again")
	}
	r.out = !s.ok
}
