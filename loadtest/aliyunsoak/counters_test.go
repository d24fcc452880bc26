//go:build unix

package aliyunsoak

import (
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/exporters/aliyun/cdn"
	"watchkeeper/exporters/aliyun/performance"
)

// What products tell of one resource at a time, beside CloudMonitor.

const (
	rds = "acs_rds_dashboard"
	// usualDelay is the latest usual publication of the simulated account.
	usualDelay = 150 * time.Second
	slot       = 5 * time.Minute
)

// readAll is until when every region's source of a resource was read.
func (c *customer) readAll(looked map[string]time.Time, source, id string) time.Time {
	var until time.Time
	for _, region := range append([]string{"global"}, c.cfg.Regions...) {
		if at := looked[strings.Join([]string{"aliyun", c.cfg.Name, region, source, id}, "/")]; at.After(until) {
			until = at // a resource is in one region
		}
	}
	return until
}

// counters compares RDS' own counters and slow queries and the CDN's requests.
func counters(r reader, c *customer, accepted map[string]int) []result {
	r.t.Helper()
	looked := r.looked()
	return []result{
		c.performance(r, looked, accepted),
		c.slowQueries(r, looked, accepted),
		c.requests(r, looked, accepted),
	}
}

func (c *customer) performance(r reader, looked map[string]time.Time, accepted map[string]int) result {
	keys, err := performance.LoadKeys()
	if err != nil {
		r.t.Fatal(err)
	}
	wants := map[string]points{}
	all := result{what: c.name + " rds counters"}
	for _, id := range c.cloud.Instances(rds) {
		step := c.cloud.PerformanceStep(id, 55*time.Minute)
		until := c.readAll(looked, "rds-performance", id)
		all.lag = max(all.lag, r.to.Sub(until))
		for _, e := range keys.Engines {
			for _, k := range e.Keys {
				for at := r.from.Add(-time.Hour).Truncate(step); !at.After(r.to); at = at.Add(step) {
					for _, have := range c.cloud.Performance(id, k.Key, at) {
						part, ok := partOf(k, have.Name)
						if !ok {
							continue
						}
						e := expected{value: have.Value * part.Scale, published: at.Add(usualDelay)}
						if at.After(r.from) && !at.After(until) {
							e.due = until
						}
						if wants[part.Name] == nil {
							wants[part.Name] = points{}
						}
						wants[part.Name].put(fmt.Sprintf("instance=%q", id), at, e)
					}
				}
			}
		}
	}
	for name, want := range wants {
		all.add(compare(name, want, r.stored(name), accepted[name]))
	}
	return all
}

// partOf finds what a part of a key becomes; the only part has no name.
func partOf(k performance.Key, name string) (performance.Part, bool) {
	for _, p := range k.Parts {
		if len(k.Parts) == 1 && name == "" {
			return p, true
		}
		for _, n := range p.Part {
			if strings.EqualFold(n, name) {
				return p, true
			}
		}
	}
	return performance.Part{}, false
}

// slowQueries are counted in slots of five minutes; that of [T-5m, T) stands at T.
func (c *customer) slowQueries(r reader, looked map[string]time.Time, accepted map[string]int) result {
	want := points{}
	lag := time.Duration(0)
	for _, id := range c.cloud.Instances(rds) {
		until := c.readAll(looked, "rds-slow-log", id)
		if until.IsZero() {
			continue // an engine without a slow log
		}
		lag = max(lag, r.to.Sub(until))
		for at := r.from.Add(-time.Hour).Truncate(slot); !at.After(r.to); at = at.Add(slot) {
			e := expected{value: float64(c.cloud.SlowQueryCount(id, at.Add(-slot), at)), published: at}
			if at.After(r.from.Add(slot)) && !at.After(until) {
				e.due = until
			}
			want.put(fmt.Sprintf("instance=%q", id), at, e)
		}
	}
	out := compare(performance.SlowQueries, want, r.stored(performance.SlowQueries), accepted[performance.SlowQueries])
	out.what, out.lag = c.name+" rds slow queries", lag
	return out
}

// requests of CDN domains, by class of status.
func (c *customer) requests(r reader, looked map[string]time.Time, accepted map[string]int) result {
	all := result{what: c.name + " cdn requests"}
	classes := []string{"other", "1xx", "2xx", "3xx", "4xx", "5xx"}
	for _, of := range []struct {
		name   string
		source bool
	}{{cdn.Requests, false}, {cdn.OriginRequests, true}} {
		want := points{}
		for _, id := range c.cloud.Instances("acs_cdn") {
			until := c.readAll(looked, "cdn-requests", id)
			if until.IsZero() {
				continue // a domain that does not serve
			}
			all.lag = max(all.lag, r.to.Sub(until))
			for at := r.from.Add(-2 * time.Hour).Truncate(slot); !at.After(r.to); at = at.Add(slot) {
				count := map[string]float64{}
				for code, n := range c.cloud.DomainCodes(id, of.source, at.Add(-slot)) {
					count[classes[code/100]] += float64(n)
				}
				for _, class := range classes {
					e := expected{value: count[class], published: at}
					if at.After(r.from.Add(slot)) && !at.After(until) {
						e.due = until
					}
					want.put(seriesKey(labels.FromStrings("instance", id, "class", class, model.MetricNameLabel, of.name)), at, e)
				}
			}
		}
		all.add(compare(of.name, want, r.stored(of.name), accepted[of.name]))
	}
	return all
}
