package ruleset

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
)

const quoteIt = "put quotes round it, expr: '…'"

// unquoted finds an expression that begins without quotes, and what stands before it.
var unquoted = regexp.MustCompile(`^(.*[\s,{-])expr:[ \t]+([^\s'"|>&*].*)$`)

// syntaxError is the YAML library's error. Most often an expression stands there without
// quotes, of which the library says nothing, and often names a line before it.
func syntaxError(name string, text []byte, err error) error {
	if bytes.HasPrefix(text, []byte("-- ")) || bytes.Contains(text, []byte("\n-- timeline --\n")) {
		return fmt.Errorf("%s is a timeline script, not a rule file: run it with 'watchkeeper rules test %s'", name, name)
	}
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		m := unquoted.FindStringSubmatch(" " + strings.TrimRight(line, "\r\n"))
		if m == nil {
			continue
		}
		inFlow := strings.Contains(m[1], "{")
		if inFlow && strings.ContainsAny(m[2], "{[") || strings.ContainsAny(m[2][:1], "{[@%") || !inFlow && strings.Contains(m[2], ": ") {
			return fmt.Errorf("rule file %s: line %d: the expression has characters of YAML in it: %s (%w)", name, n, quoteIt, err)
		}
	}
	return fmt.Errorf("rule file %s: %w", name, err)
}

var word = regexp.MustCompile(`^\w+$`)

// hintOfField is for a part of an expression that was read as the name of a field.
func hintOfField(name string) string {
	if word.MatchString(name) {
		return ""
	}
	return "; if it is part of an expression, " + quoteIt
}
