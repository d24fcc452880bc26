package ruleset

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/internal/sample"
)

// A series that ends and begins again all day ended as often after a restart: the
// settled log is the same, reasons included.
func TestARestartKnowsEveryEnd(t *testing.T) {
	groups := parseOne(t, "groups: [{name: g, interval: 1m, rules: [{alert: A, expr: x > 5, consecutive: 2, lateness: 5m}]}]")
	w := newWorld()
	e, err := w.engine(groups)
	if err != nil {
		t.Fatal(err)
	}
	l := labels.FromStrings(model.MetricNameLabel, "x", "i", "a")
	const ends = 100
	for m := range ends * 5 {
		now := timelineStart.Add(time.Duration(m+1) * time.Minute)
		b := sample.Batch{Source: sample.Source{Name: "s"}, Ups: []sample.Up{{T: now.UnixMilli(), OK: true}}, Watermark: sample.Current}
		switch m % 5 {
		case 0, 1, 2:
			b.Samples = []sample.Sample{{Labels: l, T: now.UnixMilli() - 1000, V: 9}}
		case 3:
			b.Ups = nil // so that the stale marker alone ends nothing
			b.Ends = []sample.End{{Labels: l, T: now.UnixMilli() - 50_000, Reason: "deleted"}}
		}
		if err := e.Ingest(t.Context(), w.accept(b, now.UnixMilli()), now); err != nil {
			t.Fatal(err)
		}
	}
	now := timelineStart.Add((ends*5 + 10) * time.Minute)
	if err := e.Advance(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	settled := func(entries []Entry) (out []string) {
		for _, en := range entries {
			if en.Log == LogSettled {
				out = append(out, en.String()+" "+en.Reason)
			}
		}
		return out
	}
	want := settled(w.entries)
	if len(want) != 3*ends {
		t.Fatalf("%d lines, want pending, firing and ended of %d", len(want), ends)
	}
	alerts := w.alerts()
	w.entries, w.seen = nil, map[string]bool{}
	if e, err = w.engine(groups); err != nil {
		t.Fatal(err)
	}
	if err := e.Recover(t.Context(), now, alerts); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, settled(w.entries)); diff != "" {
		t.Errorf("settled log (-before +after the restart):\n%.2000s", diff)
	}
	// Who looks back long after sees them too.
	later := now.Add(60 * 24 * time.Hour)
	vs, err := Verdicts(t.Context(), w.store, w, groups[0].Rules[0], timelineStart, later)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for k, ended := range vs[0].Ended {
		if ended {
			n++
			if vs[0].Verdicts[k+1] != VerdictBreach && vs[0].Verdicts[k+1] != VerdictOpen {
				t.Errorf("the check after the end at %d is %v", k, vs[0].Verdicts[k+1])
			}
		}
	}
	if n != ends {
		t.Errorf("%d ends are seen later, want %d", n, ends)
	}
}

// An end that was stored and not judged, of an alert that has had no data for a week,
// closes it at the start.
func TestARestartHearsTheEndOfALongSilence(t *testing.T) {
	for _, expr := range []string{"x > 5", "x > 5 and y > 5", "abs(x) > 5"} {
		groups := parseOne(t, "groups: [{name: g, interval: 1m, rules: [{alert: A, expr: '"+expr+"', consecutive: 1}]}]")
		w := newWorld()
		e, err := w.engine(groups)
		if err != nil {
			t.Fatal(err)
		}
		now := timelineStart
		b := batchOf("x", now.UnixMilli(), "a")
		b.Samples = append(b.Samples, batchOf("y", now.UnixMilli(), "a").Samples...)
		for i := range b.Samples {
			b.Samples[i].V = 9
		}
		if err := e.Ingest(t.Context(), w.accept(b, now.UnixMilli()), now); err != nil {
			t.Fatal(err)
		}
		for range 7 * 24 {
			now = now.Add(time.Hour)
			if err := e.Advance(t.Context(), now); err != nil {
				t.Fatal(err)
			}
		}
		w.accept(sample.Batch{Source: b.Source, Ends: []sample.End{{Labels: b.Samples[0].Labels, T: now.UnixMilli() - 1, Reason: "released"}}}, now.UnixMilli())
		if e, err = w.engine(groups); err != nil {
			t.Fatal(err)
		}
		if err := e.Recover(t.Context(), now, w.alerts()); err != nil {
			t.Fatal(err)
		}
		var got []State
		for _, en := range w.entries {
			if en.Log == LogLive {
				got = append(got, en.To)
			}
		}
		if diff := cmp.Diff([]State{StateFiring, StateNoData, StateEnded}, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", expr, diff)
		}
	}
}
