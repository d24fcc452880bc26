package plan_test

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"

	"watchkeeper/exporters"
	"watchkeeper/exporters/aliyun"
	"watchkeeper/exporters/aliyun/catalog"
	"watchkeeper/exporters/aliyun/cdn"
	"watchkeeper/exporters/aliyun/performance"
	"watchkeeper/exporters/aliyun/plan"
	"watchkeeper/exporters/aliyun/sdk"
	"watchkeeper/internal/sample"
	sim "watchkeeper/internal/sim/aliyun"
)

var noon = time.Date(2026, 11, 21, 4, 0, 0, 0, time.UTC)

// clock is the simulated account's.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) get() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = t
}

// everything is a simulated account with all products; nothing is late or lost.
func everything(t *testing.T, c *clock) (*sim.Server, string) {
	t.Helper()
	unlimited := map[string]float64{}
	for api := range sim.DefaultRateLimits() {
		unlimited[api] = -1 // its clock stands
	}
	server, err := sim.New(sim.Config{
		Seed: 3, Keys: []sim.Key{{ID: "testid", Secret: "testsecret"}}, Regions: []string{"cn-hangzhou", "cn-beijing"}, Now: c.get,
		ECSInstances: 170, RateLimits: unlimited, PointDelay: &sim.Delay{},
		Products: map[string]int{
			"acs_rds_dashboard": 14, "acs_slb_dashboard": 40, "acs_kvstore": 12, "acs_mongodb": 9, "acs_drds": 4, "acs_cdn": 5, "acs_elasticsearch": 6,
			"acs_oss_dashboard": 4, "acs_vpc_eip": 4, "acs_alb": 2, "acs_memcache": 2,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	l := httptest.NewServer(server)
	t.Cleanup(l.Close)
	return server, l.Listener.Addr().String()
}

func accounts(t *testing.T, address string, products []string) []*aliyun.Account {
	t.Helper()
	set := metrics.NewSet()
	fast := map[string]float64{
		"Cms.DescribeMetricList": 1000, "Rds.DescribeDBInstancePerformance": 1000, "Rds.DescribeSlowLogRecords": 1000,
		"Cdn.DescribeDomainHttpCodeData": 1000, "Cdn.DescribeDomainSrcHttpCodeData": 1000,
	}
	as, err := aliyun.New(aliyun.Config{Accounts: []aliyun.AccountConfig{{
		Name: "main", Regions: []string{"cn-hangzhou", "cn-beijing"}, Products: products, AccessKeyID: "testid", AccessKeySecret: aliyun.NewSecret("testsecret"),
		Scheme: "http", Endpoint: address, APICallsPerSecond: fast, CallTimeout: model.Duration(30 * time.Second),
	}}}, "acme", aliyun.Deps{
		NewClient: sdk.New, Budgets: aliyun.NewBudgets(set), Metrics: set, Log: slog.New(slog.DiscardHandler),
		Resume: func(context.Context, sample.Source) (time.Time, bool, error) { return noon, true, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return as
}

type nowhere struct{}

func (nowhere) Append(context.Context, sample.Batch) error { return nil }

// A collection round makes exactly the calls that the plan says, by API.
func TestARoundMakesThePlannedCalls(t *testing.T) {
	known, err := catalog.Load()
	if err != nil {
		t.Fatal(err)
	}
	c := &clock{now: noon.Add(17 * time.Second)}
	server, address := everything(t, c)
	as := accounts(t, address, known.Products())
	sizes, err := plan.Live(t.Context(), as, c.get())
	if err != nil {
		t.Fatal(err)
	}
	p, err := plan.New(as, sizes)
	if err != nil {
		t.Fatal(err)
	}
	planned, pages := map[string]int{}, 0
	found := map[string]bool{}
	for _, r := range p.Rows {
		found[r.Product] = found[r.Product] || r.Series > 0
		planned[r.API] += r.Calls
		if r.Metric != "" {
			pages = max(pages, r.Calls)
		}
	}
	if pages < 3 {
		t.Fatalf("no metric needs more than %d pages: the account is too small to show that pages are planned", pages)
	}
	for _, product := range known.Products() {
		if !found[product] {
			t.Errorf("%s: no point of any metric", product)
		}
	}
	jobs := as[0].Jobs()
	counters, err := performance.Jobs(as[0])
	if err != nil {
		t.Fatal(err)
	}
	jobs = append(append(jobs, counters...), cdn.Jobs(as[0])...)
	round := func(at time.Time) {
		t.Helper()
		c.set(at)
		for _, j := range jobs {
			if err := j.Collector.Collect(t.Context(), at, exporters.Sink(nowhere{})); err != nil {
				t.Fatalf("%s: %v", j.Collector.Source().Name, err)
			}
		}
	}
	for _, n := range []int{2, 4} { // the delayed ones must have something to read
		round(noon.Add(time.Duration(5*n)*time.Minute + 17*time.Second))
	}
	before := server.Calls()
	round(noon.Add(25*time.Minute + 17*time.Second))
	made := map[string]int{}
	for api, n := range server.Calls() {
		if n > before[api] {
			made[api] = n - before[api]
		}
	}
	if d := cmp.Diff(planned, made); d != "" {
		t.Error(d)
	}
}

func TestPlanOfGivenSizes(t *testing.T) {
	as := accounts(t, "127.0.0.1:1", []string{"ecs", "rds", "cdn"})
	given, err := plan.ParseSizes([]string{"ecs=2000", "rds=250", "cdn=3", "metric:diskusage_utilization=5000"}, []string{"ecs", "rds", "cdn"})
	if err != nil {
		t.Fatal(err)
	}
	p, err := plan.New(as, func(_, region string) plan.Sizes {
		if region == "cn-hangzhou" {
			return given
		}
		return plan.Sizes{}
	})
	if err != nil {
		t.Fatal(err)
	}
	find := func(region, what string) plan.Row {
		i := slices.IndexFunc(p.Rows, func(r plan.Row) bool {
			return r.Region == region && (r.Metric == what || r.Metric == "" && r.API == what)
		})
		if i < 0 {
			t.Fatalf("no row %s in %s", what, region)
		}
		return p.Rows[i]
	}
	f := func(region, what string, calls int, month int64) {
		t.Helper()
		if r := find(region, what); r.Calls != calls || r.MonthCalls != month {
			t.Errorf("%s in %s: %d calls a round, %d a month; want %d and %d", what, region, r.Calls, r.MonthCalls, calls, month)
		}
	}
	// 25 minutes of points: 5 new ones and 20 minutes of overlap.
	f("cn-hangzhou", "CPUUtilization", 35, 35*8640)        // 50,000 points
	f("cn-hangzhou", "diskusage_utilization", 87, 87*8640) // 125,000 points
	f("cn-beijing", "CPUUtilization", 1, 8640)             // an empty page is a call
	f("cn-hangzhou", "Rds.DescribeDBInstancePerformance", 250, 250*8640)
	f("cn-hangzhou", "Rds.DescribeDBInstances", 6, 6*8640) // three pages, listed twice
	f("global", "Cdn.DescribeDomainHttpCodeData", 3, 3*8640)
	f("global", "hitRate", 1, 8640)
	if !p.Over() || p.Totals[0].Cut == "none" {
		t.Errorf("2,000 instances fit into the free quota: %+v", p.Totals[0])
	}
	var counted int64
	for _, r := range p.Rows {
		if r.Counts {
			counted += r.MonthCalls
		}
	}
	if counted != p.Totals[0].CountedCalls {
		t.Errorf("total %d, rows %d", p.Totals[0].CountedCalls, counted)
	}
}

func TestParseSizes(t *testing.T) {
	for text, says := range map[string]string{"ecs": "PRODUCT=NUMBER", "ecs=many": "PRODUCT=NUMBER", "ecs=-1": "PRODUCT=NUMBER", "ecs=1x": "PRODUCT=NUMBER", "wine=3": "wine"} {
		if _, err := plan.ParseSizes([]string{text}, []string{"ecs"}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", text, err)
		}
	}
	s, err := plan.ParseSizes([]string{"rds=3", "rds-postgresql=1"}, []string{"rds"})
	if err != nil || s.Resources["rds"] != 3 || s.Resources["rds-postgresql"] != 1 {
		t.Errorf("%+v, %v", s, err)
	}
}
