package app

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"watchkeeper/internal/config"
	"watchkeeper/internal/sample"
	"watchkeeper/ruleset"
	"watchkeeper/ruleset/coverage"
)

// What a limit refused since the last time, what waits unread, and the holes, are told of
// every customer, also where there is nothing.
func TestJudgingSeries(t *testing.T) {
	var got []string
	s := judgingSeries{deliver: func(_ context.Context, b sample.Batch) error {
		for _, x := range b.Samples {
			got = append(got, fmt.Sprintf("%s %s %s %v", b.Source.Customer, b.Source.Name, x.Labels, x.V))
		}
		return nil
	}}
	now := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	for _, n := range []int{5, 12} {
		counts := judgingCounts{
			refused: map[ruleset.Refusal]int{{Customer: "acme", Limit: "rule"}: n},
			ends:    map[string]int{"globex": 3 * n}, sources: map[string]int{"acme": 6 * n}, late: map[string]int{"acme": 2 * n}, unread: map[string]int{"globex": 4 * n},
		}
		if err := s.writeCounts(t.Context(), counts, []string{"acme", "globex"}, "globex", now); err != nil {
			t.Fatal(err)
		}
	}
	r := &coverage.Report{At: now, Entries: []coverage.Entry{{Customer: "acme", Status: coverage.Hole}, {Customer: "acme", Status: coverage.Watched}}}
	if err := s.writeHoles(t.Context(), r, []string{"acme", "globex"}); err != nil {
		t.Fatal(err)
	}
	refused := func(customer, limit string, v int) string {
		return fmt.Sprintf(`%s rules/judging {__name__="watchkeeper_judging_refused", customer="%s", instance="rules", limit="%s", product="watchkeeper"} %d`, customer, customer, limit, v)
	}
	ends := func(customer string, v int) string {
		return fmt.Sprintf(`%s rules/judging {__name__="watchkeeper_judging_ends_refused", customer="%s", instance="rules", product="watchkeeper"} %d`, customer, customer, v)
	}
	sources := func(customer string, v int) string {
		return fmt.Sprintf(`%s rules/judging {__name__="watchkeeper_judging_sources_refused", customer="%s", instance="rules", product="watchkeeper"} %d`, customer, customer, v)
	}
	late := func(customer string, v int) string {
		return fmt.Sprintf(`%s rules/judging {__name__="watchkeeper_judging_late_unlisted", customer="%s", instance="rules", product="watchkeeper"} %d`, customer, customer, v)
	}
	unread := func(customer string, v int) string {
		return fmt.Sprintf(`%s rules/judging {__name__="watchkeeper_judging_unread", customer="%s", instance="rules", product="watchkeeper"} %d`, customer, customer, v)
	}
	holes := func(customer string, v int) string {
		return fmt.Sprintf(`%s rules/judging {__name__="watchkeeper_judging_coverage_holes", customer="%s", instance="rules", product="watchkeeper"} %d`, customer, customer, v)
	}
	want := []string{
		refused("acme", "rule", 5), refused("acme", "customer", 0), ends("acme", 0), sources("acme", 30), late("acme", 10), unread("acme", 0),
		refused("globex", "rule", 0), refused("globex", "customer", 0), ends("globex", 15), sources("globex", 0), late("globex", 0), unread("globex", 20),
		refused("acme", "rule", 7), refused("acme", "customer", 0), ends("acme", 0), sources("acme", 42), late("acme", 14), unread("acme", 0),
		refused("globex", "rule", 0), refused("globex", "customer", 0), ends("globex", 21), sources("globex", 0), late("globex", 0), unread("globex", 48),
		holes("acme", 1), holes("globex", 0),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What is of nobody whom the configuration names is told to the default customer: identities
// without a label customer, and what is left of somebody who was a customer.
func TestJudgingSeriesOfNobody(t *testing.T) {
	got := map[string]float64{}
	s := judgingSeries{deliver: func(_ context.Context, b sample.Batch) error {
		for _, x := range b.Samples {
			if x.V != 0 {
				got[b.Source.Customer+" "+x.Labels.Get("__name__")] += x.V
			}
		}
		return nil
	}}
	for n, customers := range [][]string{{"acme", "default", "gone"}, {"acme", "default"}} { // one goes
		clear(got)
		n++
		counts := judgingCounts{
			refused: map[ruleset.Refusal]int{{Customer: "", Limit: "rule"}: n, {Customer: "acme", Limit: "rule"}: 2 * n},
			ends:    map[string]int{"gone": 3 * n}, late: map[string]int{"gone": 4 * n, "default": 5 * n},
			unread: map[string]int{"": 6 * n, "gone": 7 * n},
		}
		if err := s.writeCounts(t.Context(), counts, customers, "default", time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]float64{
		"acme " + metricRefused: 2, "default " + metricRefused: 1, "default " + metricEnds: 3, "default " + metricLate: 9, "default " + metricUnread: 26,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A customer of whom nothing but a sender is configured is told of like any other: what
// senders make up is what the limits are for.
func TestJudgingSeriesOfSendersCustomers(t *testing.T) {
	a := &App{cfg: &config.Config{
		Customers: []config.Customer{{Name: "acme"}},
		Ingest: config.Ingest{
			Senders: []config.Sender{{Customer: "erp"}, {Customer: "acme"}},
			Open:    &config.OpenSender{Customer: "lab"},
		},
	}}
	a.cfg.Rules.Plain.DefaultCustomer = "default"
	if diff := cmp.Diff([]string{"acme", "default", "erp", "lab"}, a.customers()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
