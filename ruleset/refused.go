package ruleset

import (
	"context"
	"errors"
	"strings"

	"github.com/prometheus/prometheus/promql"
)

// refused tells whether PromQL's engine refuses to compute with the samples that
// there are, as with many-to-many matching: asking again would not help. Anything
// else (the store, the time, the end of the server) may pass.
func refused(err error) bool {
	var (
		canceled promql.ErrQueryCanceled
		timeout  promql.ErrQueryTimeout
		storage  promql.ErrStorage
	)
	switch {
	case err == nil, errors.As(err, &canceled), errors.As(err, &timeout), errors.As(err, &storage),
		errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return false
	}
	return !strings.Contains(err.Error(), "expanding series: ") // reading the store; it has no type of its own
}

// evaluate asks ask for the checks lo to hi of the table. A check that PromQL
// refuses has no verdict. The others have theirs: a range is refused for one of
// its checks, or for two that each would pass alone, so it is halved until the
// refused checks stand alone. What a check says thus depends on no other.
func (t *table) evaluate(ctx context.Context, q queries, ev *evaluation, lo, hi int64) error {
	err := t.ask(ctx, q, ev, lo, hi)
	if !refused(err) {
		return err
	}
	t.clear(lo, hi)
	if lo == hi {
		if t.refused == nil {
			t.refused = map[int64]error{}
		}
		t.refused[lo] = err
		return nil
	}
	middle := lo + (hi-lo)/2
	if err := t.evaluate(ctx, q, ev, lo, middle); err != nil {
		return err
	}
	return t.evaluate(ctx, q, ev, middle+1, hi)
}

// clear takes back what a query that failed half-way has said.
func (t *table) clear(lo, hi int64) {
	for _, row := range t.rows {
		clear(row.cells[lo-t.lo : hi-t.lo+1])
		clear(row.values[lo-t.lo : hi-t.lo+1])
	}
}

// noteRefused keeps what the newest check evaluated says of the rule's health,
// and logs when that turns bad.
func (e *Engine) noteRefused(rs *ruleState, t *table) {
	if len(t.refused) > 0 {
		e.m.evaluationFailures.Inc()
	}
	if t.hi < rs.newest {
		return
	}
	rs.newest = t.hi
	before := rs.err
	rs.err = t.refused[t.hi]
	if rs.err != nil && before == nil {
		e.logger.Error("a rule cannot be evaluated with the samples that there are; its checks have no verdict", "rule", rs.rule.ID(), "err", rs.err)
	}
}
