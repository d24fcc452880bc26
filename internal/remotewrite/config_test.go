package remotewrite

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestConfig(t *testing.T) {
	f := func(want string, change func(*Config)) {
		t.Helper()
		c := Config{Name: "central", URL: "https://central.example/api/v1/write"}
		c.SetDefaults()
		change(&c)
		got := ""
		if err := c.Validate(); err != nil {
			got = err.Error()
		}
		if want == "" && got != "" || !strings.Contains(got, want) || strings.Contains(got, "hunter2") {
			t.Errorf("error %q, want %q", got, want)
		}
	}
	f("", func(*Config) {})
	f("", func(c *Config) { c.Labels = map[string]string{"vantage": "hangzhou"} })
	f("name:", func(c *Config) { c.Name = "Central" })
	f("url: holds credentials", func(c *Config) { c.URL = "https://me:hunter2@central.example/" })
	f("url: cannot be parsed", func(c *Config) { c.URL = "https://me:hunter2@central.example:x/\x7f" })
	f("url:", func(c *Config) { c.URL = "central.example:9371" })
	f("url: want http://", func(c *Config) { c.URL = "ftp://central.example/?key=hunter2" })
	f("token_file:", func(c *Config) { c.TokenFile, c.Username, c.PasswordFile = "t", "me", "p" })
	f("password_file:", func(c *Config) { c.Username = "me" })
	f("key_file:", func(c *Config) { c.CertFile = "cert.pem" })
	f("timeout:", func(c *Config) { c.Timeout = 0 })
	f("max_queue_bytes:", func(c *Config) { c.MaxQueueBytes = 1000 })
	f("labels: customer", func(c *Config) { c.Labels = map[string]string{"customer": "other"} })
	f("labels: __name__", func(c *Config) { c.Labels = map[string]string{"__name__": "x"} })
	f("labels: vantage", func(c *Config) { c.Labels = map[string]string{"vantage": ""} })
}

func TestNamesAreUnique(t *testing.T) {
	c := Config{Name: "central", URL: "http://central.example/"}
	c.SetDefaults()
	if err := ValidateAll([]Config{c, c}); err == nil || err.Error() != `remote_write[1].name: "central" is there twice` {
		t.Errorf("error %v", err)
	}
	c.Timeout = -1
	if err := ValidateAll([]Config{c}); err == nil || !strings.HasPrefix(err.Error(), "remote_write[0].timeout: ") {
		t.Errorf("error %v", err)
	}
}

func TestPathsAreResolved(t *testing.T) {
	c := Config{TokenFile: "token", CAFile: "ca.pem"}
	c.ResolvePaths(func(p string) string {
		if p == "" {
			return p
		}
		return filepath.Join("etc", p)
	})
	if diff := cmp.Diff(Config{TokenFile: filepath.Join("etc", "token"), CAFile: filepath.Join("etc", "ca.pem")}, c); diff != "" {
		t.Error(diff)
	}
}
