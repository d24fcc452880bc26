package probe

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"time"

	"github.com/prometheus/common/model"

	"watchkeeper/exporters"
)

// TLS says which certificates and versions are good.
type TLS struct {
	// CAFile holds the certificates (PEM) that are trusted instead of the
	// system's. Default: the system's.
	CAFile string `yaml:"ca_file"`
	// ServerName is expected in the certificate instead of the target's host.
	// Default: the target's host.
	ServerName string `yaml:"server_name"`
	// InsecureSkipVerify accepts any certificate. Its expiry is still read.
	// Default false.
	InsecureSkipVerify bool `yaml:"insecure_skip_verify"`
	// MinVersion is the oldest version that is spoken: 1.0, 1.1, 1.2 or 1.3.
	// Default 1.2.
	MinVersion string `yaml:"min_version"`
	// MinValidity is how long every certificate of the chain must still be
	// valid. Default 0s: valid now.
	MinValidity model.Duration `yaml:"min_validity"`
}

var tlsVersions = map[string]uint16{
	"": 0, "1.0": tls.VersionTLS10, "1.1": tls.VersionTLS11, "1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13,
}

func (c TLS) validate() error {
	if _, ok := tlsVersions[c.MinVersion]; !ok {
		return fmt.Errorf("min_version: %q is none of 1.0, 1.1, 1.2 and 1.3", c.MinVersion)
	}
	if c.MinValidity < 0 {
		return fmt.Errorf("min_validity: %s is negative", c.MinValidity)
	}
	return nil
}

// build makes the client's configuration. It reads the CA file.
func (c TLS) build() (*tls.Config, error) {
	cfg := &tls.Config{
		ServerName:         c.ServerName,
		InsecureSkipVerify: c.InsecureSkipVerify,
		MinVersion:         tlsVersions[c.MinVersion],
	}
	if c.CAFile == "" {
		return cfg, nil
	}
	pem, err := os.ReadFile(c.CAFile)
	if err != nil {
		return nil, fmt.Errorf("ca_file: %w", err)
	}
	cfg.RootCAs = x509.NewCertPool()
	if !cfg.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("ca_file: %s: no certificate in it", c.CAFile)
	}
	return cfg, nil
}

// earliest returns the first expiry among certificates, zero without any.
func earliest(certificates []*x509.Certificate) (first time.Time) {
	for _, c := range certificates {
		if first.IsZero() || c.NotAfter.Before(first) {
			first = c.NotAfter
		}
	}
	return first
}

// versionNumber is the version as a number that sorts, 1.3 for TLS 1.3.
func versionNumber(version uint16) float64 {
	return 1 + float64(version-tls.VersionTLS10)/10
}

// tlsState is what a probe saw of certificates and versions; of several
// connections what ends first and is oldest.
type tlsState struct {
	chainNotAfter, leafNotAfter time.Time
	version                     uint16
}

func (s *tlsState) handshaken(c *tls.ConnectionState) {
	if c == nil {
		return
	}
	s.certificates(c.PeerCertificates)
	if s.version == 0 || c.Version < s.version {
		s.version = c.Version
	}
}

// certificates takes a chain, the server's own certificate first.
func (s *tlsState) certificates(chain []*x509.Certificate) {
	if len(chain) == 0 {
		return
	}
	if first := earliest(chain); s.chainNotAfter.IsZero() || first.Before(s.chainNotAfter) {
		s.chainNotAfter = first
	}
	if leaf := chain[0].NotAfter; s.leafNotAfter.IsZero() || leaf.Before(s.leafNotAfter) {
		s.leafNotAfter = leaf
	}
}

// judgeValidity is not OK when a certificate expires within least.
func (s *tlsState) judgeValidity(least time.Duration, now time.Time) result {
	if least > 0 && !s.chainNotAfter.IsZero() && s.chainNotAfter.Before(now.Add(least)) {
		return result{code: CertificateExpires, err: fmt.Errorf("a certificate expires at %s", s.chainNotAfter.UTC().Format(time.RFC3339))}
	}
	return result{code: OK}
}

func (s *tlsState) samples(b *exporters.Builder) {
	if !s.chainNotAfter.IsZero() {
		b.Add(metricTLSNotAfterTimestamp, float64(s.chainNotAfter.Unix()))
		b.Add(metricTLSCertificateNotAfterTimestamp, float64(s.leafNotAfter.Unix()))
	}
	if s.version != 0 {
		b.Add(metricTLSVersion, versionNumber(s.version))
	}
}
