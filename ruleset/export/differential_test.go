package export

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"pgregory.net/rapid"

	"watchkeeper/internal/journal"
	"watchkeeper/internal/property"
	"watchkeeper/internal/sample"
	"watchkeeper/ruleset"
)

const checks = 16

// start is a point of the grid of every interval used here.
var start = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// world delivers gap-free data in time, one batch per check.
type world struct {
	rule    *ruleset.Rule
	samples []sample.Sample
	store   *ruleset.Memory
}

type noJournal struct{}

func (noJournal) Record(context.Context, ...journal.Record) error { return nil }
func (noJournal) Each(func(journal.Record) error) error           { return nil }

// firing follows the live log.
type firing map[string]bool

func (f firing) Log(_ context.Context, entries []ruleset.Entry) error {
	for _, e := range entries {
		if e.Log == ruleset.LogLive {
			f[e.Identity.String()] = e.To.Open()
		}
	}
	return nil
}

func (f firing) now() []string {
	var out []string
	for id, on := range f {
		if on {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out
}

// expressions cover each operator, compound conditions, joins, windows and aggregations.
var expressions = []string{
	"a >= 5", "a > 5", "a <= 5", "a < 5", "a == 5", "a != 5", "5 < a", "a == bool 5 != 0", "a offset 1m >= 5", "-a < -5",
	"a >= 5 and b < 5", "a > 5 or b > 5", "a >= 5 unless on (i) c", "100 * a / (b + 1) >= 80", "a - b < 0", "a > on (i) b",
	"sum by (z) (a) > 8", "sum by (z) (a > bool 5) >= 2", "max_over_time(a[3m]) - a > 3", "changes(a[3m]) >= 2", "avg_over_time(a[2m]) > 5",
}

func drawWorld(t *rapid.T) *world {
	expr := rapid.SampledFrom(expressions).Draw(t, "expr")
	n := rapid.IntRange(1, 4).Draw(t, "consecutive")
	phase := rapid.SampledFrom([]int{0, 0, 7}).Draw(t, "phase")
	text := fmt.Sprintf(`groups: [{name: g, interval: 1m, rules: [{alert: A, expr: '%s', consecutive: %d, phase: %ds}]}]`, expr, n, phase)
	groups, err := ruleset.Parse("g.yml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{rule: groups[0].Rules[0], store: ruleset.NewMemory()}
	per := rapid.IntRange(1, 2).Draw(t, "samples in a slot")
	for _, metric := range []string{"a", "b"} {
		for _, i := range []string{"x", "y"} {
			// c ends the joins of instance y: it is there from the beginning.
			w.series(t, labels.FromStrings("__name__", metric, "i", i, "z", "1"), per, nil)
		}
	}
	one := 1.0
	w.series(t, labels.FromStrings("__name__", "c", "i", "y"), per, &one)
	slices.SortStableFunc(w.samples, func(a, b sample.Sample) int { return int(a.T - b.T) })
	return w
}

// series draws samples for every slot: the last stands on the check or before it.
func (w *world) series(t *rapid.T, l labels.Labels, per int, fixed *float64) {
	base := start.Add(w.rule.Phase).UnixMilli()
	before := rapid.SampledFrom([]int64{0, 1, 20_000}).Draw(t, "before the check")
	for k := int64(-4); k <= checks; k++ {
		for j := range per {
			v := float64(rapid.IntRange(3, 7).Draw(t, "value"))
			if fixed != nil {
				v = *fixed
			}
			w.samples = append(w.samples, sample.Sample{Labels: l, T: base + k*60_000 - before - int64(j)*25_000, V: v})
		}
	}
}

// run delivers everything and returns at every check what fires with us.
func (w *world) run(t *rapid.T) [][]string {
	log := firing{}
	e, err := ruleset.New(ruleset.DefaultConfig(), []ruleset.Group{{Rules: []*ruleset.Rule{w.rule}}}, w.store, noJournal{}, log, metrics.NewSet(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	var out [][]string
	rest := w.samples
	for k := int64(-4); k <= checks; k++ {
		now := start.Add(w.rule.Phase + time.Duration(k)*time.Minute)
		b := sample.Batch{Source: sample.Source{Name: "s"}}
		for len(rest) > 0 && rest[0].T <= now.UnixMilli() {
			w.store.Append(rest[0].Labels, rest[0].T, rest[0].V)
			b.Samples = append(b.Samples, rest[0])
			rest = rest[1:]
		}
		if err := e.Ingest(t.Context(), b, now); err != nil {
			t.Fatal(err)
		}
		if err := e.Advance(t.Context(), now); err != nil {
			t.Fatal(err)
		}
		if k >= 1 {
			out = append(out, log.now())
		}
	}
	return out
}

// exported evaluates the exported expression some time after every check.
func (w *world) exported(t *rapid.T, after time.Duration) [][]string {
	expr, err := Expr(w.rule)
	if err != nil {
		t.Fatal(err)
	}
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 1e6, Timeout: time.Minute, LookbackDelta: 5 * time.Minute, EnableNegativeOffset: true})
	var out [][]string
	for k := 1; k <= checks; k++ {
		q, err := engine.NewInstantQuery(t.Context(), w.store, nil, expr, start.Add(w.rule.Phase+time.Duration(k)*time.Minute+after))
		if err != nil {
			t.Fatal(err)
		}
		res := q.Exec(t.Context())
		v, err := res.Vector()
		if err != nil {
			t.Fatalf("%s: %v", expr, err)
		}
		ids := map[string]bool{}
		for _, s := range v {
			ids[s.Metric.DropReserved(func(n string) bool { return n == model.MetricNameLabel }).String()] = true
		}
		out = append(out, slices.Sorted(maps.Keys(ids)))
		q.Close()
	}
	return out
}

// TestFiresAtTheSameChecks holds the exported rules to ours on gap-free data
// that arrive in time, wherever in the interval the other ruler evaluates.
func TestFiresAtTheSameChecks(t *testing.T) {
	fired := 0
	property.Check(t, func(t *rapid.T) {
		w := drawWorld(t)
		ours := w.run(t)
		after := time.Duration(rapid.SampledFrom([]int{0, 1, 30_000, 59_998}).Draw(t, "evaluated after")) * time.Millisecond
		theirs := w.exported(t, after)
		if d := cmp.Diff(ours, theirs); d != "" {
			t.Fatalf("%s: (-ours +exported)\n%s", w.rule.Expr, d)
		}
		for _, ids := range ours {
			fired += len(ids)
		}
	})
	if fired == 0 {
		t.Error("nothing ever fired: the test shows nothing")
	}
}
