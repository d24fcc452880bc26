package ruleset

import (
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/internal/sample"
)

// An alert whose series the store has no sample of any more, and the journal no record,
// stands on at a start, though another series has its labels: its rule still reads what
// opened it. One whose rule reads nothing of that any more ends.
func TestAnAlertOfALongSilentSeriesWasNotEditedAway(t *testing.T) {
	for _, rule := range []string{"x > 1", "sqrt(x) > 1", "x > 1 or z > 1"} {
		for metric, stands := range map[string]bool{"x": true, "w": false} {
			w := newWorld()
			e, err := w.engine(parseOne(t, "groups: [{name: g, interval: 1m, rules: [{alert: A, expr: "+rule+", consecutive: 1}]}]"))
			if err != nil {
				t.Fatal(err)
			}
			id := labels.FromStrings("i", "a")
			opened := timelineStart.UnixMilli()
			now := timelineStart.Add(400 * 24 * time.Hour)
			other := labels.FromStrings(model.MetricNameLabel, "y", "i", "a")
			w.accept(batchOf("v", opened, "b"), opened)
			w.accept(sample.Batch{Source: sample.Source{Name: "test"}, Samples: []sample.Sample{{Labels: other, T: now.UnixMilli(), V: 0}}}, now.UnixMilli())
			was := OpenAlert{
				RuleID: "g/A", Alert: "A", Identity: id, State: StateNoData, Opened: opened, Check: opened,
				Series: []labels.Labels{labels.FromStrings(model.MetricNameLabel, metric, "i", "a")},
			}
			if err := e.Recover(t.Context(), now, []OpenAlert{was}); err != nil {
				t.Fatal(err)
			}
			if as := e.Alerts(); stands != (len(as) == 1) || stands != (len(w.entries) == 0) {
				t.Errorf("%s, opened by %s: alerts %v, entries %v", rule, metric, as, w.entries)
			}
			if !stands && w.entries[0].Reason != reasonEdited {
				t.Errorf("%s, opened by %s: %v", rule, metric, w.entries)
			}
		}
	}
}
