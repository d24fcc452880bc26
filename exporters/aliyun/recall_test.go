package aliyun

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"watchkeeper/internal/sample"
)

// The points of an hour come after its end, an hour behind their own time.
func TestPointsOfAnHourAreRead(t *testing.T) {
	var points []fakePoint
	for n := -120; n <= 300; n += 60 {
		points = append(points, fakePoint{"logs", minute(n), minute(n + 78), float64(n)})
	}
	var now time.Time
	cloud := &fakeClient{now: func() time.Time { return now }, points: points}
	a := testAccount(t, cloud, known(minute(0)), func(cfg *AccountConfig) { cfg.Products = []string{"oss"} })
	sink := &memorySink{}
	for _, m := range a.metrics {
		if m.Metric != "MeteringStorageUtilization" {
			continue
		}
		m.Dimensions, m.Statistics = map[string]string{"instanceId": "instance"}, []string{"Average"} // as the fake answers
		c := a.metric(m, "cn-hangzhou", cloud)
		for n := 5; n <= 300; n += 5 {
			now = atMinute(n)
			if err := c.Collect(t.Context(), now, sink); err != nil {
				t.Fatal(err)
			}
		}
	}
	if diff := cmp.Diff(wantAll(points[1:6]), sink.delivered()); diff != "" {
		t.Error(diff)
	}
}

// Before the restart answers were empty for want of a permission; what was
// published meanwhile is still read, as without the restart.
func TestEmptyAnswersBeforeARestart(t *testing.T) {
	now := atMinute(100)
	cloud := &fakeClient{now: func() time.Time { return now }, points: everyMinute("i-1", 0, 100, 0)}
	f := func(newest time.Time, from int) {
		t.Helper()
		sink := &memorySink{}
		c := cpuCollector(t, cloud, known(minute(95)), nil)
		c.newest = func(_ context.Context, source sample.Source, since time.Time) (time.Time, error) {
			if source != c.source || newest.Before(since) {
				return time.Time{}, nil
			}
			return newest, nil
		}
		if err := c.Collect(t.Context(), now, sink); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(wantAll(everyMinute("i-1", from, 100, 0)), sink.delivered()); diff != "" {
			t.Errorf("newest point of %s: %s", newest, diff)
		}
	}
	f(minute(94), 74)
	f(minute(50), 30)          // answers were empty for 45 minutes
	f(t0.Add(-5*time.Hour), 0) // no point for longer than history is read at all
}
