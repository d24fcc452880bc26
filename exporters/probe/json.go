package probe

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/buger/jsonparser"
)

// maxPathSteps bounds a path into JSON.
const maxPathSteps = 32

// pathStep matches one step of a path at its beginning: a name, an index or a
// quoted name.
var pathStep = regexp.MustCompile(`^(?:\.?([A-Za-z0-9_\-]+)|\[([0-9]{1,9})\]|\["((?:[^"\\]|\\.)*)"\])`)

// parseJSONPath splits data.items[0]["a.b"] into jsonparser's keys: data, items, [0], a.b.
func parseJSONPath(path string) ([]string, error) {
	rest := strings.TrimPrefix(path, "$")
	var keys []string
	for rest != "" {
		m := pathStep.FindStringSubmatch(rest)
		if m == nil || len(keys) == 0 && rest[0] == '.' && rest == path {
			return nil, fmt.Errorf("%q: want names and indices such as data.items[0].status", path)
		}
		switch {
		case m[2] != "":
			keys = append(keys, "["+m[2]+"]")
		case m[1] != "":
			keys = append(keys, m[1])
		default:
			var name string
			if err := json.Unmarshal([]byte(`"`+m[3]+`"`), &name); err != nil {
				return nil, fmt.Errorf("%q: %s is not a quoted name", path, m[0])
			}
			keys = append(keys, name)
		}
		rest = rest[len(m[0]):]
	}
	if len(keys) == 0 || len(keys) > maxPathSteps {
		return nil, fmt.Errorf("%q: want 1 to %d names and indices", path, maxPathSteps)
	}
	return keys, nil
}

// lookupJSON returns the text of the value at a path in a valid document.
func lookupJSON(doc []byte, keys []string) (text string, ok bool) {
	value, kind, _, err := jsonparser.Get(doc, keys...)
	if err != nil || kind == jsonparser.NotExist {
		return "", false
	}
	if kind != jsonparser.String {
		return string(value), true
	}
	text, err = jsonparser.ParseString(value)
	return text, err == nil
}

// jsonCheck is a JSONCheck ready for use.
type jsonCheck struct {
	path    string
	keys    []string
	equals  *string
	matches *regexp.Regexp
}

func newJSONChecks(checks []JSONCheck) ([]jsonCheck, error) {
	var out []jsonCheck
	for _, c := range checks {
		keys, err := parseJSONPath(c.Path)
		if err != nil {
			return nil, err
		}
		matches, err := compileIfSet(c.Matches)
		if err != nil {
			return nil, err
		}
		out = append(out, jsonCheck{path: c.Path, keys: keys, equals: c.Equals, matches: matches})
	}
	return out, nil
}

var errNotJSON = errors.New("body is not JSON")

// checkJSON says which value is not the expected one. It does not repeat the
// value, which may be a secret.
func checkJSON(body []byte, checks []jsonCheck) error {
	if len(checks) == 0 {
		return nil
	}
	if !json.Valid(body) {
		return errNotJSON
	}
	for _, c := range checks {
		text, ok := lookupJSON(body, c.keys)
		switch {
		case !ok:
			return fmt.Errorf("%s: no such value", c.path)
		case c.equals != nil && text != *c.equals:
			return fmt.Errorf("%s: is not %q", c.path, *c.equals)
		case c.matches != nil && !c.matches.MatchString(text):
			return fmt.Errorf("%s: does not match", c.path)
		}
	}
	return nil
}
