package aliyun

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"pgregory.net/rapid"

	"watchkeeper/exporters/aliyun/catalog"
	"watchkeeper/internal/property"
	"watchkeeper/internal/sample"
)

func TestRatesAreEachAPIsOwn(t *testing.T) {
	cfg := AccountConfig{CallsPerSecond: 20, APICallsPerSecond: map[string]float64{"Cdn.DescribeDomainHttpCodeData": 1.5, "Cms.DescribeMetricTop": 12}}
	f := func(name string, want float64) {
		t.Helper()
		if got := cfg.rate(api(name)); got != want {
			t.Errorf("%s: %v calls per second, want %v", name, got, want)
		}
	}
	f("Cms.DescribeMetricList", 20) // documented: 50
	f("Cms.DescribeMetricData", 10)
	f("Cms.DescribeMetricTop", 12)             // by configuration
	f("Cms.DescribeSystemEventAttribute", 20)  // every other of CloudMonitor
	f("Actiontrail.LookupEvents", 2)           // documented
	f("Cdn.DescribeDomainHttpCodeData", 1.5)   // by configuration
	f("Rds.DescribeDBInstancePerformance", 20) // no figure
	f("BssOpenApi.QueryAccountBalance", 10)    // documented
	cfg.CallsPerSecond = 100
	f("Cms.DescribeSystemEventAttribute", 20)
	f("Cms.DescribeMetricList", 50)
}

func TestTheMonthIsTheProviders(t *testing.T) {
	// It begins at 16:00 UTC of the day before.
	var m monthCount
	start := time.Date(2026, 10, 31, 16, 0, 0, 0, time.UTC)
	m.add(start.Add(-time.Second), 7)
	if got := m.count(start.Add(-time.Second)); got != 7 {
		t.Errorf("count %d in October, want 7", got)
	}
	if got := m.count(start); got != 0 {
		t.Errorf("count %d before the first call of November", got)
	}
	m.add(start, 2)
	m.add(start.Add(29*24*time.Hour), 1)
	if got := m.count(start.Add(29 * 24 * time.Hour)); got != 3 {
		t.Errorf("count %d in November, want 3", got)
	}
	if got, want := monthEnd(start), start.Add(30*24*time.Hour); !got.Equal(want) {
		t.Errorf("November ends at %s, want %s", got, want)
	}
}

func TestContractRowsAreCutLast(t *testing.T) {
	// Calls per second: 1 of alarm rows, 5 of the fast lane (1 at the alarm interval), 4 others.
	d := Demand{alarm: 1, fast: 5, fastSlowed: 1, normal: 4}
	f := func(perSecond float64, want shares) {
		t.Helper()
		got := ration(d, perSecond)
		close := func(a, b float64) bool { return math.Abs(a-b) < 1e-12 }
		if got.level != want.level || !close(got.alarm, want.alarm) || !close(got.fast, want.fast) || !close(got.normal, want.normal) {
			t.Errorf("%v calls per second: %+v, want %+v", perSecond, got, want)
		}
	}
	f(10, shares{DegradeNone, 1, 1, 1})
	f(8, shares{DegradeExtras, 1, 1, 0.5})
	f(6, shares{DegradeExtras, 1, 1, 0})
	f(3.5, shares{DegradeFast, 1, 0.5, 0})
	f(2, shares{DegradeFast, 1, 0.2, 0}) // the fast lane at the alarm interval
	f(1, shares{DegradeAlarm, 0.5, 0.1, 0})
	f(0, shares{level: DegradeSpent})
	f(-3, shares{level: DegradeSpent})
}

// What is rationed never exceeds what is left, and no lane is cut while a less
// important one is not.
func TestRationNeverExceedsWhatIsLeft(t *testing.T) {
	property.Check(t, func(t *rapid.T) {
		rate := rapid.Float64Range(0, 100)
		d := Demand{alarm: rate.Draw(t, "alarm"), fast: rate.Draw(t, "fast"), normal: rate.Draw(t, "normal")}
		d.fastSlowed = d.fast * rapid.Float64Range(0.01, 1).Draw(t, "slowed")
		left := rapid.Float64Range(-10, 300).Draw(t, "left")
		s := ration(d, left)
		for lane, x := range map[string]float64{"alarm": s.alarm, "fast": s.fast, "normal": s.normal} {
			if !(x >= 0 && x <= 1+1e-9) {
				t.Fatalf("%s polls %v of its polls", lane, x)
			}
		}
		if spent := s.alarm*d.alarm + s.fast*d.fast + s.normal*d.normal; spent > max(left, 0)*(1+1e-9)+1e-9 {
			t.Fatalf("%v calls per second of %v", spent, left)
		}
		if s.normal > 0 && s.fast < 1 || s.fast > 0 && s.level < DegradeAlarm && s.alarm < 1 {
			t.Fatalf("cut in the wrong order: %+v", s)
		}
	})
}

func TestAMonthsPollsStayWithinTheQuota(t *testing.T) {
	for _, quota := range []int64{50_000, 20_000, 9_000, 3_000} {
		t.Run(fmt.Sprint(quota), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(time.Until(time.Date(2026, 10, 31, 16, 0, 0, 0, time.UTC)))
				b := NewBudgets(metrics.NewSet()).of("acme", AccountConfig{Name: "main", CallsPerSecond: 20, CallsPerMonth: quota})
				called := map[catalog.Lane]int{}
				var gates []*gate
				for i, lane := range []catalog.Lane{catalog.Alarm, catalog.Alarm, catalog.Normal, catalog.Normal, catalog.Normal} {
					g := newGate(b, sample.Source{Customer: "acme", Name: fmt.Sprint(i)}, lane, 5*time.Minute, 5*time.Minute)
					gates = append(gates, g)
				}
				polls := 0
				for end := monthEnd(time.Now()); time.Now().Before(end.Add(-time.Second)); time.Sleep(5 * time.Minute) {
					polls++
					for _, g := range gates {
						if g.admit(time.Now()) != "" {
							continue
						}
						called[g.poller.lane]++
						b.mu.Lock()
						b.month.add(time.Now(), 1)
						b.mu.Unlock()
					}
				}
				all := called[catalog.Alarm] + called[catalog.Normal]
				if int64(all) > quota {
					t.Errorf("%d calls of %d", all, quota)
				}
				if wanted := 5 * polls; int64(wanted) > quota && float64(all) < 0.97*float64(quota) {
					t.Errorf("only %d calls of %d, though %d were wanted", all, quota, wanted)
				}
				if int64(2*polls) < quota && called[catalog.Alarm] != 2*polls {
					t.Errorf("contract rows were polled %d times of %d, though the quota has room for them", called[catalog.Alarm], 2*polls)
				}
			})
		})
	}
}

func TestARefusalRestsTheMonthsCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := &scripted{errs: []error{&Error{Kind: ErrQuota}}}
		c := newCaller(client, 20)
		g := newGate(c.budget, sample.Source{Customer: "acme", Name: "a"}, catalog.Alarm, time.Minute, time.Minute)
		if skipped := g.admit(time.Now()); skipped != "" {
			t.Fatalf("skipped: %s", skipped)
		}
		if _, err := c.MetricList(t.Context(), MetricQuery{}); !errors.Is(err, ErrQuota) {
			t.Fatal(err)
		}
		if skipped := g.admit(time.Now()); skipped != skipRefused {
			t.Errorf("skipped %q after the refusal, want %q", skipped, skipRefused)
		}
		if s := c.budget.state(time.Now()); s.level != DegradeSpent {
			t.Errorf("level %s", s.level)
		}
		time.Sleep(refusedPause)
		if skipped := g.admit(time.Now()); skipped != "" {
			t.Errorf("still skipped after the pause: %s", skipped)
		}
	})
}

func TestCallsOfTheMonthSurviveARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "aliyun", "calls.json")
		cfg := AccountConfig{Name: "main", CallsPerSecond: 20, CallsPerMonth: 100}
		open := func() (*Budgets, *budget) {
			b := NewBudgets(metrics.NewSet())
			of := b.of("acme", cfg) // before Open, as the program does
			b.Open(file, slog.New(slog.DiscardHandler))
			return b, of
		}
		call := func(b *budget, n int) {
			for range n {
				if err := b.wait(t.Context(), apiMetricList); err != nil {
					t.Fatal(err)
				}
			}
			if err := b.wait(t.Context(), apiInstances); err != nil { // does not count
				t.Fatal(err)
			}
		}
		first, b := open()
		call(b, 3)
		if err := first.Save(); err != nil {
			t.Fatal(err)
		}
		call(b, 2) // lost by a crash
		second, b := open()
		call(b, 4)
		if got := b.state(time.Now()).calls; got != 7 {
			t.Errorf("%d calls after the restart, want 7", got)
		}
		other := second.of("acme", AccountConfig{Name: "other", CallsPerSecond: 20, CallsPerMonth: 100})
		call(other, 1)
		if err := second.Save(); err != nil {
			t.Fatal(err)
		}
		// A configuration without the account does not lose its count.
		third := NewBudgets(metrics.NewSet())
		third.Open(file, slog.New(slog.DiscardHandler))
		call(third.of("acme", AccountConfig{Name: "other", CallsPerSecond: 20, CallsPerMonth: 100}), 1)
		if err := third.Save(); err != nil {
			t.Fatal(err)
		}
		_, b = open()
		if got := b.state(time.Now()).calls; got != 7 {
			t.Errorf("%d calls, want 7", got)
		}
		time.Sleep(time.Until(monthEnd(time.Now())))
		if got := b.state(time.Now()).calls; got != 0 {
			t.Errorf("%d calls in the next month", got)
		}
	})
}

func TestABrokenStateFileIsReplaced(t *testing.T) {
	file := filepath.Join(t.TempDir(), "calls.json")
	if err := os.WriteFile(file, []byte(`{"accounts":[`), 0o600); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	b := NewBudgets(metrics.NewSet())
	b.Open(file, slog.New(slog.NewTextHandler(&log, nil)))
	if !strings.Contains(log.String(), "counted from 0") {
		t.Errorf("log: %s", &log)
	}
	if err := b.of("acme", AccountConfig{Name: "main", CallsPerSecond: 20, CallsPerMonth: 9}).wait(t.Context(), apiMetricList); err != nil {
		t.Fatal(err)
	}
	if err := b.Save(); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(file); err != nil || !strings.Contains(string(text), `"calls":1`) {
		t.Errorf("%s, %v", text, err)
	}
}

// A skipped poll loses nothing: the next one reads on from where the last ended,
// and what was not looked at stays open meanwhile.
func TestASkippedPollIsReadLater(t *testing.T) {
	now := atMinute(0)
	var points []fakePoint
	for n := 1; n < 20; n++ {
		points = append(points, fakePoint{"i-1", minute(n), minute(n), float64(n)})
	}
	cloud := &fakeClient{now: func() time.Time { return now }, points: points}
	sink := &memorySink{}
	c := cpuCollector(t, cloud, known(minute(0)), nil)
	poll := func(n int) {
		t.Helper()
		now = atMinute(n)
		if err := c.Collect(t.Context(), now, sink); err != nil {
			t.Fatal(err)
		}
	}
	poll(5)
	c.gate.budget.refused()
	calls := cloud.calls
	poll(10)
	if cloud.calls != calls {
		t.Errorf("%d calls while skipping", cloud.calls-calls)
	}
	if last := sink.last(); last.Watermark != minute(5).UnixMilli() || len(last.Ups) != 0 {
		t.Errorf("after a skipped poll: watermark %d, ups %v", last.Watermark, last.Ups)
	}
	c.gate.budget.refusedTo = time.Time{}
	poll(15)
	if got := len(sink.delivered()); got != 15 {
		t.Errorf("%d points: %v", got, sink.delivered())
	}
	if got := sink.ups(); len(got) != 15 || got[14] != 15 {
		t.Errorf("looked at %v", got)
	}
}
