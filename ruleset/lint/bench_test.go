package lint

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"watchkeeper/ruleset"
)

// manyRules is a file of n rules, each with the expression that expr makes of
// its number.
func manyRules(tb testing.TB, n int, expr string) []ruleset.Group {
	tb.Helper()
	var text strings.Builder
	text.WriteString("groups:\n- name: g\n  interval: 1m\n  rules:\n")
	for i := range n {
		fmt.Fprintf(&text, "  - "+whole+"\n", i, strings.ReplaceAll(expr, "N", strconv.Itoa(i+1)), severities[i*len(severities)/n])
	}
	gs, err := ruleset.Parse("many.yml", []byte(text.String()))
	if err != nil {
		tb.Fatal(err)
	}
	return gs
}

// The time for ten times the rules shows whether it grows with their number.
func BenchmarkCheck(b *testing.B) {
	for _, of := range []struct{ name, expr string }{
		{"instances", `host_load5{instance="N"} >= 5`},
		{"two-terms", `host_load1 > N and host_load5{instance="N"} >= 5 unless on (customer, instance) host_ecs_info`},
		{"copies", `host_load5 >= 5`},
		{"thresholds", `host_load5 >= N`}, // each is compared with many
	} {
		for _, n := range []int{1000, 10_000} {
			b.Run(fmt.Sprintf("of=%s/rules=%d", of.name, n), func(b *testing.B) {
				gs := manyRules(b, n, of.expr)
				b.ReportAllocs()
				start := time.Now()
				runs := 0
				for b.Loop() {
					Check(Config{}, gs)
					runs++
				}
				b.ReportMetric(float64(time.Since(start).Nanoseconds())/float64(runs*n), "ns/rule")
			})
		}
	}
}
