package ruleset

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/internal/sample"
)

// A block of months ago that cannot be read does not keep a start from going on: what it
// tells and logs as settled is what it would have, and it says what it did without.
func TestAStartGoesAroundADamagedBlockOfMonthsAgo(t *testing.T) {
	const day = 24 * time.Hour
	now := timelineStart.Add(200 * day)
	lost := [2]time.Time{timelineStart.Add(100 * day), timelineStart.Add(102 * day)}
	w := newWorld()
	give := func(source string, at time.Time, watermark int64, v float64, up bool) {
		b := sample.Batch{Source: sample.Source{Customer: "c", Name: source}, Watermark: watermark}
		if up {
			b.Ups = []sample.Up{{T: at.UnixMilli(), OK: true}}
		}
		if v != 0 {
			b.Samples = []sample.Sample{{Labels: labels.FromStrings(model.MetricNameLabel, "x", "customer", "c", "i", source), T: at.UnixMilli(), V: v}}
		}
		w.accept(b, at.UnixMilli())
	}
	// steady looks all the time, with an hour in which it did not; quiet never says whether
	// it looks; blind last looked before what is lost, and in it; hidden was first heard of
	// in it, and came back; later came after it; still declared last in it what it
	// is complete up to; dark has an alert and its last sample in it.
	in := lost[0].Add(10 * time.Hour)
	for at := timelineStart.Add(90 * day); at.Before(lost[1]); at = at.Add(6 * time.Hour) {
		give("steady", at, sample.Current, 1, true)
		give("quiet", at, 0, 1, false)
		give("blind", at, 0, 1, true)
		if at.Before(in) {
			give("still", at, at.UnixMilli(), 1, true)
		}
	}
	give("hidden", in, 0, 1, true)
	give("still", in, in.UnixMilli(), 1, true)
	give("dark", in, sample.Current, 9, true)
	for at := now.Add(-20 * time.Hour); at.Before(now); at = at.Add(time.Minute) {
		gap := now.Sub(at)
		breach := 1.0
		if gap < 90*time.Minute {
			breach = 9
		}
		if gap < 30*time.Minute {
			breach = 0
		}
		give("steady", at, sample.Current, breach, gap > 20*time.Minute)
		give("quiet", at, 0, breach, false)
		give("blind", at, 0, breach, false)
		give("hidden", at, 0, breach, gap < 2*time.Minute)
		give("later", at, 0, breach, gap < 2*time.Minute)
		give("still", at, 0, breach, true)
	}
	open := []OpenAlert{{
		RuleID: "g/A", Alert: "A", Identity: labels.FromStrings("customer", "c", "i", "dark"), State: StateNoData,
		Opened: in.UnixMilli(), Check: in.Add(time.Hour).UnixMilli(),
	}}
	groups := parseOne(t, "groups: [{name: g, interval: 1m, rules: [{alert: A, expr: x > 5, consecutive: 3, no_data_after: 5}]}]")
	start := func(damaged bool) (lines []string, log string) {
		store := &damagedStore{Queryable: w.store, lo: lost[0].UnixMilli(), hi: lost[1].UnixMilli(), damaged: damaged}
		var b bytes.Buffer
		var got []Entry
		sink := sinkFunc(func(es []Entry) error { got = append(got, es...); return nil })
		e, err := New(DefaultConfig(), groups, store, w, sink, metrics.NewSet(), slog.New(slog.NewTextHandler(&b, nil)))
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Recover(t.Context(), now, open); err != nil {
			t.Fatal(err)
		}
		if damaged && store.failed == 0 {
			t.Error("nothing was read that cannot be: this test shows nothing")
		}
		for _, en := range got {
			lines = append(lines, fmt.Sprint(en))
		}
		for _, a := range e.Alerts() {
			lines = append(lines, fmt.Sprint(a.Identity, a.State))
		}
		return lines, b.String()
	}
	want, _ := start(false)
	got, log := start(true)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-whole +damaged):\n%s", diff)
	}
	if len(want) < 8 {
		t.Errorf("little to see: %q", want)
	}
	for _, said := range []string{"first up-samples", "what sources declared", "series with an alert", "damaged block"} {
		if !strings.Contains(log, said) {
			t.Errorf("the log does not say %q:\n%s", said, log)
		}
	}
}
