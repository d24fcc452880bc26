package aliyun

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// Credentials sign requests. With a SecurityToken they are temporary (STS).
type Credentials struct {
	AccessKeyID     string
	AccessKeySecret Secret
	SecurityToken   Secret
}

// CredentialSource hands out the current credentials; several goroutines call it.
type CredentialSource func() (Credentials, error)

// credentialLifetime is how long read credentials are used before the files are
// read again: a rotated key or token takes effect within it, without a reload.
const credentialLifetime = 10 * time.Second

// maxSecretFile bounds a secret's file, in bytes.
const maxSecretFile = 64 << 10

// credentialSource reads what the configuration names, at first use and again
// when credentialLifetime has passed.
func credentialSource(cfg AccountConfig) CredentialSource {
	var (
		mu   sync.Mutex
		last Credentials // guarded by mu
		read time.Time   // guarded by mu
	)
	return func() (Credentials, error) {
		// Held while files are read: callers would wait for the same files anyway.
		mu.Lock()
		defer mu.Unlock()
		if !read.IsZero() && time.Since(read) < credentialLifetime {
			return last, nil
		}
		c, err := readCredentials(cfg)
		if err != nil {
			return Credentials{}, err
		}
		last, read = c, time.Now()
		return c, nil
	}
}

func readCredentials(cfg AccountConfig) (Credentials, error) {
	id, err := readSetting("access_key_id", cfg.AccessKeyID, cfg.AccessKeyIDFile, cfg.AccessKeyIDEnv)
	if err != nil {
		return Credentials{}, err
	}
	secret, err := readSetting("access_key_secret", cfg.AccessKeySecret.Reveal(), cfg.AccessKeySecretFile, cfg.AccessKeySecretEnv)
	if err != nil {
		return Credentials{}, err
	}
	c := Credentials{AccessKeyID: id, AccessKeySecret: NewSecret(secret)}
	if cfg.SecurityTokenFile != "" {
		token, err := readSetting("security_token", "", cfg.SecurityTokenFile, "")
		if err != nil {
			return Credentials{}, err
		}
		c.SecurityToken = NewSecret(token)
	}
	return c, nil
}

// readSetting takes the value itself, else the file's content, else the environment's.
func readSetting(name, value, file, env string) (string, error) {
	from := name
	switch {
	case value != "":
	case file != "":
		from = name + "_file: " + file
		info, err := os.Stat(file)
		if err != nil {
			return "", fmt.Errorf("%s_file: %w", name, err)
		}
		if info.Size() > maxSecretFile {
			return "", fmt.Errorf("%s: larger than %d bytes", from, maxSecretFile)
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return "", fmt.Errorf("%s_file: %w", name, err)
		}
		value = strings.TrimSpace(string(data))
	default:
		from = name + "_env: " + env
		value = strings.TrimSpace(os.Getenv(env))
	}
	switch {
	case value == "":
		return "", fmt.Errorf("%s: empty", from)
	case strings.ContainsAny(value, " \t\r\n\x00"):
		return "", fmt.Errorf("%s: contains blanks or line ends", from)
	}
	return value, nil
}
