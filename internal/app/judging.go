package app

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/internal/sample"
	"watchkeeper/ruleset"
	"watchkeeper/ruleset/coverage"
)

// What the server tells of its judging, as series of each customer, so that the pack
// watch can alert on it.
const (
	judgingSource  = "rules/judging"
	metricRefused  = "watchkeeper_judging_refused"         // samples of the last minute that a limit kept from being judged
	metricEnds     = "watchkeeper_judging_ends_refused"    // end marks of the last minute that a limit kept out
	metricSources  = "watchkeeper_judging_sources_refused" // sections of the last minute of sources that a limit kept out
	metricLate     = "watchkeeper_judging_late_unlisted"   // late samples of the last minute that a limit kept out of the journal
	metricUnread   = "watchkeeper_judging_unread"          // identities that wait for samples that cannot be read
	metricHoles    = "watchkeeper_judging_coverage_holes"  // pairs of resource and contract row that nothing watches
	productJudging = "watchkeeper"
)

// judgingSeries writes those series.
type judgingSeries struct {
	deliver func(context.Context, sample.Batch) error
	before  judgingCounts // as last written
}

// judgingCounts are what the rule engine and the store count, by customer: since the start
// what limits refuse, and what waits unread now.
type judgingCounts struct {
	refused             map[ruleset.Refusal]int // samples
	ends, sources, late map[string]int          // end marks, sections of new sources, late samples
	unread              map[string]int          // identities
}

// since are the counts since an earlier time; what waits does so now.
func (c judgingCounts) since(before judgingCounts) judgingCounts {
	return judgingCounts{
		less(c.refused, before.refused), less(c.ends, before.ends), less(c.sources, before.sources), less(c.late, before.late), c.unread,
	}
}

func less[K comparable](now, before map[K]int) map[K]int {
	out := make(map[K]int, len(now))
	for k, n := range now {
		out[k] = n - before[k]
	}
	return out
}

// ofNamed gives the counts of those whom customers does not name to other: of an alert
// without a label customer, and of who was a customer.
func (c judgingCounts) ofNamed(customers []string, other string) judgingCounts {
	named := func(customer string) string {
		if slices.Contains(customers, customer) {
			return customer
		}
		return other
	}
	sum := func(counts map[string]int) map[string]int {
		out := map[string]int{}
		for customer, n := range counts {
			out[named(customer)] += n
		}
		return out
	}
	out := judgingCounts{map[ruleset.Refusal]int{}, sum(c.ends), sum(c.sources), sum(c.late), sum(c.unread)}
	for r, n := range c.refused {
		out.refused[ruleset.Refusal{Customer: named(r.Customer), Limit: r.Limit}] += n
	}
	return out
}

// writeCounts writes what has been refused since it was called last, and what waits. What
// is of none of the customers is told to other.
func (s *judgingSeries) writeCounts(ctx context.Context, now judgingCounts, customers []string, other string, at time.Time) error {
	counts := now.since(s.before).ofNamed(customers, other)
	for _, customer := range customers {
		var values []judgingValue
		for _, limit := range []string{"rule", "customer"} {
			r := ruleset.Refusal{Customer: customer, Limit: limit}
			values = append(values, judgingValue{metricRefused, limit, float64(counts.refused[r])})
		}
		values = append(values, judgingValue{metricEnds, "", float64(counts.ends[customer])},
			judgingValue{metricSources, "", float64(counts.sources[customer])},
			judgingValue{metricLate, "", float64(counts.late[customer])},
			judgingValue{metricUnread, "", float64(counts.unread[customer])})
		if err := s.write(ctx, customer, values, at); err != nil {
			return err
		}
	}
	s.before = now
	return nil
}

// writeHoles writes how many holes a report shows.
func (s *judgingSeries) writeHoles(ctx context.Context, r *coverage.Report, customers []string) error {
	holes := map[string]int{}
	for _, e := range r.Entries {
		if e.Status == coverage.Hole {
			holes[e.Customer]++
		}
	}
	for _, customer := range customers {
		if err := s.write(ctx, customer, []judgingValue{{metricHoles, "", float64(holes[customer])}}, r.At); err != nil {
			return err
		}
	}
	return nil
}

type judgingValue struct {
	metric, limit string
	v             float64
}

func (s *judgingSeries) write(ctx context.Context, customer string, values []judgingValue, at time.Time) error {
	b := sample.Batch{
		Source: sample.Source{Customer: customer, Name: judgingSource}, Watermark: sample.Current,
		Ups: []sample.Up{{T: at.UnixMilli(), OK: true}},
	}
	for _, x := range values {
		l := labels.FromStrings(model.MetricNameLabel, x.metric, "customer", customer, "product", productJudging, "instance", "rules", "limit", x.limit)
		b.Samples = append(b.Samples, sample.Sample{Labels: l.WithoutEmpty(), T: at.UnixMilli(), V: x.v})
	}
	if err := s.deliver(ctx, b); err != nil {
		return fmt.Errorf("series %s of %s: %w", values[0].metric, customer, err)
	}
	return nil
}

// keepJudging writes once a minute what a limit or the store keeps from being judged.
func (a *App) keepJudging(ctx context.Context) error {
	series := judgingSeries{deliver: sink{a.pipeline}.Append}
	inMiddles(ctx, time.Minute, func(at time.Time) {
		now := judgingCounts{refused: a.engine.Refused(), ends: a.store.RefusedEnds(), sources: a.store.RefusedSources(), late: a.engine.UnlistedLate(), unread: a.engine.Unread()}
		if err := series.writeCounts(ctx, now, a.customers(), a.config().Rules.Plain.DefaultCustomer, at); err != nil && ctx.Err() == nil {
			a.log.Warn("what is not judged is not written as series; judging goes on", "err", err)
		}
	})
	return nil
}

// customers are all that the configuration names, those of senders alone too.
func (a *App) customers() []string { return a.config().CustomerNames() }
