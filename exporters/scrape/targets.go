package scrape

import (
	"fmt"
	"maps"
	"slices"

	promconfig "github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/scrape"
)

// pool names a job among those of all customers, as its sources do.
func (k jobKey) pool() string { return k.customer + "/" + Kind + "/" + k.name }

// pools calls f with each job that scrapes.
func (m *Manager) pools(f func(pool string, j *job)) {
	jobs, _ := m.current()
	for key, j := range jobs {
		if j.scrapes != nil {
			f(key.pool(), j)
		}
	}
}

// ScrapePools lists the jobs as CUSTOMER/scrape/JOB.
func (m *Manager) ScrapePools() []string {
	var out []string
	m.pools(func(pool string, _ *job) { out = append(out, pool) })
	slices.Sort(out)
	return out
}

// TargetsActive returns Prometheus's own targets, each with the result of its
// last scrape, by job.
func (m *Manager) TargetsActive() map[string][]*scrape.Target {
	out := map[string][]*scrape.Target{}
	m.pools(func(pool string, j *job) { out[pool] = flat(j.scrapes.TargetsActive()) })
	return out
}

// TargetsDropped returns the targets that relabelling drops.
func (m *Manager) TargetsDropped() map[string][]*scrape.Target {
	out := map[string][]*scrape.Target{}
	m.pools(func(pool string, j *job) { out[pool] = flat(j.scrapes.TargetsDropped()) })
	return out
}

// TargetsDroppedCounts counts them.
func (m *Manager) TargetsDroppedCounts() map[string]int {
	out := map[string]int{}
	m.pools(func(pool string, j *job) {
		for _, n := range j.scrapes.TargetsDroppedCounts() {
			out[pool] += n
		}
	})
	return out
}

// ScrapePoolConfig returns the configuration of a job.
func (m *Manager) ScrapePoolConfig(pool string) (*promconfig.ScrapeConfig, error) {
	var cfg *promconfig.ScrapeConfig
	m.pools(func(p string, j *job) {
		if p == pool {
			cfg = j.configured().config.ScrapeConfigs[0]
		}
	})
	if cfg == nil {
		return nil, fmt.Errorf("there is no scrape job %q", pool)
	}
	return cfg, nil
}

func flat(byPool map[string][]*scrape.Target) []*scrape.Target {
	return slices.Concat(slices.Collect(maps.Values(byPool))...)
}
