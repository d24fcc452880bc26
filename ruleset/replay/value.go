package replay

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"

	"github.com/prometheus/prometheus/model/value"
)

// Value is a sample's value: in JSON a number, or a string where JSON has no number for
// it, "NaN", "+Inf", "-Inf", and "stale" for a stale marker.
type Value float64

const stale = "stale"

// String prints the value as PromQL does.
func (v Value) String() string {
	if value.IsStaleNaN(float64(v)) {
		return stale
	}
	return formatValue(float64(v))
}

// isNaN says whether it is a sample without a value.
func (v Value) isNaN() bool { return math.IsNaN(float64(v)) && !value.IsStaleNaN(float64(v)) }

// MarshalJSON implements json.Marshaler.
func (v Value) MarshalJSON() ([]byte, error) {
	if f := float64(v); math.IsNaN(f) || math.IsInf(f, 0) {
		return strconv.AppendQuote(nil, v.String()), nil
	}
	return json.Marshal(float64(v))
}

// UnmarshalJSON implements json.Unmarshaler.
func (v *Value) UnmarshalJSON(b []byte) error {
	text := string(b)
	if b[0] == '"' {
		if err := json.Unmarshal(b, &text); err != nil {
			return err
		}
	}
	if text == stale {
		*v = Value(math.Float64frombits(value.StaleNaN))
		return nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return fmt.Errorf("value %s: want a number, \"NaN\", \"+Inf\", \"-Inf\" or %q", b, stale)
	}
	*v = Value(f)
	return nil
}

// same says whether two samples are the same.
func (s Sample) same(o Sample) bool {
	bits := math.Float64bits(float64(s.Value)) == math.Float64bits(float64(o.Value))
	s.Value, o.Value = 0, 0
	return bits && s == o
}
