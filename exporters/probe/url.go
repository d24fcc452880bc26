package probe

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
)

// URL is an address that may hold credentials, as user information or in its
// query. However it is printed or encoded, only scheme, host and path show.
type URL string

// String returns the URL without user information, query and fragment.
func (u URL) String() string {
	if u == "" {
		return ""
	}
	p, err := u.parse()
	if err != nil {
		return "<url>"
	}
	return (&url.URL{Scheme: p.Scheme, Host: p.Host, Path: p.Path}).String()
}

// Format keeps every verb, %q and %#v too, from printing the whole.
func (u URL) Format(s fmt.State, _ rune) { fmt.Fprint(s, u.String()) }

// MarshalYAML, MarshalJSON and LogValue print as String does.
func (u URL) MarshalYAML() (any, error) { return u.String(), nil }

// MarshalJSON is documented at MarshalYAML.
func (u URL) MarshalJSON() ([]byte, error) { return json.Marshal(u.String()) }

// LogValue is documented at MarshalYAML.
func (u URL) LogValue() slog.Value { return slog.StringValue(u.String()) }

// parse returns the whole URL. Its errors do not repeat it.
func (u URL) parse() (*url.URL, error) {
	p, err := url.Parse(string(u))
	if err != nil {
		return nil, errors.New("not a URL")
	}
	if p.Scheme != "http" && p.Scheme != "https" {
		return nil, errors.New("must begin with http:// or https://")
	}
	if p.Hostname() == "" {
		return nil, errors.New("no host")
	}
	return p, nil
}

// expand returns the whole URL with values in the places of ${name}, escaped as
// a part of the path or, after a question mark, of the query.
func (u URL) expand(v values) (string, error) {
	if _, err := u.parse(); err != nil {
		return "", err
	}
	path, query, ok := strings.Cut(string(u), "?")
	whole := v.expand(path, escapePath)
	if ok {
		whole += "?" + v.expand(query, escapeQuery)
	}
	return whole, nil
}
