package plan_test

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/http/httptest"
	"slices"
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
	"watchkeeper/exporters/aliyun/cost"
	"watchkeeper/exporters/aliyun/events"
	"watchkeeper/exporters/aliyun/inventory"
	"watchkeeper/exporters/aliyun/performance"
	"watchkeeper/exporters/aliyun/plan"
	"watchkeeper/exporters/aliyun/sdk"
	"watchkeeper/internal/sample"
	sim "watchkeeper/internal/sim/aliyun"
)

// evening is two hours before a day ends in China.
var evening = time.Date(2026, 11, 21, 14, 0, 0, 0, time.UTC)

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

// cloud is a simulated account in which nothing is late or lost.
func cloud(t *testing.T, c *clock, regions []string, ecs int, products map[string]int) (*sim.Server, string) {
	t.Helper()
	unlimited := map[string]float64{}
	for api := range sim.DefaultRateLimits() {
		unlimited[api] = -1 // its clock stands
	}
	server, err := sim.New(sim.Config{
		Seed: 3, Keys: []sim.Key{
			{ID: "testid", Secret: "testsecret"}, {ID: "metrics", Secret: "testsecret", Permissions: []string{"cms:QueryMetricList"}},
		}, Regions: regions, Now: c.get,
		ECSInstances: ecs, RateLimits: unlimited, QuotaPerMonth: -1, PointDelay: &sim.Delay{}, Products: products,
	})
	if err != nil {
		t.Fatal(err)
	}
	l := httptest.NewServer(server)
	t.Cleanup(l.Close)
	return server, l.Listener.Addr().String()
}

func accounts(t *testing.T, address string, cfg aliyun.AccountConfig) []*aliyun.Account {
	t.Helper()
	cfg.Name, cfg.AccessKeySecret = "main", aliyun.NewSecret("testsecret")
	if cfg.AccessKeyID == "" {
		cfg.AccessKeyID = "testid"
	}
	cfg.Scheme, cfg.Endpoint, cfg.CallTimeout = "http", address, model.Duration(30*time.Second)
	cfg.CallsPerSecond, cfg.APICallsPerSecond = 100, map[string]float64{}
	for _, api := range []string{ // that no test waits for
		"Cms.DescribeMetricList", "Cms.DescribeMetricLast", "Cms.DescribeSystemEventAttribute", "Actiontrail.LookupEvents",
		"Sas.DescribeSuspEvents", "Sas.DescribeVulList", "BssOpenApi.QueryAccountBalance", "BssOpenApi.DescribeInstanceBill",
		"Rds.DescribeDBInstancePerformance", "Rds.DescribeSlowLogRecords", "Rds.DescribeDBInstances", "Rds.DescribeBackups",
		"Rds.DescribeDBInstanceAttribute", "Slb.DescribeLoadBalancerAttribute", "Cdn.DescribeDomainHttpCodeData",
		"Cdn.DescribeDomainSrcHttpCodeData", "Cdn.DescribeUserDomains", "Ecs.DescribeDisks", "Ecs.DescribeSnapshots",
	} {
		cfg.APICallsPerSecond[api] = 1000
	}
	set := metrics.NewSet()
	as, err := aliyun.New(aliyun.Config{Accounts: []aliyun.AccountConfig{cfg}}, "acme", aliyun.Deps{
		NewClient: sdk.New, Budgets: aliyun.NewBudgets(set), Metrics: set, Log: slog.New(slog.DiscardHandler),
		Resume: func(context.Context, sample.Source) (time.Time, bool, error) { return evening, true, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return as
}

type nowhere struct{}

func (nowhere) Append(context.Context, sample.Batch) error { return nil }

// jobs are all collectors of an account.
func jobs(t *testing.T, a *aliyun.Account) []exporters.Job {
	t.Helper()
	counters, err := performance.Jobs(a)
	if err != nil {
		t.Fatal(err)
	}
	lists, err := inventory.Jobs(a, nil)
	if err != nil {
		t.Fatal(err)
	}
	return slices.Concat(a.Jobs(), counters, cdn.Jobs(a), lists, events.Jobs(a), cost.Jobs(a))
}

// due is one collection.
type due struct {
	at  time.Time
	job exporters.Job
}

// follow runs all collectors as a scheduler would, each at its own times, and
// returns the calls of (from, to] by API; what they do before is not counted.
func follow(t *testing.T, c *clock, server *sim.Server, a *aliyun.Account, from, to time.Time) map[string]int {
	t.Helper()
	late := time.Duration(a.Config().LateInterval)
	var todo []due
	spread := rand.New(rand.NewPCG(1, 2))
	for _, j := range jobs(t, a) {
		phase := time.Duration(spread.Int64N(int64(j.Interval))).Truncate(time.Second)
		// The first round looks further back, and asks for details; the first whole
		// look for late points comes soon after it.
		first := from.Truncate(j.Interval).Add(phase - 2*j.Interval - late.Truncate(j.Interval))
		for at := first; !at.After(to); at = at.Add(j.Interval) {
			todo = append(todo, due{at, j})
		}
	}
	slices.SortStableFunc(todo, func(a, b due) int { return a.at.Compare(b.at) })
	var before map[string]int
	for _, d := range todo {
		if before == nil && d.at.After(from) {
			before = server.Calls()
		}
		c.set(d.at)
		if err := d.job.Collector.Collect(t.Context(), d.at, nowhere{}); err != nil {
			t.Fatalf("%s: %v", d.job.Collector.Source().Name, err)
		}
	}
	made := map[string]int{}
	for api, n := range server.Calls() {
		if n > before[api] {
			made[api] = n - before[api]
		}
	}
	return made
}

// planned are the calls of a stretch of time by API, as a plan of the account as
// it is has them. What comes once a day comes once in the stretch.
func planned(t *testing.T, as []*aliyun.Account, now time.Time, span time.Duration) (map[string]int, plan.Plan) {
	t.Helper()
	sizes, err := plan.Live(t.Context(), as, now)
	if err != nil {
		t.Fatal(err)
	}
	p, err := plan.New(as, sizes)
	if err != nil {
		t.Fatal(err)
	}
	calls := map[string]float64{}
	for _, r := range p.Rows {
		rounds := float64(span) / float64(time.Duration(r.Interval)*time.Second)
		calls[r.API] += r.PerRound() * max(rounds, 1)
	}
	out := map[string]int{}
	for api, n := range calls {
		if whole := int(n + 0.5); whole > 0 {
			out[api] = whole
		}
	}
	return out, p
}

var everyEvent = aliyun.EventsConfig{Read: aliyun.EventSources()}

// For an hour in which a day ends, all collectors of an account with every product
// make exactly the calls that the plan says, by API: metrics with their pages, lists
// and details, counters of databases and domains, events, backups, bills.
func TestAnHourMakesThePlannedCalls(t *testing.T) {
	t.Parallel()
	known, err := catalog.Load()
	if err != nil {
		t.Fatal(err)
	}
	c := &clock{now: evening.Add(time.Hour)}
	server, address := cloud(t, c, []string{"cn-hangzhou"}, 40, map[string]int{
		"acs_rds_dashboard": 7, "acs_slb_dashboard": 12, "acs_kvstore": 6, "acs_mongodb": 6, "acs_drds": 2, "acs_cdn": 5, "acs_elasticsearch": 6,
		"acs_oss_dashboard": 4, "acs_vpc_eip": 4, "acs_alb": 2, "acs_memcache": 2,
	})
	as := accounts(t, address, aliyun.AccountConfig{
		Regions: []string{"cn-hangzhou"}, Products: known.Products(), CallsPerMonth: 1e9, Events: everyEvent, Cost: aliyun.CostConfig{Read: true},
	})
	from := evening.Add(90 * time.Minute)
	want, p := planned(t, as, c.get(), time.Hour)
	paged := map[string]bool{}
	for _, r := range p.Rows {
		paged[r.API] = paged[r.API] || r.Calls > 1
	}
	for _, api := range []string{"Cms.DescribeMetricList", "Ecs.DescribeSnapshots"} {
		if !paged[api] {
			t.Errorf("%s: no list of several pages: the account is too small to show that pages are planned", api)
		}
	}
	if d := cmp.Diff(want, follow(t, c, server, as[0], from, from.Add(time.Hour))); d != "" {
		t.Error(d)
	}
}

// What the key may not list is planned as the call that is refused.
func TestPlanWithoutPermissions(t *testing.T) {
	c := &clock{now: evening.Add(time.Hour)}
	_, address := cloud(t, c, []string{"cn-hangzhou"}, 2, map[string]int{"acs_drds": 2, "acs_slb_dashboard": 2})
	as := accounts(t, address, aliyun.AccountConfig{
		Regions: []string{"cn-hangzhou"}, AccessKeyID: "metrics", Products: []string{"drds"}, Inventory: []string{"drds", "slb"}, Events: everyEvent, Cost: aliyun.CostConfig{Read: true},
	})
	_, p := planned(t, as, c.get(), time.Hour)
	calls := map[string]int{}
	for _, r := range p.Rows {
		calls[r.API] += r.Calls
	}
	for _, api := range []string{"Slb.DescribeLoadBalancers", "Drds.DescribeDrdsInstances", "Rds.DescribeDBInstances", "BssOpenApi.QueryAccountBalance", "Ecs.DescribeInstanceHistoryEvents"} {
		if calls[api] != 1 {
			t.Errorf("%s: %d calls a round", api, calls[api])
		}
	}
}

// For a whole day. Metrics that are polled more often than late_interval look for
// late points in one poll of several, which take more calls.
func TestADayMakesThePlannedCalls(t *testing.T) {
	t.Parallel()
	c := &clock{now: evening.Add(time.Hour)}
	regions := []string{"cn-hangzhou", "cn-beijing"}
	server, address := cloud(t, c, regions, 0, map[string]int{"acs_drds": 46, "acs_slb_dashboard": 3, "acs_kvstore": 4, "acs_cdn": 2})
	as := accounts(t, address, aliyun.AccountConfig{
		Regions: regions, Products: []string{"drds"}, Inventory: []string{"slb", "kvstore", "cdn"}, InventoryInterval: model.Duration(20 * time.Minute),
		Interval: model.Duration(15 * time.Minute), LateInterval: model.Duration(45 * time.Minute), NormalInterval: model.Duration(time.Hour),
		CallsPerMonth: 1e9, Events: aliyun.EventsConfig{Read: []string{aliyun.EventsECS, aliyun.EventsActionTrail, aliyun.EventsBackups, aliyun.EventsSnapshots}}, Cost: aliyun.CostConfig{Read: true},
	})
	from := evening.Add(65 * time.Minute)
	want, p := planned(t, as, c.get(), 24*time.Hour)
	if i := slices.IndexFunc(p.Rows, func(r plan.Row) bool { return r.LateEvery == 3 && r.LateCalls > r.Calls }); i < 0 {
		t.Fatal("no metric whose looks for late points take more calls")
	}
	if d := cmp.Diff(want, follow(t, c, server, as[0], from, from.Add(24*time.Hour))); d != "" {
		t.Error(d)
	}
}
