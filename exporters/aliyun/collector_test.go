package aliyun

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"
	"pgregory.net/rapid"

	"watchkeeper/exporters/aliyun/catalog"
	"watchkeeper/internal/property"
	"watchkeeper/internal/sample"
)

// everyMinute gives an instance a point a minute of (from, to], seen delay later.
func everyMinute(instance string, from, to int, delay time.Duration) []fakePoint {
	var out []fakePoint
	for n := from + 1; n <= to; n++ {
		out = append(out, fakePoint{instance, minute(n), minute(n).Add(delay), float64(n)})
	}
	return out
}

func wantAll(points []fakePoint) []string {
	var out []string
	for _, p := range points {
		out = append(out, fmt.Sprintf("%s@%d=%v", p.instance, int(p.t.Sub(t0)/time.Minute), p.value))
	}
	slices.Sort(out)
	return out
}

func count(from, to int) []int {
	var out []int
	for n := from + 1; n <= to; n++ {
		out = append(out, n)
	}
	return out
}

// known makes every source one that was read whole up to t.
func known(t time.Time) ResumeFunc {
	return func(context.Context, sample.Source) (time.Time, bool, error) { return t, true, nil }
}

func TestFirstContactFillsInHistoryThenIsCurrent(t *testing.T) {
	now := atMinute(180)
	cloud := &fakeClient{now: func() time.Time { return now }, points: everyMinute("i-1", -60, 180, 2*time.Minute), pageSize: 25}
	sink := &memorySink{}
	c := cpuCollector(t, cloud, nil, nil)
	if err := c.Collect(t.Context(), now, sink); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wantAll(everyMinute("i-1", 0, 178, 0)), sink.delivered()); diff != "" {
		t.Errorf("samples: %s", diff)
	}
	if diff := cmp.Diff(count(0, 180), sink.ups()); diff != "" {
		t.Errorf("up-samples: %s", diff)
	}
	var got []string
	for _, b := range sink.batches {
		got = append(got, fmt.Sprintf("fill-in %v, watermark %s", b.FillIn, watermark(b)))
	}
	want := []string{
		"fill-in true, watermark minute 60", "fill-in true, watermark minute 120", "fill-in true, watermark minute 180",
		"fill-in false, watermark current",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("batches: %s", diff)
	}
	wantLabels := labels.FromStrings("__name__", "aliyun_ecs_cpu_utilization_percent", "customer", "acme", "product", "ecs", "region", "cn-hangzhou", "instance", "i-1")
	if got := sink.batches[0].Samples[0].Labels; !labels.Equal(got, wantLabels) {
		t.Errorf("labels %s, want %s", got, wantLabels)
	}
	wantSource := sample.Source{Customer: "acme", Name: "aliyun/main/cn-hangzhou/acs_ecs_dashboard/CPUUtilization"}
	if c.Source() != wantSource || sink.batches[0].Source != wantSource {
		t.Errorf("source %v, want %v", c.Source(), wantSource)
	}
}

func watermark(b sample.Batch) string {
	switch b.Watermark {
	case sample.Current:
		return "current"
	case 0:
		return "as it was"
	}
	return fmt.Sprintf("minute %d", (b.Watermark-t0.UnixMilli())/60000)
}

func TestKnownSourceResumesWithoutFillIn(t *testing.T) {
	now := atMinute(100)
	cloud := &fakeClient{now: func() time.Time { return now }, points: everyMinute("i-1", 0, 100, 0)}
	sink := &memorySink{}
	c := cpuCollector(t, cloud, known(minute(90)), nil)
	if err := c.Collect(t.Context(), now, sink); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wantAll(everyMinute("i-1", 70, 100, 0)), sink.delivered()); diff != "" {
		t.Errorf("samples: %s", diff)
	}
	if diff := cmp.Diff(count(90, 100), sink.ups()); diff != "" {
		t.Errorf("up-samples: %s", diff)
	}
	if b := sink.last(); b.FillIn || b.Watermark != sample.Current {
		t.Errorf("fill-in %v, watermark %s; want a usual poll", b.FillIn, watermark(b))
	}
}

func TestLatePointsAreDeliveredOnceAndBehindTheirSuccessors(t *testing.T) {
	var now time.Time
	points := everyMinute("i-1", 0, 60, time.Minute)
	points[9].published = minute(22)  // minute 10, twelve minutes late
	points[29].published = minute(45) // minute 30, fifteen minutes late
	cloud := &fakeClient{now: func() time.Time { return now }, points: points, pageSize: 4}
	sink := &memorySink{}
	c := cpuCollector(t, cloud, known(minute(0)), nil)
	for n := 5; n <= 65; n += 5 {
		now = atMinute(n)
		if err := c.Collect(t.Context(), now, sink); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(wantAll(points), sink.delivered()); diff != "" {
		t.Error(diff)
	}
}

func TestOutageThenCatchUp(t *testing.T) {
	var now time.Time
	points := everyMinute("i-1", 0, 200, time.Minute)
	down := errors.New("down")
	cloud := &fakeClient{now: func() time.Time { return now }, points: points}
	sink := &memorySink{}
	c := cpuCollector(t, cloud, known(minute(0)), nil)
	collect := func(n int) error {
		now = atMinute(n)
		return c.Collect(t.Context(), now, sink)
	}
	if err := collect(10); err != nil {
		t.Fatal(err)
	}
	cloud.fail = func(int) error { return &Error{Kind: ErrUnavailable, Message: down.Error()} }
	for n := 15; n < 190; n += 5 {
		if err := collect(n); !errors.Is(err, ErrUnavailable) {
			t.Fatalf("minute %d: error %v, want ErrUnavailable", n, err)
		}
	}
	failed := []sample.Up{{T: atMinute(185).UnixMilli(), OK: false}}
	if b := sink.last(); watermark(b) != "minute 10" || !cmp.Equal(b.Ups, failed) {
		t.Errorf("in the outage: watermark %s, up-samples %v; want minute 10, %v", watermark(b), b.Ups, failed)
	}
	cloud.fail = nil
	if err := collect(201); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wantAll(points), sink.delivered()); diff != "" {
		t.Errorf("samples: %s", diff)
	}
	if diff := cmp.Diff(count(0, 201), sink.ups()); diff != "" {
		t.Errorf("up-samples: %s", diff)
	}
	if b := sink.last(); b.Watermark != sample.Current {
		t.Errorf("watermark %s after the outage", watermark(b))
	}
}

func TestOutageLongerThanCatchUpGivesUpTheGap(t *testing.T) {
	now := atMinute(3000)
	cloud := &fakeClient{now: func() time.Time { return now }}
	sink := &memorySink{}
	c := cpuCollector(t, cloud, known(minute(0)), nil)
	if err := c.Collect(t.Context(), now, sink); err != nil {
		t.Fatal(err)
	}
	if ups := sink.ups(); len(ups) != 23*60 || ups[0] != 3000-23*60+1 {
		t.Errorf("%d up-samples from minute %d: nobody looked at what was given up", len(ups), ups[0])
	}
}

func TestPageThatFailsClaimsNoLookAndLosesNothing(t *testing.T) {
	now := atMinute(10)
	points := everyMinute("i-1", 0, 10, 0)
	cloud := &fakeClient{now: func() time.Time { return now }, points: points, pageSize: 4}
	sink := &memorySink{}
	c := cpuCollector(t, cloud, known(minute(0)), nil)
	cloud.fail = func(call int) error {
		if call == 3 {
			return &Error{Kind: ErrThrottled}
		}
		return nil
	}
	if err := c.Collect(t.Context(), now, sink); !errors.Is(err, ErrThrottled) {
		t.Fatalf("error %v, want ErrThrottled", err)
	}
	if diff := cmp.Diff(wantAll(points[:8]), sink.delivered()); diff != "" {
		t.Errorf("after the failure: %s", diff)
	}
	if ups := sink.ups(); len(ups) > 0 {
		t.Errorf("up-samples %v for a window that was not fetched whole", ups)
	}
	if err := c.Collect(t.Context(), now, sink); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wantAll(points), sink.delivered()); diff != "" {
		t.Errorf("after the next poll: %s", diff)
	}
}

func TestCursorsStayWhenTheSinkRefuses(t *testing.T) {
	now := atMinute(10)
	points := everyMinute("i-1", 0, 10, 0)
	cloud := &fakeClient{now: func() time.Time { return now }, points: points}
	full := errors.New("disk full")
	sink := &memorySink{fail: func() error { return full }}
	c := cpuCollector(t, cloud, known(minute(0)), nil)
	if err := c.Collect(t.Context(), now, sink); !errors.Is(err, full) {
		t.Fatalf("error %v, want the sink's", err)
	}
	sink.fail = nil
	if err := c.Collect(t.Context(), now, sink); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wantAll(points), sink.delivered()); diff != "" {
		t.Errorf("samples: %s", diff)
	}
	if diff := cmp.Diff(count(0, 10), sink.ups()); diff != "" {
		t.Errorf("up-samples: %s", diff)
	}
}

func TestFillInThatIsInterruptedGoesOnAsFillIn(t *testing.T) {
	now := atMinute(180)
	points := everyMinute("i-1", 0, 180, 0)
	cloud := &fakeClient{now: func() time.Time { return now }, points: points}
	sink := &memorySink{}
	c := cpuCollector(t, cloud, nil, nil)
	cloud.fail = func(call int) error {
		if call == 2 {
			return &Error{Kind: ErrUnavailable}
		}
		return nil
	}
	if err := c.Collect(t.Context(), now, sink); !errors.Is(err, ErrUnavailable) {
		t.Fatalf("error %v", err)
	}
	if !sink.last().FillIn {
		t.Error("the failure ended the fill-in")
	}
	if err := c.Collect(t.Context(), now, sink); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wantAll(points), sink.delivered()); diff != "" {
		t.Errorf("samples: %s", diff)
	}
	if b := sink.last(); b.FillIn || len(b.Samples) > 0 || b.Watermark != sample.Current {
		t.Error("the fill-in is not ended by an empty batch that is current")
	}
}

func TestFirstContactThatFailsLeavesTheFillInOpen(t *testing.T) {
	now := atMinute(180)
	cloud := &fakeClient{now: func() time.Time { return now }, fail: func(int) error { return &Error{Kind: ErrAuth} }}
	sink := &memorySink{}
	c := cpuCollector(t, cloud, nil, nil)
	if err := c.Collect(t.Context(), now, sink); !errors.Is(err, ErrAuth) {
		t.Fatalf("error %v", err)
	}
	want := []sample.Batch{{Source: c.Source(), Ups: []sample.Up{{T: now.UnixMilli()}}, FillIn: true}}
	if diff := cmp.Diff(want, sink.batches); diff != "" {
		t.Error(diff)
	}
}

// The scheduler takes nothing after the time-out, so the collector stops itself
// in time to say that it failed.
func TestTimeoutIsDeclared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		sink := &memorySink{}
		c := cpuCollector(t, hanging{}, known(minute(0)), nil)
		if err := c.Collect(ctx, atMinute(10), sink); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("error %v, want the time-out", err)
		}
		if ctx.Err() != nil || len(sink.batches) != 1 || watermark(sink.last()) != "minute 0" {
			t.Errorf("batches %v after the time-out (context %v)", sink.batches, ctx.Err())
		}
	})
}

func TestStopIsNotAFailureOfTheSource(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	sink := &memorySink{}
	c := cpuCollector(t, hanging{}, known(minute(0)), nil)
	if err := c.Collect(ctx, atMinute(10), sink); !errors.Is(err, context.Canceled) || len(sink.batches) > 0 {
		t.Errorf("error %v, batches %v; want a silent stop", err, sink.batches)
	}
}

// hanging answers nothing.
type hanging struct{ Client }

func (hanging) MetricList(ctx context.Context, _ MetricQuery) (MetricPage, error) {
	<-ctx.Done()
	return MetricPage{}, ctx.Err()
}

func TestEmptyAnswerEndsNothing(t *testing.T) {
	now := atMinute(10)
	cloud := &fakeClient{now: func() time.Time { return now }, points: everyMinute("i-1", 0, 10, 0)}
	sink := &memorySink{}
	c := cpuCollector(t, cloud, known(minute(0)), nil)
	if err := c.Collect(t.Context(), now, sink); err != nil {
		t.Fatal(err)
	}
	cloud.points = nil
	for n := 15; n <= 120; n += 5 {
		now = atMinute(n)
		if err := c.Collect(t.Context(), now, sink); err != nil {
			t.Fatal(err)
		}
	}
	if ends := sink.ends(); len(ends) > 0 {
		t.Errorf("ended by empty answers: %v", ends)
	}
}

func TestPagingThatDoesNotEndIsAnError(t *testing.T) {
	now := atMinute(10)
	c := cpuCollector(t, endless{}, known(minute(0)), nil)
	if err := c.Collect(t.Context(), now, &memorySink{}); !errors.Is(err, ErrAnswer) {
		t.Errorf("error %v, want ErrAnswer", err)
	}
}

// endless always has another page.
type endless struct{ Client }

func (endless) MetricList(context.Context, MetricQuery) (MetricPage, error) {
	return MetricPage{Datapoints: "[]", NextToken: "more"}, nil
}

// Whatever is late, fails or is refused: at the end each point was acknowledged
// exactly once, and the up-samples are exactly the minutes of the windows.
func TestEveryPointOnceProperty(t *testing.T) {
	template := cpuCollector(t, nil, known(minute(0)), nil)
	property.Check(t, func(rt *rapid.T) {
		var now time.Time
		var points []fakePoint
		for _, instance := range []string{"i-1", "i-2", "i-3"} {
			for n := 1; n <= 60; n++ {
				if rapid.IntRange(0, 9).Draw(rt, "missing") == 0 {
					continue
				}
				late := time.Duration(rapid.IntRange(0, 15).Draw(rt, "late")) * time.Minute
				points = append(points, fakePoint{instance, minute(n), minute(n).Add(late), float64(n)})
			}
		}
		cloud := &fakeClient{now: func() time.Time { return now }, points: points, pageSize: rapid.IntRange(1, 50).Draw(rt, "page")}
		broken := &Error{Kind: ErrUnavailable}
		troubled := true
		cloud.fail = func(int) error {
			if troubled && rapid.IntRange(0, 7).Draw(rt, "fail") == 0 {
				return broken
			}
			return nil
		}
		sink := &memorySink{fail: func() error {
			if troubled && rapid.IntRange(0, 5).Draw(rt, "refuse") == 0 {
				return errors.New("refused")
			}
			return nil
		}}
		fresh := *template // building an account reads the whole catalogue
		fresh.client, fresh.series = cloud, map[string]*series{}
		c := &fresh
		for n := 3; n <= 60; n += rapid.IntRange(1, 5).Draw(rt, "interval") {
			now = atMinute(n)
			_ = c.Collect(t.Context(), now, sink)
		}
		troubled = false
		for n := 61; n <= 80; n += 5 {
			now = atMinute(n)
			if err := c.Collect(t.Context(), now, sink); err != nil {
				rt.Fatal(err)
			}
		}
		if diff := cmp.Diff(wantAll(points), sink.delivered()); diff != "" {
			rt.Errorf("samples: %s", diff)
		}
		if diff := cmp.Diff(count(0, 76), sink.ups()); diff != "" {
			rt.Errorf("up-samples: %s", diff)
		}
	})
}

func TestPeriodAndScaleOfTheCatalogueAreUsed(t *testing.T) {
	now := atMinute(10)
	cloud := &fakeClient{now: func() time.Time { return now }, points: []fakePoint{{"i-1", minute(5), minute(5), 3}}}
	a := testAccount(t, cloud, known(minute(0)), nil)
	c := a.metric(catalog.Metric{
		Product: "ecs", Namespace: "acs_x", Metric: "M", Name: "aliyun_x", Scale: 1024, Statistics: []string{"Sum", "Maximum"},
		Dimensions: map[string]string{"instanceId": "instance"}, MinPeriod: 60, Lane: catalog.Normal, Scope: catalog.Regional,
	}, "cn-hangzhou", cloud)
	sink := &memorySink{}
	if err := c.Collect(t.Context(), now, sink); err != nil {
		t.Fatal(err)
	}
	if q := cloud.queries[0]; q.Period != 300 || q.Namespace != "acs_x" || q.Metric != "M" || q.Length != MaxPoints {
		t.Errorf("query %+v", q)
	}
	if diff := cmp.Diff([]string{"i-1@5=4096"}, sink.delivered()); diff != "" {
		t.Error(diff)
	}
}
