package custom

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/exporters"
	"watchkeeper/internal/promtext"
	"watchkeeper/internal/sample"
)

// errTooManyValues says that an output holds more values than declared.
var errTooManyValues = errors.New("too many values")

// value is one value of a program's output in the simple formats.
type value struct {
	dims []string
	v    float64
}

// parseSimple reads the formats value, lines and zabbix. Of several lines, those
// that are understood are returned beside the first error.
func parseSimple(format string, out []byte, limit int) ([]value, error) {
	var values []value
	var first error
	seen := make(map[string]bool)
	for i, line := range strings.Split(string(bytes.ToValidUTF8(out, []byte("�"))), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || format != formatValue && strings.HasPrefix(line, "#") {
			continue
		}
		v, err := parseLine(format, line)
		key := strings.Join(v.dims, "\xff")
		if err == nil && seen[key] {
			err = errors.New("is there twice")
		}
		if err != nil {
			if first == nil {
				first = fmt.Errorf("line %d: %w", i+1, err)
			}
			continue
		}
		seen[key] = true
		if values = append(values, v); len(values) > limit {
			return nil, errTooManyValues
		}
	}
	if len(values) == 0 && first == nil {
		first = errors.New("no value")
	}
	return values, first
}

func parseLine(format, line string) (value, error) {
	if format == formatValue {
		v, err := number(line)
		return value{v: v}, err
	}
	fields, err := split(line)
	if err != nil {
		return value{}, err
	}
	if format == formatLines {
		if len(fields) != 2 {
			return value{}, errors.New("want NAME VALUE")
		}
		v, err := number(fields[1])
		return value{[]string{"item", fields[0]}, v}, err
	}
	if len(fields) != 3 {
		return value{}, errors.New("want HOST KEY VALUE")
	}
	v, err := number(fields[2])
	dims := []string{"item", fields[1]}
	if fields[0] != "-" {
		dims = append(dims, "zabbix_host", fields[0])
	}
	return value{dims, v}, err
}

func number(s string) (float64, error) {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0, fmt.Errorf("%.60q is no number", s)
	}
	return v, nil
}

// split splits a line at spaces; a field in double quotes may hold some, and
// quotes behind a backslash.
func split(line string) ([]string, error) {
	var fields []string
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimLeft(line, " \t") {
		if line[0] != '"' {
			end := strings.IndexAny(line, " \t")
			if end < 0 {
				end = len(line)
			}
			fields, line = append(fields, line[:end]), line[end:]
			continue
		}
		quoted, err := strconv.QuotedPrefix(line)
		if err != nil {
			return nil, errors.New("a quote is not closed")
		}
		plain, err := strconv.Unquote(quoted)
		if err != nil {
			return nil, errors.New("a quote is not closed")
		}
		fields, line = append(fields, plain), line[len(quoted):]
	}
	return fields, nil
}

// identity are the labels that say whose series it is. A text's own label of
// such a name is kept as exported_NAME.
type identity struct{ customer, product, instance string }

func (id identity) pairs() []string {
	return []string{"customer", id.customer, "product", id.product, "instance", id.instance}
}

// adopt makes samples of a text's lines; their times are the text's or at. Lines
// of metrics that are ours alone are refused by name.
func (id identity) adopt(at time.Time, in []promtext.Sample) (out []sample.Sample, first error) {
	b := labels.NewBuilder(labels.EmptyLabels())
	for _, s := range in {
		if name := s.Labels.Get(model.MetricNameLabel); reservedName(name) {
			if first == nil {
				first = fmt.Errorf("line %d: %s is a name of watchkeeper's own", s.Line, name)
			}
			continue
		}
		b.Reset(s.Labels)
		for i, pairs := 0, id.pairs(); i < len(pairs); i += 2 {
			if own := s.Labels.Get(pairs[i]); own != "" {
				b.Set("exported_"+pairs[i], own)
			}
			b.Set(pairs[i], pairs[i+1])
		}
		x := sample.Sample{Labels: b.Labels(), T: at.UnixMilli(), V: s.V}
		if s.HasT {
			x.T = s.T
		}
		out = append(out, x)
	}
	return out, first
}

// reservedName tells the metrics by which this package speaks of a program or a
// file: nobody's output may say that all is well.
func reservedName(name string) bool {
	switch name {
	case metricState, metricExitCode, metricDurationSeconds, metricFileError, metricFileMtimeSeconds, metricUnreadFolders:
		return true
	}
	return strings.HasPrefix(name, "watchkeeper_")
}

// ended makes the end marks of series that were delivered at the check before
// and are not any more.
func ended(last, now []sample.Sample, at time.Time, reason string) []sample.End {
	there := make(map[uint64]bool, len(now))
	for _, s := range now {
		there[s.Labels.Hash()] = true
	}
	var ends []sample.End
	for _, s := range last {
		if !there[s.Labels.Hash()] {
			ends = append(ends, sample.End{Labels: s.Labels, T: at.UnixMilli(), Reason: reason})
		}
	}
	return ends
}

func builder(at time.Time, id identity) *exporters.Builder {
	return exporters.NewBuilder(at, id.pairs()...)
}
