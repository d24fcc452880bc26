// Package promtext reads Prometheus's text format line by line: a line that
// cannot be read is named, the others are kept. Histograms and summaries come
// as the series that their lines are (_bucket, _sum, _count, quantile), which
// is what the store keeps; HELP and TYPE lines are passed over.
package promtext

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
)

// maxLine bounds one line, in bytes.
const maxLine = 64 << 10

// ErrTooMany says that a text has more samples than the caller takes.
var ErrTooMany = errors.New("too many samples")

// Sample is one line. Labels hold the metric's name.
type Sample struct {
	Line   int // 1-based
	Labels labels.Labels
	V      float64
	T      int64 // Unix ms; valid if HasT
	HasT   bool
}

// LineError is a line that was not understood.
type LineError struct {
	Line int // 1-based
	Err  error
}

// Error implements error.
func (e LineError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }

// Unwrap implements errors.Unwrap.
func (e LineError) Unwrap() error { return e.Err }

// errUnfinished says that a text ends amid a line: its writer is not done.
var errUnfinished = errors.New("ends without a line break: the text is not complete")

// Parse reads a text. A second line of one series and time is refused by name,
// as are lines that are not understood. More than limit samples are ErrTooMany.
func Parse(text []byte, limit int) ([]Sample, []LineError, error) {
	var samples []Sample
	var bad []LineError
	seen := make(map[string]int)
	p := expfmt.NewTextParser(model.UTF8Validation)
	for n := 1; len(text) > 0; n++ {
		line, rest, complete := bytes.Cut(text, []byte("\n"))
		text = rest
		s, ok, err := parseLine(&p, line)
		if !complete && err == nil && ok {
			err = errUnfinished
		}
		if err == nil && ok {
			key := fmt.Sprintf("%s %t %d", s.Labels, s.HasT, s.T)
			if first, twice := seen[key]; twice {
				err = fmt.Errorf("%s is in line %d already", s.Labels, first)
			} else {
				seen[key] = n
			}
		}
		switch {
		case err != nil:
			bad = append(bad, LineError{n, err})
		case ok:
			s.Line = n
			samples = append(samples, s)
		}
		if len(samples)+len(bad) > limit {
			return nil, nil, fmt.Errorf("%w: at most %d are taken", ErrTooMany, limit)
		}
	}
	return samples, bad, nil
}

// parseLine reads one line; ok is false for a comment and an empty one.
func parseLine(p *expfmt.TextParser, line []byte) (s Sample, ok bool, err error) {
	line = bytes.TrimSpace(line)
	if len(line) == 0 || line[0] == '#' {
		return s, false, nil
	}
	if len(line) > maxLine {
		return s, false, fmt.Errorf("longer than %d bytes", maxLine)
	}
	families, err := p.TextToMetricFamilies(strings.NewReader(string(line) + "\n"))
	if err != nil {
		return s, false, tidy(err)
	}
	for name, f := range families {
		for _, m := range f.GetMetric() {
			return sampleOf(name, m)
		}
	}
	return s, false, errors.New("no sample")
}

func sampleOf(name string, m *dto.Metric) (Sample, bool, error) {
	b := labels.NewScratchBuilder(len(m.GetLabel()) + 1)
	b.Add(model.MetricNameLabel, name)
	for _, l := range m.GetLabel() {
		if l.GetValue() != "" {
			b.Add(l.GetName(), l.GetValue())
		}
	}
	b.Sort()
	s := Sample{Labels: b.Labels(), V: m.GetUntyped().GetValue()}
	if m.TimestampMs != nil {
		s.T, s.HasT = m.GetTimestampMs(), true
	}
	if l, twice := s.Labels.HasDuplicateLabelNames(); twice {
		return s, false, fmt.Errorf("label %q is there twice", l)
	}
	return s, true, nil
}

// tidy leaves out the parser's own line number: it saw one line.
func tidy(err error) error {
	var p expfmt.ParseError
	if errors.As(err, &p) {
		return errors.New(p.Msg)
	}
	return err
}
