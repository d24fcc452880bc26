package plan

import (
	"math"
	"slices"
	"strings"
	"time"

	"watchkeeper/exporters/aliyun"
	"watchkeeper/exporters/aliyun/catalog"
	"watchkeeper/exporters/aliyun/cdn"
	"watchkeeper/exporters/aliyun/cost"
	"watchkeeper/exporters/aliyun/inventory"
	"watchkeeper/exporters/aliyun/performance"
)

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
	polls := cfg.PollCost(m, series)
	r := Row{
		Account: a.Name(), Region: region, Product: m.Product, API: "Cms.DescribeMetricList", Metric: m.Metric, Name: m.Name, Lane: string(m.Lane),
		Resources: resources, Series: series, Calls: polls.Calls, Counts: true,
	}
	if polls.Every > 1 {
		r.LateCalls, r.LateEvery = polls.WholeCalls, polls.Every
	}
	return r.every(cfg.IntervalOf(m.Lane))
}

func (r Row) every(interval time.Duration) Row {
	r.Interval = int(interval.Seconds())
	r.MonthCalls = int64(math.Ceil(r.PerRound() * Month.Seconds() / interval.Seconds()))
	return r
}

// databases are the calls for each RDS instance. Which engines there are is
// known by the sizes "rds-mysql" …; without them all are taken for MySQL.
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
	counters, logs, known := 0, 0, 0
	for name, of := range engines {
		e, ok := keys.Engine(name)
		if !ok {
			continue
		}
		known += of
		counters += of * e.Calls()
		if e.SlowLog {
			logs += of
		}
	}
	list := max((n+performance.PageSize-1)/performance.PageSize, 1)
	var rows []Row
	add := func(api string, resources, calls int) {
		rows = append(rows, round(a, region, "rds", resources, aliyun.Round{API: api, Calls: calls, Every: time.Duration(cfg.Performance.Interval)}))
	}
	add("Rds.DescribeDBInstancePerformance", known, counters)
	lists := 1
	if !cfg.Performance.SlowLogOff {
		add("Rds.DescribeSlowLogRecords", logs, logs)
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
	for _, r := range []aliyun.Round{
		{API: "Cdn.DescribeDomainHttpCodeData", Calls: n}, {API: "Cdn.DescribeDomainSrcHttpCodeData", Calls: n},
		{API: "Cdn.DescribeUserDomains", Calls: max((n+cdn.PageSize-1)/cdn.PageSize, 1)},
	} {
		r.Every = time.Duration(cfg.CDNRequests.Interval)
		rows = append(rows, round(a, string(catalog.Global), "cdn", n, r))
	}
	return rows
}

// lists are the calls of the inventory.
func lists(a *aliyun.Account, region string, first bool, size Sizes) ([]Row, error) {
	products, err := inventory.Listed(a.Config())
	if err != nil {
		return nil, err
	}
	var rows []Row
	for _, p := range products {
		shown := region
		if inventory.Global(p) {
			if shown = string(catalog.Global); !first {
				continue
			}
		}
		s := size.list(p)
		for _, r := range inventory.Rounds(a.Config(), p, s) {
			rows = append(rows, round(a, shown, p, s.Resources, r))
		}
	}
	return rows, nil
}

// bills are the calls for the account's money.
func bills(a *aliyun.Account, sizes SizesFunc) []Row {
	cfg := a.Config()
	resources := 0
	var known *cost.Size
	for i, region := range cfg.Regions {
		s := sizes(a.Name(), region)
		if i == 0 {
			known = s.Bills
		}
		for product, n := range s.Resources {
			if !strings.Contains(product, "-") || product == "es-cloud" {
				resources += n
			}
		}
	}
	if known == nil {
		s := cost.SizeOf(resources)
		known = &s
	}
	var rows []Row
	for _, r := range cost.Rounds(cfg, *known) {
		rows = append(rows, round(a, string(catalog.Global), "cost", 0, r))
	}
	return rows
}

// round is the row of a collector's round.
func round(a *aliyun.Account, region, product string, resources int, r aliyun.Round) Row {
	row := Row{Account: a.Name(), Region: region, Product: product, API: r.API, Resources: resources, Calls: r.Calls, Counts: aliyun.CountsForQuota(r.API)}
	return row.every(r.Every)
}
