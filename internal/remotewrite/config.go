package remotewrite

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	commoncfg "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
)

// Config is one receiver to which a customer's samples are sent.
type Config struct {
	// Name identifies the receiver in metrics, logs and the folder of what waits
	// for it: lower-case letters, digits, '-'. Required.
	Name string `yaml:"name"`
	// URL of remote write; watchkeeper's is https://HOST/api/v1/write. Required.
	URL string `yaml:"url"`
	// TokenFile holds the bearer token that the receiver knows this sender by. It is
	// read again when it changes. Default: none.
	TokenFile string `yaml:"token_file"`
	// Username of basic authentication, for other receivers. Default: none.
	Username string `yaml:"username"`
	// PasswordFile holds its password. Default: none.
	PasswordFile string `yaml:"password_file"`
	// CAFile holds the certificates (PEM) that are trusted instead of the
	// system's. Default: the system's.
	CAFile string `yaml:"ca_file"`
	// CertFile and KeyFile are what this side shows of itself. Default: nothing.
	CertFile string `yaml:"cert_file"`
	// KeyFile is the key of CertFile. Default: none.
	KeyFile string `yaml:"key_file"`
	// ServerName is expected in the certificate instead of the URL's host.
	// Default: the URL's host.
	ServerName string `yaml:"server_name"`
	// InsecureSkipVerify accepts any certificate. Default false.
	InsecureSkipVerify bool `yaml:"insecure_skip_verify"`
	// Labels are added to every series that lacks them, e.g. {vantage: hangzhou}.
	// Default: none.
	Labels map[string]string `yaml:"labels"`
	// Timeout of one request. Default 30s.
	Timeout model.Duration `yaml:"timeout"`
	// MaxQueueBytes bounds what waits on the disk while the receiver takes nothing;
	// beyond it the oldest is given up, and counted. A sample takes about 10 to 30
	// bytes. Default 1073741824 (1 GiB).
	MaxQueueBytes int64 `yaml:"max_queue_bytes"`
}

// SetDefaults fills in what the file leaves out.
func (c *Config) SetDefaults() {
	c.Timeout = model.Duration(30 * time.Second)
	c.MaxQueueBytes = 1 << 30
}

var namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`)

// minQueueBytes leaves room for some requests.
const minQueueBytes = 16 * maxRawBytes

// Validate names the first value that cannot be used.
func (c *Config) Validate() error {
	u, err := url.Parse(c.URL)
	switch {
	case !namePattern.MatchString(c.Name):
		return fmt.Errorf("name: %q: want lower-case letters, digits and '-'", c.Name)
	case err != nil:
		return errors.New("url: cannot be parsed") // the error quotes it, credentials included
	case u.User != nil:
		return errors.New("url: holds credentials; give token_file, or username and password_file")
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return errors.New("url: want http://host/… or https://host/…") // without it: a query may hold a key
	case c.TokenFile != "" && (c.Username != "" || c.PasswordFile != ""):
		return errors.New("token_file: is set beside username or password_file; give one of them")
	case (c.Username == "") != (c.PasswordFile == ""):
		return errors.New("password_file: username and password_file go together")
	case (c.CertFile == "") != (c.KeyFile == ""):
		return errors.New("key_file: cert_file and key_file go together")
	case c.Timeout <= 0:
		return errors.New("timeout: must be more than 0")
	case c.MaxQueueBytes < minQueueBytes:
		return fmt.Errorf("max_queue_bytes: must be at least %d", minQueueBytes)
	}
	for name, v := range c.Labels {
		if !model.LegacyValidation.IsValidLabelName(name) || strings.HasPrefix(name, "__") || slices.Contains([]string{"customer", "source"}, name) || v == "" {
			return fmt.Errorf("labels: %s: want a label's name (not customer, not source) and a value", name)
		}
	}
	return nil
}

// ValidateAll checks the receivers of one customer.
func ValidateAll(list []Config) error {
	seen := map[string]bool{}
	for i := range list {
		if err := list[i].Validate(); err != nil {
			return fmt.Errorf("remote_write[%d].%w", i, err)
		}
		if seen[list[i].Name] {
			return fmt.Errorf("remote_write[%d].name: %q is there twice", i, list[i].Name)
		}
		seen[list[i].Name] = true
	}
	return nil
}

// ResolvePaths makes the files' paths relative to a folder.
func (c *Config) ResolvePaths(resolve func(string) string) {
	for _, p := range []*string{&c.TokenFile, &c.PasswordFile, &c.CAFile, &c.CertFile, &c.KeyFile} {
		*p = resolve(*p)
	}
}

func (c *Config) http() commoncfg.HTTPClientConfig {
	h := commoncfg.HTTPClientConfig{
		EnableHTTP2: true,
		TLSConfig: commoncfg.TLSConfig{
			CAFile: c.CAFile, CertFile: c.CertFile, KeyFile: c.KeyFile, ServerName: c.ServerName, InsecureSkipVerify: c.InsecureSkipVerify,
		},
	}
	if c.TokenFile != "" {
		h.Authorization = &commoncfg.Authorization{Type: "Bearer", CredentialsFile: c.TokenFile}
	}
	if c.Username != "" {
		h.BasicAuth = &commoncfg.BasicAuth{Username: c.Username, PasswordFile: c.PasswordFile}
	}
	return h
}
