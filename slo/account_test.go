package slo

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"watchkeeper/internal/property"
)

const minute = time.Minute

func excluded(lines ...string) []string {
	return []string{"exclusions: []", "exclusions:\n" + strings.Join(lines, "\n")}
}

func exclusionLine(from, to, category, more string) string {
	return "  - {from: " + from + ", to: " + to + ", category: " + category + ", owner: ops, reason: switch replaced, evidence: ticket-7" + more + "}"
}

// 10:00–11:40 is down (100 min). Two exclusions overlap: 10:00–10:40 and
// 10:20–11:00; together they take away 60 minutes once, so 40 remain.
func TestOverlappingExclusionsCountOnce(t *testing.T) {
	c := contractWith(t, excluded(
		exclusionLine("2026-10-03T10:00:00+08:00", "2026-10-03T10:40:00+08:00", "force-majeure", ""),
		exclusionLine("2026-10-03T02:20:00Z", "2026-10-03T03:00:00Z", "customer-equipment", ""),
		exclusionLine("2026-11-03T02:20:00Z", "2026-11-03T03:00:00Z", "customer-equipment", ""), // another month
	)...)
	r := computeAt(t, c, "2026-10", at(t, "2026-11-05 00:00:00"), october(t, breach(at(t, "2026-10-03 10:00:00"), 100*minute)))
	with, without := r.Figures[0], r.Figures[1]
	if with.Unavailable != 40*60_000 || r.Judgement != Met || with.Refund.Rounded != "0.00" {
		t.Errorf("with: %s %s %s", with.Unavailable, r.Judgement, with.Refund.Rounded)
	}
	if without.Name != FigureWithoutExclusions || without.Unavailable != 100*60_000 || without.Refund.Rounded != "100.00" {
		t.Errorf("without: %s %s", without.Unavailable, without.Refund.Rounded)
	}
	if len(r.Exclusions) != 2 || r.Exclusions[0].Removed != 40*60_000 || r.Exclusions[1].Removed != 40*60_000 {
		t.Errorf("exclusions %+v", r.Exclusions)
	}
	o := r.Outages[0]
	if o.Measured != 100*60_000 || o.Excluded != 60*60_000 || o.Counted != 40*60_000 {
		t.Errorf("outage %+v", o)
	}
	// The denominator stays the month's real seconds.
	if with.Available.Denominator != 31*86_400_000 {
		t.Errorf("denominator %s", with.Available.Denominator)
	}
}

func TestMaintenanceNotice(t *testing.T) {
	f := func(notice, announced string, applied bool, refused string) {
		t.Helper()
		replace := append(excluded(exclusionLine("2026-10-03T00:00:00+08:00", "2026-10-03T01:00:00+08:00", "planned-maintenance", ", announced_at: "+announced)),
			"notice: at_least_24h", "notice: "+notice)
		r := computeAt(t, contractWith(t, replace...), "2026-10", at(t, "2026-11-05 00:00:00"), october(t, breach(at(t, "2026-10-03 00:00:00"), 60*minute)))
		e := r.Exclusions[0]
		if e.Applied != applied || e.Refused != refused {
			t.Errorf("%s, announced %s: applied %v, %q", notice, announced, e.Applied, e.Refused)
		}
		want := Duration(60 * 60_000)
		if applied {
			want = 0
		}
		if got := r.ContractFigure().Unavailable; got != want {
			t.Errorf("%s, announced %s: %s unavailable, want %s", notice, announced, got, want)
		}
	}
	f("at_least_24h", "2026-10-01T00:00:00+08:00", true, "")
	f("at_least_24h", "2026-10-02T00:00:00+08:00", true, "")
	f("at_least_24h", "2026-10-02T00:00:01+08:00", false, "announced 23h59m59s ahead, the contract asks for at least 24 h")
	f("within_24h", "2026-10-02T00:00:00+08:00", true, "")
	f("within_24h", "2026-10-02T23:00:00+08:00", true, "")
	f("within_24h", "2026-10-01T23:00:00+08:00", false, "announced 25h0m0s ahead, the contract asks for the 24 h before")
	f("within_24h", "2026-10-03T00:00:01+08:00", false, "announced after it began")
	f("at_least_24h", "2026-10-03T00:00:01+08:00", false, "announced after it began")
}

func TestUnmeasuredTime(t *testing.T) {
	start := at(t, "2026-10-03 10:00:00")
	marks := []mark{
		breach(start, 40*minute),
		{start.Add(40 * minute), start.Add(50 * minute), Unobserved},
		{start.Add(50 * minute), start.Add(60 * minute), Missing},
	}
	f := func(treatment string, unavailable Duration, judgement Judgement, figures int, notes []string) {
		t.Helper()
		r := computeAt(t, contractWith(t, "unmeasured: show ", "unmeasured: "+treatment), "2026-10", at(t, "2026-11-05 00:00:00"), october(t, marks...))
		if r.Period.Unmeasured != 20*60_000 || r.ContractFigure().Unavailable != unavailable || r.Judgement != judgement || len(r.Figures) != figures {
			t.Errorf("%s: unmeasured %s, unavailable %s, %s, %d figures", treatment, r.Period.Unmeasured, r.ContractFigure().Unavailable, r.Judgement, len(r.Figures))
		}
		if diff := cmp.Diff(notes, r.Notes); diff != "" {
			t.Errorf("%s: %s", treatment, diff)
		}
		if diff := cmp.Diff(Counts{Missing: 10, Unobserved: 10}, r.Unmeasured[0].Evidence[0].Counts); diff != "" {
			t.Errorf("%s: %s", treatment, diff)
		}
	}
	f("show", 40*60_000, Undecided, 3, []string{"the outcome depends on unmeasured time"})
	f("available", 40*60_000, Met, 2, []string{})
	f("unavailable", 60*60_000, Breached, 2, []string{})
}

// Three probes: a down 0–30 min, b down 20–50, c starts in mid-month, down 25–27.
func TestCombine(t *testing.T) {
	start := at(t, "2026-10-20 10:00:00")
	lines := []timeline{october(t, breach(start, 30*minute)), october(t, breach(start.Add(20*minute), 30*minute)), october(t, breach(start.Add(25*minute), 2*minute))}
	lines[0].instance, lines[1].instance, lines[2].instance = "a", "b", "c"
	lines[2].start = at(t, "2026-10-15 00:00:00")
	early := timeline{instance: "d", start: at(t, "2026-10-01 00:00:00"), end: at(t, "2026-10-02 00:00:00")}
	f := func(combine string, unavailable time.Duration) {
		t.Helper()
		r := computeAt(t, contractWith(t, "combine: any ", "combine: "+combine), "2026-10", at(t, "2026-11-05 00:00:00"), append(lines, early)...)
		if got := r.ContractFigure().Unavailable; got != Duration(unavailable.Milliseconds()) || r.State != Final {
			t.Errorf("%s: %s, %s", combine, got, r.State)
		}
	}
	f("any", 50*minute)
	f("all", 2*minute) // of those that exist at the moment: d is gone
	f("k_of_n\n  k: 2", 10*minute)
	f("k_of_n\n  k: 3", 2*minute)
}

// Unmeasured is only what leaves the answer open: with any, a second probe that
// breaches settles it; with all, one that is good does.
func TestUnmeasuredUnderCombine(t *testing.T) {
	start := at(t, "2026-10-20 10:00:00")
	a := october(t, mark{start, start.Add(30 * minute), Unobserved})
	b := october(t, breach(start, 10*minute))
	a.instance, b.instance = "a", "b"
	f := func(combine string, unmeasured, unavailable time.Duration) {
		t.Helper()
		r := computeAt(t, contractWith(t, "combine: any ", "combine: "+combine), "2026-10", at(t, "2026-11-05 00:00:00"), a, b)
		if r.Period.Unmeasured != Duration(unmeasured.Milliseconds()) || r.ContractFigure().Unavailable != Duration(unavailable.Milliseconds()) {
			t.Errorf("%s: unmeasured %s, unavailable %s", combine, r.Period.Unmeasured, r.ContractFigure().Unavailable)
		}
	}
	f("any", 20*minute, 10*minute)
	f("all", 10*minute, 0)
}

func TestExclusionOfOneSeries(t *testing.T) {
	start := at(t, "2026-10-03 10:00:00")
	a, b := october(t, breach(start, 60*minute)), october(t, breach(start.Add(30*minute), 60*minute))
	a.instance, b.instance = "a", "b"
	c := contractWith(t, excluded(exclusionLine("2026-10-03T10:00:00+08:00", "2026-10-03T11:00:00+08:00", "force-majeure", `, selector: '{instance="a"}'`))...)
	r := computeAt(t, c, "2026-10", at(t, "2026-11-05 00:00:00"), a, b)
	if got := r.ContractFigure().Unavailable; got != 60*60_000 { // b's outage stands
		t.Errorf("%s", got)
	}
	if got := r.Exclusions[0].Removed; got != 30*60_000 {
		t.Errorf("removed %s", got)
	}
}

func TestDisputesShowBothFigures(t *testing.T) {
	dispute := func(state, claim, from, to string) []string {
		return []string{"disputes: []", "disputes:\n  - {from: 2026-10-03T" + from + "+08:00, to: 2026-10-03T" + to + "+08:00, claim: " + claim + ", state: " + state + ", owner: acme, reason: longer, evidence: mail-3}"}
	}
	f := func(replace []string, contract Duration, figures int, disputed Duration) {
		t.Helper()
		r := computeAt(t, contractWith(t, replace...), "2026-10", at(t, "2026-11-05 00:00:00"), october(t, breach(at(t, "2026-10-03 10:00:00"), 40*minute)))
		if r.ContractFigure().Unavailable != contract || len(r.Figures) != figures || len(r.Disputes) != 1 {
			t.Fatalf("%s: contract %s, %d figures", replace[1], r.ContractFigure().Unavailable, len(r.Figures))
		}
		if figures == 3 && (r.Figures[2].Name != FigureDisputesAccepted || r.Figures[2].Unavailable != disputed) {
			t.Errorf("%s: %s %s", replace[1], r.Figures[2].Name, r.Figures[2].Unavailable)
		}
		var counted Duration
		for _, o := range r.Outages {
			counted += o.Counted
		}
		if counted != contract {
			t.Errorf("%s: the outages count %s", replace[1], counted)
		}
	}
	f(dispute("disputed", "unavailable", "10:20:00", "11:00:00"), 40*60_000, 3, 60*60_000)
	f(dispute("disputed", "available", "10:00:00", "10:10:00"), 40*60_000, 3, 30*60_000)
	f(dispute("accepted", "unavailable", "12:00:00", "12:10:00"), 50*60_000, 2, 0)
	f(dispute("accepted", "available", "10:00:00", "10:10:00"), 30*60_000, 2, 0)
	f(dispute("rejected", "unavailable", "12:00:00", "12:10:00"), 40*60_000, 2, 0)
}

func TestStates(t *testing.T) {
	full := october(t, breach(at(t, "2026-10-03 10:00:00"), 60*minute))
	late := full
	late.start = at(t, "2026-10-02 00:00:00")
	unfinished := full
	unfinished.end = at(t, "2026-10-31 23:50:00")
	running := full
	running.end = at(t, "2026-10-11 00:00:00")
	always := contractWith(t)
	f := func(name string, c *Contract, now string, line timeline, state State, judgement Judgement, denominator time.Duration) {
		t.Helper()
		r := computeAt(t, c, "2026-10", at(t, now), line)
		if r.State != state || r.Judgement != judgement || r.ContractFigure().Available.Denominator != Duration(denominator.Milliseconds()) {
			t.Errorf("%s: %s, %s, over %s: %v", name, r.State, r.Judgement, r.ContractFigure().Available.Denominator, r.Notes)
		}
		if state != Final && len(r.Notes) == 0 {
			t.Errorf("%s: nothing says why", name)
		}
	}
	const day = 24 * time.Hour
	f("whole", always, "2026-11-02 00:00:00", full, Final, Breached, 31*day)
	f("data from the second day on", always, "2026-11-05 00:00:00", late, Partial, NotJudged, 30*day)
	f("running", always, "2026-10-11 00:01:00", running, Provisional, NotJudged, 10*day)
	f("just ended, last checks open", always, "2026-11-01 12:00:00", unfinished, Provisional, Breached, 31*day-10*minute)
	f("ended, last checks never came", always, "2026-11-02 00:00:00", unfinished, Partial, NotJudged, 31*day-10*minute)
	f("begins in mid-month", contractWith(t, "{from: 2026-01-01}", "{from: 2026-10-02}"), "2026-11-05 00:00:00", full, Partial, NotJudged, 30*day)
	f("ends in mid-month", contractWith(t, "{from: 2026-01-01}", "{from: 2026-01-01, to: 2026-10-10}"), "2026-11-05 00:00:00", full, Partial, NotJudged, 10*day)
	r := computeAt(t, always, "2026-10", at(t, "2026-11-05 00:00:00"))
	if r.State != Partial || r.ContractFigure().Available != nil || r.DataAsOf != nil {
		t.Errorf("no data: %s %v", r.State, r.ContractFigure().Available)
	}
}

func TestShareOfCycleAllowance(t *testing.T) {
	c := contractWith(t, "kind: fixed\n  minutes: 44", "kind: share_of_cycle", "breached: reached ", "breached: exceeded ")
	f := func(down time.Duration, judgement Judgement) {
		t.Helper()
		line := october(t, breach(at(t, "2026-10-03 10:00:00"), down))
		line.interval = time.Second
		r := computeAt(t, c, "2026-10", at(t, "2026-11-05 00:00:00"), line)
		if r.Judgement != judgement || r.ContractFigure().Allowance.Seconds.RatString() != "13392/5" {
			t.Errorf("%s: %s of %s", down, r.Judgement, r.ContractFigure().Allowance.Seconds.RatString())
		}
	}
	f(44*minute+38*time.Second, Met) // 0.1 % of 31 days is 44 min 38.4 s
	f(44*minute+39*time.Second, Breached)
}

// The order in which a reader gives series, and now, change no figure and no
// hash; one changed verdict changes the hash.
func TestInputsHash(t *testing.T) {
	start := at(t, "2026-10-03 10:00:00")
	a, b := october(t, breach(start, 60*minute)), october(t, breach(start, 50*minute))
	a.instance, b.instance = "a", "b"
	one := computeAt(t, contractWith(t), "2026-10", at(t, "2026-11-05 00:00:00"), a, b)
	two := computeAt(t, contractWith(t), "2026-10", at(t, "2026-12-05 00:00:00"), b, a)
	two.ComputedAt = one.ComputedAt
	first, _ := json.Marshal(one)
	second, _ := json.Marshal(two)
	if diff := cmp.Diff(string(first), string(second)); diff != "" {
		t.Error(diff)
	}
	b.marks = append(b.marks, mark{start.Add(-minute), start, Missing})
	if three := computeAt(t, contractWith(t), "2026-10", at(t, "2026-11-05 00:00:00"), a, b); three.InputsHash == one.InputsHash {
		t.Error("a changed verdict left the hash as it was")
	}
}

// Whatever the series say: the parts add up, and exclusions never make an
// outage longer.
func TestFiguresAddUp(t *testing.T) {
	start := at(t, "2026-10-01 00:00:00")
	property.Check(t, func(rt *rapid.T) {
		combine := rapid.SampledFrom([]string{"any", "all", "k_of_n\n  k: 2"}).Draw(rt, "combine")
		treatment := rapid.SampledFrom([]string{"show", "available", "unavailable"}).Draw(rt, "treatment")
		c := contractWith(t, append(excluded(
			exclusionLine("2026-10-02T00:00:00+08:00", "2026-10-05T00:00:00+08:00", "force-majeure", ""),
			exclusionLine("2026-10-04T00:00:00+08:00", "2026-10-07T00:00:00+08:00", "force-majeure", `, selector: '{instance="a"}'`),
		), "combine: any ", "combine: "+combine, "unmeasured: show ", "unmeasured: "+treatment)...)
		var lines []timeline
		for _, name := range []string{"a", "b", "c"} {
			line := timeline{instance: name, start: start, end: start.AddDate(0, 0, 31), interval: time.Hour}
			for range rapid.IntRange(0, 4).Draw(rt, "marks") {
				from := start.Add(time.Duration(rapid.IntRange(0, 240).Draw(rt, "from")) * time.Hour)
				line.marks = append(line.marks, mark{from, from.Add(time.Duration(rapid.IntRange(0, 60).Draw(rt, "hours")) * time.Hour),
					Verdict(rapid.IntRange(0, 3).Draw(rt, "verdict"))})
			}
			lines = append(lines, line)
		}
		r := computeAt(t, c, "2026-10", at(t, "2026-11-05 00:00:00"), lines...)
		var counted, excluded, measured Duration
		for _, o := range r.Outages {
			counted, excluded, measured = counted+o.Counted, excluded+o.Excluded, measured+o.Measured
			if o.Counted+o.Excluded != o.Length {
				rt.Fatalf("outage %+v does not add up", o)
			}
		}
		with, without := r.Figures[0], r.Figures[1]
		if counted != with.Unavailable || measured != without.Unavailable || counted+excluded != measured {
			rt.Fatalf("counted %s + excluded %s, measured %s; figures %s, %s", counted, excluded, measured, with.Unavailable, without.Unavailable)
		}
		if r.Period.Covered+r.Period.Uncovered != r.Period.Length {
			rt.Fatalf("%s + %s is not %s", r.Period.Covered, r.Period.Uncovered, r.Period.Length)
		}
	})
}
