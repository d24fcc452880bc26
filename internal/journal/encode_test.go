package journal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"math"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"pgregory.net/rapid"
)

// A line is what encoding/json makes of the record, behind its sum.
func TestALineIsThatOfEncodingJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.Just(""), rapid.StringMatching(`[a-z_ -~]{0,12}`), rapid.String(), rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 6), func(b []byte) string { return string(b) }))
		number := rapid.OneOf(rapid.Just(int64(0)), rapid.Int64())
		r := Record{
			Kind: Kind(text.Draw(t, "kind")), Customer: text.Draw(t, "customer"), Source: text.Draw(t, "source"), Reason: text.Draw(t, "reason"),
			Labels: labels.FromMap(rapid.MapOfN(text, text, 0, 4).Draw(t, "labels")), T: number.Draw(t, "t"), Arrive: number.Draw(t, "arrive"),
			V: rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{0, math.Copysign(0, -1), math.NaN(), math.Inf(1)})).Draw(t, "v"),
		}
		js, err := json.Marshal(wire{r.Kind, r.Customer, r.Source, r.Labels, r.T, r.Arrive, formatValue(r.V), r.Reason})
		if err != nil {
			t.Fatal(err)
		}
		got, err := appendLine([]byte("before"), r)
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("before%08x %s\n", crc32.Checksum(js, castagnoli), js); want != string(got) {
			t.Fatalf("%q, want %q", got, want)
		}
	})
}

func BenchmarkAppendLine(b *testing.B) {
	r := Record{
		Kind: KindLate, Customer: "acme", Source: "agent/00001", T: 1_800_000_000_000, Arrive: 1_800_000_100_000, V: 50, Reason: "firing/cpu-1 settled through 1800000000000",
		Labels: labels.FromStrings("__name__", "host_cpu_used_percent", "customer", "acme", "instance", "i-00000001", "product", "ecs", "region", "cn-hangzhou"),
	}
	var line []byte
	for b.Loop() {
		var err error
		if line, err = appendLine(line[:0], r); err != nil || !bytes.HasSuffix(line, []byte("\n")) {
			b.Fatal(err)
		}
	}
}
