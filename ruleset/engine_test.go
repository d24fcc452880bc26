package ruleset

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/internal/sample"
)

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// batchOf makes a batch of breaching samples, one for each value of label i.
func batchOf(metric string, t int64, is ...string) sample.Batch {
	b := sample.Batch{Source: sample.Source{Name: "test"}}
	for _, i := range is {
		b.Samples = append(b.Samples, sample.Sample{Labels: labels.FromStrings(model.MetricNameLabel, metric, "i", i), T: t, V: 95})
	}
	return b
}

// sinkFunc is a sink made of a function.
type sinkFunc func([]Entry) error

func (f sinkFunc) Log(_ context.Context, entries []Entry) error { return f(entries) }

// Entries stay queued until the sink takes them, and a full queue refuses batches.
func TestSinkFailureKeepsEntries(t *testing.T) {
	w := newWorld()
	down := errors.New("incident store is down")
	failing := true
	var got []Entry
	sink := sinkFunc(func(es []Entry) error {
		if failing {
			return down
		}
		got = append(got, es...)
		return nil
	})
	cfg := DefaultConfig()
	cfg.MaxQueuedEntries = 1
	groups := parseOne(t, "groups: [{name: g, interval: 1m, rules: [{alert: A, expr: x > 1, consecutive: 1}]}]")
	e, err := New(cfg, groups, w.store, w, sink, metrics.NewSet(), discard())
	if err != nil {
		t.Fatal(err)
	}
	now := timelineStart.Add(time.Minute)
	if err := e.Ingest(t.Context(), w.accept(batchOf("x", now.UnixMilli(), "a"), now.UnixMilli()), now); !errors.Is(err, down) {
		t.Fatalf("a failing sink: %v", err)
	}
	if err := e.Ingest(t.Context(), batchOf("x", now.UnixMilli(), "b"), now); !errors.Is(err, ErrBackpressure) {
		t.Fatalf("a full queue: %v", err)
	}
	failing = false
	if err := e.Advance(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || got[0].To != StateFiring || got[0].Value != 95 || len(got[0].Samples) != 1 {
		t.Fatalf("entries %v", got)
	}
	if got[0].Labels.Get("alertname") != "A" || got[0].Labels.Get("i") != "a" {
		t.Errorf("labels %s", got[0].Labels)
	}
}

// An alert that stood before the recover window, and whose series is silent, stands on.
func TestRecoverOldOpenAlert(t *testing.T) {
	w := newWorld()
	groups := parseOne(t, "groups: [{name: g, interval: 1m, rules: [{alert: A, expr: x > 1, consecutive: 1}]}]")
	e, err := w.engine(groups)
	if err != nil {
		t.Fatal(err)
	}
	id := labels.FromStrings("i", "a")
	opened := timelineStart.UnixMilli()
	now := timelineStart.Add(72 * time.Hour)
	if err := e.Recover(t.Context(), now, []OpenAlert{{RuleID: "g/A", Identity: id, State: StateNoData, Opened: opened, Check: opened}}); err != nil {
		t.Fatal(err)
	}
	if as := e.Alerts(); len(as) != 1 || as[0].State != StateNoData || len(w.entries) != 0 {
		t.Fatalf("alerts %v, entries %v", as, w.entries)
	}
	l := labels.FromStrings(model.MetricNameLabel, "x", "i", "a")
	b := sample.Batch{Source: sample.Source{Name: "test"}, Samples: []sample.Sample{{Labels: l, T: now.UnixMilli(), V: 0}}}
	if err := e.Ingest(t.Context(), w.accept(b, now.UnixMilli()), now); err != nil {
		t.Fatal(err)
	}
	if len(w.entries) == 0 || w.entries[0].To != StateResolved {
		t.Fatalf("a good sample: %v", w.entries)
	}
}

// A reload that fails changes nothing.
func TestReloadFailure(t *testing.T) {
	w := newWorld()
	groups := parseOne(t, "groups: [{name: g, interval: 1m, rules: [{alert: A, expr: x > 1, consecutive: 1}]}]")
	e, err := w.engine(groups)
	if err != nil {
		t.Fatal(err)
	}
	plain := parseOne(t, "groups: [{name: g, rules: [{alert: B, expr: x > 1}]}]")
	if err := e.Reload(t.Context(), plain, timelineStart); err == nil {
		t.Fatal("a plain rule was loaded")
	}
	if rules := e.Rules(); len(rules) != 1 || rules[0].Rule.Alert != "A" {
		t.Errorf("rules %v", rules)
	}
}

// Series that come and go do not fill memory, nor keep a limit hit; an alert
// that stands is not forgotten.
func TestIdleIdentitiesAreForgotten(t *testing.T) {
	w := newWorld()
	groups := parseOne(t, `groups: [{name: g, interval: 1m, rules: [
  {alert: A, expr: x > 1, consecutive: 1},
  {alert: B, expr: x > 1 and y > 1, consecutive: 1},
  {alert: C, expr: max by (i) (x) > 1, consecutive: 1}]}]`)
	e, err := w.engine(groups)
	if err != nil {
		t.Fatal(err)
	}
	const generations = 12
	now := timelineStart
	for g := range generations {
		for m := range 3 {
			now = timelineStart.Add(time.Duration(g)*12*time.Hour + time.Duration(m)*time.Minute)
			b := sample.Batch{Source: sample.Source{Name: "pod/" + string(rune('a'+g))}, Ups: []sample.Up{{T: now.UnixMilli(), OK: true}}}
			for i := range 10 {
				l := labels.FromStrings(model.MetricNameLabel, "x", "i", string(rune('a'+g))+string(rune('a'+i)))
				v := 0.0
				if g == 0 && i == 0 {
					v = 5 // stands for ever
				}
				b.Samples = append(b.Samples, sample.Sample{Labels: l, T: now.UnixMilli(), V: v})
			}
			if err := e.Ingest(t.Context(), w.accept(b, now.UnixMilli()), now); err != nil {
				t.Fatal(err)
			}
		}
		for end := now.Add(12 * time.Hour); now.Before(end); now = now.Add(30 * time.Minute) {
			if err := e.Advance(t.Context(), now); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, r := range e.Rules() {
		if r.Series > 60 {
			t.Errorf("rule %s watches %d identities of %d that ever were", r.Rule.Alert, r.Series, 10*generations)
		}
	}
	if n := e.series.n; n > 60 {
		t.Errorf("%d series", n)
	}
	if n := len(e.sources); n > 6 {
		t.Errorf("%d sources", n)
	}
	if n := e.customers[""]; n > 170 {
		t.Errorf("%d identities of the customer", n)
	}
	standing := 0
	for _, a := range e.Alerts() {
		if a.State.Open() {
			standing++
		}
	}
	if standing != 2 {
		t.Errorf("alerts %v", e.Alerts())
	}
}

// After a restart a sample ahead of the clock is judged at its check, as far ahead
// as the store takes it.
func TestRestartJudgesSamplesAhead(t *testing.T) {
	groups := parseOne(t, "groups: [{name: g, interval: 1m, rules: [{alert: A, expr: x > 1, consecutive: 1}]}]")
	now := timelineStart.Add(time.Minute)
	early := now.Add(9 * time.Minute)
	fired := func(ahead time.Duration) bool {
		w := newWorld()
		w.accept(batchOf("x", early.UnixMilli(), "a"), now.UnixMilli())
		cfg := DefaultConfig()
		cfg.MaxAhead = model.Duration(ahead)
		e, err := New(cfg, groups, w.store, w, w, metrics.NewSet(), discard())
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Recover(t.Context(), now, nil); err != nil {
			t.Fatal(err)
		}
		if err := e.Advance(t.Context(), early); err != nil {
			t.Fatal(err)
		}
		return len(w.entries) > 0
	}
	if !fired(10*time.Minute) || fired(5*time.Minute) {
		t.Error("MaxAhead does not say how far ahead Recover reads")
	}
}
