package alertrouter

import (
	"errors"
	"regexp"
	"strconv"
	"strings"
)

// hidden stands for what a URL may keep secret.
const hidden = "<redacted>"

var (
	// A URL in an error of net/url, and what is wrong with it, which quotes
	// pieces of the URL.
	badURL    = regexp.MustCompile(`parse ("(?:[^"\\]|\\.)*"): ([^\n]*)`)
	quoted    = regexp.MustCompile("\"(?:[^\"\\\\]|\\\\.)*\"|`[^`]*`")
	plainHost = regexp.MustCompile(`^[\w.:%\[\]-]*$`)
	rawURL    = regexp.MustCompile("[A-Za-z][A-Za-z0-9+.-]*://[^\\s\"`]+")
)

// redacted is an error of the Alertmanager configuration as it may be printed
// and logged: of URLs only scheme and host are left, since user, path and query
// may each be a credential. The cause is cut off, since it holds them still.
func redacted(err error) error {
	text := badURL.ReplaceAllStringFunc(err.Error(), func(s string) string {
		m := badURL.FindStringSubmatch(s)
		return "parse " + redactQuoted(m[1], true) + ": " + quoted.ReplaceAllString(m[2], strconv.Quote(hidden))
	})
	text = quoted.ReplaceAllStringFunc(text, func(s string) string { return redactQuoted(s, false) })
	return errors.New(rawURL.ReplaceAllStringFunc(text, redactURL))
}

// redactQuoted redacts a text between quotes if it is a URL, or known to be meant as one.
func redactQuoted(s string, isURL bool) string {
	if !isURL && !strings.Contains(s, "://") {
		return s
	}
	return s[:1] + redactURL(s[1:len(s)-1]) + s[len(s)-1:]
}

// redactURL leaves scheme and host of what may be no valid URL. Where the
// user ends is unsure as soon as there is an @ behind the host's place, e.g. of
// a password with a slash in it; then the host is hidden too.
func redactURL(s string) string {
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok {
		return hidden
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	user, host, tail := "", rest[:end], rest[end:]
	if strings.Contains(tail, "@") {
		return scheme + "://" + hidden
	}
	if at := strings.LastIndex(host, "@"); at >= 0 {
		host, user = host[at+1:], hidden+"@"
	}
	if !plainHost.MatchString(host) {
		host = hidden
	}
	if len(tail) > 1 {
		tail = tail[:1] + hidden
	}
	return scheme + "://" + user + host + tail
}
