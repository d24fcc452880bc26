package events_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"watchkeeper/exporters"
	"watchkeeper/exporters/aliyun"
	"watchkeeper/exporters/aliyun/aliyuntest"
	"watchkeeper/exporters/aliyun/events"
	"watchkeeper/internal/sample"
	sim "watchkeeper/internal/sim/aliyun"
)

const region = aliyuntest.Region

var noon = aliyuntest.Noon

type cloud struct {
	*aliyuntest.Cloud
	t *testing.T
}

func newCloud(t *testing.T) *cloud {
	t.Helper()
	return &cloud{t: t, Cloud: aliyuntest.New(t, func(cfg *sim.Config) {
		cfg.ECSInstances, cfg.Products = 12, map[string]int{"acs_rds_dashboard": 6}
	})}
}

func (c *cloud) inject(f sim.Fault) {
	c.t.Helper()
	c.Hit(c.t, f)
}

// collector is a fresh one, as after a restart; what it needs of earlier runs it
// takes from sink.
func (c *cloud) collector(source string, sink *store) exporters.Collector {
	c.t.Helper()
	jobs := events.Jobs(aliyuntest.Account(c.t, c.Address, aliyuntest.Options{Resume: sink.resume, Config: func(cfg *aliyun.AccountConfig) {
		cfg.Events = aliyun.EventsConfig{Read: []string{source}, MaxChangeSeries: 6}
	}}))
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
	c.Set(at)
	if err := collector.Collect(c.t.Context(), at, sink); err != nil {
		c.t.Fatalf("at %s: %v", at, err)
	}
}
