package ruleset

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"

	"watchkeeper/internal/journal"
)

// SeriesVerdicts are one identity's verdicts over a span of time.
type SeriesVerdicts struct {
	Identity labels.Labels
	First    int64         // T of Verdicts[0], Unix ms
	Interval time.Duration // between checks; a verdict stands for (T-Interval, T]
	// Verdicts holds one verdict a check. VerdictOpen: the check does not exist
	// for the identity, which had not begun or had ended.
	Verdicts []Verdict
	// Ended says of each check whether the identity ended in its slot, after its
	// verdict if it has one.
	Ended []bool
}

// Verdicts judges each check of the rule with T in (from, to] from the stored
// samples, by identity in their order. The matchers narrow the series; the
// metric names are the rule's. The journal tells who delivers a series, which
// ended and what came too late; without one (nil) a check without a sample is
// missing.
func Verdicts(ctx context.Context, q storage.Queryable, j Journal, rule *Rule, from, to time.Time, m ...*labels.Matcher) ([]SeriesVerdicts, error) {
	if rule.Plain {
		return nil, fmt.Errorf("verdicts of rule %q: it counts no checks", rule.ID())
	}
	v := verdictReader{rule: rule, lo: rule.lastCheck(from.UnixMilli()) + 1, hi: rule.lastCheck(to.UnixMilli())}
	if v.lo > v.hi {
		return nil, nil
	}
	if err := v.open(ctx, q, j, to.UnixMilli()); err != nil {
		return nil, fmt.Errorf("verdicts of rule %q: %w", rule.ID(), err)
	}
	out, err := v.read(ctx, m)
	if err != nil {
		return nil, fmt.Errorf("verdicts of rule %q: %w", rule.ID(), err)
	}
	return out, nil
}

// verdictReader is an engine of one rule that only looks back.
type verdictReader struct {
	rule   *Rule
	lo, hi int64 // checks
	e      *Engine
	rs     *ruleState
	past   *past
}

// noJournal is the journal of those who have none.
type noJournal struct{}

func (noJournal) Record(context.Context, ...journal.Record) error { return nil }
func (noJournal) Each(func(journal.Record) error) error           { return nil }

func (v *verdictReader) open(ctx context.Context, q storage.Queryable, j Journal, now int64) (err error) {
	if j == nil {
		j = noJournal{}
	}
	cfg := DefaultConfig()
	cfg.MaxSeriesPerRule, cfg.MaxSeriesPerCustomer, cfg.MaxLatePerDay = math.MaxInt, math.MaxInt, math.MaxInt
	if v.e, err = New(cfg, []Group{{Rules: []*Rule{v.rule}}}, q, j, nil, metrics.NewSet(), slog.New(slog.DiscardHandler)); err != nil {
		return err
	}
	v.rs, v.e.wide = v.e.rules[0], true
	v.rs.begins = v.rule.prog != nil && !v.rule.prog.plain
	v.e.tick(now)
	v.e.rebuild = true
	v.e.taking = taking{at: math.MinInt64 / 2, bound: math.MinInt64 / 2}
	if v.past, err = readPast(j); err != nil {
		return err
	}
	v.e.useSources(v.past)
	v.e.recallLateUps(v.e.rules, v.past)
	return nil
}

func (v *verdictReader) read(ctx context.Context, m []*labels.Matcher) ([]SeriesVerdicts, error) {
	window := time.Duration(v.e.cfg.RecoverWindow).Milliseconds()
	for _, metric := range v.rs.metrics() {
		if err := v.e.rebuildMetric(ctx, metric, v.e.rules, v.past, v.rule.timeOf(v.lo)-window, m...); err != nil {
			return nil, err
		}
	}
	if err := v.e.recallOperands(ctx, v.e.rules, v.past, v.rule.timeOf(v.lo)-window, m...); err != nil {
		return nil, err
	}
	for _, src := range v.e.sources {
		if len(src.series) == 0 {
			continue
		}
		if err := v.e.readUps(ctx, v.rule.timeOf(v.lo)-window-v.rule.Interval.Milliseconds(), v.past, src, v.rule); err != nil {
			return nil, err
		}
	}
	if v.rs.eval != nil {
		v.rs.nextCheck = v.hi + 1
		if err := v.e.evaluate(ctx, v.rs, v.lo, v.hi); err != nil {
			return nil, err
		}
	}
	out := make([]SeriesVerdicts, 0, len(v.rs.all))
	for _, in := range v.rs.all {
		if !matchAll(m, in.id) {
			continue
		}
		sv, err := v.series(ctx, in)
		if err != nil {
			return nil, err
		}
		out = append(out, sv)
	}
	slices.SortFunc(out, func(a, b SeriesVerdicts) int { return labels.Compare(a.Identity, b.Identity) })
	return out, nil
}

// series judges one identity, from before the span so that what ended before
// it stays ended in it.
func (v *verdictReader) series(ctx context.Context, in *instance) (SeriesVerdicts, error) {
	in.dirtyLo = 1
	in.dirtyHi = 0
	if in.joins != nil {
		if err := v.e.evaluateSpan(ctx, in, in.first, v.hi); err != nil {
			return SeriesVerdicts{}, err
		}
	}
	if err := v.e.decide(ctx, in, v.hi); err != nil {
		return SeriesVerdicts{}, err
	}
	first := v.first(in)
	sv := SeriesVerdicts{Identity: in.id, First: v.rule.timeOf(v.lo), Interval: v.rule.Interval, Verdicts: make([]Verdict, v.hi-v.lo+1), Ended: make([]bool, v.hi-v.lo+1)}
	gone := in.settled.gone
	for k := min(first, in.first); k <= v.hi; k++ {
		c := in.cell(k)
		verdict := c.verdict()
		gone = gone && !c.begins()
		switch {
		case gone:
			verdict = VerdictOpen
		case k < in.first:
			verdict = v.before(in, k)
		}
		if k >= v.lo {
			sv.Verdicts[k-v.lo] = verdict
			sv.Ended[k-v.lo] = c&cellEnd != 0
		}
		gone = gone || c&cellEnd != 0
	}
	in.cells = nil
	return sv, nil
}

// first is the identity's first check, by the journal where its first sample
// lies before what was read.
func (v *verdictReader) first(in *instance) int64 {
	first := in.first
	for i, j := range in.joins {
		l := v.rule.prog.leaves[i]
		for _, s := range j.series {
			if t, ok := v.past.began(s.labels); ok && l.carrier {
				first = min(first, max(v.lo, v.rule.checkOf(t+l.offset)))
			}
		}
	}
	return first
}

// before is the verdict of a check between the identity's first, as the journal
// has it, and the first sample that was read.
func (v *verdictReader) before(in *instance, k int64) Verdict {
	seen := true
	for _, j := range in.joins {
		for _, s := range j.series {
			seen = seen && s.observed(v.rs, k)
		}
	}
	if !seen {
		return VerdictUnobserved
	}
	return VerdictMissing
}
