package ruleset

import (
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/internal/sample"
)

// What is watched of a customer counts whether it has an instance or not, until it
// is forgotten.
func TestWatchedOfACustomer(t *testing.T) {
	w := newWorld()
	groups, err := Parse("l.yml", []byte(`groups: [{name: g, interval: 1m, rules: [
		{alert: Sleeps, expr: x > 1, consecutive: 2}, {alert: Dozes, expr: x > 1 and x > 2, consecutive: 2}]}]`))
	if err != nil {
		t.Fatal(err)
	}
	e, err := New(DefaultConfig(), groups, w.store, w, w, metrics.NewSet(), discard())
	if err != nil {
		t.Fatal(err)
	}
	now := timelineStart
	for _, v := range []float64{0, 9, 0} {
		now = now.Add(time.Minute)
		b := sample.Batch{Source: sample.Source{Name: "s"}}
		for _, l := range []labels.Labels{
			labels.FromStrings("__name__", "x", "customer", "acme", "i", "1"), labels.FromStrings("__name__", "x", "customer", "acme", "i", "2"),
			labels.FromStrings("__name__", "x", "customer", "lab", "i", "1"),
		} {
			b.Samples = append(b.Samples, sample.Sample{Labels: l, T: now.UnixMilli(), V: v})
		}
		if err := e.Ingest(t.Context(), w.accept(b, now.UnixMilli()), now); err != nil {
			t.Fatal(err)
		}
		for customer, n := range map[string]int{"acme": 2, "lab": 1, "nobody": 0} {
			if d := cmp.Diff(map[string]int{"g/Sleeps": n, "g/Dozes": n}, e.Watched(customer)); d != "" {
				t.Errorf("%s at %v: (-want +got)\n%s", customer, v, d)
			}
		}
	}
	for range 2 * hashShards { // idle identities are looked for shard by shard
		now = now.Add(72 * time.Hour / hashShards)
		if err := e.Advance(t.Context(), now); err != nil {
			t.Fatal(err)
		}
	}
	if got := e.Watched("acme")["g/Sleeps"]; got != 0 {
		t.Errorf("%d are watched of what was forgotten", got)
	}
}
