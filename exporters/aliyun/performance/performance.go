// Package performance reads what RDS tells of each database instance beside
// CloudMonitor: the counters of DescribeDBInstancePerformance, by engine, and how
// many slow queries there were.
//
// Which keys are asked for and what their parts become is data (keys.yml). Values
// are taken apart by the answer's own ValueFormat, never by position.
package performance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/exporters"
	"watchkeeper/exporters/aliyun"
	"watchkeeper/exporters/aliyun/fleet"
	"watchkeeper/internal/sample"
)

// product of CloudMonitor's catalogue and of the label.
const product = "rds"

// requestLayout is that of StartTime and EndTime, UTC.
const requestLayout = "2006-01-02T15:04Z"

// Bounds of the windows.
const (
	// minOverlap: instances with a point every 300 s need windows of 15 minutes.
	minOverlap = 15 * time.Minute
	maxOverlap = 30 * time.Minute
	// chunk stays below an hour, beyond which points are coarser and would stand
	// beside finer ones of the same time.
	chunk = 55 * time.Minute
)

// Jobs makes the account's collectors of RDS counters: one for each region, and
// one for each region's slow queries. None unless the account's products have rds.
func Jobs(a *aliyun.Account) ([]exporters.Job, error) {
	cfg := a.Config()
	if cfg.Performance.Off || !slices.Contains(cfg.Products, product) {
		return nil, nil
	}
	keys, err := LoadKeys(cfg.Performance.KeyFiles...)
	if err != nil {
		return nil, err
	}
	var jobs []exporters.Job
	interval := time.Duration(cfg.Performance.Interval)
	for _, region := range cfg.Regions {
		client := database{client: a.Client(), region: region}
		counters := newReader(a, client, region, keys)
		add := func(name string, c fleet.Config, r fleet.Reader) {
			c.Source = a.Source(region, name)
			c.Labels = metricLabels(a, region, name)
			c.FillIn, c.CatchUp = time.Duration(cfg.FillIn), time.Duration(cfg.CatchUp)
			jobs = append(jobs, a.Job(fleet.New(c, r, a.Resume, a.Metrics(), a.Log()), interval))
		}
		add("rds-performance", fleet.Config{
			Step: time.Minute, Overlap: min(max(time.Duration(cfg.Overlap), minOverlap), maxOverlap), Chunk: chunk,
		}, counters)
		if !cfg.Performance.SlowLogOff {
			add("rds-slow-log", fleet.Config{
				Step: slowSlot, Delay: time.Duration(cfg.Performance.SlowLogDelay), Chunk: slowChunk,
			}, newSlowReader(a, client, region, keys))
		}
	}
	return jobs, nil
}

// Engines counts an account's instances in a region by engine, by listing them.
func Engines(ctx context.Context, a *aliyun.Account, region string) (map[string]int, error) {
	listed, err := database{client: a.Client(), region: region}.list(ctx, func(string) bool { return true })
	out := map[string]int{}
	for _, r := range listed {
		out[r.Kind]++
	}
	return out, err
}

func metricLabels(a *aliyun.Account, region, name string) string {
	return fmt.Sprintf("{customer=%q,account=%q,region=%q,namespace=%q", a.Customer(), a.Name(), region, name)
}

// identity are the labels of an instance's series but for name and instance.
func identity(a *aliyun.Account, region string) labels.Labels {
	return labels.FromStrings("customer", a.Customer(), "product", product, "region", region)
}

// reader reads the counters of a region's instances.
type reader struct {
	database
	keys     *Keys
	identity labels.Labels
	log      *slog.Logger

	malformed, noValue, unknownPart *metrics.Counter

	mu      sync.Mutex
	refused map[string]bool // guarded by mu; engines whose optional keys are not asked for
	told    map[string]bool // guarded by mu; parts that were logged as unknown
}

func newReader(a *aliyun.Account, d database, region string, keys *Keys) *reader {
	dropped := func(reason string) *metrics.Counter {
		return a.Metrics().GetOrCreateCounter("watchkeeper_aliyun_points_dropped_total" + metricLabels(a, region, "rds-performance") + fmt.Sprintf(",reason=%q}", reason))
	}
	return &reader{
		database: d, keys: keys, identity: identity(a, region), log: a.Log().With("region", region),
		malformed: dropped("malformed"), noValue: dropped("no_statistic"), unknownPart: dropped("unknown_part"),
		refused: map[string]bool{}, told: map[string]bool{},
	}
}

var _ fleet.Reader = (*reader)(nil)

// List implements fleet.Reader: the instances of engines whose keys are known.
func (r *reader) List(ctx context.Context) ([]fleet.Resource, error) {
	return r.list(ctx, func(engine string) bool { return r.keys.engine(engine) != nil })
}

// Read implements fleet.Reader.
func (r *reader) Read(ctx context.Context, res fleet.Resource, from, to time.Time) ([]sample.Sample, error) {
	engine := r.keys.engine(res.Kind)
	keys := engine.Keys
	if r.isRefused(engine.Engine) {
		keys = required(keys)
	}
	out, err := r.ask(ctx, res.ID, keys, from, to)
	if err == nil || !errors.Is(err, aliyun.ErrParameter) || errors.Is(err, fleet.ErrGone) || len(required(keys)) == len(keys) {
		return out, err
	}
	// One of the keys may be unknown to the service.
	out, again := r.ask(ctx, res.ID, required(keys), from, to)
	if again != nil {
		return nil, again
	}
	r.refuse(engine.Engine, err)
	return out, nil
}

func required(keys []Key) []Key {
	return slices.DeleteFunc(slices.Clone(keys), func(k Key) bool { return k.Optional })
}

func (r *reader) isRefused(engine string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.refused[engine]
}

func (r *reader) refuse(engine string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.refused[engine] {
		r.log.Warn("optional performance keys are not asked for: refused", "engine", engine, "err", err)
	}
	r.refused[engine] = true
}

func (r *reader) ask(ctx context.Context, id string, keys []Key, from, to time.Time) ([]sample.Sample, error) {
	var out []sample.Sample
	for some := range slices.Chunk(keys, maxKeys) {
		names := make([]string, len(some))
		for i, k := range some {
			names[i] = k.Key
		}
		body, err := r.do(ctx, "DescribeDBInstancePerformance", id, map[string]string{
			"Key": strings.Join(names, ","), "StartTime": from.UTC().Format(requestLayout), "EndTime": to.UTC().Format(requestLayout),
		})
		if err != nil {
			return nil, err
		}
		var a answer
		if err := json.Unmarshal(body, &a); err != nil {
			return nil, &aliyun.Error{Kind: aliyun.ErrAnswer, Status: 200, Message: "DescribeDBInstancePerformance: " + err.Error()}
		}
		for _, k := range a.PerformanceKeys.PerformanceKey {
			out = r.samples(out, id, some, k)
		}
	}
	return out, nil
}

// samples adds those of one key of an answer.
func (r *reader) samples(out []sample.Sample, id string, asked []Key, k keyAnswer) []sample.Sample {
	i := slices.IndexFunc(asked, func(have Key) bool { return strings.EqualFold(have.Key, k.Key) })
	if i < 0 {
		return out
	}
	format := strings.Split(string(k.ValueFormat), "&")
	parts := make([]labelled, len(format))
	for n, name := range format {
		parts[n] = r.labelled(id, &asked[i], name, len(format) == 1)
	}
	for _, v := range k.Values.PerformanceValue {
		values := strings.Split(string(v.Value), "&")
		t, ok := parseTime(v.Date)
		if !ok || len(values) != len(format) {
			r.malformed.Inc()
			continue
		}
		for n, value := range values {
			switch f, ok := parseValue(value); {
			case parts[n].labels.IsEmpty():
				r.unknownPart.Inc()
			case ok:
				out = append(out, sample.Sample{Labels: parts[n].labels, T: t.UnixMilli(), V: f * parts[n].scale})
			case absent(value):
				r.noValue.Inc()
			default:
				r.malformed.Inc()
			}
		}
	}
	return out
}

// labelled is a part of a key as a series.
type labelled struct {
	labels labels.Labels // empty: the part is not known
	scale  float64
}

func (r *reader) labelled(id string, key *Key, name string, only bool) labelled {
	b := labels.NewBuilder(r.identity).Set("instance", id)
	if p, ok := key.part(strings.TrimSpace(name), only); ok {
		return labelled{b.Set(model.MetricNameLabel, p.Name).Labels(), p.Scale}
	}
	if key.Generic {
		b.Set(model.MetricNameLabel, GenericMetric).Set("key", key.Key).Set("part", strings.TrimSpace(name))
		return labelled{b.Labels(), 1}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if told := key.Key + "&" + name; !r.told[told] && len(r.told) < 1000 {
		r.told[told] = true
		r.log.Warn("part of a performance key is not known; a file of key_files can name it", "key", key.Key, "part", name)
	}
	return labelled{}
}
