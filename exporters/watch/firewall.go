package watch

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"

	"github.com/grafana/regexp"

	"watchkeeper/exporters/command"
)

// maxRulesBytes bounds the rules of a firewall.
const maxRulesBytes = 32 << 20

// aspectRules is the one aspect of a firewall.
const aspectRules = "rules"

// firewalls are the programs that print the rules in force.
var firewalls = []struct {
	name string
	argv []string
}{
	{"nftables", []string{"nft", "--stateless", "list", "ruleset"}},
	{"iptables", []string{"iptables-save"}},
	{"ip6tables", []string{"ip6tables-save"}},
}

// firewall reads the rules of every firewall whose program is here. One whose
// rules cannot be read now is taken as unchanged.
type firewall struct {
	before func() snapshot
	failed func(what string, err error) // called for each firewall, with nil when it was read
}

func (f firewall) read(ctx context.Context) (snapshot, error) {
	s := make(snapshot)
	for _, w := range firewalls {
		rules, err := rulesOf(ctx, w.argv)
		if errors.Is(err, exec.ErrNotFound) {
			continue
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		f.failed(w.name, err)
		switch old, known := f.before()[w.name]; {
		case err == nil:
			s[w.name] = map[string]string{aspectRules: fingerprint(rules)}
		case known:
			s[w.name] = old
		}
	}
	return s, nil
}

func rulesOf(ctx context.Context, argv []string) (string, error) {
	path, err := exec.LookPath(argv[0])
	if err != nil {
		return "", err
	}
	r, err := command.Run(ctx, command.Spec{Argv: append([]string{path}, argv[1:]...), MaxOutputBytes: maxRulesBytes})
	switch {
	case err != nil:
		return "", err
	case r.TooMuch:
		return "", fmt.Errorf("more than %d bytes of rules", maxRulesBytes)
	case r.ExitCode != 0:
		return "", fmt.Errorf("exit code %d: %.200s", r.ExitCode, r.Stderr)
	}
	return normalised(string(r.Output)), nil
}

// volatile is what changes without a change of rules: counters, what is left
// of an element's time, the number by which a rule is addressed.
var volatile = regexp.MustCompile(`\[\d+:\d+\]|counter packets \d+ bytes \d+|\bexpires [0-9dhms]+|# handle \d+`)

// normalised takes comments (with the time of printing), counters and empty
// space out of printed rules. Their order stays: it matters.
func normalised(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		line = strings.Join(strings.Fields(volatile.ReplaceAllString(line, "")), " ")
		if line != "" && line[0] != '#' {
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}
