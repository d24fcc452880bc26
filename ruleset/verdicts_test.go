package ruleset

import (
	"fmt"
	"log/slog"
	"math"
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

const probeRule = `groups: [{name: probe, interval: 1m, rules: [{alert: Down, expr: probe_code != 0, consecutive: 3}]}]`

func letters(vs []Verdict) string {
	var b strings.Builder
	for _, v := range vs {
		b.WriteByte("-bgmu"[v])
	}
	return b.String()
}

func TestVerdicts(t *testing.T) {
	w := newWorld()
	start := timelineStart.UnixMilli()
	at := func(m int64) int64 { return start + m*60_000 }
	l := labels.FromStrings(model.MetricNameLabel, "probe_code", "customer", "acme", "i", "a")
	src := sample.Source{Customer: "acme", Name: "probe"}
	for m, v := range map[int64]float64{2: 0, 3: 1, 4: 0, 6: math.NaN(), 8: 0, 12: 0} {
		w.store.Append(l, at(m), v)
	}
	for _, m := range []int64{1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12} {
		w.store.Append(labels.FromStrings(model.MetricNameLabel, sample.UpMetric, "customer", "acme", "source", "probe"), at(m), 1)
	}
	w.records = []journal.Record{
		{Kind: journal.KindContact, Customer: src.Customer, Source: src.Name, Arrive: at(0)},
		{Kind: journal.KindSeries, Customer: src.Customer, Source: src.Name, Labels: l, T: at(2)},
		{Kind: journal.KindEnd, Labels: l, T: at(9), Reason: "deleted"},
	}
	rule := parseOne(t, probeRule)[0].Rules[0]
	read := func(j Journal, from, to int64) string {
		got, err := Verdicts(t.Context(), w.store, j, rule, time.UnixMilli(at(from)), time.UnixMilli(at(to)))
		if err != nil || len(got) != 1 {
			t.Fatalf("%v, %v", got, err)
		}
		if got[0].First != at(from+1) {
			t.Errorf("first check %d", got[0].First)
		}
		return letters(got[0].Verdicts)
	}
	f := func(got, want string) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	f(read(w, 0, 13), "-gbgmmug---gu")   // 7 and 13 unobserved, ended at 9, begins anew at 12
	f(read(nil, 0, 13), "-gbgmmmgmmmgm") // nobody says who looked or what ended
	f(read(w, 4, 8), "mmug")
}

// History that was imported has no contact in the journal; who looked is in its
// up-samples, however long ago the span is.
func TestVerdictsOfImportedHistory(t *testing.T) {
	w := newWorld()
	l := labels.FromStrings(model.MetricNameLabel, "probe_code", "customer", "acme", "i", "a")
	up := labels.FromStrings(model.MetricNameLabel, sample.UpMetric, "customer", "acme", "source", "probe")
	at := func(m int64) int64 { return timelineStart.UnixMilli() + m*60_000 - 30_000 }
	const month = 30 * 24 * 60
	for m := int64(1); m <= month; m++ {
		if m > 20_000 && m <= 20_025 {
			continue // nobody looked
		}
		if m != 30_000 { // looked, and got nothing
			w.store.Append(l, at(m), 0)
		}
		w.store.Append(up, at(m), 1)
	}
	w.records = []journal.Record{{Kind: journal.KindSeries, Customer: "acme", Source: "probe", Labels: l, T: at(1)}}
	rule := parseOne(t, probeRule)[0].Rules[0]
	got, err := Verdicts(t.Context(), w.store, w, rule, timelineStart, timelineStart.Add(month*time.Minute))
	if err != nil || len(got) != 1 {
		t.Fatalf("%v, %v", got, err)
	}
	want := strings.Repeat("g", 20_000) + strings.Repeat("u", 25) + strings.Repeat("g", 9_974) + "m" + strings.Repeat("g", month-30_000)
	if text := letters(got[0].Verdicts); text != want {
		t.Errorf("%d checks, %d unobserved, %d missing; want %d, 25, 1", len(text), strings.Count(text, "u"), strings.Count(text, "m"), month)
	}
}

// An operand that fell silent before all that is read is asked whether its source looked,
// until it has been silent for 48 h.
func TestVerdictsAskSilentOperands(t *testing.T) {
	w := newWorld()
	at := func(h float64) int64 { return timelineStart.UnixMilli() + int64(h*3_600_000) }
	give := func(metric string, from, to int, up bool) {
		for h := from; h <= to; h++ {
			b := batchOf(metric, at(float64(h)), "x")
			b.Samples[0].V = 1
			b.Source.Name = metric
			w.accept(b, at(float64(h)))
		}
		for h := range 60 {
			w.accept(sample.Batch{Source: sample.Source{Name: metric}, Ups: []sample.Up{{T: at(float64(h)), OK: up}}}, at(float64(h)))
		}
	}
	give("a", 0, 44, true)
	give("b", 0, 0, false)
	rule := parseOne(t, "groups: [{name: g, interval: 1h, rules: [{alert: A, expr: a > 5 or b > 5, consecutive: 1, lateness: 1h}]}]")[0].Rules[0]
	got, err := Verdicts(t.Context(), w.store, w, rule, time.UnixMilli(at(43)), time.UnixMilli(at(52)))
	if err != nil || len(got) != 1 {
		t.Fatalf("%v, %v", got, err)
	}
	if diff := cmp.Diff("uuuummmmm", letters(got[0].Verdicts)); diff != "" {
		t.Errorf("from 44 h on (-want +got):\n%s", diff)
	}
}

// A month of one-minute checks takes well under a second.
func TestVerdictsOfAMonth(t *testing.T) {
	m := NewMemory()
	l := labels.FromStrings(model.MetricNameLabel, "probe_code", "i", "a")
	const checks = 31 * 24 * 60
	for k := range int64(checks) {
		m.Append(l, timelineStart.UnixMilli()+k*60_000, float64(k%7/6))
	}
	rule := parseOne(t, probeRule)[0].Rules[0]
	begin := time.Now()
	got, err := Verdicts(t.Context(), m, nil, rule, timelineStart.Add(-time.Minute), timelineStart.Add((checks-1)*time.Minute))
	if err != nil || len(got) != 1 || len(got[0].Verdicts) != checks {
		t.Fatalf("%d series, %v", len(got), err)
	}
	t.Logf("%d checks in %v", checks, time.Since(begin))
	breaches := strings.Count(letters(got[0].Verdicts), "b")
	if breaches != checks/7 {
		t.Errorf("%d breaches, want %d", breaches, checks/7)
	}
}

// BenchmarkIngest is the in-order path: one sample a series and check.
func BenchmarkIngest(b *testing.B) {
	const series = 10_000
	groups, err := Parse("bench.yml", []byte(`groups: [{name: g, interval: 1m, rules: [{alert: CPU, expr: cpu >= 90, consecutive: 3}]}]`))
	if err != nil {
		b.Fatal(err)
	}
	w := newWorld()
	e, err := New(DefaultConfig(), groups, w.store, w, w, metrics.NewSet(), slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	batch := sample.Batch{Source: sample.Source{Name: "bench"}, Watermark: sample.Current}
	for i := range series {
		batch.Samples = append(batch.Samples, sample.Sample{Labels: labels.FromStrings(model.MetricNameLabel, "cpu", "i", fmt.Sprint(i)), V: 50})
	}
	t := timelineStart.UnixMilli()
	b.ReportAllocs()
	for b.Loop() {
		t += 60_000
		for i := range batch.Samples {
			batch.Samples[i].T = t - 1
		}
		if err := e.Ingest(b.Context(), batch, time.UnixMilli(t)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/series, "ns/sample")
}
