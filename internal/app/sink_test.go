package app

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/alertrouter"
	"watchkeeper/alertrouter/incident"
	"watchkeeper/internal/journal"
	"watchkeeper/internal/sample"
	"watchkeeper/ruleset"
)

// unkept is a journal and a log that keep nothing.
type unkept struct{}

func (unkept) Record(context.Context, ...journal.Record) error { return nil }
func (unkept) Each(func(journal.Record) error) error           { return nil }
func (unkept) write([]ruleset.Entry) error                     { return nil }

// Late samples have an alert close, open and close again at one check: the incident is
// what the alert is after each of them.
func TestIncidentFollowsAnAlertThatChangesAtOneCheck(t *testing.T) {
	type delivery struct {
		at, t int // seconds
		v     float64
		open  bool
	}
	f := func(name string, script ...delivery) {
		t.Helper()
		cfg := alertrouter.DefaultConfig()
		cfg.DataDir, cfg.Routing = t.TempDir(), "{route: {receiver: nobody}, receivers: [{name: nobody}]}"
		router, err := alertrouter.New(cfg, metrics.NewSet(), slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		defer router.Close()
		groups, err := ruleset.Parse("x.yml", []byte("groups: [{name: g, interval: 1m, rules: [{alert: High, expr: a > 5, consecutive: 1, lateness: 10m}]}]"))
		if err != nil {
			t.Fatal(err)
		}
		store := ruleset.NewMemory()
		to := toRouter{router: router, logs: unkept{}, now: time.Now, log: slog.New(slog.DiscardHandler)}
		engine, err := ruleset.New(ruleset.DefaultConfig(), groups, store, unkept{}, to, metrics.NewSet(), slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now().Add(-time.Hour).Truncate(time.Minute)
		for _, d := range script {
			after := func(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }
			x := sample.Sample{Labels: labels.FromStrings(model.MetricNameLabel, "a", "i", "x"), T: after(d.t).UnixMilli(), V: d.v}
			x.Ref, _ = store.Append(x.Labels, x.T, x.V)
			if err := engine.Ingest(t.Context(), sample.Batch{Source: sample.Source{Name: "src"}, Samples: []sample.Sample{x}}, after(d.at)); err != nil {
				t.Fatal(err)
			}
			incs, err := router.Incidents().List(t.Context(), incident.Filter{})
			if err != nil || len(incs) != 1 || incs[0].Open() != d.open {
				t.Errorf("%s: at %d s: incidents %+v, %v, want one that is open: %v", name, d.at, incs, err, d.open)
			}
		}
	}
	f("resolved twice",
		delivery{60, 10, 9, true}, delivery{120, 70, 1, false}, delivery{130, 80, 9, true}, delivery{140, 90, 1, false}, delivery{150, 100, 9, true})
	f("taken back twice",
		delivery{60, 10, 9, true}, delivery{70, 20, 1, false}, delivery{80, 30, 9, true}, delivery{90, 40, 1, false}, delivery{100, 50, 9, true})
}
