package api

import (
	"maps"
	"slices"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/scrape"
	v1 "github.com/prometheus/prometheus/web/api/v1"
)

// Scraped are the targets of scrape configurations.
type Scraped interface {
	v1.ScrapePoolsRetriever
	v1.TargetRetriever
}

// Collector is one of our own collectors as a target among others.
type Collector struct {
	Customer, Kind, Source string
	Interval, Timeout      time.Duration
	// At is the time of the last check, zero before the first.
	At time.Time
	// Duration is how long it took, Err why it failed.
	Duration time.Duration
	Err      error
}

// targets shows scraped targets and collectors in Prometheus's words. A
// collector has no address to be scraped at: its URL is that of the list of sources.
type targets struct {
	Scraped
	collectors func() []Collector
	address    string // host:port of this server
}

func (t targets) own() map[string][]*scrape.Target {
	out := map[string][]*scrape.Target{}
	for _, c := range t.collectors() {
		pool := c.Customer + "/" + c.Kind
		l := labels.FromStrings(
			model.JobLabel, c.Kind, model.InstanceLabel, c.Source, "customer", c.Customer,
			model.SchemeLabel, "http", model.AddressLabel, t.address, model.MetricsPathLabel, "/api/sources",
			model.ScrapeIntervalLabel, model.Duration(c.Interval).String(), model.ScrapeTimeoutLabel, model.Duration(c.Timeout).String(),
		)
		shown := scrape.NewTarget(l, &config.ScrapeConfig{}, nil, nil)
		if !c.At.IsZero() {
			shown.Report(c.At, c.Duration, c.Err)
		}
		out[pool] = append(out[pool], shown)
	}
	return out
}

// TargetsActive implements v1.TargetRetriever.
func (t targets) TargetsActive() map[string][]*scrape.Target {
	out := t.own()
	maps.Copy(out, t.Scraped.TargetsActive())
	return out
}

// ScrapePools implements v1.ScrapePoolsRetriever.
func (t targets) ScrapePools() []string {
	return slices.Sorted(maps.Keys(t.TargetsActive()))
}
