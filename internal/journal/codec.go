package journal

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"strconv"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
)

// A line is the CRC-32C of the JSON in eight hexadecimal digits, a space, the
// JSON of one record, and a line feed.
const crcDigits = 8

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var errTorn = errors.New("torn or damaged line")

// wire is a Record as it stands in the file: JSON has no NaN, no infinity and
// no negative zero, so the value is a string.
type wire struct {
	Kind     Kind          `json:"kind"`
	Customer string        `json:"customer,omitempty"`
	Source   string        `json:"source,omitempty"`
	Labels   labels.Labels `json:"labels,omitzero"`
	T        int64         `json:"t,omitempty"`
	Arrive   int64         `json:"arrive,omitempty"`
	V        string        `json:"v,omitempty"`
	Reason   string        `json:"reason,omitempty"`
}

func appendLine(dst []byte, r Record) ([]byte, error) {
	begin := len(dst)
	dst, err := appendJSON(append(dst, "00000000 "...), r)
	js := dst[begin+crcDigits+1:]
	if err != nil {
		return dst[:begin], fmt.Errorf("encode %s record: %w", r.Kind, err)
	}
	if len(js)+crcDigits+2 > maxLine { // what cannot be read again is never written
		return dst[:begin], fmt.Errorf("%s record of %d bytes: longer than %d", r.Kind, len(js), maxLine)
	}
	var sum [4]byte
	binary.BigEndian.PutUint32(sum[:], crc32.Checksum(js, castagnoli))
	hex.Encode(dst[begin:], sum[:])
	return append(dst, '\n'), nil
}

// decodeLine decodes one line without its line feed.
func decodeLine(line []byte) (Record, error) {
	if len(line) < crcDigits+2 || line[crcDigits] != ' ' {
		return Record{}, errTorn
	}
	var sum [crcDigits / 2]byte
	if _, err := hex.Decode(sum[:], bytes.ToLower(line[:crcDigits])); err != nil {
		return Record{}, errTorn
	}
	js := line[crcDigits+1:]
	if uint32(sum[0])<<24|uint32(sum[1])<<16|uint32(sum[2])<<8|uint32(sum[3]) != crc32.Checksum(js, castagnoli) {
		return Record{}, errTorn
	}
	var w wire
	if err := json.Unmarshal(js, &w); err != nil {
		return Record{}, fmt.Errorf("decode record: %w", err)
	}
	v, err := parseValue(w.V)
	if err != nil {
		return Record{}, fmt.Errorf("decode record: value: %w", err)
	}
	return Record{w.Kind, w.Customer, w.Source, w.Labels, w.T, w.Arrive, v, w.Reason}, nil
}

// formatValue keeps every bit: "" is +0, a NaN carries its payload (a stale
// marker is a NaN with one).
func formatValue(v float64) string {
	switch {
	case math.Float64bits(v) == 0:
		return ""
	case math.IsNaN(v):
		return fmt.Sprintf("NaN:%x", math.Float64bits(v))
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

func parseValue(s string) (float64, error) {
	if s == "" {
		return 0, nil
	}
	if bits, ok := strings.CutPrefix(s, "NaN:"); ok {
		u, err := strconv.ParseUint(bits, 16, 64)
		if err != nil {
			return 0, err
		}
		v := math.Float64frombits(u)
		if !math.IsNaN(v) {
			return 0, fmt.Errorf("%q is not a NaN", s)
		}
		return v, nil
	}
	return strconv.ParseFloat(s, 64)
}
