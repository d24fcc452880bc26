package probe

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"regexp"
)

// Bounds of scripts.
const (
	maxSteps          = 50
	maxExtracted      = 20
	maxExtractedBytes = 8 << 10
)

// Step is one request of a script. Cookies go from each step to the next, as in
// a browser; every step makes its own connection.
type Step struct {
	// Name identifies the step; the label `step` of its duration. Unique in its
	// script. Required.
	Name string `yaml:"name"`
	// URL is fetched. ${name} in its path or query stands for a secret of the
	// target or a value of an earlier step. Required.
	URL URL `yaml:"url"`
	// HTTP says what is sent and what is expected of the answer.
	HTTP HTTP `yaml:"http"`
	// Extract are values that later steps use as ${name}. Default: none.
	Extract []Extract `yaml:"extract"`
}

// Extract takes a value from a step's answer. Without header, cookie and json it is
// taken from the body.
type Extract struct {
	// Name is how later steps refer to the value. Required.
	Name string `yaml:"name"`
	// Header names the header of the answer that holds the value.
	Header string `yaml:"header"`
	// Cookie names the cookie that holds the value, set by this answer or before.
	Cookie string `yaml:"cookie"`
	// JSON is the path of the value in the body, as in expect_json.
	JSON string `yaml:"json"`
	// Regex is a regular expression whose first group is the value. Required for
	// the body. Default: all of the header, cookie or JSON value.
	Regex string `yaml:"regex"`
}

// validateScript names the first value that cannot be used.
func validateScript(steps []Step, secrets map[string]bool) error {
	if len(steps) > maxSteps {
		return fmt.Errorf("script: more than %d steps", maxSteps)
	}
	known := maps.Clone(secrets)
	names := make(map[string]bool)
	for i, s := range steps {
		if err := s.validate(known); err != nil {
			return fmt.Errorf("script[%d].%w", i, err)
		}
		if names[s.Name] {
			return fmt.Errorf("script[%d].name: %q is there twice", i, s.Name)
		}
		names[s.Name] = true
		for _, e := range s.Extract {
			known[e.Name] = true
		}
	}
	return nil
}

func (s Step) validate(known map[string]bool) error {
	if err := validateName(s.Name); err != nil {
		return fmt.Errorf("name: %w", err)
	}
	if _, err := s.URL.parse(); err != nil {
		return fmt.Errorf("url: %w", err)
	}
	if err := checkNames(string(s.URL), known); err != nil {
		return fmt.Errorf("url: %w", err)
	}
	if err := s.HTTP.validate(known); err != nil {
		return fmt.Errorf("http.%w", err)
	}
	if len(s.Extract) > maxExtracted {
		return fmt.Errorf("extract: more than %d", maxExtracted)
	}
	for i, e := range s.Extract {
		if err := e.validate(known); err != nil {
			return fmt.Errorf("extract[%d].%w", i, err)
		}
	}
	return nil
}

func (e Extract) validate(known map[string]bool) error {
	if !namePattern.MatchString(e.Name) {
		return fmt.Errorf("name: %q is not a name of letters, digits and _", e.Name)
	}
	if known[e.Name] {
		return fmt.Errorf("name: %q is a secret or a value of an earlier step already", e.Name)
	}
	from := 0
	for _, s := range []string{e.Header, e.Cookie, e.JSON} {
		if s != "" {
			from++
		}
	}
	if from > 1 {
		return errors.New("header: at most one of header, cookie and json may be set")
	}
	if from == 0 && e.Regex == "" {
		return errors.New("regex: is needed to take a value from the body")
	}
	if e.JSON != "" {
		if _, err := parseJSONPath(e.JSON); err != nil {
			return fmt.Errorf("json: %w", err)
		}
	}
	re, err := regexp.Compile(e.Regex)
	if err != nil {
		return fmt.Errorf("regex: %w", err)
	}
	if e.Regex != "" && re.NumSubexp() < 1 {
		return errors.New("regex: has no group")
	}
	return nil
}

func newScriptProber(t Target) (*httpProber, error) {
	p := &httpProber{secrets: t.Secrets, script: true}
	for _, s := range t.Script {
		r, err := newRequest(s.URL, s.HTTP)
		if err != nil {
			return nil, fmt.Errorf("step %q: %w", s.Name, err)
		}
		extract, err := newExtractors(s.Extract)
		if err != nil {
			return nil, fmt.Errorf("step %q: %w", s.Name, err)
		}
		p.steps = append(p.steps, step{request: r, name: s.Name, extract: extract})
	}
	return p, nil
}

// extractor is an Extract ready for use.
type extractor struct {
	Extract
	keys []string
	re   *regexp.Regexp // nil: the whole
}

func newExtractors(list []Extract) ([]extractor, error) {
	var out []extractor
	for _, e := range list {
		x := extractor{Extract: e}
		var err error
		if x.re, err = compileIfSet(e.Regex); err != nil {
			return nil, err
		}
		if e.JSON != "" {
			if x.keys, err = parseJSONPath(e.JSON); err != nil {
				return nil, err
			}
		}
		out = append(out, x)
	}
	return out, nil
}

// extractAll adds an answer's values to v. Its errors name what was looked for.
func extractAll(list []extractor, a *answer, jar http.CookieJar, v values) result {
	for _, x := range list {
		value, err := x.from(a, jar)
		if err != nil {
			return result{code: ExtractFailed, err: fmt.Errorf("extract %q: %w", x.Name, err)}
		}
		v[x.Name] = value
	}
	return result{code: OK}
}

func (x extractor) from(a *answer, jar http.CookieJar) (string, error) {
	value, err := x.raw(a, jar)
	if err != nil {
		return "", err
	}
	if x.re != nil {
		m := x.re.FindStringSubmatch(value)
		if m == nil {
			return "", errors.New("regex does not match")
		}
		value = m[1]
	}
	if value == "" || len(value) > maxExtractedBytes {
		return "", fmt.Errorf("value has %d bytes, want 1 to %d", len(value), maxExtractedBytes)
	}
	return value, nil
}

// raw is the text from which the value is taken.
func (x extractor) raw(a *answer, jar http.CookieJar) (string, error) {
	switch {
	case x.Header != "":
		return a.header.Get(x.Header), nil
	case x.Cookie != "":
		for _, c := range jar.Cookies(a.url) {
			if c.Name == x.Cookie {
				return c.Value, nil
			}
		}
		return "", errors.New("no such cookie")
	case x.JSON != "":
		if !json.Valid(a.body) {
			return "", errNotJSON
		}
		value, ok := lookupJSON(a.body, x.keys)
		if !ok {
			return "", errors.New("no such value")
		}
		return value, nil
	default:
		return string(a.body), nil
	}
}
