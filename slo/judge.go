package slo

import (
	"fmt"
	"time"

	"watchkeeper/internal/calendar"
)

// settling is how long after a cycle's end its last checks may still be open:
// the rule engine settles by force after a day.
const settling = 24 * time.Hour

// judge sets state, judgement and notes.
func (r *Report) judge(a *account, uncovered calendar.Set, now time.Time) {
	settled := a.cycle.End.Add(settling)
	// The last checks of a cycle settle late: until then only what is missing before them counts.
	lost := uncovered
	if n := len(lost); n > 0 && lost[n-1].To == a.period.To && now.Before(settled) {
		lost = lost[:n-1]
	}
	inForce := a.contract.life(a.cycle.Interval()) == a.cycle.Interval()
	switch {
	case !inForce || len(lost) > 0:
		r.State, r.Judgement = Partial, NotJudged
	case now.Before(a.cycle.End):
		r.State, r.Judgement = Provisional, NotJudged
	case now.Before(settled):
		r.State, r.Judgement = Provisional, a.earlyJudgement()
	default:
		r.State, r.Judgement = Final, r.finalJudgement()
	}
	r.Notes = []string{}
	note := func(format string, args ...any) { r.Notes = append(r.Notes, fmt.Sprintf(format, args...)) }
	if !inForce {
		note("the contract was in force for a part of the cycle only: reported, not judged")
	}
	if len(lost) > 0 {
		note("%s of the period had no check of any series: reported, not judged", Duration(lost.Milliseconds()))
	}
	if len(a.tracks) == 0 {
		note("no series of rule %s matches %s", a.contract.Unavailable.Rule, a.contract.Unavailable.Selector.Text)
	}
	if r.State == Provisional {
		note("%s: figures so far, availability over the covered time, the allowance of the whole cycle", incomplete(now, a.cycle.End, settled))
	}
	for _, f := range r.Figures[1:] {
		if cause, what := causes[f.Name], r.ContractFigure().changed(f); cause != "" && what != "" {
			note("%s depends on %s", what, cause)
		}
	}
}

func incomplete(now, end, settled time.Time) string {
	if now.Before(end) {
		return "the cycle is not complete"
	}
	return "checks may settle until " + settled.Format(time.RFC3339)
}

// earlyJudgement is the judgement while the last checks settle. Late samples
// fill unmeasured time in, so only what was measured can have broken the
// promise, and nothing yet has kept it.
func (a *account) earlyJudgement() Judgement {
	measured := a.standard()
	measured.unmeasuredDown = false
	if use, _ := a.contract.allowanceUse(a.down(measured).Milliseconds(), a.cycle.Interval().Milliseconds()); use.Breached {
		return Breached
	}
	return NotJudged
}

// finalJudgement is that of a whole and settled cycle. The figure with
// unmeasured time as down is there only where the contract does not say how
// that time counts.
func (r *Report) finalJudgement() Judgement {
	if r.ContractFigure().Allowance.Breached {
		return Breached
	}
	for _, f := range r.Figures {
		if f.Name == FigureUnmeasuredDown && f.Allowance.Breached {
			return Undecided
		}
	}
	return Met
}

// causes are the open questions behind figures.
var causes = map[string]string{
	FigureDisputesAccepted: "open disputes",
	FigureUnmeasuredDown:   "unmeasured time",
}

// changed names the weightiest thing that is otherwise in another figure;
// empty when nothing is.
func (f Figure) changed(other Figure) string {
	switch {
	case f.Allowance.Breached != other.Allowance.Breached:
		return "the outcome"
	case f.Refund != nil && f.Refund.Amount.Cmp(other.Refund.Amount.Rat) != 0:
		return "the refund"
	case f.Available != nil && f.Available.Met != other.Available.Met:
		return "whether the objective is met"
	}
	return ""
}
