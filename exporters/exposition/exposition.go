// Package exposition shows what collectors deliver in Prometheus's text format,
// so that they are useful with any Prometheus as well. It is a sink that keeps
// the newest sample of every series and forgets what is no longer delivered.
//
// Samples carry their own timestamps: a cloud's figure of four minutes ago is
// shown as one of four minutes ago. A server that scrapes them should leave
// honor_timestamps at its default.
package exposition

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"watchkeeper/internal/sample"
)

// upMetric tells of each source whether its last check looked. It is not the
// name under which the store keeps the same, which no sender may write.
const upMetric = "watchkeeper_exporter_source_up"

// upHelp is its HELP line.
const upHelp = "Whether the last check of a source could look."

// Config bounds what is kept.
type Config struct {
	// StaleAfter is how long a series is shown that its source no longer
	// delivers; twice the source's interval where that is longer. Default 5m.
	StaleAfter time.Duration
	// MaxSeries is the number of series kept; further ones are dropped and
	// counted. Default 500000.
	MaxSeries int
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config { return Config{StaleAfter: 5 * time.Minute, MaxSeries: 500_000} }

// Validate names the first value that cannot be worked with.
func (c Config) Validate() error {
	switch {
	case c.StaleAfter < time.Second:
		return fmt.Errorf("stale-after: %s is shorter than a second", c.StaleAfter)
	case c.MaxSeries < 1:
		return errors.New("max-series: must be at least 1")
	}
	return nil
}

// Metadata is what is declared of a metric.
type Metadata struct {
	Type string // counter, gauge; empty: unknown
	Help string
}

// Deps are what an Exposition asks.
type Deps struct {
	// Interval tells how often a source delivers; 0: unknown.
	Interval func(sample.Source) time.Duration
	// Describe tells what is declared of a metric.
	Describe func(metric string) (Metadata, bool)
	// Now is the clock by which series grow stale.
	Now func() time.Time
}

// Exposition keeps the newest sample of each series.
type Exposition struct {
	cfg     Config
	deps    Deps
	dropped *metrics.Counter
	samples *metrics.Counter

	mu       sync.Mutex
	families map[string]*family
	names    []string // of families, sorted; nil after a change
	sources  map[sample.Source]*source
	count    int // series in families
}

// family is the series of one metric name.
type family struct {
	head    string            // HELP and TYPE lines; may be empty
	byLine  map[string]*entry // by their text up to the value
	entries []*entry          // in order of their text; nil after a change
}

// entry is one series.
type entry struct {
	line    string // name{labels} and a space
	t       int64  // Unix ms
	v       float64
	source  *source
	arrived time.Time
}

type source struct {
	up    bool
	upT   int64
	line  string
	stale time.Duration // how long its series are shown
	heard time.Time
}

// New returns an empty exposition.
func New(cfg Config, deps Deps, set *metrics.Set) (*Exposition, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	e := &Exposition{
		cfg: cfg, deps: deps, families: map[string]*family{}, sources: map[sample.Source]*source{},
		samples: set.NewCounter("watchkeeper_exporter_samples_total"),
		dropped: set.NewCounter("watchkeeper_exporter_samples_dropped_total"),
	}
	set.NewGauge("watchkeeper_exporter_series", func() float64 {
		e.mu.Lock()
		defer e.mu.Unlock()
		return float64(e.count)
	})
	return e, nil
}

// Append implements exporters.Sink. It never fails: what exceeds the limit is
// counted.
func (e *Exposition) Append(_ context.Context, b sample.Batch) error {
	now := e.deps.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	src := e.source(b.Source)
	src.heard = now
	for _, u := range b.Ups {
		if u.T >= src.upT {
			src.up, src.upT = u.OK, u.T
		}
	}
	e.samples.Add(len(b.Samples))
	for _, s := range b.Samples {
		e.take(s, b.Source.Customer, src, now)
	}
	for _, end := range b.Ends {
		name, line := render(end.Labels, b.Source.Customer)
		if f := e.families[name]; f != nil && f.byLine[line] != nil && f.byLine[line].t <= end.T {
			e.remove(name, f, line)
		}
	}
	return nil
}

// source returns what is known of a source. The caller holds mu.
func (e *Exposition) source(id sample.Source) *source {
	s := e.sources[id]
	if s == nil {
		_, line := render(labels.FromStrings(model.MetricNameLabel, upMetric, "source", id.Name), id.Customer)
		s = &source{line: line}
		e.sources[id] = s
	}
	s.stale = max(e.cfg.StaleAfter, 2*e.deps.Interval(id))
	return s
}

// take keeps one sample if it is its series' newest. The caller holds mu.
func (e *Exposition) take(s sample.Sample, customer string, src *source, now time.Time) {
	name, line := render(s.Labels, customer)
	f := e.families[name]
	var old *entry
	if f != nil {
		old = f.byLine[line]
	}
	switch {
	case old != nil && s.T < old.t:
		return
	case value.IsStaleNaN(s.V):
		if old != nil {
			e.remove(name, f, line)
		}
		return
	case old != nil:
		old.t, old.v, old.source, old.arrived = s.T, s.V, src, now
		return
	case e.count >= e.cfg.MaxSeries:
		e.dropped.Inc()
		return
	}
	if f == nil {
		f = &family{head: e.head(name), byLine: map[string]*entry{}}
		e.families[name] = f
		e.names = nil
	}
	f.byLine[line] = &entry{line: line, t: s.T, v: s.V, source: src, arrived: now}
	f.entries = nil
	e.count++
}

func (e *Exposition) remove(name string, f *family, line string) {
	delete(f.byLine, line)
	f.entries = nil
	e.count--
	if len(f.byLine) == 0 {
		delete(e.families, name)
		e.names = nil
	}
}

// AppendText appends the page to dst and returns it: the families in order of
// their names, the series in order of their text.
func (e *Exposition) AppendText(dst []byte) []byte {
	now := e.deps.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sweep(now)
	if e.names == nil {
		for name := range e.families {
			e.names = append(e.names, name)
		}
		slices.Sort(e.names)
	}
	for _, name := range e.names {
		f := e.families[name]
		dst = append(dst, f.head...)
		for _, x := range f.sorted() {
			dst = append(dst, x.line...)
			dst = strconv.AppendFloat(dst, x.v, 'g', -1, 64)
			dst = append(dst, ' ')
			dst = strconv.AppendInt(dst, x.t, 10)
			dst = append(dst, '\n')
		}
	}
	return e.appendUps(dst)
}

func (e *Exposition) appendUps(dst []byte) []byte {
	lines := make([]string, 0, len(e.sources))
	for _, s := range e.sources {
		if s.upT != 0 {
			up := "0\n"
			if s.up {
				up = "1\n"
			}
			lines = append(lines, s.line+up)
		}
	}
	if len(lines) == 0 {
		return dst
	}
	slices.Sort(lines)
	dst = append(dst, head(upMetric, Metadata{Type: "gauge", Help: upHelp})...)
	for _, l := range lines {
		dst = append(dst, l...)
	}
	return dst
}

// sweep forgets what is no longer delivered. The caller holds mu.
func (e *Exposition) sweep(now time.Time) {
	for name, f := range e.families {
		for line, x := range f.byLine {
			if now.Sub(x.arrived) > x.source.stale {
				e.remove(name, f, line)
			}
		}
	}
	for id, s := range e.sources {
		if now.Sub(s.heard) > s.stale {
			delete(e.sources, id)
		}
	}
}

func (f *family) sorted() []*entry {
	if f.entries == nil {
		for _, x := range f.byLine {
			f.entries = append(f.entries, x)
		}
		slices.SortFunc(f.entries, func(a, b *entry) int { return strings.Compare(a.line, b.line) })
	}
	return f.entries
}

func (e *Exposition) head(name string) string {
	m, ok := e.deps.Describe(name)
	if !ok {
		return ""
	}
	return head(name, m)
}
