package storage

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"watchkeeper/internal/sample"
)

// base is a full hour; the clock of most tests stands 30 minutes behind it.
var (
	base  = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixMilli()
	clock = base + (30 * time.Minute).Milliseconds()
	acme  = sample.Source{Customer: "acme", Name: "host/web-1"}
)

const minute = 60_000

var discard = slog.New(slog.DiscardHandler)

func newSet() *metrics.Set { return metrics.NewSet() }

func testConfig(dir string) Config {
	cfg := DefaultConfig()
	cfg.Dir = dir
	cfg.MinFreeBytes = 0
	return cfg
}

func openAt(t testing.TB, dir string, ms int64) *Store {
	t.Helper()
	s, err := Open(testConfig(dir), discard, newSet(), func() time.Time { return time.UnixMilli(ms) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func open(t testing.TB) *Store { return openAt(t, t.TempDir(), clock) }

// cpu is a series of acme as it will be stored.
func cpu(instance string) labels.Labels {
	return labels.FromStrings("__name__", "cpu_percent", "customer", "acme", "instance", instance)
}

func at(instance string, t int64, v float64) sample.Sample {
	return sample.Sample{Labels: cpu(instance), T: t, V: v}
}

func mustAppend(t testing.TB, s *Store, b sample.Batch) Result {
	t.Helper()
	if b.Source == (sample.Source{}) {
		b.Source = acme
	}
	res, err := s.Append(context.Background(), b)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func samples(xs ...sample.Sample) sample.Batch { return sample.Batch{Samples: xs} }

// dump reads the stored samples of a series as time → bits.
func dump(t testing.TB, s *Store, l labels.Labels) map[int64]uint64 {
	t.Helper()
	q, err := s.Querier(math.MinInt64, math.MaxInt64)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	var ms []*labels.Matcher
	l.Range(func(lb labels.Label) { ms = append(ms, labels.MustNewMatcher(labels.MatchEqual, lb.Name, lb.Value)) })
	set := q.Select(context.Background(), false, nil, ms...)
	got := map[int64]uint64{}
	for set.Next() {
		it := set.At().Iterator(nil)
		for it.Next() != chunkenc.ValNone {
			ts, v := it.At()
			got[ts] = math.Float64bits(v)
		}
		if it.Err() != nil {
			t.Fatal(it.Err())
		}
	}
	if set.Err() != nil {
		t.Fatal(set.Err())
	}
	return got
}

func values(kv ...float64) map[int64]uint64 {
	m := map[int64]uint64{}
	for i := 0; i < len(kv); i += 2 {
		m[int64(kv[i])] = math.Float64bits(kv[i+1])
	}
	return m
}

func reasons(res Result) []Reason {
	var rs []Reason
	for _, r := range res.Refused {
		rs = append(rs, r.Reason)
	}
	return rs
}

func diff(t testing.TB, what string, want, got any) {
	t.Helper()
	if d := cmp.Diff(want, got, cmp.Comparer(labels.Equal), cmpopts.IgnoreFields(sample.Sample{}, "Ref")); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func TestGoodSamplesOfABatchAreKept(t *testing.T) {
	s := open(t)
	b := samples(
		at("a", base, 1),
		at("b", clock+11*minute, 1), // ahead of the clock
		sample.Sample{Labels: labels.FromStrings("__name__", "x", "customer", "other"), T: base, V: 1},
		sample.Sample{Labels: labels.FromStrings("__name__", "bad\xff"), T: base, V: 1},
		sample.Sample{Labels: labels.FromStrings("a", "no name"), T: base, V: 1},
		sample.Sample{Labels: labels.FromStrings("__name__", sample.UpMetric), T: base, V: 1},
		sample.Sample{Labels: labels.New(labels.Label{Name: "__name__", Value: "d"}, labels.Label{Name: "l", Value: "1"}, labels.Label{Name: "l", Value: "2"}), T: base, V: 1},
		sample.Sample{Labels: labels.FromStrings("__name__", "cpu_percent", "instance", "c", "empty", ""), T: base, V: 2},
		at("d", clock+10*minute, 1), // exactly at the limit
	)
	res := mustAppend(t, s, b)
	diff(t, "accepted", []sample.Sample{at("a", base, 1), at("c", base, 2), at("d", clock+10*minute, 1)}, res.Accepted.Samples)
	diff(t, "reasons", []Reason{ReasonFuture, ReasonCustomer, ReasonLabels, ReasonLabels, ReasonReserved, ReasonLabels}, reasons(res))
	diff(t, "stored", values(float64(base), 2), dump(t, s, cpu("c")))
	diff(t, "nothing of b", values(), dump(t, s, cpu("b")))
}

func TestSecondValueIsRefusedTheSameIsADuplicate(t *testing.T) {
	nan1, nan2 := math.Float64frombits(0x7ff8000000000001), math.Float64frombits(0x7ff8000000000005)
	s := open(t)
	first := mustAppend(t, s, samples(at("a", base, 1), at("a", base+minute, 2), at("a", base+5*minute, 3), at("n", base, nan1)))
	if len(first.Accepted.Samples) != 4 {
		t.Fatalf("accepted %v", first.Accepted.Samples)
	}
	second := mustAppend(t, s, samples(
		at("a", base+5*minute, 3), at("a", base+5*minute, 4), // newest: duplicate, conflict
		at("a", base, 1), at("a", base, 9), // in order once, behind now: duplicate, conflict
		at("a", base+2*minute, 7), at("a", base+2*minute, 7), at("a", base+2*minute, 8), // out of order, twice more within the batch
		at("n", base, nan2),
	))
	diff(t, "accepted", []sample.Sample{at("a", base+2*minute, 7)}, second.Accepted.Samples)
	diff(t, "reasons", []Reason{ReasonConflict, ReasonConflict, ReasonConflict}, reasons(second))
	diff(t, "duplicates", 4, second.Duplicates)
	third := mustAppend(t, s, samples(at("a", base+2*minute, 8), at("a", base+2*minute, 7)))
	diff(t, "out-of-order conflict", []Reason{ReasonConflict}, reasons(third))
	diff(t, "stored", values(float64(base), 1, float64(base+minute), 2, float64(base+2*minute), 7, float64(base+5*minute), 3), dump(t, s, cpu("a")))
}

// A series has one number for as long as the process lives, and no other has it.
func TestSeriesHaveNumbers(t *testing.T) {
	s := open(t)
	refs := map[uint64]string{}
	for i := range 3 {
		for _, name := range []string{"a", "b", "c"} {
			res := mustAppend(t, s, samples(at(name, base+int64(i)*minute, 1)))
			ref := res.Accepted.Samples[0].Ref
			if old, ok := refs[ref]; ref == 0 || ok && old != name || !ok && i > 0 {
				t.Errorf("sample %d of %s has the number %d, known are %v", i, name, ref, refs)
			}
			refs[ref] = name
		}
	}
}

// Whatever a sender makes up, a line of the journal stays short enough to be read.
func TestLongLabelsAndReasonsAreRefused(t *testing.T) {
	s := open(t)
	var long []string
	for i := range 40 {
		long = append(long, fmt.Sprintf("l%02d", i), strings.Repeat("<", 4096))
	}
	good := labels.FromStrings("__name__", "up_to_now", "i", "1")
	b := sample.Batch{Source: sample.Source{Customer: "acme", Name: "push/x"}, Watermark: sample.Current, Samples: []sample.Sample{
		{Labels: labels.FromStrings(append(long, "__name__", "x")...), T: clock, V: 1},
		{Labels: good, T: clock, V: 1},
	}}
	b.Ends = []sample.End{{Labels: good, T: clock, Reason: strings.Repeat("A", 2<<20)}}
	res, err := s.Append(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	diff(t, "reasons", []Reason{ReasonLabels, ReasonLabels}, reasons(res))
	diff(t, "taken", 1, len(res.Accepted.Samples))
}

// What the server tells of its judging nobody else may tell, also of a series that is
// there already.
func TestJudgingSeriesAreTheServersOwn(t *testing.T) {
	s := open(t)
	l := labels.FromStrings("__name__", "watchkeeper_judging_refused", "customer", "acme", "limit", "rule")
	send := func(source string, at int64) Result {
		t.Helper()
		res, err := s.Append(t.Context(), sample.Batch{Source: sample.Source{Customer: "acme", Name: source}, Watermark: sample.Current,
			Samples: []sample.Sample{{Labels: l, T: at, V: 1}}})
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	diff(t, "before", []Reason{ReasonReserved}, reasons(send("push/x", clock-2)))
	diff(t, "own", 0, send("rules/judging", clock-1).RefusedTotal)
	diff(t, "after", []Reason{ReasonReserved}, reasons(send("push/x", clock)))
}
