//go:build unix

package aliyunsoak

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"watchkeeper/exporters/aliyun/catalog"
	"watchkeeper/internal/sample"
	"watchkeeper/internal/storage"
)

// result is what became of the points of one kind.
type result struct {
	what string
	// published and due: the sources' own word is that they read so far.
	published int
	stored    int
	lost      int
	wrong     int // stored with another value
	invented  int // stored, never published
	doubled   int // taken by the store more than once
	lag       time.Duration
	example   string
}

func (r *result) add(o result) {
	r.published, r.stored, r.lost, r.wrong = r.published+o.published, r.stored+o.stored, r.lost+o.lost, r.wrong+o.wrong
	r.invented, r.doubled, r.lag = r.invented+o.invented, r.doubled+o.doubled, max(r.lag, o.lag)
	if r.example == "" {
		r.example = o.example
	}
}

func (r *result) note(format string, args ...any) {
	if r.example == "" {
		r.example = fmt.Sprintf(format, args...)
	}
}

// expected is a point that the account publishes some time.
type expected struct {
	value     float64
	published time.Time
	due       time.Time // the latest time at which it can have been read; zero: it need not
}

// points of one metric by series and time (Unix ms).
type points map[string]map[int64]expected

func (p points) put(key string, t time.Time, e expected) {
	if p[key] == nil {
		p[key] = map[int64]expected{}
	}
	p[key][t.UnixMilli()] = e
}

// reader reads what one customer's sources stored.
type reader struct {
	t     *testing.T
	store *storage.Store
	who   string
	from  time.Time
	to    time.Time
}

// stored lists the samples of a metric by series, without what all share.
func (r reader) stored(name string) map[string]map[int64]float64 {
	r.t.Helper()
	out := map[string]map[int64]float64{}
	r.each(name, func(l labels.Labels, t int64, v float64) {
		key := seriesKey(l)
		if out[key] == nil {
			out[key] = map[int64]float64{}
		}
		out[key][t] = v
	})
	return out
}

func (r reader) each(name string, fn func(l labels.Labels, t int64, v float64)) {
	r.t.Helper()
	q, err := r.store.Querier(r.from.Add(-day24).UnixMilli(), r.to.Add(day24).UnixMilli())
	if err != nil {
		r.t.Fatal(err)
	}
	defer q.Close()
	set := q.Select(context.Background(), false, nil,
		labels.MustNewMatcher(labels.MatchEqual, model.MetricNameLabel, name), labels.MustNewMatcher(labels.MatchEqual, "customer", r.who))
	var it chunkenc.Iterator
	for set.Next() {
		l := set.At().Labels()
		it = set.At().Iterator(it)
		for it.Next() == chunkenc.ValFloat {
			if t, v := it.At(); !value.IsStaleNaN(v) {
				fn(l, t, v)
			}
		}
		if err := it.Err(); err != nil {
			r.t.Fatal(err)
		}
	}
	if err := set.Err(); err != nil {
		r.t.Fatal(err)
	}
}

const day24 = 24 * time.Hour

// looked is until when each source was read whole.
func (r reader) looked() map[string]time.Time {
	out := map[string]time.Time{}
	r.each(sample.UpMetric, func(l labels.Labels, t int64, v float64) {
		if at := time.UnixMilli(t); v == 1 && at.After(out[l.Get("source")]) {
			out[l.Get("source")] = at
		}
	})
	return out
}

// seriesKey is instance="i-1" device="/dev/vda1", sorted.
func seriesKey(l labels.Labels) string {
	var parts []string
	l.Range(func(x labels.Label) {
		if !slices.Contains([]string{model.MetricNameLabel, "customer", "product", "region"}, x.Name) {
			parts = append(parts, fmt.Sprintf("%s=%q", x.Name, x.Value))
		}
	})
	slices.Sort(parts)
	return strings.Join(parts, " ")
}

// compare holds the stored points of a metric against the published ones. Of
// those, all that were due must be there.
func compare(what string, want points, have map[string]map[int64]float64, accepted int) result {
	r := result{what: what}
	for key, series := range want {
		for t, e := range series {
			if e.due.IsZero() || e.published.After(e.due) {
				continue
			}
			r.published++
			v, ok := have[key][t]
			switch {
			case !ok:
				r.lost++
				r.note("lost: %s %s at %s, published %s, read until %s", what, key, time.UnixMilli(t).UTC(), e.published.UTC(), e.due.UTC())
			case math.Abs(v-e.value) > 1e-9*math.Max(1, math.Abs(e.value)):
				r.wrong++
				r.note("wrong: %s %s at %s is %v, not %v", what, key, time.UnixMilli(t).UTC(), v, e.value)
			}
		}
	}
	for key, series := range have {
		for t := range series {
			r.stored++
			if _, ok := want[key][t]; !ok {
				r.invented++
				r.note("invented: %s %s at %s", what, key, time.UnixMilli(t).UTC())
			}
		}
	}
	if r.doubled = accepted - r.stored; r.doubled != 0 {
		r.note("doubled: %s: the store took %d and has %d", what, accepted, r.stored)
	}
	return r
}

// cloudMonitor compares all metrics of CloudMonitor of a customer, by product.
func cloudMonitor(r reader, c *customer, accepted map[string]int) []result {
	r.t.Helper()
	looked := r.looked()
	names := map[string][]catalog.Metric{}
	for _, m := range c.account.Collected() {
		names[m.Name] = append(names[m.Name], m)
	}
	byProduct := map[string]*result{}
	for name, metrics := range names {
		want := points{}
		lag := time.Duration(0)
		for _, m := range metrics {
			until := c.readUntil(m, looked)
			lag = max(lag, r.to.Sub(until))
			c.publish(want, m, r.from, r.to, until)
		}
		one := compare(name, want, r.stored(name), accepted[name])
		one.lag = lag
		product := metrics[0].Product
		if byProduct[product] == nil {
			byProduct[product] = &result{what: c.name + " " + product}
		}
		byProduct[product].add(one)
	}
	var out []result
	for _, b := range byProduct {
		out = append(out, *b)
	}
	slices.SortFunc(out, func(a, b result) int { return strings.Compare(a.what, b.what) })
	return out
}

// readUntil is until when a metric was read whole in all regions.
func (c *customer) readUntil(m catalog.Metric, looked map[string]time.Time) time.Time {
	regions := c.cfg.Regions
	if m.Scope == catalog.Global {
		regions = []string{string(catalog.Global)}
	}
	var until time.Time
	for i, region := range regions {
		at := looked[strings.Join([]string{"aliyun", c.cfg.Name, region, m.Namespace, m.Metric}, "/")]
		if i == 0 || at.Before(until) {
			until = at
		}
	}
	return until
}

// publish adds what the account ever publishes of a metric. What was there before
// the first contact's history is not due.
func (c *customer) publish(into points, m catalog.Metric, from, to, until time.Time) {
	period := time.Duration(m.Period()) * time.Second
	frequent := c.cfg.IntervalOf(m.Lane) < time.Duration(c.cfg.LateInterval)
	for _, instance := range c.cloud.Instances(m.Namespace) {
		for _, p := range c.cloud.PublishedEvery(period, instance, m.Metric, from.Add(-time.Hour), to.Add(time.Minute)) {
			for _, statistic := range m.Statistics {
				v, ok := p.Statistics[statistic]
				if !ok {
					continue
				}
				e := expected{value: v * m.Scale, published: p.PublishedAt}
				if frequent && p.PublishedAt.Sub(p.Time) > time.Duration(c.cfg.ShortOverlap) {
					e.published = e.published.Add(time.Duration(c.cfg.LateInterval)) // the next whole look
				}
				if p.Time.After(from) && !p.Time.After(until) {
					e.due = until
				}
				into.put(dimensionKey(m, p.Dimensions), p.Time, e)
				break
			}
		}
	}
}

func dimensionKey(m catalog.Metric, dims map[string]string) string {
	b := labels.NewScratchBuilder(4)
	for _, known := range []map[string]string{m.Dimensions, m.OptionalDimensions} {
		for key, label := range known {
			if v := dims[key]; v != "" {
				b.Add(label, v)
			}
		}
	}
	b.Sort()
	return seriesKey(b.Labels())
}
