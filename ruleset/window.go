package ruleset

import (
	"fmt"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
)

// maxWindowChecks is how many checks a window may span and still stream: an hour
// of minutes, with some room. The points of a window are kept in memory.
const maxWindowChecks = 64

// window is a range function over the points that a leaf reads.
type window struct {
	call   promql.FunctionCall
	args   parser.Expressions // with the offset as promql.Engine would set it
	params []promql.Vector    // a number that comes before the range, if any
}

// windowFunctions are those that give one number from a window of floats alone.
var windowFunctions = map[string]bool{
	"avg_over_time": true, "changes": true, "count_over_time": true, "delta": true, "deriv": true, "idelta": true,
	"increase": true, "irate": true, "last_over_time": true, "max_over_time": true, "min_over_time": true,
	"present_over_time": true, "quantile_over_time": true, "rate": true, "resets": true,
	"stddev_over_time": true, "stdvar_over_time": true, "sum_over_time": true,
}

// call compiles a range function over a selector.
func (c *compiler) call(e *parser.Call, at place) (*node, error) {
	w, ms, err := newWindow(e)
	if err != nil {
		return nil, err
	}
	vs := ms.VectorSelector.(*parser.VectorSelector)
	switch {
	case ms.Range < c.rule.Interval:
		return nil, errNotStreaming{fmt.Sprintf("a window shorter than the check interval: %s", e)}
	case ms.Range > maxWindowChecks*c.rule.Interval:
		return nil, errNotStreaming{fmt.Sprintf("a window of more than %d checks: %s", maxWindowChecks, e)}
	}
	n, err := c.selector(vs, at)
	if err != nil {
		return nil, err
	}
	l := c.leaves[n.leaf]
	l.lookback, l.window = ms.Range.Milliseconds(), w
	return n, nil
}

func newWindow(e *parser.Call) (*window, *parser.MatrixSelector, error) {
	if !windowFunctions[e.Func.Name] {
		return nil, nil, errNotStreaming{e.Func.Name + "() is not a streaming operator"}
	}
	w := &window{call: promql.FunctionCalls[e.Func.Name]}
	var ms *parser.MatrixSelector
	for _, a := range e.Args {
		switch a := unparen(a).(type) {
		case *parser.NumberLiteral:
			w.params = append(w.params, promql.Vector{{F: a.Val}})
			w.args = append(w.args, a)
		case *parser.MatrixSelector:
			vs := *a.VectorSelector.(*parser.VectorSelector)
			vs.Offset = vs.OriginalOffset
			ms = a
			w.args = append(w.args, &parser.MatrixSelector{VectorSelector: &vs, Range: a.Range})
		default:
			return nil, nil, errNotStreaming{e.Func.Name + "() over " + describe(a)}
		}
	}
	return w, ms, nil
}

// windowScratch holds the points of a window, as promql.Engine takes them.
type windowScratch struct {
	series [1]promql.Series
	helper promql.EvalNodeHelper
}

func (s *windowScratch) reset()      { s.series[0].Floats = s.series[0].Floats[:0] }
func (s *windowScratch) empty() bool { return len(s.series[0].Floats) == 0 }
func (s *windowScratch) add(p point) {
	s.series[0].Floats = append(s.series[0].Floats, promql.FPoint{T: p.t, F: p.v})
}

// value is what promql.Engine gives at ts for the function over the points.
func (w *window) value(s *windowScratch, ts int64) (v float64, there bool) {
	s.helper.Ts, s.helper.Out = ts, s.helper.Out[:0]
	out, _ := w.call(w.params, s.series[:], w.args, &s.helper)
	if len(out) == 0 {
		return 0, false
	}
	s.helper.Out = out
	return out[0].F, true
}
