package probe

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
)

const (
	// maxSecretBytes bounds a secret.
	maxSecretBytes = 64 << 10
	// minRedacted is the length from which a value is taken out of errors; a
	// shorter one would take words with it.
	minRedacted = 4
)

// Secret says where a secret value is to be found. It is read at every probe,
// so that a changed one takes effect without a reload, and never shown.
type Secret struct {
	// File holds the value; a line's end after it is left out.
	File string `yaml:"file"`
	// Env names the environment variable that holds it instead.
	Env string `yaml:"env"`
}

func (s Secret) validate() error {
	if (s.File == "") == (s.Env == "") {
		return errors.New("exactly one of file and env must be set")
	}
	return nil
}

// read returns the value. Its errors name the place, never the value.
func (s Secret) read() (string, error) {
	if s.Env != "" {
		v := os.Getenv(s.Env)
		if v == "" {
			return "", fmt.Errorf("environment variable %s is not set", s.Env)
		}
		return v, nil
	}
	b, err := os.ReadFile(s.File)
	if err != nil {
		return "", err
	}
	if len(b) > maxSecretBytes {
		return "", fmt.Errorf("%s: more than %d bytes", s.File, maxSecretBytes)
	}
	v := strings.TrimRight(string(b), "\r\n")
	if v == "" {
		return "", fmt.Errorf("%s: empty", s.File)
	}
	return v, nil
}

// readSecrets returns the values by name.
func readSecrets(secrets map[string]Secret) (values, error) {
	v := make(values, len(secrets))
	for name, s := range secrets {
		text, err := s.read()
		if err != nil {
			return nil, fmt.Errorf("secret %s: %w", name, err)
		}
		v[name] = text
	}
	return v, nil
}

var (
	namePattern = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	// reference matches ${name}, and $${name}, which stands for ${name} itself.
	reference = regexp.MustCompile(`\$?\$\{[A-Za-z_][A-Za-z0-9_]*\}`)
)

// values are secrets and what a script has taken from answers, by name.
type values map[string]string

// expand puts values in the place of ${name}. Names were checked by checkNames.
func (v values) expand(text string, escape func(string) string) string {
	return reference.ReplaceAllStringFunc(text, func(ref string) string {
		if strings.HasPrefix(ref, "$$") {
			return ref[1:]
		}
		value := v[ref[2:len(ref)-1]]
		if escape == nil {
			return value
		}
		return escape(value)
	})
}

// redacted is an error without any of the values, since a server may send back
// in whatever form what it was sent.
func (v values) redacted(err error) error {
	if err == nil || len(v) == 0 {
		return err
	}
	text := err.Error()
	for _, value := range v {
		for _, form := range []string{value, escapeQuery(value), escapePath(value), fmt.Sprintf("%q", value)} {
			if len(form) >= minRedacted {
				text = strings.ReplaceAll(text, form, "<secret>")
			}
		}
	}
	return errors.New(text)
}

// checkNames refuses a ${name} that is not known.
func checkNames(text string, known map[string]bool) error {
	for _, ref := range reference.FindAllString(text, -1) {
		if !strings.HasPrefix(ref, "$$") && !known[ref[2:len(ref)-1]] {
			return fmt.Errorf("%s: no secret of the target and no value of an earlier step has this name; write $%s for the text itself", ref, ref)
		}
	}
	return nil
}

func validateSecrets(secrets map[string]Secret) (known map[string]bool, err error) {
	known = make(map[string]bool, len(secrets))
	for name, s := range secrets {
		if !namePattern.MatchString(name) {
			return nil, fmt.Errorf("secrets: %q is not a name of letters, digits and _", name)
		}
		if err := s.validate(); err != nil {
			return nil, fmt.Errorf("secrets.%s: %w", name, err)
		}
		known[name] = true
	}
	return known, nil
}
