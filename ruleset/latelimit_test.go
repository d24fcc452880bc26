package ruleset

import (
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/internal/journal"
	"watchkeeper/internal/sample"
)

// Ten thousand times as many late samples as the journal may list in a day change
// nothing that has been said; those in time are judged as ever. The next day and a
// start begin no new count for the day that has one.
func TestLateSamplesBeyondTheLimit(t *testing.T) {
	const limit, series, each = 20, 200, 1000
	w := newWorld()
	groups := parseOne(t, "groups: [{name: g, interval: 1m, rules: [{alert: A, expr: x > 5, consecutive: 1, lateness: 5m}]}]")
	cfg := DefaultConfig()
	cfg.MaxLatePerDay = limit
	engine := func() *Engine {
		t.Helper()
		e, err := New(cfg, groups, w.store, w, w, metrics.NewSet(), slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	e := engine()
	now := timelineStart.Add(time.Hour)
	give := func(i int, v float64, times ...time.Time) {
		t.Helper()
		l := labels.FromStrings(model.MetricNameLabel, "x", "i", fmt.Sprint(i))
		b := sample.Batch{Source: sample.Source{Name: "s"}}
		for _, at := range times {
			b.Samples = append(b.Samples, sample.Sample{Labels: l, T: at.UnixMilli(), V: v})
		}
		if err := e.Ingest(t.Context(), w.accept(b, now.UnixMilli()), now); err != nil {
			t.Fatal(err)
		}
	}
	listed := func(want int) {
		t.Helper()
		n := 0
		for _, r := range w.records {
			if r.Kind == journal.KindLate {
				n++
			}
		}
		if n != want {
			t.Errorf("the journal lists %d late samples, want %d", n, want)
		}
	}
	for i := range series {
		give(i, 1, now)
	}
	now = now.Add(10 * time.Minute)
	var old []time.Time
	for m := range each {
		old = append(old, timelineStart.Add(-time.Duration(m)*time.Minute))
	}
	slices.Reverse(old)
	for i := range series {
		give(i, 9, old...)
	}
	listed(limit)
	if n := len(e.rules[0].late); n != limit {
		t.Errorf("%d late samples are kept", n)
	}
	if diff := cmp.Diff(map[string]int{"": series*each - limit}, e.UnlistedLate()); diff != "" {
		t.Errorf("not listed (-want +got):\n%s", diff)
	}
	if len(w.entries) != 0 {
		t.Errorf("the logs say %v", w.entries[0])
	}
	give(0, 9, now)
	if as := e.Alerts(); len(as) != 1 || as[0].State != StateFiring {
		t.Errorf("alerts %v", as)
	}
	e = engine()
	if err := e.Recover(t.Context(), now, w.alerts()); err != nil {
		t.Fatal(err)
	}
	give(1, 9, timelineStart.Add(-48*time.Hour))
	listed(limit)
	now = now.Add(24 * time.Hour)
	give(1, 9, timelineStart.Add(-47*time.Hour))
	listed(limit + 1)
}

// A late sample that is an operand twice is listed once, with the last check that had settled: those
// after its own had settled without knowing that its series had begun.
func TestALateSampleIsListedOnce(t *testing.T) {
	for _, expr := range []string{"a > 5 and a < 20", "a > 5 and a offset 10m > 5", "a offset 10m > 5 and a > 5", "abs(a offset 10m) + a > 5"} {
		w := newWorld()
		e, err := w.engine(parseOne(t, "groups: [{name: g, interval: 1m, rules: [{alert: A, expr: '"+expr+"', consecutive: 1, lateness: 5m}]}]"))
		if err != nil {
			t.Fatal(err)
		}
		now := timelineStart.Add(30 * time.Minute)
		for _, at := range []time.Time{now, timelineStart} {
			if err := e.Ingest(t.Context(), w.accept(batchOf("a", at.UnixMilli(), "x"), now.UnixMilli()), now); err != nil {
				t.Fatal(err)
			}
		}
		var got []time.Duration
		for _, r := range w.records {
			if _, ms, ok := strings.Cut(r.Reason, lateWords); ok && r.Kind == journal.KindLate {
				t, err := strconv.ParseInt(ms, 10, 64)
				if err == nil {
					got = append(got, time.UnixMilli(t).Sub(timelineStart))
				}
			}
		}
		if diff := cmp.Diff([]time.Duration{25 * time.Minute}, got); diff != "" {
			t.Errorf("%s: settled through (-want +got):\n%s", expr, diff)
		}
	}
}
