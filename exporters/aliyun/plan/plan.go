// Package plan says what collecting an account will cost before anything is
// called: calls by metric, pages included, from how many resources there are.
package plan

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"watchkeeper/exporters/aliyun"
	"watchkeeper/exporters/aliyun/catalog"
	"watchkeeper/exporters/aliyun/events"
	"watchkeeper/exporters/aliyun/performance"
)

// Month is the length of a month in plans.
const Month = 30 * 24 * time.Hour

// Row is what one metric, or one API of a collector, costs.
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
	// Of LateEvery rounds one looks back further for late points, by LateCalls.
	// Zero: all rounds are alike.
	LateCalls int `json:"late_calls_per_round,omitempty"`
	LateEvery int `json:"late_round_every,omitempty"`
	// MonthCalls are those of 30 days.
	MonthCalls int64 `json:"calls_per_month"`
	// Counts tells that the calls use up the free quota of the month.
	Counts bool `json:"counts_for_quota"`
}

// PerRound is how many calls a round takes in the mean.
func (r Row) PerRound() float64 {
	if r.LateEvery == 0 {
		return float64(r.Calls)
	}
	return float64(r.Calls*(r.LateEvery-1)+r.LateCalls) / float64(r.LateEvery)
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
		"not in the plan: the history read at the first contact and after outages, retries, pages of events and changes beyond the first",
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
		listed, err := lists(a, region, i == 0, size)
		if err != nil {
			return nil, err
		}
		rows = append(rows, listed...)
		for _, r := range events.Rounds(cfg, i == 0, size.events()) {
			rows = append(rows, round(a, region, "events", 0, r))
		}
	}
	return append(rows, bills(a, sizes)...), nil
}

func total(a *aliyun.Account, rows []Row) Total {
	t := Total{Account: a.Name(), Limit: a.Config().CallsPerMonth, APIs: []APIRate{}}
	rates := map[string]*APIRate{}
	var d aliyun.Demand
	for _, r := range rows {
		t.Calls += r.MonthCalls
		perSecond := r.PerRound() / float64(r.Interval)
		if r.Counts {
			t.CountedCalls += r.MonthCalls
			d.Add(catalog.Lane(r.Lane), perSecond, r.PerRound()/time.Duration(a.Config().Interval).Seconds())
		}
		if rates[r.API] == nil {
			rates[r.API] = &APIRate{API: r.API, Limit: a.Config().Rate(r.API)}
		}
		rates[r.API].Mean += perSecond
		rates[r.API].Peak += float64(max(r.Calls, r.LateCalls))
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
