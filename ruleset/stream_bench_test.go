package ruleset

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"

	"watchkeeper/internal/journal"
	"watchkeeper/internal/sample"
)

// benchStore remembers nothing: the in-order path does not read the store.
type benchStore struct{ b *testing.B }

func (s benchStore) Querier(int64, int64) (storage.Querier, error) {
	s.b.Helper()
	return nil, fmt.Errorf("the streaming path read the store")
}

const benchRules = `groups: [{name: g, interval: 1m, rules: [
  {alert: CPU, expr: aliyun_ecs_cpu_utilization_percent >= 90, consecutive: 3}]}]`

const benchRulesFive = `groups: [{name: g, interval: 1m, rules: [
  {alert: A, expr: aliyun_ecs_cpu_utilization_percent >= 90, consecutive: 3},
  {alert: B, expr: aliyun_ecs_cpu_utilization_percent >= 80, consecutive: 5},
  {alert: C, expr: aliyun_ecs_cpu_utilization_percent > 95, consecutive: 1},
  {alert: D, expr: aliyun_ecs_cpu_utilization_percent < 0, consecutive: 3},
  {alert: E, expr: aliyun_ecs_cpu_utilization_percent != 50, consecutive: 3}]}]`

func benchRulesTen() string {
	rules := "groups: [{name: g, interval: 1m, rules: ["
	for i := range 10 {
		rules += fmt.Sprintf("{alert: A%d, expr: aliyun_ecs_cpu_utilization_percent >= %d, consecutive: 3},", i, 60+i)
	}
	return rules + "]}]"
}

func benchSeries(n int) []labels.Labels {
	out := make([]labels.Labels, n)
	for i := range out {
		out[i] = labels.FromStrings(model.MetricNameLabel, "aliyun_ecs_cpu_utilization_percent", "customer", "acme", "instance",
			fmt.Sprintf("i-bp1%017x", i*2654435761), "product", "ecs", "region", "cn-hangzhou")
	}
	return out
}

func newBenchEngine(b *testing.B, rules string) *Engine {
	groups, err := Parse("bench.yml", []byte(rules))
	if err != nil {
		b.Fatal(err)
	}
	cfg := DefaultConfig()
	cfg.MaxSeriesPerRule, cfg.MaxSeriesPerCustomer = 10_000_000, 100_000_000
	e, err := New(cfg, groups, benchStore{b}, discardJournal{}, sinkFunc(func([]Entry) error { return nil }), metrics.NewSet(), slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	return e
}

type discardJournal struct{ noJournal }

var _ Journal = discardJournal{}

func (discardJournal) Each(func(journal.Record) error) error { return nil }

// BenchmarkStream is the way of a good sample through Ingest: from its labels to
// its series, and past all rules that read it. A round is one sample of every
// series, in the order in which senders repeat them or in another one each time.
// ns/sample-rule is the domain's unit; bytes/state is the heap of a watched series,
// its labels not counted, for each rule that reads it.
func BenchmarkStream(b *testing.B) {
	for _, n := range []int{100_000, 1_000_000} {
		for _, rules := range []struct {
			name, text string
			n          int
		}{{"rules=1", benchRules, 1}, {"rules=5", benchRulesFive, 5}, {"rules=10", benchRulesTen(), 10}} {
			for _, order := range []string{"repeated", "random"} {
				b.Run(fmt.Sprintf("series=%d/%s/%s", n, rules.name, order), func(b *testing.B) {
					benchStream(b, n, rules.text, rules.n, order == "random")
				})
			}
		}
	}
}

// BenchmarkBreaching is the same with one series in twenty firing all the time,
// from many sources with a batch each and engine time that goes on between them.
func BenchmarkBreaching(b *testing.B) {
	const n, perSource = 200_000, 1000
	e := newBenchEngine(b, benchRules)
	var batches []sample.Batch
	for i, l := range benchSeries(n) {
		if i%perSource == 0 {
			src := sample.Source{Customer: "acme", Name: fmt.Sprint("agent/", i/perSource)}
			batches = append(batches, sample.Batch{Source: src, Watermark: sample.Current, Ups: make([]sample.Up, 1)})
		}
		v := 50.0
		if i%20 == 0 {
			v = 95
		}
		last := &batches[len(batches)-1]
		last.Samples = append(last.Samples, sample.Sample{Labels: l, V: v, Ref: uint64(i) + 1})
	}
	now := timelineStart
	round := func() {
		now = now.Add(time.Minute)
		for _, batch := range batches {
			batch.Ups[0] = sample.Up{T: now.UnixMilli(), OK: true}
			for i := range batch.Samples {
				batch.Samples[i].T = now.UnixMilli()
			}
			if err := e.Ingest(b.Context(), batch, now); err != nil {
				b.Fatal(err)
			}
		}
		if err := e.Advance(b.Context(), now.Add(30*time.Second)); err != nil {
			b.Fatal(err)
		}
	}
	for range 45 { // the first checks have settled
		round()
	}
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		round()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/sample")
}

func benchStream(b *testing.B, n int, rules string, nRules int, random bool) {
	series := benchSeries(n)
	e := newBenchEngine(b, rules)
	batch := sample.Batch{Source: sample.Source{Customer: "acme", Name: "bench"}, Watermark: sample.Current, Samples: make([]sample.Sample, n)}
	for i := range batch.Samples {
		batch.Samples[i] = sample.Sample{Labels: series[i], V: 50, Ref: uint64(i) + 1}
	}
	t := timelineStart.UnixMilli()
	round := func() {
		t += 60_000
		for i := range batch.Samples {
			batch.Samples[i].T = t - 1
		}
		if err := e.Ingest(b.Context(), batch, time.UnixMilli(t)); err != nil {
			b.Fatal(err)
		}
	}
	before := heap()
	round()
	perSeries := float64(heap()-before) / float64(n)
	round()
	rng := rand.New(rand.NewPCG(1, 2))
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		if random {
			b.StopTimer()
			rng.Shuffle(n, func(i, j int) { batch.Samples[i], batch.Samples[j] = batch.Samples[j], batch.Samples[i] })
			b.StartTimer()
		}
		round()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n*nRules), "ns/sample-rule")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/sample")
	b.ReportMetric(perSeries/float64(nRules), "bytes/state")
}

// BenchmarkTake is the streaming path alone: from the store's number of a series
// past all rules that read it to its state.
func BenchmarkTake(b *testing.B) {
	for _, n := range []int{100_000, 1_000_000} {
		for _, order := range []string{"repeated", "random"} {
			b.Run(fmt.Sprintf("series=%d/rules=1/%s", n, order), func(b *testing.B) { benchTake(b, n, benchRules, 1, order == "random") })
			b.Run(fmt.Sprintf("series=%d/rules=5/%s", n, order), func(b *testing.B) { benchTake(b, n, benchRulesFive, 5, order == "random") })
		}
	}
}

func benchTake(b *testing.B, n int, rules string, nRules int, random bool) {
	e := newBenchEngine(b, rules)
	batch := sample.Batch{Source: sample.Source{Customer: "acme", Name: "bench"}, Watermark: sample.Current}
	t := timelineStart.UnixMilli()
	for i, l := range benchSeries(n) {
		batch.Samples = append(batch.Samples, sample.Sample{Labels: l, T: t, V: 50, Ref: uint64(i) + 1})
	}
	if err := e.Ingest(b.Context(), batch, time.UnixMilli(t)); err != nil {
		b.Fatal(err)
	}
	src := e.source(batch.Source)
	all := make([]uint64, 0, n)
	for _, s := range batch.Samples {
		all = append(all, s.Ref)
	}
	if random {
		rng := rand.New(rand.NewPCG(1, 2))
		rng.Shuffle(n, func(i, j int) { all[i], all[j] = all[j], all[i] })
	}
	e.taking = taking{src: src, before: t, at: t, bound: t}
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		t += 60_000
		e.batch++
		for _, ref := range all {
			e.give(src, e.series.ofRef(ref), point{t, 50})
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n*nRules), "ns/sample-rule")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/sample")
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkOperands is the way of samples through Ingest by the form of the rule
// that reads them: one selector whose identity sleeps or is awake, two selectors
// joined, windows, groups. A round is one sample of every series, in order, all
// checks good. ns/sample is the domain's unit; ns/check is per identity.
func BenchmarkOperands(b *testing.B) {
	const identities = 20_000
	for _, f := range []struct {
		name, expr string
		metrics    []string
		vantages   int
		more       string
	}{
		{"leaf=asleep", "a >= 90", []string{"a"}, 1, ""},
		{"leaf=awake", "a >= 90", []string{"a"}, 1, ", missing: breach"},
		{"join", "a / b >= 9", []string{"a", "b"}, 1, ""},
		{"and", "a >= 90 and b >= 90", []string{"a", "b"}, 1, ""},
		{"window=max_over_time_5", "max_over_time(a[5m]) >= 90", []string{"a"}, 1, ""},
		{"window=increase_5", "increase(a[5m]) >= 90", []string{"a"}, 1, ""},
		{"window=resets_16", "resets(a[16m]) > 0", []string{"a"}, 1, ""},
		{"window=resets_60", "resets(a[1h]) > 0", []string{"a"}, 1, ""},
		{"group=3", "count by (instance) (a > 90) >= 2", []string{"a"}, 3, ""},
		{"group=1000", "count by (instance) (a > 90) >= 2", []string{"a"}, 1000, ""},
		{"group=16", "count by (instance) (a > 90) >= 2", []string{"a"}, 16, ""},
	} {
		b.Run(f.name, func(b *testing.B) {
			rule := fmt.Sprintf("groups: [{name: g, interval: 1m, rules: [{alert: A, expr: '%s', consecutive: 3%s}]}]", f.expr, f.more)
			e := newBenchEngine(b, rule)
			batch := sample.Batch{Source: sample.Source{Customer: "acme", Name: "bench"}, Watermark: sample.Current}
			n := identities / f.vantages
			for i := range n {
				for v := range f.vantages {
					for _, m := range f.metrics {
						l := labels.FromStrings(model.MetricNameLabel, m, "customer", "acme", "instance", fmt.Sprint(i), "vantage", fmt.Sprint(v))
						batch.Samples = append(batch.Samples, sample.Sample{Labels: l, V: 50, Ref: uint64(len(batch.Samples)) + 1})
					}
				}
			}
			benchRounds(b, e, batch, n)
		})
	}
}

func benchRounds(b *testing.B, e *Engine, batch sample.Batch, identities int) {
	t := timelineStart.UnixMilli()
	round := func() {
		t += 60_000
		for i := range batch.Samples {
			batch.Samples[i].T = t - 1
		}
		if err := e.Ingest(b.Context(), batch, time.UnixMilli(t)); err != nil {
			b.Fatal(err)
		}
	}
	before := heap()
	for range 75 { // the first checks have settled, windows are full
		round()
	}
	perSample := float64(heap()-before) / float64(len(batch.Samples))
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		round()
	}
	perRound := float64(b.Elapsed().Nanoseconds()) / float64(b.N)
	b.ReportMetric(perRound/float64(len(batch.Samples)), "ns/sample")
	b.ReportMetric(perRound/float64(identities), "ns/check")
	b.ReportMetric(perSample, "bytes/series")
}

// BenchmarkAlerts is what an alert costs from its first breach until it is resolved:
// three lines of the live log and two of the settled one, with texts and samples.
func BenchmarkAlerts(b *testing.B) {
	const n = 2000
	e := newBenchEngine(b, `groups: [{name: g, interval: 1m, rules: [{alert: CPU, expr: aliyun_ecs_cpu_utilization_percent >= 90, consecutive: 3, labels: {severity: high},
  annotations: {summary: '{{ $labels.instance }}: CPU at {{ printf "%.1f" $value }} %', description: '{{ with $labels.node }}{{ . }} of {{ end }}{{ $labels.instance }} in {{ $labels.region }}'}}]}]`)
	batch := sample.Batch{Source: sample.Source{Customer: "acme", Name: "bench"}, Watermark: sample.Current}
	for i, l := range benchSeries(n) {
		batch.Samples = append(batch.Samples, sample.Sample{Labels: l, Ref: uint64(i) + 1})
	}
	t := timelineStart.UnixMilli()
	round := func(v float64) {
		t += 60_000
		for i := range batch.Samples {
			batch.Samples[i].T, batch.Samples[i].V = t-1, v
		}
		if err := e.Ingest(b.Context(), batch, time.UnixMilli(t)); err != nil {
			b.Fatal(err)
		}
	}
	cycle := func() {
		for i := range 40 {
			v := 50.0
			if i >= 35 && i < 39 {
				v = 95
			}
			round(v)
		}
	}
	cycle()
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		cycle()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/alert")
}
