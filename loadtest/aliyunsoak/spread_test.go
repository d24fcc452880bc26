//go:build unix

package aliyunsoak

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"watchkeeper/exporters"
	"watchkeeper/exporters/aliyun"
	"watchkeeper/exporters/aliyun/sdk"
	"watchkeeper/internal/app"
	"watchkeeper/internal/sample"
	sim "watchkeeper/internal/sim/aliyun"
	"watchkeeper/internal/table"
)

const (
	spreadAccounts = 50
	spreadFrom     = 5 * time.Minute  // what is read at the start is over
	spreadFor      = 10 * time.Minute // two intervals
)

// Fifty accounts in one process do not call all at once: their calls spread over
// the interval.
func TestFiftyAccountsSpreadTheirCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := day.start
		time.Sleep(time.Until(start))
		log := slog.New(slog.DiscardHandler)
		set := metrics.NewSet()
		budgets := aliyun.NewBudgets(set)
		scheduler := exporters.NewScheduler(nowhere{}, set, log)
		var mu sync.Mutex
		perSecond := make([]int, int((spreadFrom+spreadFor)/time.Second))
		var jobs []exporters.Job
		for n := range spreadAccounts {
			c := newCloud(t, sim.Config{
				Seed: uint64(n), Keys: []sim.Key{{ID: "LTAIsoak", Secret: secret}}, ECSInstances: 3, Products: map[string]int{"acs_slb_dashboard": 1}, RequestLog: -1,
			})
			c.arrived = func(now time.Time) {
				mu.Lock()
				defer mu.Unlock()
				if at := int(now.Sub(start) / time.Second); at < len(perSecond) {
					perSecond[at]++
				}
			}
			cfg := aliyun.AccountConfig{
				Name: "main", Regions: []string{"cn-hangzhou"}, Products: []string{"ecs", "slb"}, Scheme: "http",
				AccessKeyID: "LTAIsoak", AccessKeySecret: aliyun.NewSecret(secret),
			}
			accounts, err := aliyun.New(aliyun.Config{Accounts: []aliyun.AccountConfig{cfg}}, "customer-"+strconv.Itoa(n), aliyun.Deps{
				NewClient: func(cc aliyun.ClientConfig) (aliyun.Client, error) {
					cc.Dial = c.network.Dial
					return sdk.New(cc)
				},
				Budgets: budgets, Metrics: set, Log: log,
				Resume: func(context.Context, sample.Source) (time.Time, bool, error) { return start, true, nil },
			})
			if err != nil {
				t.Fatal(err)
			}
			js, err := app.AccountJobs(accounts[0], nil)
			if err != nil {
				t.Fatal(err)
			}
			jobs = append(jobs, js...)
		}
		if err := scheduler.Apply(jobs); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- scheduler.Run(ctx) }()
		time.Sleep(spreadFrom + spreadFor)
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("scheduler: %v", err)
		}
		set.UnregisterAllMetrics()
		mu.Lock()
		defer mu.Unlock()
		spread(t, len(jobs), perSecond[int(spreadFrom/time.Second):])
	})
}

// spread prints and judges how many calls fell into each second.
func spread(t *testing.T, jobs int, perSecond []int) {
	t.Helper()
	sorted := slices.Sorted(slices.Values(perSecond))
	calls, most10 := 0, 0
	for i, n := range perSecond {
		calls += n
		ten := 0
		for _, n := range perSecond[i:min(i+10, len(perSecond))] {
			ten += n
		}
		most10 = max(most10, ten)
	}
	mean := float64(calls) / float64(len(perSecond))
	quantile := func(q float64) int { return sorted[int(q*float64(len(sorted)-1))] }
	f := func(v float64) string { return fmt.Sprintf("%.1f", v) }
	table.Write(os.Stdout, []string{"accounts", "jobs", "calls/s, mean", "median", "p99", "most", "most / mean", "most in 10 s / mean"}, [][]string{{
		strconv.Itoa(spreadAccounts), strconv.Itoa(jobs), f(mean), strconv.Itoa(quantile(0.5)), strconv.Itoa(quantile(0.99)), strconv.Itoa(sorted[len(sorted)-1]),
		f(float64(sorted[len(sorted)-1]) / mean), f(float64(most10) / 10 / mean),
	}})
	// Checks stay clear of an eighth of the interval at both of its ends, so a third
	// more than the mean is the best that there can be; beyond it, what independent
	// phases come to by chance.
	even := mean * 4 / 3
	for _, x := range []struct {
		within string
		most   int
		even   float64
	}{{"a second", sorted[len(sorted)-1], even}, {"ten seconds", most10, 10 * even}} {
		if float64(x.most) > x.even+4.5*math.Sqrt(x.even) {
			t.Errorf("%d calls within %s, %.1f would be even", x.most, x.within, x.even)
		}
	}
}

type nowhere struct{}

func (nowhere) Append(context.Context, sample.Batch) error { return nil }
