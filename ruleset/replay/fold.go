package replay

import (
	"fmt"

	"watchkeeper/ruleset"
)

// fold tells the story of a run check by check, in words. The engine's machine
// decides; a test holds the two to each other.
type fold struct {
	rule   *ruleset.Rule
	state  ruleset.State
	run    int // breaches in the run
	gap    int // checks without a verdict since its last breach
	goods  int // good checks towards resolving
	silent int // missing checks in a row
}

func newFold(r *ruleset.Rule) *fold { return &fold{rule: r, state: ruleset.StateInactive} }

// step applies a verdict and returns why it had the effect that it had. An open
// check has none.
func (f *fold) step(v ruleset.Verdict) (why string) {
	switch v {
	case ruleset.VerdictBreach:
		return f.breach("breach")
	case ruleset.VerdictGood:
		return f.good()
	case ruleset.VerdictMissing:
		if f.rule.Missing == ruleset.MissingBreach {
			return f.breach("missing counts as a breach")
		}
		return f.missing()
	case ruleset.VerdictUnobserved:
		return "nobody looked: " + f.skip()
	}
	return "not decided yet: counts for nothing"
}

// end applies the end of the series, after the verdict of its check.
func (f *fold) end(reason string) (why string) {
	was := f.state
	*f = *newFold(f.rule)
	if was.Open() {
		return "ended: " + reason
	}
	return "the series ended: " + reason
}

func (f *fold) breach(what string) string {
	f.run++ // skip has set it to 0 where the gap was too long
	f.gap, f.goods, f.silent = 0, 0, 0
	was := f.state
	switch {
	case was == ruleset.StateNoData:
		f.state = ruleset.StateFiring
		return what + ": fires again after no-data, whatever the run"
	case was == ruleset.StateFiring:
		return what + ": goes on firing"
	case f.run >= f.rule.Consecutive:
		f.state = ruleset.StateFiring
		return fmt.Sprintf("%s %d of %d: fires", what, f.run, f.rule.Consecutive)
	}
	f.state = ruleset.StatePending
	return fmt.Sprintf("%s %d of %d: not yet", what, f.run, f.rule.Consecutive)
}

func (f *fold) good() string {
	broken := f.run
	f.run, f.gap, f.silent = 0, 0, 0
	if !f.state.Open() {
		f.state = ruleset.StateInactive
		if broken > 0 {
			return fmt.Sprintf("good: the run of %d is over", broken)
		}
		return "good"
	}
	f.goods++
	if f.goods < f.rule.ResolveAfter {
		return fmt.Sprintf("good %d of %d: not resolved yet", f.goods, f.rule.ResolveAfter)
	}
	n := f.goods
	f.state, f.goods = ruleset.StateInactive, 0
	return fmt.Sprintf("good %d of %d: resolved", n, f.rule.ResolveAfter)
}

func (f *fold) missing() string {
	why := "missing: " + f.skip()
	if f.rule.Missing == ruleset.MissingReset && f.run > 0 {
		f.over()
		why = "missing: the run is over (missing: reset)"
	}
	if !f.state.Open() {
		return why
	}
	f.silent++
	if f.silent < f.rule.NoDataAfter || f.state == ruleset.StateNoData {
		return fmt.Sprintf("missing %d of %d: absence never resolves", f.silent, f.rule.NoDataAfter)
	}
	f.state = ruleset.StateNoData
	return fmt.Sprintf("missing %d of %d: fell silent while firing", f.silent, f.rule.NoDataAfter)
}

// skip lets a check pass that says nothing: it uses up max_gap.
func (f *fold) skip() string {
	if f.run == 0 {
		return "changes nothing"
	}
	f.gap++
	if f.gap > f.rule.MaxGap {
		f.over()
		return fmt.Sprintf("the run is over, more than %d in a row (max_gap)", f.rule.MaxGap)
	}
	return fmt.Sprintf("the run of %d waits, gap %d of %d", f.run, f.gap, f.rule.MaxGap)
}

func (f *fold) over() {
	f.run, f.gap = 0, 0
	if f.state == ruleset.StatePending {
		f.state = ruleset.StateInactive
	}
}
