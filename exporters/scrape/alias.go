package scrape

import (
	"context"
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"

	"watchkeeper/exporters/host"
	"watchkeeper/internal/sample"
	"watchkeeper/internal/strictyaml"
)

// aliasesYAML says what other exporters' metrics are in the contract's terms.
//
//go:embed aliases.yml
var aliasesYAML []byte

const (
	// productLabel on a target asks for the contract's metrics of that product.
	productLabel = "product"
	// aliasHistory is how far back the ranges of an expression see.
	aliasHistory = 5 * time.Minute
	// aliasTimeout and aliasSamples bound one evaluation; it happens in memory.
	aliasTimeout = 5 * time.Second
	aliasSamples = 1_000_000
	// aliasLookback lets selectors see the scrape itself and nothing before it.
	aliasLookback = time.Millisecond
)

// identity are the labels of a target that its aliases get, as every series of
// the contract has them; the customer's is added to all.
var identity = []string{productLabel, "region", model.InstanceLabel}

// Alias gives one of the contract's metrics from other exporters' metrics.
type Alias struct {
	Metric string   `yaml:"metric"`
	Labels []string `yaml:"labels"` // kept of the result besides the identity
	Expr   string   `yaml:"expr"`
}

// Aliases returns the shipped aliases by product.
func Aliases() map[string][]Alias {
	var all map[string][]Alias
	if _, err := strictyaml.Decode("aliases.yml", aliasesYAML, &all); err != nil {
		panic("BUG: " + err.Error())
	}
	cfg := host.DefaultConfig()
	excluded := strings.NewReplacer("$EXCLUDED_FILESYSTEMS", cfg.ExcludeFilesystemTypes,
		"$EXCLUDED_DISKS", cfg.ExcludeDisks, "$EXCLUDED_INTERFACES", cfg.ExcludeInterfaces)
	for _, aliases := range all {
		for i := range aliases {
			aliases[i].Expr = excluded.Replace(aliases[i].Expr)
		}
	}
	return all
}

// translator evaluates aliases.
type translator struct {
	engine   *promql.Engine
	products map[string]*vocabulary
}

// vocabulary is the aliases of one product and the metrics that they read.
type vocabulary struct {
	aliases []compiled
	reads   map[string]bool
}

// compiled is an alias. Most are no more than a selector: those need no engine,
// which would compile their patterns anew at each scrape.
type compiled struct {
	Alias
	selector []*labels.Matcher // nil: an expression
}

// newTranslator parses the aliases, which are part of the program: a bad one is a bug.
func newTranslator(all map[string][]Alias) *translator {
	t := &translator{
		engine:   promql.NewEngine(promql.EngineOpts{MaxSamples: aliasSamples, Timeout: aliasTimeout, LookbackDelta: aliasLookback}),
		products: map[string]*vocabulary{},
	}
	p := parser.NewParser(parser.Options{})
	for product, aliases := range all {
		v := &vocabulary{reads: map[string]bool{}}
		for _, a := range aliases {
			expr, err := p.ParseExpr(a.Expr)
			if err != nil {
				panic(fmt.Sprintf("BUG: alias %s: %v", a.Metric, err))
			}
			c := compiled{Alias: a}
			if s, ok := expr.(*parser.VectorSelector); ok && s.OriginalOffset == 0 && s.Timestamp == nil && s.StartOrEnd == 0 {
				c.selector = s.LabelMatchers
			}
			v.aliases = append(v.aliases, c)
			parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
				if s, ok := n.(*parser.VectorSelector); ok {
					v.reads[s.Name] = true
				}
				return nil
			})
		}
		t.products[product] = v
	}
	return t
}

// history is a target's latest samples that aliases read.
type history map[string]*promql.Series

// add takes the samples of one scrape and forgets what is too old.
func (h history) add(v *vocabulary, samples []sample.Sample, at int64) {
	for _, s := range samples {
		if !v.reads[s.Labels.Get(model.MetricNameLabel)] {
			continue
		}
		key := string(s.Labels.Bytes(nil))
		x := h[key]
		if x == nil {
			x = &promql.Series{Metric: s.Labels}
			h[key] = x
		}
		if n := len(x.Floats); n == 0 || x.Floats[n-1].T < at {
			// At the scrape's time, so that the selectors of one scrape meet.
			x.Floats = append(x.Floats, promql.FPoint{T: at, F: s.V})
		}
	}
	oldest := at - aliasHistory.Milliseconds()
	for key, x := range h {
		n, _ := slices.BinarySearchFunc(x.Floats, oldest, func(p promql.FPoint, t int64) int { return int(p.T - t) })
		if x.Floats = slices.Delete(x.Floats, 0, n); len(x.Floats) == 0 {
			delete(h, key)
		}
	}
}

// translate returns the samples of the contract's metrics at a scrape of a
// target with the labels id. The error is of the first alias that could not be evaluated; the others count.
func (t *translator) translate(ctx context.Context, v *vocabulary, h history, id labels.Labels, at int64) ([]sample.Sample, error) {
	var out []sample.Sample
	var first error
	for _, a := range v.aliases {
		vector, err := t.evaluate(ctx, a, h, at)
		if err != nil && first == nil {
			first = fmt.Errorf("alias %s: %w", a.Metric, err)
		}
		b := labels.NewBuilder(labels.EmptyLabels())
		for _, r := range vector {
			b.Reset(id)
			b.Set(model.MetricNameLabel, a.Metric)
			for _, name := range a.Labels {
				b.Set(name, r.Metric.Get(name)) // an empty value is none
			}
			out = append(out, sample.Sample{Labels: b.Labels(), T: at, V: r.F})
		}
	}
	return out, first
}

func (t *translator) evaluate(ctx context.Context, a compiled, h history, at int64) (promql.Vector, error) {
	if a.selector != nil {
		var out promql.Vector
		for _, s := range h.matching(a.selector) {
			if p := s.Floats[len(s.Floats)-1]; p.T == at {
				out = append(out, promql.Sample{Metric: s.Metric, T: at, F: p.F})
			}
		}
		return out, nil
	}
	q, err := t.engine.NewInstantQuery(ctx, h, nil, a.Expr, time.UnixMilli(at))
	if err != nil {
		return nil, err
	}
	defer q.Close()
	v, err := q.Exec(ctx).Vector()
	if err != nil {
		return nil, err
	}
	return slices.Clone(v), nil // Close takes it back
}

// matching returns the series that all matchers match.
func (h history) matching(ms []*labels.Matcher) []*promql.Series {
	var out []*promql.Series
	for _, s := range h {
		if !slices.ContainsFunc(ms, func(m *labels.Matcher) bool { return !m.Matches(s.Metric.Get(m.Name)) }) {
			out = append(out, s)
		}
	}
	return out
}

// Querier implements storage.Queryable over the history.
func (h history) Querier(_, _ int64) (storage.Querier, error) { return historyQuerier{h}, nil }

type historyQuerier struct{ h history }

// Select implements storage.Querier. The PromQL engine cuts the time range.
func (q historyQuerier) Select(_ context.Context, _ bool, _ *storage.SelectHints, ms ...*labels.Matcher) storage.SeriesSet {
	set := &seriesSet{at: -1}
	for _, s := range q.h.matching(ms) {
		set.series = append(set.series, promql.NewStorageSeries(*s))
	}
	return set
}

// LabelValues implements storage.Querier; no expression asks for them.
func (historyQuerier) LabelValues(context.Context, string, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, nil
}

// LabelNames implements storage.Querier; no expression asks for them.
func (historyQuerier) LabelNames(context.Context, *storage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, nil, nil
}

// Close implements storage.Querier.
func (historyQuerier) Close() error { return nil }

type seriesSet struct {
	series []storage.Series
	at     int
}

// Next implements storage.SeriesSet.
func (s *seriesSet) Next() bool { s.at++; return s.at < len(s.series) }

// At implements storage.SeriesSet.
func (s *seriesSet) At() storage.Series { return s.series[s.at] }

// Err implements storage.SeriesSet.
func (s *seriesSet) Err() error { return nil }

// Warnings implements storage.SeriesSet.
func (s *seriesSet) Warnings() annotations.Annotations { return nil }
