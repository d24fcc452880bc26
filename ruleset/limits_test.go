package ruleset

import (
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/internal/sample"
)

// Who asks which identities a limit refuses hears of those that are not judged, however
// the others are: awake, asleep, dozing or evaluated.
func TestRefusing(t *testing.T) {
	for _, expr := range []string{"x > 1", "x / y > 1", "abs(x) > 1", "count by (i) (x > 1) > 0"} {
		for _, perCustomer := range []bool{false, true} {
			w := newWorld()
			groups, err := Parse("l.yml", []byte("groups: [{name: g, interval: 1m, rules: [{alert: A, consecutive: 1, expr: "+expr+"}]}]"))
			if err != nil {
				t.Fatal(err)
			}
			cfg, want := DefaultConfig(), "the limit of series per rule (3)"
			cfg.MaxSeriesPerRule = 3
			if perCustomer {
				cfg.MaxSeriesPerRule, cfg.MaxSeriesPerCustomer, want = 100, 3, "the limit of series per customer (3)"
			}
			e, err := New(cfg, groups, w.store, w, w, metrics.NewSet(), discard())
			if err != nil {
				t.Fatal(err)
			}
			for minute := range 5 {
				at := timelineStart.Add(time.Duration(minute) * time.Minute)
				if minute == 1 && e.Refusing() != nil {
					t.Errorf("%s: a limit bites with two identities", expr)
				}
				names := []string{"awake", "quiet"}
				if minute > 0 {
					names = append(names, "last", "refused")
				}
				b := sample.Batch{Source: sample.Source{Name: "s"}}
				for _, name := range names {
					for _, metric := range []string{"x", "y"} {
						v := 1.0
						if metric == "x" && name == "awake" {
							v = 5
						}
						b.Samples = append(b.Samples, sample.Sample{Labels: labels.FromStrings("__name__", metric, "i", name), T: at.UnixMilli(), V: v})
					}
				}
				if err := e.Ingest(t.Context(), w.accept(b, at.UnixMilli()), at); err != nil {
					t.Fatal(err)
				}
			}
			refuses := e.Refusing()
			if refuses == nil {
				t.Fatalf("%s: no limit bites", expr)
			}
			watched := 0
			for _, name := range []string{"awake", "quiet", "last", "refused"} {
				switch got := refuses("g/A", labels.FromStrings("i", name)); got {
				case "":
					watched++
				case want:
				default:
					t.Errorf("%s: %s: %q, want %q", expr, name, got, want)
				}
			}
			if watched != 3 || refuses("g/A", labels.FromStrings("i", "awake")) != "" {
				t.Errorf("%s: %d identities are judged, want 3", expr, watched)
			}
			if got := refuses("g/B", labels.FromStrings("i", "refused", "customer", "c")); got != "" {
				t.Errorf("%s: a rule that there is not: %q", expr, got)
			}
		}
	}
}
