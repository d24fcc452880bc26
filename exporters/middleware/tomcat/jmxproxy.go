package tomcat

import (
	"strconv"
	"strings"

	"watchkeeper/exporters/middleware/server"
)

// bean is one MBean of an answer.
type bean struct {
	name string            // "Catalina:type=ThreadPool,name=\"http-nio-8080\""
	text map[string]string // attributes
}

// add adds an attribute that is a number.
func (b bean) add(out *server.Reading, metric, attribute string, divisor float64, dims ...string) {
	if v, err := strconv.ParseFloat(b.text[attribute], 64); err == nil {
		out.Add(metric, v/divisor, dims...)
	}
}

// key returns the value of one key property of the bean's name, without quotes.
// A quoted value may hold commas.
func (b bean) key(name string) string {
	_, rest, _ := strings.Cut(b.name, ":")
	for rest != "" {
		var k, v string
		k, rest, _ = strings.Cut(rest, "=")
		if strings.HasPrefix(rest, `"`) {
			v, rest, _ = strings.Cut(rest[1:], `"`)
			rest = strings.TrimPrefix(rest, ",")
		} else {
			v, rest, _ = strings.Cut(rest, ",")
		}
		if k == name {
			return v
		}
	}
	return ""
}

// parse reads an answer of the proxy: a status line, then for each bean an empty
// line, a line "Name: …" and one line for each attribute, of which one may be
// called Name too. A line that begins with a tab is an
// element of an array; the status is in the text, whatever HTTP's says.
func parse(answer string) ([]bean, error) {
	first, rest, _ := strings.Cut(answer, "\n")
	if !strings.HasPrefix(first, "OK - Number of results:") {
		return nil, server.Failed(server.ReasonFormat, "not an answer of the JMX proxy: %q", server.Excerpt(first, 80))
	}
	var beans []bean
	afterEmpty := false
	for line := range strings.Lines(rest) {
		line = strings.TrimRight(line, "\r\n")
		key, value, ok := strings.Cut(line, ": ")
		switch {
		case !ok || strings.HasPrefix(line, "\t"):
		case key == "Name" && afterEmpty:
			beans = append(beans, bean{name: value, text: make(map[string]string)})
		case len(beans) > 0:
			beans[len(beans)-1].text[key] = value
		}
		afterEmpty = line == ""
	}
	return beans, nil
}

// composite reads a composite value of one line. Tomcat prints
//
//	javax.management.openmbean.CompositeDataSupport(…,contents={committed=1, init=2, max=3, used=4})
//
// or, in newer versions, {committed=1, init=2, max=3, used=4}.
func composite(value string) map[string]string {
	if i := strings.LastIndexByte(value, '{'); i >= 0 {
		value = value[i+1:]
	}
	value, _, _ = strings.Cut(value, "}")
	m := make(map[string]string)
	for pair := range strings.SplitSeq(value, ",") {
		k, v, _ := strings.Cut(strings.TrimSpace(pair), "=")
		m[k] = v
	}
	return m
}
