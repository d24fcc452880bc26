// Package aliyuntest gives tests of collectors a simulated Alibaba Cloud account on
// loopback, whose clock the test turns, and accounts that read it through the SDK.
package aliyuntest

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/prometheus/common/model"

	"watchkeeper/exporters"
	"watchkeeper/exporters/aliyun"
	"watchkeeper/exporters/aliyun/sdk"
	"watchkeeper/internal/sample"
	sim "watchkeeper/internal/sim/aliyun"
)

// The key that the simulated account knows, and its region.
const (
	KeyID  = "LTAItestkeyid"
	Secret = "s3cr3t+/=value"
	Region = "cn-hangzhou"
)

// Noon in China is the account's time when a test begins; a clock of another zone
// shows another day.
var Noon = time.Date(2026, 11, 21, 4, 0, 0, 0, time.UTC)

// Cloud is a simulated account. Its clock stands until the test sets it.
type Cloud struct {
	*sim.Server
	Address string // host:port

	mu  sync.Mutex
	now time.Time // guarded by mu
}

// New starts an empty account without flow control, which would run on the standing
// clock; change adapts it.
func New(t testing.TB, change func(*sim.Config)) *Cloud {
	t.Helper()
	c := &Cloud{now: Noon}
	cfg := sim.Config{Seed: 7, Keys: []sim.Key{{ID: KeyID, Secret: Secret}}, Regions: []string{Region}, Now: c.Now, RateLimits: map[string]float64{}}
	for api := range sim.DefaultRateLimits() {
		cfg.RateLimits[api] = -1
	}
	if change != nil {
		change(&cfg)
	}
	var err error
	if c.Server, err = sim.New(cfg); err != nil {
		t.Fatal(err)
	}
	listener := httptest.NewServer(c.Server)
	t.Cleanup(listener.Close)
	c.Address = listener.Listener.Addr().String()
	return c
}

// Now is the account's time.
func (c *Cloud) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Set turns the account's clock.
func (c *Cloud) Set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = t
}

// Hit injects faults.
func (c *Cloud) Hit(t testing.TB, faults ...sim.Fault) {
	t.Helper()
	for _, f := range faults {
		if err := c.Inject(f); err != nil {
			t.Fatal(err)
		}
	}
}

// Options of an account; zero fields are as in a test that needs nothing special.
type Options struct {
	Resume aliyun.ResumeFunc           // nil: first contacts
	Config func(*aliyun.AccountConfig) // changes the configuration
	Over   func(aliyun.Client) aliyun.Client
	Log    *slog.Logger // nil: nothing is told
}

// Account reads the region of the account at an address through the SDK.
func Account(t testing.TB, address string, o Options) *aliyun.Account {
	t.Helper()
	cfg := aliyun.AccountConfig{
		Name: "main", Regions: []string{Region}, AccessKeyID: KeyID, AccessKeySecret: aliyun.NewSecret(Secret), Scheme: "http", Endpoint: address,
		CallsPerSecond: 100, APICallsPerSecond: quick(), CallTimeout: model.Duration(5 * time.Second),
	}
	if o.Config != nil {
		o.Config(&cfg)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	set := metrics.NewSet()
	accounts, err := aliyun.New(aliyun.Config{Accounts: []aliyun.AccountConfig{cfg}}, "acme", aliyun.Deps{
		NewClient: func(cc aliyun.ClientConfig) (aliyun.Client, error) {
			client, err := sdk.New(cc)
			if o.Over != nil {
				client = o.Over(client)
			}
			return client, err
		},
		Budgets: aliyun.NewBudgets(set), Resume: o.Resume, Metrics: set, Log: o.Log,
	})
	if err != nil {
		t.Fatal(err)
	}
	return accounts[0]
}

// quick are rates that no test waits for.
func quick() map[string]float64 {
	rates := map[string]float64{
		"Rds.DescribeDBInstances": 1000, "Rds.DescribeDBInstancePerformance": 1000, "Rds.DescribeSlowLogRecords": 1000,
		"Cdn.DescribeDomainHttpCodeData": 1000, "Cdn.DescribeDomainSrcHttpCodeData": 1000, "Cms.DescribeSystemEventAttribute": 1000,
	}
	for api := range sim.DefaultRateLimits() {
		if strings.Contains(api, ".") {
			rates[api] = 1000
		}
	}
	return rates
}

// Collector is that of the jobs whose source ends with name.
func Collector(t testing.TB, jobs []exporters.Job, name string) exporters.Collector {
	t.Helper()
	for _, j := range jobs {
		if strings.HasSuffix(j.Collector.Source().Name, name) {
			return j.Collector
		}
	}
	t.Fatalf("no source ends with %s", name)
	return nil
}

// ResumeAt makes every source one that was read to a time in an earlier run.
func ResumeAt(at time.Time) aliyun.ResumeFunc {
	return func(context.Context, sample.Source) (time.Time, bool, error) { return at, true, nil }
}

// Sink keeps what is delivered.
type Sink struct {
	mu      sync.Mutex
	batches []sample.Batch // guarded by mu
}

var _ exporters.Sink = (*Sink)(nil)

// Append implements exporters.Sink.
func (s *Sink) Append(ctx context.Context, b sample.Batch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.batches = append(s.batches, b)
	return ctx.Err()
}

// Batches are those that were delivered so far.
func (s *Sink) Batches() []sample.Batch {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.batches[:len(s.batches):len(s.batches)]
}

// Samples are all that were delivered under a metric name, in the order of delivery;
// one that came twice is there twice.
func (s *Sink) Samples(metric string) []sample.Sample {
	var out []sample.Sample
	for _, b := range s.Batches() {
		for _, x := range b.Samples {
			if x.Labels.Get(model.MetricNameLabel) == metric {
				out = append(out, x)
			}
		}
	}
	return out
}
