package server

import (
	"crypto/tls"
	"fmt"

	"github.com/prometheus/common/config"
)

// TLS says whom a TLS connection trusts.
type TLS struct {
	// CAFile holds the certificates (PEM) that are trusted instead of the
	// system's. Default: the system's.
	CAFile string `yaml:"ca_file"`
	// CertFile and KeyFile are what this side shows of itself. Default: nothing.
	CertFile string `yaml:"cert_file"`
	// KeyFile is the key of CertFile. Default: none.
	KeyFile string `yaml:"key_file"`
	// ServerName is expected in the certificate instead of the address's host.
	// Default: the address's host.
	ServerName string `yaml:"server_name"`
	// InsecureSkipVerify accepts any certificate. Default false.
	InsecureSkipVerify bool `yaml:"insecure_skip_verify"`
}

// Validate names the first value that cannot be used.
func (t TLS) Validate() error {
	if (t.CertFile == "") != (t.KeyFile == "") {
		return fmt.Errorf("key_file: cert_file and key_file go together")
	}
	return nil
}

// ResolvePaths makes the files' paths relative to a folder.
func (t *TLS) ResolvePaths(resolve func(string) string) {
	t.CAFile, t.CertFile, t.KeyFile = resolve(t.CAFile), resolve(t.CertFile), resolve(t.KeyFile)
}

// Config reads the files and returns what crypto/tls needs.
func (t TLS) Config() (*tls.Config, error) {
	return config.NewTLSConfig(&config.TLSConfig{
		CAFile: t.CAFile, CertFile: t.CertFile, KeyFile: t.KeyFile,
		ServerName: t.ServerName, InsecureSkipVerify: t.InsecureSkipVerify,
	})
}
