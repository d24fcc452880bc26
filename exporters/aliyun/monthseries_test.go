package aliyun

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"watchkeeper/exporters/aliyun/catalog"
	"watchkeeper/internal/sample"
	"watchkeeper/ruleset"
)

// When an account's polls come to want more than its quota, the rules of the pack
// watch fire on what the account tells of itself, and resolve when it is over.
func TestRulesTellOfTheBudget(t *testing.T) {
	const minutes = 90
	values := map[string][]string{}
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 11, 3, 4, 0, 0, 0, time.UTC)))
		b := NewBudgets(metrics.NewSet()).of("acme", AccountConfig{Name: "main", CallsPerSecond: 20, CallsPerMonth: 100_000})
		month := &monthCollector{source: sample.Source{Customer: "acme", Name: "aliyun/main/account/month-calls"}, account: "main", budget: b}
		var gates []*gate
		for n := range 60 { // 518,400 calls in a month
			gates = append(gates, newGate(b, sample.Source{Customer: "acme", Name: fmt.Sprint(n)}, catalog.Alarm, 5*time.Minute, 5*time.Minute))
		}
		for n := range minutes {
			polling := gates[:5]
			if n >= 15 && n < 45 {
				polling = gates
			}
			if n%5 == 0 {
				for _, g := range polling {
					g.admit(time.Now())
				}
			}
			out := &memorySink{}
			if err := month.Collect(t.Context(), time.Now(), out); err != nil {
				t.Fatal(err)
			}
			for _, s := range out.batches[0].Samples {
				name := s.Labels.Get("__name__")
				values[name] = append(values[name], fmt.Sprint(s.V))
			}
			time.Sleep(time.Minute)
		}
	})
	rules, err := os.ReadFile("../../ruleset/watch/watch.yml")
	if err != nil {
		t.Fatal(err)
	}
	var script strings.Builder
	fmt.Fprintf(&script, "-- rules.yml --\n%s-- timeline --\nload 1m\n", rules)
	for _, name := range slices.Sorted(maps.Keys(values)) {
		fmt.Fprintf(&script, "    %s{instance=\"main\"} %s\n", name, strings.Join(values[name], " "))
	}
	script.WriteString(`at 16m  AliyunAlarmRowsDegraded{instance="main"} firing
at 19m  AliyunCollectionDegraded{instance="main"} firing
at 24m  AliyunCallsForecastOverLimit{instance="main"} firing
at 65m  AliyunAlarmRowsDegraded{instance="main"} resolved
at 65m  AliyunCollectionDegraded{instance="main"} resolved
at 65m  AliyunCallsForecastOverLimit{instance="main"} resolved
`)
	if err := ruleset.RunTimeline(t.Context(), "budget", []byte(script.String())); err != nil {
		t.Errorf("%v\n%v", err, values)
	}
}
