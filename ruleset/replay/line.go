package replay

import (
	"encoding/json"
	"io"
	"math"
	"strconv"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/ruleset"
)

// timeForm is RFC 3339 in UTC with as many digits of milliseconds as needed.
const timeForm = "2006-01-02T15:04:05.999Z07:00"

// AppendLine appends the entry as one JSON object and a line feed:
//
//	{"log","at","check","alert","labels","from","to","value","run","reason"}
//
// in this order, every field always there. Labels are the alert's identity, in
// order of name; a value that JSON cannot hold is the string "NaN", "+Inf" or "-Inf"
// (NaN: the check has none). The same entry always gives the same bytes; a server
// that keeps its settled log writes it with this function.
func AppendLine(dst []byte, e ruleset.Entry) []byte {
	field := func(name string) {
		dst = append(dst, ',', '"')
		dst = append(dst, name...)
		dst = append(dst, '"', ':')
	}
	dst = append(dst, `{"log":`...)
	dst = appendString(dst, string(e.Log))
	field("at")
	dst = appendTime(dst, e.At)
	field("check")
	dst = appendTime(dst, e.Check)
	field("alert")
	dst = appendString(dst, e.Rule.Alert)
	field("labels")
	dst = appendLabels(dst, e.Identity)
	field("from")
	dst = appendString(dst, string(e.From))
	field("to")
	dst = appendString(dst, string(e.To))
	field("value")
	dst = appendValue(dst, e.Value)
	field("run")
	dst = strconv.AppendInt(dst, int64(e.Run), 10)
	field("reason")
	dst = appendString(dst, e.Reason)
	return append(dst, '}', '\n')
}

// WriteLines writes entries as lines.
func WriteLines(w io.Writer, entries []ruleset.Entry) error {
	var buf []byte
	for _, e := range entries {
		buf = AppendLine(buf[:0], e)
		if _, err := w.Write(buf); err != nil {
			return err
		}
	}
	return nil
}

func appendString(dst []byte, s string) []byte {
	b, _ := json.Marshal(s) // a string always encodes
	return append(dst, b...)
}

func appendTime(dst []byte, ms int64) []byte {
	dst = append(dst, '"')
	dst = time.UnixMilli(ms).UTC().AppendFormat(dst, timeForm)
	return append(dst, '"')
}

func appendLabels(dst []byte, ls labels.Labels) []byte {
	dst = append(dst, '{')
	first := true
	ls.Range(func(l labels.Label) {
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = appendString(dst, l.Name)
		dst = append(dst, ':')
		dst = appendString(dst, l.Value)
	})
	return append(dst, '}')
}

func appendValue(dst []byte, v float64) []byte {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return appendString(dst, formatValue(v))
	}
	b, _ := json.Marshal(v) // a finite number always encodes
	return append(dst, b...)
}

// formatValue prints a value as PromQL does.
func formatValue(v float64) string {
	if math.IsInf(v, 1) {
		return "+Inf"
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}
