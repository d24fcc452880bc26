package server

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"sync"
)

const (
	hidden        = "<secret>"
	maxSecretFile = 64 << 10
)

// Credentials name a user and where the password is. The password is read at
// every check, so that a changed one takes effect without a reload.
type Credentials struct {
	// Username to log in with. Default: none.
	Username string `yaml:"username"`
	// PasswordFile holds the password; a line break at its end is not part of it.
	PasswordFile string `yaml:"password_file"`
	// PasswordEnv names the environment variable that holds it instead.
	PasswordEnv string `yaml:"password_env"`
}

// Validate names the first value that cannot be used.
func (c Credentials) Validate() error {
	if c.PasswordFile != "" && c.PasswordEnv != "" {
		return fmt.Errorf("password_env: is set beside password_file; give one of them")
	}
	return nil
}

// ResolvePaths makes the file's path relative to a folder.
func (c *Credentials) ResolvePaths(resolve func(string) string) {
	c.PasswordFile = resolve(c.PasswordFile)
}

// Secret returns what hands out the password.
func (c Credentials) Secret() Secret {
	return Secret{noun: "password", file: c.PasswordFile, env: c.PasswordEnv, seen: new(seen)}
}

// Secret is a password or token that is read when it is needed and never printed.
type Secret struct {
	noun      string // for errors: "password"
	file, env string
	seen      *seen
}

// seen are the last values read, so that they can be taken out of texts.
type seen struct {
	mu    sync.Mutex
	plain []string // at most two: the password and the one before
}

// Reveal reads the password; it is empty where none is configured.
func (s Secret) Reveal() (string, error) {
	var plain string
	switch {
	case s.file != "":
		f, err := os.Open(s.file)
		if err != nil {
			return "", &Failure{ReasonConfig, fmt.Errorf("%s: %w", s.noun, err)}
		}
		defer f.Close()
		b, err := io.ReadAll(io.LimitReader(f, maxSecretFile))
		if err != nil {
			return "", &Failure{ReasonConfig, fmt.Errorf("%s: %w", s.noun, err)}
		}
		plain = string(bytes.TrimRight(b, "\r\n"))
	case s.env != "":
		v, ok := os.LookupEnv(s.env)
		if !ok {
			return "", Failed(ReasonConfig, "%s: environment variable %s is not set", s.noun, s.env)
		}
		plain = v
	}
	s.remember(plain)
	return plain, nil
}

func (s Secret) remember(plain string) {
	if s.seen == nil || plain == "" {
		return
	}
	s.seen.mu.Lock()
	defer s.seen.mu.Unlock()
	if n := len(s.seen.plain); n == 0 || s.seen.plain[n-1] != plain {
		s.seen.plain = append(s.seen.plain[max(0, n-1):n:n], plain)
	}
}

func (s Secret) known() []string {
	if s.seen == nil {
		return nil
	}
	s.seen.mu.Lock()
	defer s.seen.mu.Unlock()
	return s.seen.plain
}

// String implements fmt.Stringer.
func (Secret) String() string { return hidden }

// GoString implements fmt.GoStringer.
func (Secret) GoString() string { return hidden }
