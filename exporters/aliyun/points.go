package aliyun

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/buger/jsonparser"

	"watchkeeper/exporters/aliyun/catalog"
)

// maxDimension bounds a resource key's value, in bytes (documented: 64).
const maxDimension = 256

// pointReader reads the Datapoints text of one metric.
type pointReader struct {
	keys       []string // resource keys, sorted
	labels     []string // our label of each key
	optional   []bool
	statistics []string
	scale      float64
}

func newPointReader(m catalog.Metric) *pointReader {
	r := &pointReader{statistics: m.Statistics, scale: m.Scale}
	for key := range m.Dimensions {
		r.keys = append(r.keys, key)
	}
	for key := range m.OptionalDimensions {
		r.keys = append(r.keys, key)
	}
	slices.Sort(r.keys)
	for _, key := range r.keys {
		label, required := m.Dimensions[key]
		if !required {
			label = m.OptionalDimensions[key]
		}
		r.labels = append(r.labels, label)
		r.optional = append(r.optional, !required)
	}
	return r
}

// point is one value of one resource. dims run parallel to the reader's keys
// and are only valid during the call that hands the point over.
type point struct {
	dims  []string
	t     int64 // Unix ms
	value float64
}

// pointCounts says what became of the points of a page.
type pointCounts struct {
	read        int
	malformed   int // without timestamp or a required resource key
	noStatistic int // without any of the catalogue's statistics
}

// each calls fn for every good point of text. Other keys of a point (userId,
// host names of newer agents) are ignored.
func (r *pointReader) each(text string, fn func(point)) (pointCounts, error) {
	var counts pointCounts
	if text == "" {
		return counts, nil
	}
	data := []byte(text)
	// The fast reader below is lenient; a cut-off or foreign text must not
	// pass for fewer points.
	if !json.Valid(data) {
		return counts, &Error{Kind: ErrAnswer, Status: 200, Message: "Datapoints is not valid JSON"}
	}
	if first := firstByte(data); first != '[' {
		return counts, &Error{Kind: ErrAnswer, Status: 200, Message: "Datapoints is not a JSON array"}
	}
	p := point{dims: make([]string, len(r.keys))}
	values := make([]float64, len(r.statistics))
	_, err := jsonparser.ArrayEach(data, func(item []byte, kind jsonparser.ValueType, _ int, _ error) {
		counts.read++
		if kind != jsonparser.Object || !r.read(item, &p, values) {
			counts.malformed++
			return
		}
		i := slices.IndexFunc(values, func(v float64) bool { return !math.IsNaN(v) })
		if i < 0 {
			counts.noStatistic++
			return
		}
		p.value = values[i] * r.scale
		fn(p)
	})
	if err != nil && len(data) > 0 && counts.read > 0 {
		return counts, &Error{Kind: ErrAnswer, Status: 200, Message: "Datapoints: " + err.Error()}
	}
	return counts, nil
}

// read fills p and values (NaN: not there) from one object.
func (r *pointReader) read(item []byte, p *point, values []float64) bool {
	p.t = 0
	clear(p.dims)
	for i := range values {
		values[i] = math.NaN()
	}
	err := jsonparser.ObjectEach(item, func(key, value []byte, kind jsonparser.ValueType, _ int) error {
		if string(key) == "timestamp" {
			p.t = readTime(value)
			return nil
		}
		for i, name := range r.statistics {
			if string(key) == name {
				values[i] = readNumber(value, kind)
				return nil
			}
		}
		for i, name := range r.keys {
			if string(key) == name {
				p.dims[i] = readText(value, kind)
				return nil
			}
		}
		return nil
	})
	if err != nil || p.t <= 0 {
		return false
	}
	for i, dim := range p.dims {
		if dim == "" && !r.optional[i] {
			return false
		}
	}
	return true
}

func firstByte(data []byte) byte {
	for _, b := range data {
		if b != ' ' && b != '\t' && b != '\n' && b != '\r' {
			return b
		}
	}
	return 0
}

// maxTime is the year 2200 in Unix ms: beyond it a timestamp is not one.
const maxTime = 7258118400000

func readTime(value []byte) int64 {
	f, err := strconv.ParseFloat(string(value), 64)
	if err != nil || !(f > 0 && f < maxTime) {
		return 0
	}
	return int64(f)
}

// readNumber takes numbers and numbers as texts; anything else is NaN.
func readNumber(value []byte, kind jsonparser.ValueType) float64 {
	if kind != jsonparser.Number && kind != jsonparser.String {
		return math.NaN()
	}
	f, err := strconv.ParseFloat(string(value), 64)
	if err != nil || math.IsInf(f, 0) {
		return math.NaN()
	}
	return f
}

// readText takes texts and numbers (ports come as either); anything else, and
// what cannot be a label's value, is "".
func readText(value []byte, kind jsonparser.ValueType) string {
	if len(value) > maxDimension || !utf8.Valid(value) {
		return ""
	}
	switch kind {
	case jsonparser.String:
		text, err := jsonparser.ParseString(value)
		if err != nil {
			return ""
		}
		return text
	case jsonparser.Number:
		return string(value)
	}
	return ""
}
