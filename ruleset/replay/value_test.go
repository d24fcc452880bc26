package replay

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/prometheus/prometheus/model/value"
)

// Values are numbers in JSON, and strings where it has none.
func TestValueJSON(t *testing.T) {
	for text, v := range map[string]float64{
		"95.5": 95.5, "1e+300": 1e300, `"NaN"`: math.Float64frombits(value.NormalNaN), `"stale"`: math.Float64frombits(value.StaleNaN),
		`"+Inf"`: math.Inf(1), `"-Inf"`: math.Inf(-1),
	} {
		b, err := json.Marshal(Value(v))
		if err != nil || string(b) != text {
			t.Errorf("%v is written as %s (%v), want %s", v, b, err, text)
		}
		var back Value
		if err := json.Unmarshal([]byte(text), &back); err != nil || back.String() != Value(v).String() {
			t.Errorf("%s is read as %v (%v)", text, back, err)
		}
	}
	var v Value
	if err := json.Unmarshal([]byte(`"much"`), &v); err == nil {
		t.Errorf("\"much\" is read as %v", v)
	}
}
