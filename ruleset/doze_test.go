package ruleset

import (
	"math"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/internal/sample"
)

// An identity of two operands dozes while nothing is wrong, is counted all the
// time, wakes for a breach, and is forgotten after long silence.
func TestDozing(t *testing.T) {
	w := newWorld()
	e, err := w.engine(parseOne(t, "groups: [{name: g, interval: 1m, rules: [{alert: A, expr: a > 5 and b > 5, consecutive: 2, lateness: 5m}]}]"))
	if err != nil {
		t.Fatal(err)
	}
	now := timelineStart
	send := func(a, b float64) {
		t.Helper()
		now = now.Add(time.Minute)
		batch := sample.Batch{Source: sample.Source{Name: "s"}}
		for metric, v := range map[string]float64{"a": a, "b": b} {
			one := batchOf(metric, now.UnixMilli(), "x", "y")
			for i := range one.Samples {
				one.Samples[i].V = v
			}
			batch.Samples = append(batch.Samples, one.Samples...)
		}
		if err := e.Ingest(t.Context(), w.accept(batch, now.UnixMilli()), now); err != nil {
			t.Fatal(err)
		}
	}
	is := func(awake, dozing, watched, alerts int) {
		t.Helper()
		rs := e.rules[0]
		if len(rs.all) != awake || len(rs.dozing) != dozing || rs.watched != watched || len(e.Alerts()) != alerts {
			t.Errorf("%d awake, %d dozing, %d watched, %d alerts; want %d, %d, %d, %d",
				len(rs.all), len(rs.dozing), rs.watched, len(e.Alerts()), awake, dozing, watched, alerts)
		}
	}
	send(9, 1)
	is(0, 2, 2, 0)
	send(9, 1)
	send(1, 9)
	is(0, 2, 2, 0)
	send(9, 9)
	is(2, 0, 2, 2) // pending
	send(9, 9)
	send(1, 9) // resolved
	is(2, 0, 2, 0)
	for range 7 { // until it has settled
		send(1, 9)
	}
	is(0, 2, 2, 0)
	now = now.Add(50 * time.Hour)
	if err := e.Advance(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	is(0, 0, 0, 0)
	if e.series.n != 0 {
		t.Errorf("%d series are kept", e.series.n)
	}
	send(9, 9)
	send(9, 9)
	is(2, 0, 2, 2)
	for range 8 {
		send(1, 9)
	}
	is(0, 2, 2, 0)
	now = now.Add(50 * time.Hour)
	for e.rules[0].watched > 0 { // until the identities are forgotten, and series not yet
		now = now.Add(forgetRound / hashShards)
		e.now, e.forgotten = now.UnixMilli(), now.Add(-forgetRound/hashShards).UnixMilli()
		e.forgetIdle()
	}
	if e.series.n == 0 {
		t.Error("no series is kept")
	}
	send(9, 9)
	send(9, 9)
	is(2, 0, 2, 2)
}

// An end that comes late to one operand is in time for the identity while another
// operand's source is behind.
func TestLateEndOfAJoinWaitsForAllSources(t *testing.T) {
	w := newWorld()
	e, err := w.engine(parseOne(t, `groups: [{name: g, interval: 1m, rules: [{alert: A, expr: a > 5 and b > 5, consecutive: 1, lateness: 5m}]}]`))
	if err != nil {
		t.Fatal(err)
	}
	at := func(d time.Duration) time.Time { return timelineStart.Add(d) }
	send := func(b sample.Batch, name string, now time.Time) {
		t.Helper()
		b.Source.Name = name
		if err := e.Ingest(t.Context(), w.accept(b, now.UnixMilli()), now); err != nil {
			t.Fatal(err)
		}
	}
	for m := time.Minute; m <= 2*time.Minute; m += time.Minute {
		send(batchOf("a", at(m).UnixMilli(), "x"), "sa", at(m))
		b := batchOf("b", at(m).UnixMilli(), "x")
		b.Watermark = at(m).UnixMilli()
		send(b, "sb", at(m))
	}
	if err := e.Advance(t.Context(), at(12*time.Minute-time.Second)); err != nil {
		t.Fatal(err)
	}
	l := labels.FromStrings(model.MetricNameLabel, "a", "i", "x")
	send(sample.Batch{Ends: []sample.End{{Labels: l, T: at(150 * time.Second).UnixMilli(), Reason: "deleted"}}}, "sa", at(12*time.Minute))
	send(sample.Batch{Watermark: sample.Current}, "sb", at(13*time.Minute))
	if err := e.Advance(t.Context(), at(40*time.Minute)); err != nil {
		t.Fatal(err)
	}
	for _, en := range w.entries {
		if en.Log == LogSettled && en.To == StateEnded && en.Check == at(3*time.Minute).UnixMilli() {
			return
		}
	}
	t.Errorf("not ended at 3m: %v", w.entries)
}

// While an identity dozes, a comparison that is false decides a check alone only
// where the whole rule is false without it, and only until a newer sample of the
// check comes.
func TestDozingThroughSeveralSamplesOfACheck(t *testing.T) {
	type step struct {
		metric string
		v      float64
	}
	for _, c := range []struct {
		expr  string
		steps []step
		fires bool
	}{
		{"a > 5 and b > 5", []step{{"a", 9}, {"b", 0}, {"b", 9}}, true},
		{"a > 5 and b > 5", []step{{"a", 9}, {"b", 9}, {"a", 0}}, false},
		{"a > 5 and b", []step{{"b", 0}, {"a", 9}, {"b", 1}}, true},
		{"a > 5 unless b > 5", []step{{"b", 9}, {"a", 9}}, false},
		{"a > 5 unless b > 5", []step{{"b", 9}, {"a", 9}, {"b", 0}}, true},
		{"a > 5 or b > 5", []step{{"b", 9}, {"a", 0}}, true},
		{"(a > 5 unless b > 5) or c > 5", []step{{"c", 9}, {"a", 0}, {"b", 9}}, true},
	} {
		w := newWorld()
		e, err := w.engine(parseOne(t, "groups: [{name: g, interval: 1m, rules: [{alert: A, expr: '"+c.expr+"', consecutive: 1}]}]"))
		if err != nil {
			t.Fatal(err)
		}
		now := timelineStart
		send := func(metric string, v float64) {
			t.Helper()
			now = now.Add(time.Second)
			b := batchOf(metric, now.UnixMilli(), "x")
			b.Samples[0].V = v
			if err := e.Ingest(t.Context(), w.accept(b, now.UnixMilli()), now); err != nil {
				t.Fatal(err)
			}
		}
		check := func() {
			t.Helper()
			now = now.Truncate(time.Minute).Add(time.Minute)
			if err := e.Advance(t.Context(), now); err != nil {
				t.Fatal(err)
			}
		}
		for range 10 { // until all of it has settled
			for _, metric := range []string{"a", "b", "c"} {
				send(metric, 0)
			}
			check()
		}
		if len(e.rules[0].dozing) != 1 {
			t.Errorf("%s: does not doze", c.expr)
		}
		for _, s := range c.steps {
			send(s.metric, s.v)
		}
		check()
		if fires := len(e.Alerts()) > 0; fires != c.fires {
			t.Errorf("%s after %v: fires %v, want %v", c.expr, c.steps, fires, c.fires)
		}
	}
}

// Operands that come one after the other, as polls bring them, do not wake an identity
// as long as it knows what the first had; one breach does, whichever check it is of.
func TestDozingWhileOperandsAreApart(t *testing.T) {
	for _, c := range []struct {
		expr   string
		checks int // that come at once, a before b
		bad    int // of these, which is a breach; -1 for none
		dozes  bool
	}{
		{"a - b > 5", 1, -1, true},
		{"a - b > 5", dozeChecks, -1, true},
		{"a - b > 5", dozeChecks + 1, -1, true}, // again
		{"a - b > 5", dozeChecks, 0, false},
		{"a - b > 5", dozeChecks, dozeChecks - 1, false},
		{"a - b offset 3m > 5", dozeChecks - 3, -1, true},
		{"a - b offset 3m > 5", dozeChecks - 3, 1, false},
		{"a - on (i) group_left () b > 5", dozeChecks, -1, true},
		{"a - on (i) group_left () b > 5", dozeChecks, 3, false},
		{"a > 9 unless on (i) b", dozeChecks, -1, true},
		{"a - a offset 3m > 5", dozeChecks, -1, true},
		{"a - a offset 3m > 5", dozeChecks, 2, false},
		{"a - a offset 3m < -5", 5, 1, false}, // three checks after what was bad
		{"a and b > 5", dozeChecks, 2, false},
	} {
		w := newWorld()
		e, err := w.engine(parseOne(t, "groups: [{name: g, interval: 1m, rules: [{alert: A, expr: '"+c.expr+"', consecutive: 1, resolve_after: 100}]}]"))
		if err != nil {
			t.Fatal(err)
		}
		now := timelineStart
		poll := func(checks, bad int) {
			t.Helper()
			var all sample.Batch
			for _, metric := range []string{"a", "b"} {
				for k := range checks {
					b := batchOf(metric, now.Add(time.Duration(k+1)*time.Minute).UnixMilli(), "x", "y")
					for i := range b.Samples {
						if b.Samples[i].V = 1; k == bad && i == 0 {
							b.Samples[i].V = map[string]float64{"a": 9, "b": -9}[metric]
							if c.expr == "a and b > 5" {
								b.Samples[i].V = 9
							}
						}
					}
					all.Samples = append(all.Samples, b.Samples...)
				}
			}
			now = now.Add(time.Duration(checks) * time.Minute)
			if err := e.Ingest(t.Context(), w.accept(all, now.UnixMilli()), now); err != nil {
				t.Fatal(err)
			}
		}
		for range 45 { // the first checks have settled
			poll(1, -1)
		}
		rs := e.rules[0]
		if len(rs.dozing) != 2 || len(rs.all) != 0 {
			t.Errorf("%s: %d doze, %d are awake, want 2 and none", c.expr, len(rs.dozing), len(rs.all))
		}
		alerts := 0
		if c.bad >= 0 {
			alerts = 1
		}
		poll(c.checks, c.bad)
		if err := e.Advance(t.Context(), now.Add(4*time.Minute)); err != nil {
			t.Fatal(err)
		}
		if dozes := len(rs.all) == 0; dozes != c.dozes || len(e.Alerts()) != alerts {
			t.Errorf("%s, %d checks at once, %d bad: dozes %v, want %v; %d alerts, want %d", c.expr, c.checks, c.bad, dozes, c.dozes, len(e.Alerts()), alerts)
		}
	}
}

// A check at which one operand alone is there may be a breach or good, or nothing comes
// of it until another operand is there.
func TestOperandThatWaits(t *testing.T) {
	for _, c := range []struct {
		expr  string
		waits []bool // by leaf
	}{
		{"a / b >= 9", []bool{true, true}},
		{"-a > bool b", []bool{true, true}},
		{"a > 5 and b > 5", []bool{false, false}},
		{"a > 5 and b", []bool{false, true}},
		{"a / b and c", []bool{true, true, true}},
		{"a > 5 unless b > 5", []bool{false, true}},
		{"a unless b", []bool{false, true}},
		{"a or b", []bool{false, false}},
		{"a / b or c", []bool{true, true, false}},
	} {
		p := parseOne(t, "groups: [{name: g, interval: 1m, rules: [{alert: A, expr: '"+c.expr+"', consecutive: 1}]}]")[0].Rules[0].prog
		for leaf, want := range c.waits {
			waits := p.root.waits(leaf)
			if waits != want {
				t.Errorf("%s: operand %d waits: %v, want %v", c.expr, leaf, waits, want)
			}
			some := false
			for _, v := range []float64{-9, 0, 9, math.NaN()} {
				ops := make([]operand, len(p.leaves))
				ops[leaf] = operand{v: v, there: true}
				out := p.root.eval(ops)
				some = some || out.in || out.present
			}
			if some == waits {
				t.Errorf("%s: operand %d waits: %v, but alone it makes a verdict: %v", c.expr, leaf, waits, some)
			}
		}
	}
}
