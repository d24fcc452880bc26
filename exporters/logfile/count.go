package logfile

import (
	"strings"

	"github.com/grafana/regexp"
)

// maxValueBytes bounds the value of a label.
const maxValueBytes = 256

// series is one counter of a pattern, as it is kept over restarts.
type series struct {
	Pattern string   `json:"pattern"`
	Groups  []string `json:"groups,omitempty"` // label names
	Values  []string `json:"values,omitempty"` // label values
	N       uint64   `json:"n"`
}

func (s *series) key() string {
	return s.Pattern + "\xff" + strings.Join(s.Values, "\xff")
}

// dims are the labels of the series besides identity and log.
func (s *series) dims(log string) []string {
	d := []string{"log", log, "pattern", s.Pattern}
	for i, g := range s.Groups {
		d = append(d, g, s.Values[i])
	}
	return d
}

// pattern is a compiled Pattern with its counters.
type pattern struct {
	name   string
	match  *regexp.Regexp
	ignore *regexp.Regexp // nil: none
	groups []string
	at     []int // index of each group in a match
	limit  int
	counts map[string]*series
}

func newPattern(p Pattern) *pattern {
	c := &pattern{name: p.Name, match: regexp.MustCompile(p.Match), limit: p.MaxSeries, counts: make(map[string]*series)}
	if p.Ignore != "" {
		c.ignore = regexp.MustCompile(p.Ignore)
	}
	for i, g := range c.match.SubexpNames() {
		if g != "" {
			c.groups = append(c.groups, g)
			c.at = append(c.at, i)
		}
	}
	if len(c.groups) == 0 {
		c.series(nil) // stands at 0 before the first line
	}
	return c
}

// count counts a line if the pattern matches.
func (p *pattern) count(line []byte) {
	if len(p.groups) == 0 {
		if p.match.Match(line) && !p.ignored(line) {
			p.series(nil).N++
		}
		return
	}
	m := p.match.FindSubmatchIndex(line)
	if m == nil || p.ignored(line) {
		return
	}
	values := make([]string, len(p.at))
	for i, g := range p.at {
		if from, to := m[2*g], m[2*g+1]; from >= 0 {
			values[i] = labelValue(line[from:to])
		}
	}
	p.series(values).N++
}

func (p *pattern) ignored(line []byte) bool { return p.ignore != nil && p.ignore.Match(line) }

// series returns the counter of these values, or the one for all others when
// there are as many as allowed.
func (p *pattern) series(values []string) *series {
	s := &series{Pattern: p.name, Groups: p.groups, Values: values}
	if have, ok := p.counts[s.key()]; ok {
		return have
	}
	if len(p.groups) > 0 && len(p.counts) >= p.limit {
		s.Values = make([]string, len(p.groups))
		for i := range s.Values {
			s.Values[i] = other
		}
		if have, ok := p.counts[s.key()]; ok {
			return have
		}
	}
	p.counts[s.key()] = s
	return s
}

// labelValue makes a label's value of what a group matched.
func labelValue(b []byte) string {
	if len(b) > maxValueBytes {
		b = b[:maxValueBytes]
	}
	return strings.ToValidUTF8(string(b), "�")
}
