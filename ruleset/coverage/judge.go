package coverage

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"

	"watchkeeper/ruleset/export"
)

const (
	judgeTimeout    = 2 * time.Minute
	judgeMaxSamples = 50_000_000
)

// judge finds the resources that breach each rule at its last decided check.
func judge(ctx context.Context, q storage.Queryable, rules []*watch, now time.Time) (map[*watch]map[place]bool, error) {
	engine := promql.NewEngine(promql.EngineOpts{
		MaxSamples: judgeMaxSamples, Timeout: judgeTimeout, EnableAtModifier: true, EnableNegativeOffset: true,
	})
	out := map[*watch]map[place]bool{}
	for _, w := range rules {
		if w.rule.Contract == nil {
			continue // only rows are listed
		}
		breaches, err := breachesOf(ctx, engine, q, w, now)
		if err != nil {
			return nil, fmt.Errorf("rule %q: %w", w.rule.ID(), err)
		}
		out[w] = breaches
	}
	return out, nil
}

func breachesOf(ctx context.Context, engine *promql.Engine, q storage.Queryable, w *watch, now time.Time) (map[place]bool, error) {
	expr, err := export.Slotted(w.rule)
	if err != nil {
		return nil, err
	}
	at := time.UnixMilli(checkBefore(w.rule, now)).Add(-w.rule.Phase)
	query, err := engine.NewInstantQuery(ctx, q, nil, expr, at)
	if err != nil {
		return nil, err
	}
	defer query.Close()
	v, err := query.Exec(ctx).Vector()
	if err != nil {
		return nil, err
	}
	out := map[place]bool{}
	for _, s := range v {
		out[placeOf(s.Metric)] = true
	}
	return out, nil
}

// place is what a rule's results still tell of a resource.
type place struct{ customer, instance string }

func placeOf(l labels.Labels) place {
	p := place{l.Get("customer"), l.Get("instance")}
	if p.instance == "" {
		p.instance = l.Get("target")
	}
	return p
}
