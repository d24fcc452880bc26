package replay

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"watchkeeper/internal/sample"
)

// maxLine bounds one line of input, in bytes.
const maxLine = 1 << 20

type eventKind int

const (
	eventSample eventKind = iota
	eventUp
	eventWatermark
	eventEnd
	eventAdvance
	eventRestart
	eventReload
)

// never marks a time that a line does not have.
const never = math.MinInt64

// event is one line of input.
type event struct {
	kind    eventKind
	t       int64 // time of the sample, up-sample, end or watermark; of a control line; Unix ms
	arrive  int64 // never: engine time
	until   int64 // restart
	v       float64
	labels  labels.Labels
	source  sample.Source
	ok      bool // up
	current bool // watermark
	fillIn  bool
	reason  string // end
	file    string // reload
}

// wire is a line as it is written.
type wire struct {
	Time      *instant          `json:"time"`
	Value     json.RawMessage   `json:"value"`
	Labels    map[string]string `json:"labels"`
	Arrive    *instant          `json:"arrive"`
	FillIn    bool              `json:"fillin"`
	Source    string            `json:"source"`
	Customer  string            `json:"customer"`
	Advance   *instant          `json:"advance"`
	Up        *instant          `json:"up"`
	OK        *bool             `json:"ok"`
	Watermark *string           `json:"watermark"`
	End       *instant          `json:"end"`
	Reason    string            `json:"reason"`
	Restart   *instant          `json:"restart"`
	Until     *instant          `json:"until"`
	Reload    *string           `json:"reload"`
}

// instant is a time in RFC 3339, kept in Unix ms.
type instant int64

func (i *instant) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return fmt.Errorf("%q is not a time in RFC 3339, such as 2026-03-01T10:00:00Z", s)
	}
	if t.UnixMilli() < 0 {
		return fmt.Errorf("%q lies before 1970", s)
	}
	*i = instant(t.UnixMilli())
	return nil
}

// decoder reads lines of input.
type decoder struct {
	in   *bufio.Scanner
	line int
}

func newDecoder(r io.Reader) *decoder {
	in := bufio.NewScanner(r)
	in.Buffer(make([]byte, 0, 64<<10), maxLine)
	return &decoder{in: in}
}

// next returns the next line; io.EOF after the last.
func (d *decoder) next() (event, error) {
	for d.in.Scan() {
		d.line++
		text := bytes.TrimSpace(d.in.Bytes())
		if len(text) == 0 {
			continue
		}
		ev, err := decodeLine(text)
		if err != nil {
			return event{}, fmt.Errorf("line %d: %w", d.line, err)
		}
		return ev, nil
	}
	if err := d.in.Err(); errors.Is(err, bufio.ErrTooLong) {
		return event{}, fmt.Errorf("line %d: longer than %d bytes", d.line+1, maxLine)
	} else if err != nil {
		return event{}, fmt.Errorf("line %d: %w", d.line+1, err)
	}
	return event{}, io.EOF
}

func decodeLine(text []byte) (event, error) {
	var w wire
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&w); err != nil {
		return event{}, inWords(err)
	}
	if dec.More() {
		return event{}, errors.New("more than one object")
	}
	return w.event()
}

// inWords says what is wrong with a line without the names of Go types.
func inWords(err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax) || errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("not JSON: %w; want one object a line", err)
	case errors.As(err, &kind) && kind.Field == "":
		return fmt.Errorf("JSON %s; want one object a line", kind.Value)
	case errors.As(err, &kind):
		return fmt.Errorf("%s: must not be %s", kind.Field, kind.Value)
	}
	return err
}

// event finds out what the line is: the one of its fields that no other kind has.
func (w *wire) event() (event, error) {
	ev := event{t: never, arrive: never, until: never, source: sample.Source{Customer: w.Customer, Name: w.Source}, fillIn: w.FillIn, reason: w.Reason}
	if w.Arrive != nil {
		ev.arrive = int64(*w.Arrive)
	}
	kinds := 0
	for kind, t := range map[eventKind]*instant{
		eventSample: w.Time, eventUp: w.Up, eventEnd: w.End, eventAdvance: w.Advance, eventRestart: w.Restart,
	} {
		if t != nil {
			ev.kind, ev.t = kind, int64(*t)
			kinds++
		}
	}
	if w.Watermark != nil {
		ev.kind = eventWatermark
		kinds++
	}
	if w.Reload != nil {
		ev.kind, ev.file = eventReload, *w.Reload
		kinds++
	}
	if kinds != 1 {
		return ev, errors.New("want exactly one of time, advance, up, watermark, end, restart, reload")
	}
	return ev, w.complete(&ev)
}

// complete checks what the kind needs.
func (w *wire) complete(ev *event) (err error) {
	switch ev.kind {
	case eventSample:
		if ev.v, err = parseValue(w.Value); err != nil {
			return err
		}
	case eventUp:
		ev.ok = w.OK == nil || *w.OK
	case eventEnd:
		if w.Reason == "" {
			return errors.New("end: needs a reason")
		}
	case eventWatermark:
		return w.watermark(ev)
	case eventRestart:
		ev.until = ev.t
		if w.Until != nil {
			ev.until = max(ev.t, int64(*w.Until))
		}
		return nil
	case eventReload:
		ev.t = ev.arrive
		return nil
	case eventAdvance:
		return nil
	}
	if ev.arrive == never {
		ev.arrive = ev.t
	}
	if ev.kind == eventUp {
		return nil
	}
	if ev.labels, err = w.series(); err != nil {
		return err
	}
	if ev.source.Name != "" && ev.source.Customer == "" {
		ev.source.Customer = ev.labels.Get("customer")
	}
	return nil
}

func (w *wire) watermark(ev *event) error {
	if *w.Watermark == "current" {
		ev.current = true
		return nil
	}
	t, err := time.Parse(time.RFC3339, *w.Watermark)
	if err != nil {
		return fmt.Errorf("watermark: %q is neither a time in RFC 3339 nor current", *w.Watermark)
	}
	ev.t = t.UnixMilli()
	return nil
}

// series reads the labels; the metric name must be there.
func (w *wire) series() (labels.Labels, error) {
	b := labels.NewBuilder(labels.EmptyLabels())
	for n, v := range w.Labels {
		if n == "" || !utf8.ValidString(n) || !utf8.ValidString(v) {
			return labels.EmptyLabels(), fmt.Errorf("labels: %q=%q: not a label", n, v)
		}
		b.Set(n, v)
	}
	l := b.Labels()
	if l.Get(model.MetricNameLabel) == "" {
		return l, fmt.Errorf("labels: need %s", model.MetricNameLabel)
	}
	return l, nil
}

// parseValue reads a number, "NaN", "+Inf", "-Inf" or "stale".
func parseValue(raw json.RawMessage) (float64, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return 0, errors.New("value: missing")
	}
	if raw[0] != '"' {
		var v float64
		if err := json.Unmarshal(raw, &v); err != nil {
			return 0, fmt.Errorf("value: %s is not a number", raw)
		}
		return v, nil
	}
	switch s := strings.Trim(string(raw), `"`); s {
	case "NaN":
		return math.NaN(), nil
	case "Inf", "+Inf":
		return math.Inf(1), nil
	case "-Inf":
		return math.Inf(-1), nil
	case "stale":
		return math.Float64frombits(value.StaleNaN), nil
	default:
		return 0, fmt.Errorf("value: %q is neither a number nor NaN, +Inf, -Inf, stale", s)
	}
}
