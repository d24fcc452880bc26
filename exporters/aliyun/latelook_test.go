package aliyun

import (
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"pgregory.net/rapid"

	"watchkeeper/exporters/aliyun/catalog"
	"watchkeeper/internal/property"
	"watchkeeper/internal/sample"
)

// Whatever polls fail or are skipped, a point that is published within the overlap
// after its minute is read: at the next poll when it is later by less than
// short_overlap, else no later than a late_interval after it was published.
func TestEveryPointWithinTheOverlapIsLookedAt(t *testing.T) {
	property.Check(t, func(t *rapid.T) {
		interval := rapid.SampledFrom([]time.Duration{20 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute}).Draw(t, "interval")
		cfg := DefaultAccount()
		cfg.LateInterval = model.Duration(rapid.SampledFrom([]time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute}).Draw(t, "every"))
		cfg.Overlap = model.Duration(time.Duration(rapid.IntRange(10, 40).Draw(t, "overlap")) * time.Minute)
		cfg.ShortOverlap = model.Duration(time.Duration(rapid.IntRange(5, 40).Draw(t, "short")) * time.Minute)
		l := newLateLooks(cfg, interval, sample.Source{Customer: "acme", Name: rapid.StringMatching(`[a-z]{1,8}`).Draw(t, "source")})
		failing := rapid.Bool().Draw(t, "failing")
		late := time.Duration(rapid.IntRange(0, int(l.whole/time.Minute)).Draw(t, "late")) * time.Minute
		of := t0.Add(time.Duration(rapid.IntRange(60, 120).Draw(t, "minute")) * time.Minute)
		published := of.Add(late)

		complete := t0
		for at := t0.Add(interval); at.Before(t0.Add(5 * time.Hour)); at = at.Add(interval) {
			end := at.Truncate(time.Minute)
			start, whole := l.start(complete, end)
			if failing && rapid.IntRange(0, 2).Draw(t, "fails") == 0 {
				continue
			}
			complete = end
			if whole {
				l.done = end
			}
			if at.Before(published) || !start.Before(of) {
				continue
			}
			wait := interval + time.Minute // the poll's end is a whole minute
			if late >= l.short {
				wait += l.every
			}
			if !failing && at.Sub(published) > wait {
				t.Fatalf("the point of %s, published at %s, is read at %s", of, published, at)
			}
			return
		}
		t.Fatalf("the point of %s, published at %s, is never read", of, published)
	})
}

func TestCostOfPolls(t *testing.T) {
	overlap := DefaultAccount().Overlap
	f := func(lane catalog.Lane, interval time.Duration, series int, want PollCost, mean float64) {
		t.Helper()
		cfg := DefaultAccount()
		cfg.Overlap = overlap
		cfg.Interval, cfg.FastInterval = model.Duration(interval), model.Duration(interval)
		got := cfg.PollCost(catalog.Metric{Lane: lane, MinPeriod: 60}, series)
		if got != want || got.Mean() != mean {
			t.Errorf("%s every %s, %d series: %+v, mean %v; want %+v, %v", lane, interval, series, got, got.Mean(), want, mean)
		}
	}
	// Every five minutes: 25 points of each series, always.
	f(catalog.Alarm, 5*time.Minute, 200, PollCost{Calls: 4, WholeCalls: 4, Every: 1}, 4)
	// Every minute: 11 points, and in one poll of five 25.
	f(catalog.Fast, time.Minute, 200, PollCost{Calls: 2, WholeCalls: 4, Every: 5}, 2.4)
	f(catalog.Alarm, time.Minute, 2000, PollCost{Calls: 16, WholeCalls: 35, Every: 5}, 19.8)
	f(catalog.Alarm, time.Minute, 0, PollCost{Calls: 1, WholeCalls: 1, Every: 5}, 1)
	// An overlap as short as the short one: no poll looks back further.
	overlap = model.Duration(10 * time.Minute)
	f(catalog.Alarm, time.Minute, 200, PollCost{Calls: 2, WholeCalls: 2, Every: 1}, 2)
}
