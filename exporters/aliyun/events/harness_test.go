package events_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/prometheus/common/model"

	"watchkeeper/exporters"
	"watchkeeper/exporters/aliyun"
	"watchkeeper/exporters/aliyun/events"
	"watchkeeper/exporters/aliyun/sdk"
	"watchkeeper/internal/sample"
	sim "watchkeeper/internal/sim/aliyun"
)

const (
	keyID  = "LTAItestkeyid"
	secret = "s3cr3t+/=value"
	region = "cn-hangzhou"
)

// noon in China.
var noon = time.Date(2026, 11, 21, 4, 0, 0, 0, time.UTC)

// cloud is a simulator on loopback with a clock that the test turns.
type cloud struct {
	*sim.Server
	t       *testing.T
	address string

	mu  sync.Mutex
	now time.Time // guarded by mu
}

func (c *cloud) clock() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *cloud) set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = t
}

func newCloud(t *testing.T) *cloud {
	t.Helper()
	c := &cloud{t: t, now: noon}
	server, err := sim.New(sim.Config{
		Seed: 7, Keys: []sim.Key{{ID: keyID, Secret: secret}}, ECSInstances: 12, Products: map[string]int{"acs_rds_dashboard": 6}, Now: c.clock,
		// Flow control runs on the account's clock, which stands still during a poll.
		RateLimits: map[string]float64{"Cms": -1, "Ecs": -1, "Rds": -1, "Sas": -1, "Actiontrail": -1, "Actiontrail.LookupEvents": -1},
	})
	if err != nil {
		t.Fatal(err)
	}
	c.Server = server
	listener := httptest.NewServer(server)
	t.Cleanup(listener.Close)
	c.address = listener.Listener.Addr().String()
	return c
}

func (c *cloud) inject(f sim.Fault) {
	c.t.Helper()
	if err := c.Inject(f); err != nil {
		c.t.Fatal(err)
	}
}

// collector is a fresh one, as after a restart; what it needs of earlier runs it
// takes from sink.
func (c *cloud) collector(source string, sink *store) exporters.Collector {
	c.t.Helper()
	cfg := aliyun.AccountConfig{
		Name: "main", Regions: []string{region}, AccessKeyID: keyID, AccessKeySecret: aliyun.NewSecret(secret), Scheme: "http", Endpoint: c.address,
		CallsPerSecond: 100, APICallsPerSecond: map[string]float64{"Actiontrail.LookupEvents": 100, "Cms.DescribeSystemEventAttribute": 100}, CallTimeout: model.Duration(5 * time.Second), Events: aliyun.EventsConfig{Read: []string{source}, MaxChangeSeries: 6},
	}
	set := metrics.NewSet()
	accounts, err := aliyun.New(aliyun.Config{Accounts: []aliyun.AccountConfig{cfg}}, "acme", aliyun.Deps{
		NewClient: sdk.New, Budgets: aliyun.NewBudgets(set), Resume: sink.resume, Metrics: set, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		c.t.Fatal(err)
	}
	jobs := events.Jobs(accounts[0])
	if len(jobs) != 1 {
		c.t.Fatalf("%d jobs", len(jobs))
	}
	return jobs[0].Collector
}

// store keeps samples as the store does: a second value for a series and time is
// a mistake, the same value again is none.
type store struct {
	t       *testing.T
	samples map[string]float64 // by series and time
	ends    map[string]string  // reason by series
	up      time.Time
}

func newStore(t *testing.T) *store {
	return &store{t: t, samples: map[string]float64{}, ends: map[string]string{}}
}

func (s *store) Append(ctx context.Context, b sample.Batch) error {
	for _, x := range b.Samples {
		key := line(x.Labels.Map(), time.UnixMilli(x.T))
		if old, ok := s.samples[key]; ok && old != x.V {
			s.t.Errorf("%s: %v after %v", key, x.V, old)
		}
		s.samples[key] = x.V
	}
	for _, e := range b.Ends {
		key := line(e.Labels.Map(), time.Time{})
		if _, twice := s.ends[key]; twice {
			s.t.Errorf("%s ends twice", key)
		}
		s.ends[key] = e.Reason
	}
	for _, u := range b.Ups {
		if u.OK {
			s.up = time.UnixMilli(u.T).UTC()
		}
	}
	return ctx.Err()
}

func (s *store) resume(context.Context, sample.Source) (time.Time, bool, error) {
	return s.up, !s.up.IsZero(), nil
}

// line is a series, without the labels that all share, and a time.
func line(ls map[string]string, at time.Time) string {
	name := ls["__name__"]
	var dims []string
	for k, v := range ls {
		if !slices.Contains([]string{"__name__", "customer", "region", "account"}, k) {
			dims = append(dims, k+"="+v)
		}
	}
	slices.Sort(dims)
	out := name + "{" + strings.Join(dims, " ") + "}"
	if !at.IsZero() {
		out += " " + at.UTC().Format("02 15:04:05")
	}
	return out
}

// at lists what was delivered for a time, "series value" sorted.
func (s *store) at(t time.Time, prefixes ...string) []string {
	var out []string
	for key, v := range s.samples {
		series, ok := strings.CutSuffix(key, t.UTC().Format(" 02 15:04:05"))
		if ok && (len(prefixes) == 0 || slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(series, p) })) {
			out = append(out, fmt.Sprintf("%s %v", series, v))
		}
	}
	slices.Sort(out)
	return out
}

// collect turns the clock to a check and runs it.
func (c *cloud) collect(collector exporters.Collector, at time.Time, sink *store) {
	c.t.Helper()
	c.set(at)
	if err := collector.Collect(c.t.Context(), at, sink); err != nil {
		c.t.Fatalf("at %s: %v", at, err)
	}
}
