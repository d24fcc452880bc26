package rulebench

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"watchkeeper/internal/journal"
	"watchkeeper/internal/sample"
	"watchkeeper/internal/storage"
	"watchkeeper/ruleset"
	"watchkeeper/ruleset/contract"
)

const (
	perSource = 1000 // series that one source delivers in one batch
	customers = 20
	warmUp    = 4 // minutes before anything is measured: alerts fire, maps have grown
)

var start = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// row is a rule of the contract that compares one series with a number, every minute.
type row struct {
	rule      *ruleset.Rule
	metric    string
	op        parser.ItemType
	threshold float64
}

// world is the store with what is written to it.
type world struct {
	rows    []row
	left    int
	store   *storage.Store
	now     time.Time
	minute  int
	batches []sample.Batch
	values  [][]float64 // by batch and sample: what is written, the same at each check
}

func newWorld(cfg Config) (*world, error) {
	w := &world{now: start}
	if err := w.pickRows(); err != nil {
		return nil, err
	}
	sc := storage.DefaultConfig()
	sc.Dir = cfg.Dir
	var err error
	w.store, err = storage.Open(sc, slog.New(slog.DiscardHandler), metrics.NewSet(), func() time.Time { return w.now })
	if err != nil {
		return nil, err
	}
	w.makeSeries(cfg)
	return w, nil
}

// pickRows takes the rules of the shipped pack that all three forms can express.
func (w *world) pickRows() error {
	files, err := contract.Pack()
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, f := range files {
		groups, err := ruleset.Parse(f.Name, f.Data)
		if err != nil {
			return err
		}
		for _, g := range groups {
			for _, r := range g.Rules {
				x, ok := rowOf(r)
				if !ok || seen[x.metric] {
					w.left++
					continue
				}
				seen[x.metric] = true
				w.rows = append(w.rows, x)
			}
		}
	}
	return nil
}

func rowOf(r *ruleset.Rule) (row, bool) {
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(r.Expr)
	if err != nil {
		return row{}, false
	}
	cmp, ok := expr.(*parser.BinaryExpr)
	if !ok || r.Interval != time.Minute || r.Consecutive != 3 {
		return row{}, false
	}
	vs, isSelector := cmp.LHS.(*parser.VectorSelector)
	n, isNumber := cmp.RHS.(*parser.NumberLiteral)
	if !isSelector || !isNumber || len(vs.LabelMatchers) != 1 || vs.OriginalOffset != 0 {
		return row{}, false
	}
	switch cmp.Op {
	case parser.GTE, parser.GTR, parser.LTE, parser.LSS:
		return row{r, vs.Name, cmp.Op, n.Val}, true
	}
	return row{}, false
}

// good and bad are values on either side of the row's threshold.
func (r row) good() float64 {
	if r.op == parser.GTE || r.op == parser.GTR {
		return r.threshold - 1
	}
	return r.threshold + 1
}

func (r row) bad() float64 {
	if r.op == parser.GTE || r.op == parser.GTR {
		return r.threshold + 1
	}
	return r.threshold - 1
}

// exact is the row in the exact form: three samples in three minutes, all of them breaches.
func (r row) exact() string {
	worst := "min_over_time"
	if r.op == parser.LTE || r.op == parser.LSS {
		worst = "max_over_time"
	}
	return fmt.Sprintf("%s(%s[3m]) %s %v and count_over_time(%[2]s[3m]) >= 3", worst, r.metric, r.op, r.threshold)
}

// makeSeries spreads the series over rows, customers and sources, in the order in
// which senders repeat them.
func (w *world) makeSeries(cfg Config) {
	every := 0
	if cfg.Breaching > 0 {
		every = int(1 / cfg.Breaching)
	}
	for i := range cfg.Series {
		if i%perSource == 0 {
			customer := fmt.Sprintf("customer-%02d", i/perSource%customers)
			w.batches = append(w.batches, sample.Batch{
				Source: sample.Source{Customer: customer, Name: fmt.Sprintf("agent/%05d", i/perSource)}, Watermark: sample.Current,
				Samples: make([]sample.Sample, 0, perSource), Ups: make([]sample.Up, 1),
			})
			w.values = append(w.values, make([]float64, 0, perSource))
		}
		b := &w.batches[len(w.batches)-1]
		x := w.rows[i%len(w.rows)]
		v := x.good()
		if every > 0 && i%every == 0 {
			v = x.bad()
		}
		b.Samples = append(b.Samples, sample.Sample{Labels: labels.FromStrings(model.MetricNameLabel, x.metric,
			"customer", b.Source.Customer, "instance", fmt.Sprintf("i-%08d", i), "product", "ecs", "region", "cn-hangzhou")})
		w.values[len(w.values)-1] = append(w.values[len(w.values)-1], v)
	}
}

// next makes the batches those of the next minute.
func (w *world) next() {
	w.minute++
	w.now = start.Add(time.Duration(w.minute) * time.Minute)
	t := w.now.UnixMilli()
	for i := range w.batches {
		b := &w.batches[i]
		b.Ups[0] = sample.Up{T: t, OK: true}
		for j := range b.Samples {
			// Every minute another value of the same side.
			b.Samples[j].T, b.Samples[j].V = t, w.values[i][j]+float64((w.minute+j)%7)/10
			if w.values[i][j] < 0 || w.minute%2 == 0 {
				b.Samples[j].V = w.values[i][j]
			}
		}
	}
}

// engine builds our engine over the store.
func (w *world) engine(sink ruleset.Sink) (*ruleset.Engine, error) {
	g := ruleset.Group{Name: "contract", Interval: time.Minute}
	for _, x := range w.rows {
		g.Rules = append(g.Rules, x.rule)
	}
	cfg := ruleset.DefaultConfig()
	cfg.MaxSeriesPerRule, cfg.MaxSeriesPerCustomer, cfg.MaxQueuedEntries = 5_000_000, 5_000_000, 5_000_000
	return ruleset.New(cfg, []ruleset.Group{g}, w.store, past{w.store.Journal()}, sink, metrics.NewSet(), slog.New(slog.DiscardHandler))
}

// past is the store's journal as the engine wants it.
type past struct{ *journal.Journal }

// Record implements ruleset.Journal.
func (p past) Record(_ context.Context, rs ...journal.Record) error { return p.Append(rs...) }

// counting is a sink that counts the alerts that fire.
type counting struct{ firing int }

// Log implements ruleset.Sink.
func (c *counting) Log(_ context.Context, entries []ruleset.Entry) error {
	for _, e := range entries {
		if e.Log != ruleset.LogLive {
			continue
		}
		if e.To.Open() && !e.From.Open() {
			c.firing++
		}
		if e.From.Open() && !e.To.Open() {
			c.firing--
		}
	}
	return nil
}
