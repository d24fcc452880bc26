package replay

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// FuzzDecodeLine: no input line panics, and a sample that is read is read again the
// same when it is written down.
func FuzzDecodeLine(f *testing.F) {
	for _, line := range []string{
		`{"time":"2026-03-01T10:00:00Z","value":95,"labels":{"__name__":"cpu","instance":"a"},"arrive":"2026-03-01T10:00:20.5+08:00"}`,
		`{"time":"2026-03-01T10:00:00Z","value":"stale","labels":{"__name__":"cpu"},"source":"agent","customer":"acme","fillin":true}`,
		`{"time":"2026-03-01T10:00:00Z","value":"-Inf","labels":{"__name__":"cpu"}}`,
		`{"advance":"2026-03-01T10:30:00Z"}`,
		`{"up":"2026-03-01T10:30:00Z","ok":false}`,
		`{"watermark":"current","arrive":"2026-03-01T10:30:00Z"}`,
		`{"end":"2026-03-01T10:30:00Z","labels":{"__name__":"cpu"},"reason":"deleted"}`,
		`{"restart":"2026-03-01T10:30:00Z","until":"2026-03-01T10:40:00Z"}`,
		`{"reload":"rules.yml","arrive":"2026-03-01T10:30:00Z"}`,
	} {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		ev, err := decodeLine(line)
		if err != nil || ev.kind != eventSample {
			return
		}
		var v any = Value(ev.v).String()
		if !math.IsNaN(ev.v) && !math.IsInf(ev.v, 0) {
			v = ev.v
		}
		again, err := json.Marshal(map[string]any{
			"time": time.UnixMilli(ev.t).UTC(), "value": v, "labels": ev.labels.Map(), "arrive": time.UnixMilli(ev.arrive).UTC(),
			"source": ev.source.Name, "customer": ev.source.Customer, "fillin": ev.fillIn,
		})
		if err != nil {
			return // a year that RFC 3339 cannot hold, after the shift to UTC
		}
		ev2, err := decodeLine(again)
		if err != nil {
			t.Fatalf("%s: %v", again, err)
		}
		if !labels.Equal(ev.labels, ev2.labels) || math.Float64bits(ev.v) != math.Float64bits(ev2.v) || ev.t != ev2.t || ev.arrive != ev2.arrive || ev.source != ev2.source || ev.fillIn != ev2.fillIn {
			t.Errorf("%s\nread as %+v\nagain as %+v", line, ev, ev2)
		}
	})
}
