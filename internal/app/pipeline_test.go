package app

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/internal/journal"
	"watchkeeper/internal/sample"
	"watchkeeper/internal/storage"
	"watchkeeper/ruleset"
)

// taker is a store that takes everything.
type taker struct{}

func (taker) Append(_ context.Context, b sample.Batch) (storage.Result, error) {
	return storage.Result{Accepted: b}, nil
}

func (taker) AppendOld(_ context.Context, b sample.Batch, foresee func(sample.Batch) ([]journal.Record, error)) (storage.Result, error) {
	_, err := foresee(b)
	return storage.Result{Accepted: b}, err
}

// judge remembers what it judged; while broken by an ErrNotTaken it takes nothing.
type judge struct {
	broken error
	judged []sample.Batch
	at     time.Time
}

func (j *judge) Ingest(_ context.Context, b sample.Batch, now time.Time) error {
	j.at = now
	if !errors.Is(j.broken, ruleset.ErrNotTaken) {
		j.judged = append(j.judged, b)
	}
	return j.broken
}

func (j *judge) MayBeLate(b sample.Batch, now time.Time) bool {
	return len(b.Samples) > 0 && now.Sub(time.UnixMilli(b.Samples[0].T)) > time.Hour
}

func (j *judge) IngestOld(ctx context.Context, _ sample.Source, now time.Time, store func(ruleset.Foresee) (sample.Batch, error)) error {
	if errors.Is(j.broken, ruleset.ErrBackpressure) {
		return j.broken
	}
	b, err := store(func(sample.Batch) ([]journal.Record, error) { return nil, nil })
	if err != nil {
		return err
	}
	return j.Ingest(ctx, b, now)
}

func (j *judge) Advance(_ context.Context, now time.Time) error {
	j.at = now
	return j.broken
}

func newTestPipeline(j *judge, now *time.Time) *Pipeline {
	return NewPipeline(taker{}, j, func() time.Time { return *now }, metrics.NewSet(), slog.New(slog.DiscardHandler))
}

var pushed = sample.Source{Customer: "acme", Name: "push/agent"}

func oneSample(t time.Time) sample.Batch {
	return sample.Batch{Source: pushed, Watermark: sample.Current, Samples: []sample.Sample{
		{Labels: labels.FromStrings("__name__", "up", "customer", "acme"), T: t.UnixMilli(), V: 1},
	}}
}

func TestWhatIsStoredIsJudgedLater(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	j := &judge{broken: ruleset.ErrBackpressure}
	p := newTestPipeline(j, &now)
	b := oneSample(now)
	for range maxUnjudged {
		if _, err := p.Deliver(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.Deliver(t.Context(), b); !errors.Is(err, errUnjudged) {
		t.Fatalf("the queue is not bounded: %v", err)
	}
	if err := p.Tick(t.Context(), now); err == nil {
		t.Fatal("Tick hid the judge's error")
	}
	j.broken = nil
	if err := p.Tick(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	if len(j.judged) != maxUnjudged || p.waiting() != 0 {
		t.Fatalf("judged %d of %d, %d wait", len(j.judged), maxUnjudged, p.waiting())
	}
	if _, err := p.Deliver(t.Context(), b); err != nil {
		t.Fatal(err)
	}
}

// A few large batches fill the queue as well.
func TestWhatWaitsToBeJudgedIsBoundedInSamples(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	j := &judge{broken: ruleset.ErrBackpressure}
	p := newTestPipeline(j, &now)
	b := oneSample(now)
	b.Samples = slices.Repeat(b.Samples, maxUnjudgedSamples/4)
	for range 4 {
		if _, err := p.Deliver(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.Deliver(t.Context(), oneSample(now)); !errors.Is(err, errUnjudged) {
		t.Fatalf("the queue is not bounded: %v", err)
	}
	j.broken = nil
	if err := p.Tick(t.Context(), now); err != nil || p.waiting() != 0 || p.size != 0 {
		t.Fatalf("%v, %d batches of %d samples wait", err, p.waiting(), p.size)
	}
}

// What the judge has taken before it fails is not handed to it again: by then it may be late.
func TestWhatIsTakenIsNotJudgedAgain(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	j := &judge{broken: errors.New("journal: disk full")}
	p := newTestPipeline(j, &now)
	if _, err := p.Deliver(t.Context(), oneSample(now)); err != nil {
		t.Fatal(err)
	}
	if err := p.Tick(t.Context(), now.Add(time.Hour)); !errors.Is(err, j.broken) {
		t.Fatalf("Tick hid the judge's error: %v", err)
	}
	j.broken = nil
	if err := p.Tick(t.Context(), now.Add(2*time.Hour)); err != nil || len(j.judged) < 1 {
		t.Fatal(err)
	}
	for _, b := range j.judged[1:] {
		if len(b.Samples) > 0 {
			t.Errorf("judged again: %+v", b)
		}
	}
}

func TestSilentSenderIsNoLongerCurrent(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	j := &judge{}
	p := newTestPipeline(j, &now)
	if _, err := p.Deliver(t.Context(), oneSample(now.Add(-time.Second))); err != nil {
		t.Fatal(err)
	}
	now = now.Add(currentFor)
	if err := p.Tick(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	if len(j.judged) != 1 {
		t.Fatalf("lapsed at the limit: %v", j.judged)
	}
	now = now.Add(time.Second)
	for range 2 { // once, not at every tick
		if err := p.Tick(t.Context(), now); err != nil {
			t.Fatal(err)
		}
	}
	want := []sample.Batch{{Source: pushed, Watermark: time.Unix(1_800_000_000-1, 0).UnixMilli()}}
	if d := cmp.Diff(want, j.judged[1:]); d != "" {
		t.Fatal(d)
	}
	if s := p.Sources()[0]; s.Current || !s.Watermark.Equal(time.Unix(1_800_000_000-1, 0)) {
		t.Errorf("status %+v", s)
	}
}
