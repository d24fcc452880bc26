package rulebench

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"runtime"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/rules"

	"watchkeeper/internal/sample"
)

// measure runs the minutes: our engine judges each as it comes; over the last ones,
// which are in the store then, Prometheus's rules are evaluated.
func (w *world) measure(ctx context.Context, r *Result, say func(string, ...any)) error {
	if err := w.ours(ctx, r, say); err != nil {
		return fmt.Errorf("our engine: %w", err)
	}
	if err := w.recover(ctx, r, say); err != nil {
		return fmt.Errorf("our engine, recovering: %w", err)
	}
	for _, form := range []struct {
		name string
		cost *Cost
		hold time.Duration
		expr func(row) string
	}{
		{"for: 2m", &r.For, 2 * time.Minute, func(x row) string { return x.rule.Expr }},
		{"exact form", &r.Exact, 0, row.exact},
	} {
		say("Prometheus, %s: %d rules", form.name, len(w.rows))
		firing, err := w.prometheus(ctx, form.cost, r.Config, form.hold, form.expr)
		if err != nil {
			return fmt.Errorf("form %q of Prometheus: %w", form.name, err)
		}
		if firing != r.Firing {
			return fmt.Errorf("form %q of Prometheus: %d alerts fire, %d in our engine: not the same work", form.name, firing, r.Firing)
		}
	}
	return nil
}

func (w *world) ours(ctx context.Context, r *Result, say func(string, ...any)) error {
	n := r.Config.Series
	say("writing and judging %d minutes of %d series", warmUp+r.Config.Minutes, n)
	before := heap()
	var sink counting
	e, err := w.engine(&sink)
	if err != nil {
		return err
	}
	var heapOfStore uint64
	for m := range warmUp + r.Config.Minutes {
		w.next()
		accepted := make([]sample.Batch, 0, len(w.batches))
		store, err := took(func() error {
			for _, b := range w.batches {
				res, err := w.store.Append(ctx, b)
				if err != nil {
					return err
				}
				if res.RefusedTotal > 0 {
					return fmt.Errorf("the store refused %s", res.Refused[0])
				}
				accepted = append(accepted, res.Accepted)
			}
			return nil
		})
		if err != nil {
			return err
		}
		if m == 0 {
			heapOfStore = heap() - before // with the accepted batches, which stay until after the next figure
		}
		runtime.GC() // what the store left is not the engine's
		engine, err := took(func() error {
			for _, b := range accepted {
				if err := e.Ingest(ctx, b, w.now); err != nil {
					return err
				}
			}
			return e.Advance(ctx, w.now.Add(30*time.Second))
		})
		if err != nil {
			return err
		}
		if m == 0 {
			r.PerState = float64(heap()-before-heapOfStore) / float64(n)
		}
		if m < warmUp {
			continue
		}
		r.Store.CPU += store
		r.Engine.CPU += engine
		for _, c := range []*Cost{&r.Store, &r.Engine} {
			c.Checks += n
			c.Minutes++
		}
	}
	r.Firing = sink.firing
	runtime.KeepAlive(e)
	return nil
}

// recover measures what a start costs: all samples that are stored, judged again by
// another engine.
func (w *world) recover(ctx context.Context, r *Result, say func(string, ...any)) error {
	say("recovering a second engine")
	var sink counting
	e, err := w.engine(&sink)
	if err != nil {
		return err
	}
	r.Recovery.Checks = r.Config.Series * (warmUp + r.Config.Minutes)
	if r.Recovery.CPU, err = took(func() error { return e.Recover(ctx, w.now, nil) }); err != nil {
		return err
	}
	if sink.firing != r.Firing {
		return fmt.Errorf("%d alerts fire, %d before", sink.firing, r.Firing)
	}
	return nil
}

// prometheus evaluates the rows by Prometheus's rules package at the last minutes
// in the store. The evaluations before those that are measured bring pending alerts
// to firing.
func (w *world) prometheus(ctx context.Context, cost *Cost, cfg Config, hold time.Duration, expr func(row) string) (firing int, err error) {
	p := parser.NewParser(parser.Options{})
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 50_000_000, Timeout: 10 * time.Minute, Parser: p})
	defer engine.Close()
	query := rules.EngineQueryFunc(engine, w.store)
	var alerting []*rules.AlertingRule
	for _, x := range w.rows {
		parsed, err := p.ParseExpr(expr(x))
		if err != nil {
			return 0, err
		}
		alerting = append(alerting, rules.NewAlertingRule(x.rule.Alert, parsed, hold, 0, x.rule.Labels, x.rule.Annotations,
			labels.EmptyLabels(), "", true, slog.New(slog.DiscardHandler)))
	}
	runtime.GC()
	for back := cfg.PrometheusMinutes + 2; back >= 0; back-- {
		at := w.now.Add(-time.Duration(back) * time.Minute)
		cpu, err := took(func() error {
			for _, rule := range alerting {
				if _, err := rule.Eval(ctx, 0, at, query, &url.URL{}, 0); err != nil {
					return fmt.Errorf("rule %q: %w", rule.Name(), err)
				}
			}
			return nil
		})
		if err != nil {
			return 0, err
		}
		if back < cfg.PrometheusMinutes {
			cost.CPU += cpu
			cost.Checks += cfg.Series
			cost.Minutes++
		}
	}
	for _, rule := range alerting {
		rule.ForEachActiveAlert(func(a *rules.Alert) {
			if a.State == rules.StateFiring {
				firing++
			}
		})
	}
	return firing, nil
}

// floor measures the least that judging can cost: the state of each series looked
// at and shifted on by one bit, in the order of an array; and with a look-up in a map
// first, in random order.
func floor(series int) (inOrder, random Cost) {
	state := make([]uint32, series)
	values := make([]float64, series)
	ids := make([]uint64, series)
	byID := make(map[uint64]uint32, series)
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range series {
		ids[i] = rnd.Uint64()
		byID[ids[i]] = uint32(i)
		values[i] = rnd.Float64() * 100
	}
	fired := 0
	step := func(i uint32) {
		s := state[i] << 1
		if values[i] >= 95 {
			s |= 1
		}
		if s&7 == 7 {
			fired++
		}
		state[i] = s
	}
	const rounds = 20
	inOrder = Cost{Checks: rounds * series, Minutes: rounds}
	inOrder.CPU, _ = took(func() error { // it cannot fail
		for range rounds {
			for i := range series {
				step(uint32(i))
			}
		}
		return nil
	})
	rnd.Shuffle(series, func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	random = Cost{Checks: rounds * series, Minutes: rounds}
	random.CPU, _ = took(func() error { // it cannot fail
		for range rounds {
			for _, id := range ids {
				step(byID[id])
			}
		}
		return nil
	})
	runtime.KeepAlive(fired)
	return inOrder, random
}
