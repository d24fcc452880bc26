package slo

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
)

const dependsOnUnmeasured = "the outcome depends on unmeasured time"

// A cycle of which too little was measured is not a kept promise.
func TestJudgementWithUnmeasuredTime(t *testing.T) {
	start, end := at(t, "2026-10-01 00:00:00"), at(t, "2026-11-01 00:00:00")
	noon := at(t, "2026-10-03 12:00:00")
	f := func(name, treatment string, judgement Judgement, marks ...mark) {
		t.Helper()
		c := contractWith(t, "unmeasured: show ", "unmeasured: "+treatment)
		r := computeAt(t, c, "2026-10", at(t, "2026-11-05 00:00:00"), october(t, marks...))
		if r.State != Final || r.Judgement != judgement {
			t.Errorf("%s, %s: %s, %s, want %s", name, treatment, r.State, r.Judgement, judgement)
		}
		if got := slices.Contains(r.Notes, dependsOnUnmeasured); got != (judgement == Undecided) {
			t.Errorf("%s, %s: %s, notes %q", name, treatment, judgement, r.Notes)
		}
		text, err := json.Marshal(r)
		if err != nil || !strings.Contains(string(text), `"judgement":"`+string(judgement)+`"`) {
			t.Errorf("%s: %v %s", name, err, text)
		}
	}
	f("one good sample", "show", Undecided, mark{start.Add(time.Minute), end, Unobserved})
	f("nobody looked", "show", Undecided, mark{start, end, Unobserved})
	f("no sample came", "show", Undecided, mark{start, end, Missing})
	f("nobody looked", "available", Met, mark{start, end, Unobserved})
	f("nobody looked", "unavailable", Breached, mark{start, end, Unobserved})
	f("a small gap", "show", Met, mark{noon, noon.Add(10 * minute), Unobserved})
	f("up to the allowance but for a minute", "show", Met, breach(noon, 33*minute), mark{noon.Add(33 * minute), noon.Add(43 * minute), Missing})
	f("just up to the allowance", "show", Undecided, breach(noon, 33*minute), mark{noon.Add(33 * minute), noon.Add(44 * minute), Missing})
	f("breached by what was measured", "show", Breached, breach(noon, 53*minute), mark{noon.Add(24 * time.Hour), end, Unobserved})
}

// What unmeasured time changes without touching the judgement is told, too.
func TestNotesOnObjectiveAndRefund(t *testing.T) {
	noon := at(t, "2026-09-03 12:00:00")
	f := func(down, gap time.Duration, judgement Judgement, want string) {
		t.Helper()
		line := timeline{start: at(t, "2026-09-01 00:00:00"), end: at(t, "2026-10-01 00:00:00"), interval: time.Second,
			marks: []mark{breach(noon, down), {noon.Add(down), noon.Add(down + gap), Missing}}}
		r := computeAt(t, contractWith(t), "2026-09", at(t, "2026-10-05 00:00:00"), line)
		if r.Judgement != judgement || strings.Join(r.Notes, "; ") != want {
			t.Errorf("%s down, %s unmeasured: %s, %q", down, gap, r.Judgement, r.Notes)
		}
	}
	f(43*minute, 10*time.Second, Met, "")
	f(43*minute, 30*time.Second, Met, "whether the objective is met depends on unmeasured time") // 99.9 % of 30 days: 43 min 12 s
	f(53*minute, 25*minute, Breached, "")                                                        // one started hour in any case
	f(53*minute, 52*minute, Breached, "the refund depends on unmeasured time")
}

// A report is final when its last checks cannot change any more.
func TestFinalAfterSettling(t *testing.T) {
	end := at(t, "2026-11-01 00:00:00")
	noon := at(t, "2026-10-03 12:00:00")
	kept := october(t)
	broken := october(t, breach(noon, 53*minute), mark{noon.Add(24 * time.Hour), noon.Add(24*time.Hour + 25*minute), Unobserved})
	open := october(t, mark{noon, noon.Add(60 * minute), Unobserved})
	f := func(line timeline, treatment string, after time.Duration, state State, judgement Judgement) {
		t.Helper()
		c := contractWith(t, "unmeasured: show ", "unmeasured: "+treatment)
		r := computeAt(t, c, "2026-10", end.Add(after), line)
		if r.State != state || r.Judgement != judgement {
			t.Errorf("%s after the end, %s: %s, %s, want %s, %s", after, treatment, r.State, r.Judgement, state, judgement)
		}
		told := slices.ContainsFunc(r.Notes, func(n string) bool { return strings.Contains(n, "until 2026-11-02T00:00:00+08:00") })
		if ended := after >= 0; told != (ended && state == Provisional) {
			t.Errorf("%s after the end: notes %q", after, r.Notes)
		}
	}
	const ms, day = time.Millisecond, 24 * time.Hour
	for _, after := range []time.Duration{-ms, 0, ms, day - ms} {
		f(kept, "show", after, Provisional, NotJudged)
		f(open, "show", after, Provisional, NotJudged)
		f(open, "unavailable", after, Provisional, NotJudged) // late samples may measure it yet
	}
	for _, after := range []time.Duration{day, day + ms} {
		f(kept, "show", after, Final, Met)
		f(open, "show", after, Final, Undecided)
		f(open, "unavailable", after, Final, Breached)
		f(broken, "show", after, Final, Breached)
	}
	// A measured breach is told on the first day already, but not in a cycle that runs.
	f(broken, "show", -ms, Provisional, NotJudged)
	f(broken, "show", 0, Provisional, Breached)
	f(broken, "show", ms, Provisional, Breached)
	f(broken, "show", day-ms, Provisional, Breached)
}

func TestStepsAreDecimal(t *testing.T) {
	c := contractWith(t, "kind: fixed\n  minutes: 44", "kind: share_of_cycle")
	r := computeAt(t, c, "2026-10", at(t, "2026-11-05 00:00:00"), october(t, breach(at(t, "2026-10-03 10:00:00"), 45*minute)))
	f := r.ContractFigure()
	if got, want := f.Refund.Steps[0], "unavailable 2700 s, of which beyond the allowance 21.6 s"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := f.Allowance.Beyond.RatString(); got != "108/5" { // JSON keeps the fraction
		t.Errorf("beyond %s", got)
	}
}
