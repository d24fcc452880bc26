package slo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"
)

// verdictMap is a VerdictReader over values; it checks what it is asked for.
type verdictMap struct {
	t      *testing.T
	rule   string
	pieces []SeriesVerdicts
	err    error
}

func (v verdictMap) Verdicts(_ context.Context, rule string, from, to time.Time, m ...*labels.Matcher) ([]SeriesVerdicts, error) {
	if rule != v.rule {
		v.t.Errorf("asked for rule %q, want %q", rule, v.rule)
	}
	if m[0].String() != `customer="acme"` {
		v.t.Errorf("first matcher is %s: another tenant could be read", m[0])
	}
	var found []SeriesVerdicts
	for _, p := range v.pieces {
		all := true
		for _, matcher := range m {
			all = all && matcher.Matches(p.Labels.Get(matcher.Name))
		}
		if all {
			found = append(found, p)
		}
	}
	return found, v.err
}

// timeline makes the verdicts of a series: good from start to end in steps of
// interval (a minute unless given), and otherwise inside the given marks.
type timeline struct {
	instance   string
	start, end time.Time
	interval   time.Duration
	marks      []mark
}

type mark struct {
	from, to time.Time
	verdict  Verdict
}

func (l timeline) verdicts() SeriesVerdicts {
	if l.interval == 0 {
		l.interval = time.Minute
	}
	if l.instance == "" {
		l.instance = "www"
	}
	sv := SeriesVerdicts{
		Labels:   labels.FromStrings("customer", "acme", "instance", l.instance),
		Interval: l.interval, First: l.start.Add(l.interval),
	}
	sv.Verdicts = make([]Verdict, (l.end.Sub(l.start)+l.interval-1)/l.interval)
	for _, m := range l.marks {
		for k := max(0, int(m.from.Sub(l.start)/l.interval)-1); k < len(sv.Verdicts); k++ {
			at := sv.First.Add(time.Duration(k) * l.interval)
			if at.After(m.to) {
				break
			}
			if at.After(m.from) {
				sv.Verdicts[k] = m.verdict
			}
		}
	}
	return sv
}

func at(t *testing.T, s string) time.Time {
	t.Helper()
	for _, layout := range []string{time.RFC3339, "2006-01-02 15:04:05"} {
		if v, err := time.ParseInLocation(layout, s, shanghai); err == nil {
			return v
		}
	}
	t.Fatalf("bad time %q", s)
	return time.Time{}
}

var shanghai = time.FixedZone("+08:00", 8*3600)

// contractWith is the example contract on any instance, with more YAML.
func contractWith(t *testing.T, replace ...string) *Contract {
	t.Helper()
	text := strings.Replace(string(Example()), `'{target="127.0.0.1:8080"}'`, `'{instance=~".+"}'`, 1)
	for n := 0; n+1 < len(replace); n += 2 {
		if !strings.Contains(text, replace[n]) {
			t.Fatalf("the example has no %q", replace[n])
		}
		text = strings.Replace(text, replace[n], replace[n+1], 1)
	}
	c, err := Parse("test.yml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func computeAt(t *testing.T, c *Contract, cycle string, now time.Time, lines ...timeline) *Report {
	t.Helper()
	reader := verdictMap{t: t, rule: "port-down"}
	for _, l := range lines {
		reader.pieces = append(reader.pieces, l.verdicts())
	}
	month, err := c.ParseCycle(cycle)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Compute(t.Context(), c, month, reader, now)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// october is a series that is good for the whole of October 2026 but for marks.
func october(t *testing.T, marks ...mark) timeline {
	return timeline{start: at(t, "2026-10-01 00:00:00"), end: at(t, "2026-11-01 00:00:00"), marks: marks}
}

func breach(from time.Time, d time.Duration) mark { return mark{from, from.Add(d), Breach} }

// The contract's worked examples, to the digit.
func TestAllowanceAndRefund(t *testing.T) {
	c := contractWith(t)
	f := func(cycle string, days int, down time.Duration, judgement Judgement, ratio, decimal string, objective bool, hours, amount string) {
		t.Helper()
		start := at(t, cycle+"-01 00:00:00")
		end := start.AddDate(0, 0, days)
		r := computeAt(t, c, cycle, end.Add(48*time.Hour), timeline{
			start: start, end: end, interval: time.Second, marks: []mark{breach(start.Add(26*time.Hour), down)},
		})
		fig := r.ContractFigure()
		got := []any{r.State, r.Judgement, fig.Available.Ratio.RatString(), fig.Available.Decimal, fig.Available.Met, fig.Refund.Units.RatString(), fig.Refund.Rounded}
		want := []any{Final, judgement, ratio, decimal, objective, hours, amount}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s, %s down: %s", cycle, down, diff)
		}
		if fig.Available.Denominator != Duration(days)*86_400_000 || r.Cycle.Length != fig.Available.Denominator {
			t.Errorf("%s: denominator %s s, want the month's real seconds", cycle, fig.Available.Denominator.seconds())
		}
		if fig.Available.Numerator+fig.Unavailable != fig.Available.Denominator {
			t.Errorf("%s: %d + %d is not %d", cycle, fig.Available.Numerator, fig.Unavailable, fig.Available.Denominator)
		}
	}
	const m, s = time.Minute, time.Second
	// 30 days: 2,592,000 s.
	f("2026-09", 30, 0, Met, "1", "1.000000", true, "0", "0.00")
	f("2026-09", 30, 43*m+12*s, Met, "999/1000", "0.999000", true, "0", "0.00")
	f("2026-09", 30, 43*m+13*s, Met, "2589407/2592000", "0.998999", false, "0", "0.00")
	f("2026-09", 30, 43*m+59*s, Met, "2589361/2592000", "0.998981", false, "0", "0.00")
	f("2026-09", 30, 44*m, Breached, "10789/10800", "0.998981", false, "0", "0.00")
	f("2026-09", 30, 44*m+1*s, Breached, "2589359/2592000", "0.998981", false, "1", "100.00")
	f("2026-09", 30, 104*m, Breached, "5387/5400", "0.997592", false, "1", "100.00")
	f("2026-09", 30, 104*m+1*s, Breached, "2585759/2592000", "0.997592", false, "2", "200.00")
	f("2026-09", 30, 44*m+30*time.Hour, Breached, "10339/10800", "0.957314", false, "30", "3000.00")
	f("2026-09", 30, 45*m+30*time.Hour, Breached, "919/960", "0.957291", false, "31", "3000.00") // capped
	// The allowance is 44 minutes whatever the month's length.
	f("2026-02", 28, 43*m+59*s, Met, "345223/345600", "0.998909", false, "0", "0.00")
	f("2026-02", 28, 44*m, Breached, "10069/10080", "0.998908", false, "0", "0.00")
	f("2028-02", 29, 44*m, Breached, "10429/10440", "0.998946", false, "0", "0.00")
	f("2028-02", 29, 44*m+1*s, Breached, "2502959/2505600", "0.998945", false, "1", "100.00")
	// In 31 days the 44 minutes are less than 0.1 %: the allowance decides, and the report shows both.
	f("2026-10", 31, 44*m, Breached, "11149/11160", "0.999014", true, "0", "0.00")
	f("2026-10", 31, 44*m+1*s, Breached, "2675759/2678400", "0.999013", true, "1", "100.00")
}

func TestRefundStepsAndFractions(t *testing.T) {
	c := contractWith(t, "amount: 3000.00", "amount: 1000")
	line := october(t, breach(at(t, "2026-10-03 10:00:00"), 44*time.Minute+6*time.Hour+time.Second))
	line.interval = time.Second
	r := computeAt(t, c, "2026-10", at(t, "2026-11-05 00:00:00"), line)
	due := r.ContractFigure().Refund
	if due.Amount.RatString() != "700/3" || due.Rounded != "233.33" {
		t.Errorf("refund %s, %s", due.Amount.RatString(), due.Rounded)
	}
	want := []string{
		"unavailable 24241 s, of which beyond the allowance 21601 s",
		"21601 s / 3600 s, each started unit counting as one: 7",
		"1000 CNY / 30 x 7 = 233.33 CNY",
		"cap 100% of the fee = 1000.00 CNY: not exceeded",
	}
	if diff := cmp.Diff(want, due.Steps); diff != "" {
		t.Error(diff)
	}
}

// Started hours count on the month's total: three outages of 50 minutes are
// 150 minutes, 106 beyond the allowance, two started hours; not three.
func TestRefundIsOnTheMonthsTotal(t *testing.T) {
	var marks []mark
	for day := 3; day <= 5; day++ {
		marks = append(marks, breach(at(t, fmt.Sprintf("2026-10-%02d 10:00:00", day)), 50*time.Minute))
	}
	r := computeAt(t, contractWith(t), "2026-10", at(t, "2026-11-05 00:00:00"), october(t, marks...))
	if f := r.ContractFigure(); f.Refund.Units.RatString() != "2" || f.Refund.Rounded != "200.00" || len(r.Outages) != 3 {
		t.Errorf("%s hours, %s, %d outages", f.Refund.Units.RatString(), f.Refund.Rounded, len(r.Outages))
	}
}

// An outage across midnight of the month belongs to both months by its time,
// also when a slot straddles midnight; the month starts at 16:00 UTC.
func TestOutageAcrossMonths(t *testing.T) {
	// 30 September 23:30 to 1 October 00:50 local time; slots of 60 s that end at second 20.
	line := timeline{
		start: at(t, "2026-09-30 00:00:20"), end: at(t, "2026-11-01 00:00:20"), interval: time.Minute,
		marks: []mark{{at(t, "2026-09-30T15:30:20Z"), at(t, "2026-09-30T16:50:20Z"), Breach}},
	}
	r := computeAt(t, contractWith(t), "2026-10", at(t, "2026-11-05 00:00:00"), line)
	if r.State != Final || len(r.Outages) != 1 {
		t.Fatalf("%s, %v", r.State, r.Notes)
	}
	o := r.Outages[0]
	if got := o.From.UTC().Format(time.RFC3339); got != "2026-09-30T16:00:00Z" {
		t.Errorf("starts %s", got)
	}
	if o.Length.seconds() != "3020" || r.ContractFigure().Refund.Units.RatString() != "1" {
		t.Errorf("%s s, %s hours", o.Length.seconds(), r.ContractFigure().Refund.Units.RatString())
	}
	if diff := cmp.Diff(Counts{Breach: 51}, o.Evidence[0].Counts); diff != "" {
		t.Error(diff)
	}
	before := line
	before.start = at(t, "2026-09-01 00:00:00").Add(-40 * time.Second)
	r = computeAt(t, contractWith(t), "2026-09", at(t, "2026-11-05 00:00:00"), before)
	if got := r.ContractFigure().Unavailable.seconds(); got != "1780" || r.Judgement != Met {
		t.Errorf("September: %s s, %s", got, r.Judgement)
	}
}

func TestMillisecondsStayExact(t *testing.T) {
	line := timeline{
		start: at(t, "2026-10-01 00:00:00"), end: at(t, "2026-11-01 00:00:00"), interval: 1500 * time.Millisecond,
		marks: []mark{{at(t, "2026-10-02 00:00:00"), at(t, "2026-10-02 00:00:00").Add(1500 * time.Millisecond), Breach}},
	}
	r := computeAt(t, contractWith(t), "2026-10", at(t, "2026-11-05 00:00:00"), line)
	if got := r.ContractFigure().Available.Ratio.RatString(); got != "1785599/1785600" {
		t.Errorf("ratio %s", got)
	}
	if got := r.ContractFigure().Unavailable.seconds(); got != "1.5" {
		t.Errorf("%s s", got)
	}
}

func TestReaderErrorsAndCyclesWithoutService(t *testing.T) {
	c := contractWith(t)
	broken := errors.New("store is closed")
	month, _ := c.ParseCycle("2026-10")
	now := at(t, "2026-11-05 00:00:00")
	_, err := Compute(t.Context(), c, month, verdictMap{t: t, rule: "port-down", err: broken}, now)
	if !errors.Is(err, broken) || err.Error() != "contract hosting-connectivity, cycle 2026-10: verdicts of rule port-down: store is closed" {
		t.Errorf("%v", err)
	}
	f := func(cycle, want string) {
		t.Helper()
		month, _ := c.ParseCycle(cycle)
		_, err := Compute(t.Context(), c, month, verdictMap{t: t, rule: "port-down"}, now)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", cycle, err, want)
		}
	}
	f("2026-12", "has not begun: it starts at 2026-12-01T00:00:00+08:00")
	f("2025-12", "the contract was not in force")
	bad := SeriesVerdicts{Labels: labels.FromStrings("customer", "acme", "instance", "www"), First: now, Verdicts: []Verdict{Good}}
	if _, err := Compute(t.Context(), c, month, verdictMap{t: t, rule: "port-down", pieces: []SeriesVerdicts{bad}}, now); err == nil {
		t.Error("a series without interval was accepted")
	}
}
