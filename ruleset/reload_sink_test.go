package ruleset

import (
	"errors"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/google/go-cmp/cmp"
)

// A sink that fails does not make a reload fail: the new rules are in force, and what is
// to be told, of before it too, waits in its order and has the labels of the new rules.
func TestReloadWithAFailingSink(t *testing.T) {
	var told []string
	var fails bool
	var most int
	sink := sinkFunc(func(es []Entry) error {
		if fails {
			return errDisk
		}
		most = max(most, len(es))
		for _, en := range es {
			if en.Log == LogLive && (en.From.Open() || en.To.Open()) {
				told = append(told, en.Rule.Alert+" "+string(en.To)+" "+en.Labels.Get("severity")+" "+en.Reason)
			}
		}
		return nil
	})
	w := newWorld()
	old := parseOne(t, `groups: [{name: g, interval: 1m, rules: [
  {alert: Kept, expr: x > 1, consecutive: 1, labels: {severity: high}}, {alert: Edited, expr: x > 1, consecutive: 1, labels: {severity: high}},
  {alert: Removed, expr: x > 1, consecutive: 1, labels: {severity: high}}]}]`)
	next := parseOne(t, `groups: [{name: g, interval: 1m, rules: [
  {alert: Kept, expr: x > 1, consecutive: 1, labels: {severity: average}}, {alert: Edited, expr: x > 2, consecutive: 1, labels: {severity: average}},
  {alert: Added, expr: x > 1, consecutive: 1, labels: {severity: average}}]}]`)
	e, err := New(DefaultConfig(), old, w.store, w, sink, metrics.NewSet(), discard())
	if err != nil {
		t.Fatal(err)
	}
	now := timelineStart.Add(time.Minute)
	fails = true
	if err := e.Ingest(t.Context(), w.accept(batchOf("x", now.UnixMilli(), "a"), now.UnixMilli()), now); !errors.Is(err, errDisk) {
		t.Fatalf("Ingest: %v", err)
	}
	if err := e.Reload(t.Context(), next, now); err != nil {
		t.Fatalf("Reload: %v", err)
	}
	var loaded []string
	for _, r := range e.Rules() {
		loaded = append(loaded, r.Rule.Alert+" "+r.Rule.Severity())
	}
	if d := cmp.Diff([]string{"Kept average", "Edited average", "Added average"}, loaded); d != "" {
		t.Errorf("rules in force (-want +got):\n%s", d)
	}
	fails = false
	if err := e.Advance(t.Context(), now.Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"Kept firing average ", "Edited firing average ", "Removed firing high ",
		"Added firing average rule added", "Removed ended high rule removed",
	}
	if d := cmp.Diff(want, told); d != "" {
		t.Errorf("told (-want +got):\n%s", d)
	}
}
