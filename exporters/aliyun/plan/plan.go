// Package plan says what collecting an account will cost before anything is
// called: calls by metric, pages included, from how many resources there are.
package plan

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"watchkeeper/exporters/aliyun"
	"watchkeeper/exporters/aliyun/catalog"
	"watchkeeper/exporters/aliyun/cdn"
	"watchkeeper/exporters/aliyun/performance"
)

// Month is the length of a month in plans.
const Month = 30 * 24 * time.Hour

// perDimension is how many series a resource is taken to have for each
// dimension beside its own id (disks, listeners, nodes), when nobody says.
const perDimension = 2

// Sizes says how much an account holds in one region; of global products, in all.
type Sizes struct {
	// Resources by product of the catalogue.
	Resources map[string]int
	// Series of single metrics, by NAMESPACE/METRICNAME or MetricName. Default: one for each resource, and
	// perDimension times as many for each further dimension.
	Series map[string]int
}

// Row is what one metric, or one API that is called for each resource, costs.
type Row struct {
	Account string `json:"account"`
	Region  string `json:"region"` // global: once for the account
	Product string `json:"product"`
	API     string `json:"api"`
	Metric  string `json:"metric,omitempty"`
	Name    string `json:"name,omitempty"` // of the series
	Lane    string `json:"lane,omitempty"`
	// Interval between two rounds, in seconds.
	Interval int `json:"interval_seconds"`
	// Resources and Series that a round covers.
	Resources int `json:"resources"`
	Series    int `json:"series"`
	// Calls of one round, pages of 1440 points each.
	Calls int `json:"calls_per_round"`
	// MonthCalls are those of 30 days.
	MonthCalls int64 `json:"calls_per_month"`
	// Counts tells that the calls use up the free quota of the month.
	Counts bool `json:"counts_for_quota"`
}

// Total is what an account costs.
type Total struct {
	Account string `json:"account"`
	// Calls of 30 days, those that count for the quota, and the quota.
	Calls        int64 `json:"calls_per_month"`
	CountedCalls int64 `json:"counted_calls_per_month"`
	Limit        int64 `json:"calls_per_month_limit"`
	// Cut says what is polled less often to keep within the quota.
	Cut string `json:"cut"`
	// APIs with their calls per second.
	APIs []APIRate `json:"apis"`
}

// APIRate is how often one API is called.
type APIRate struct {
	API string `json:"api"`
	// Mean calls per second when they spread evenly, as they do.
	Mean float64 `json:"mean_per_second"`
	// Peak when all rounds fall together, at most Limit.
	Peak  float64 `json:"peak_per_second"`
	Limit float64 `json:"limit_per_second"`
	// Seconds that such a round takes at the limit.
	Seconds float64 `json:"round_seconds"`
}

// Plan is what a configuration costs.
type Plan struct {
	Rows   []Row   `json:"rows"`
	Totals []Total `json:"totals"`
	// Notes tell what was assumed.
	Notes []string `json:"notes"`
}

// Over reports whether an account needs more calls than its quota.
func (p Plan) Over() bool {
	return slices.ContainsFunc(p.Totals, func(t Total) bool { return t.CountedCalls > t.Limit })
}

// SizesFunc tells the sizes of a region of an account.
type SizesFunc func(account, region string) Sizes

// New plans the accounts of a configuration. Products that no size names are
// taken to be empty; they are polled all the same.
func New(accounts []*aliyun.Account, sizes SizesFunc) (Plan, error) {
	p := Plan{Rows: []Row{}, Totals: []Total{}}
	for _, a := range accounts {
		rows, err := account(a, sizes)
		if err != nil {
			return Plan{}, err
		}
		p.Rows = append(p.Rows, rows...)
		p.Totals = append(p.Totals, total(a, rows))
	}
	p.Notes = []string{
		"a month is 30 days; points that come late or never are taken to be there, so fewer calls may be made",
		"lists of resources, events and bills are not in the plan; of them only the list of OSS buckets counts for the quota, a call for each region and inventory_interval",
	}
	return p, nil
}

func account(a *aliyun.Account, sizes SizesFunc) ([]Row, error) {
	cfg := a.Config()
	keys, err := performance.LoadKeys(cfg.Performance.KeyFiles...)
	if err != nil {
		return nil, err
	}
	var rows []Row
	for i, region := range cfg.Regions {
		size := sizes(a.Name(), region)
		for _, m := range a.Collected() {
			if m.Scope == catalog.Global && i > 0 {
				continue
			}
			rows = append(rows, metric(a, region, m, size))
		}
		rows = append(rows, databases(a, region, size, keys)...)
		if i == 0 {
			rows = append(rows, domains(a, size)...)
		}
	}
	return rows, nil
}

func metric(a *aliyun.Account, region string, m catalog.Metric, size Sizes) Row {
	cfg := a.Config()
	if m.Scope == catalog.Global {
		region = string(catalog.Global)
	}
	resources := size.Resources[m.Product]
	series, known := size.Series[m.Key()]
	if !known {
		series, known = size.Series[m.Metric]
	}
	if !known {
		series = resources
		for range len(m.Dimensions) - 1 {
			series *= perDimension
		}
	}
	r := Row{
		Account: a.Name(), Region: region, Product: m.Product, API: "Cms.DescribeMetricList", Metric: m.Metric, Name: m.Name, Lane: string(m.Lane),
		Resources: resources, Series: series, Calls: cfg.CallsPerPoll(m, series), Counts: true,
	}
	return r.every(cfg.IntervalOf(m.Lane))
}

func (r Row) every(interval time.Duration) Row {
	r.Interval = int(interval.Seconds())
	r.MonthCalls = int64(math.Ceil(float64(r.Calls) * Month.Seconds() / interval.Seconds()))
	return r
}

// databases are the calls for each RDS instance. Which engines there are is
// known by the sizes "rds-MySQL" …; without them all are taken for MySQL.
func databases(a *aliyun.Account, region string, size Sizes, keys *performance.Keys) []Row {
	cfg := a.Config()
	if cfg.Performance.Off || !slices.Contains(cfg.Products, "rds") {
		return nil
	}
	n := size.Resources["rds"]
	engines := map[string]int{}
	for _, e := range keys.Engines {
		if of, ok := size.Resources["rds-"+strings.ToLower(e.Engine)]; ok {
			engines[e.Engine] = of
		}
	}
	if len(engines) == 0 {
		engines["MySQL"] = n
	}
	counters, logs, logged, known := 0, 0, 0, 0
	for name, of := range engines {
		e, ok := keys.Engine(name)
		if !ok {
			continue
		}
		known += of
		counters += of * e.Calls()
		if e.SlowLog {
			logs, logged = logs+of, logged+of
		}
	}
	row := Row{Account: a.Name(), Region: region, Product: "rds"}
	list := max((n+performance.PageSize-1)/performance.PageSize, 1)
	var rows []Row
	add := func(api string, resources, calls int) {
		r := row
		r.API, r.Resources, r.Calls = api, resources, calls
		rows = append(rows, r.every(time.Duration(cfg.Performance.Interval)))
	}
	add("Rds.DescribeDBInstancePerformance", known, counters)
	lists := 1
	if !cfg.Performance.SlowLogOff {
		add("Rds.DescribeSlowLogRecords", logged, logs)
		lists = 2
	}
	add("Rds.DescribeDBInstances", n, lists*list)
	return rows
}

// domains are the calls for each CDN domain.
func domains(a *aliyun.Account, size Sizes) []Row {
	cfg := a.Config()
	if cfg.CDNRequests.Off || !slices.Contains(cfg.Products, "cdn") {
		return nil
	}
	n := size.Resources["cdn"]
	var rows []Row
	for _, of := range []struct {
		api   string
		calls int
	}{
		{"Cdn.DescribeDomainHttpCodeData", n}, {"Cdn.DescribeDomainSrcHttpCodeData", n},
		{"Cdn.DescribeUserDomains", max((n+cdn.PageSize-1)/cdn.PageSize, 1)},
	} {
		r := Row{Account: a.Name(), Region: string(catalog.Global), Product: "cdn", API: of.api, Resources: n, Calls: of.calls}
		rows = append(rows, r.every(time.Duration(cfg.CDNRequests.Interval)))
	}
	return rows
}

func total(a *aliyun.Account, rows []Row) Total {
	t := Total{Account: a.Name(), Limit: a.Config().CallsPerMonth, APIs: []APIRate{}}
	rates := map[string]*APIRate{}
	var d aliyun.Demand
	for _, r := range rows {
		t.Calls += r.MonthCalls
		perSecond := float64(r.Calls) / float64(r.Interval)
		if r.Counts {
			t.CountedCalls += r.MonthCalls
			d.Add(catalog.Lane(r.Lane), perSecond, float64(r.Calls)/time.Duration(a.Config().Interval).Seconds())
		}
		if rates[r.API] == nil {
			rates[r.API] = &APIRate{API: r.API, Limit: a.Config().Rate(r.API)}
		}
		rates[r.API].Mean += perSecond
		rates[r.API].Peak += float64(r.Calls)
	}
	t.Cut = d.Level(t.Limit).String()
	for _, api := range slices.Sorted(maps.Keys(rates)) {
		r := *rates[api]
		r.Seconds = r.Peak / r.Limit
		r.Peak = min(r.Peak, r.Limit)
		t.APIs = append(t.APIs, r)
	}
	return t
}

// Sort orders rows by what they cost, the dearest first.
func (p Plan) Sort() {
	slices.SortStableFunc(p.Rows, func(a, b Row) int {
		return cmp.Or(cmp.Compare(a.Account, b.Account), cmp.Compare(b.MonthCalls, a.MonthCalls), cmp.Compare(a.Region, b.Region), cmp.Compare(a.Name, b.Name))
	})
}

// ParseSizes reads ecs=200,rds=10 and metric:diskusage_utilization=650. known
// are the products that there may be.
func ParseSizes(texts []string, known []string) (Sizes, error) {
	s := Sizes{Resources: map[string]int{}, Series: map[string]int{}}
	for _, text := range texts {
		name, value, ok := strings.Cut(text, "=")
		var n int
		if _, err := fmt.Sscanf(value+"\n", "%d\n", &n); !ok || err != nil || n < 0 {
			return s, fmt.Errorf("%q: want PRODUCT=NUMBER, such as ecs=200", text)
		}
		if metric, ok := strings.CutPrefix(name, "metric:"); ok {
			s.Series[metric] = n
			continue
		}
		base, _, _ := strings.Cut(name, "-")
		if !slices.Contains(known, name) && !(base == "rds" && slices.Contains(known, base)) {
			return s, fmt.Errorf("%q: no product %q; there are %s", text, name, strings.Join(known, ", "))
		}
		s.Resources[name] = n
	}
	return s, nil
}
