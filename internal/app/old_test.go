package app

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/internal/journal"
	"watchkeeper/internal/sample"
	"watchkeeper/internal/storage"
	"watchkeeper/ruleset"
	"watchkeeper/ruleset/replay"
)

var errDead = errors.New("the process is dead")

// The moments at which the process of a life dies: when it is known what comes late, before the
// journal has it; before the store has the batch; before the engine has it.
const (
	livesOn = iota
	diesForeseen
	diesListed
	diesStored
)

// life is a server's way from store to log, which a kill ends: what it leaves is a copy of its
// folder at that moment.
type life struct {
	*storage.Store
	t     *testing.T
	dir   string
	now   time.Time
	dies  int
	after string          // its folder when it died
	lines map[string]bool // of the settled log
	p     *Pipeline
	e     *ruleset.Engine
}

func (l *life) start(dir string, groups []ruleset.Group) {
	l.t.Helper()
	l.dir = dir
	cfg, log := storage.DefaultConfig(), slog.New(slog.DiscardHandler)
	cfg.Dir, cfg.MinFreeBytes = dir, 0
	clock := func() time.Time { return l.now }
	var err error
	if l.Store, err = storage.Open(cfg, log, metrics.NewSet(), clock); err != nil {
		l.t.Fatal(err)
	}
	if l.e, err = ruleset.New(ruleset.DefaultConfig(), groups, l.Store, records{l.Journal()}, l, metrics.NewSet(), log); err != nil {
		l.t.Fatal(err)
	}
	if err := l.e.Recover(l.t.Context(), l.now, nil); err != nil {
		l.t.Fatal(err)
	}
	l.p = NewPipeline(l, l.e, clock, metrics.NewSet(), log)
}

func (l *life) Log(_ context.Context, entries []ruleset.Entry) error {
	for _, en := range entries {
		if en.Log == ruleset.LogSettled {
			l.lines[string(replay.AppendLine(nil, en))] = true
		}
	}
	return nil
}

func (l *life) Append(ctx context.Context, b sample.Batch) (storage.Result, error) {
	res, err := l.Store.Append(ctx, b)
	return res, errors.Join(err, l.moment(diesStored))
}

func (l *life) AppendOld(ctx context.Context, b sample.Batch, foresee func(sample.Batch) ([]journal.Record, error)) (storage.Result, error) {
	res, err := l.Store.AppendOld(ctx, b, func(b sample.Batch) ([]journal.Record, error) {
		records, err := foresee(b)
		if err := errors.Join(err, l.moment(diesForeseen)); err != nil {
			return nil, err
		}
		if l.dies == diesListed {
			err = l.Journal().Append(records...)
		}
		return records, errors.Join(err, l.moment(diesListed))
	})
	return res, errors.Join(err, l.moment(diesStored))
}

// moment is one at which the process may die.
func (l *life) moment(of int) error {
	if l.dies != of || l.after != "" {
		return nil
	}
	l.after = l.t.TempDir()
	if err := os.CopyFS(l.after, os.DirFS(l.dir)); err != nil {
		l.t.Fatal(err)
	}
	return errDead
}

// deliver sends a batch until it is taken.
func (l *life) deliver(b sample.Batch, groups []ruleset.Group) {
	l.t.Helper()
	_, err := l.p.Deliver(l.t.Context(), b)
	if errors.Is(err, errDead) {
		if err := l.Close(); err != nil {
			l.t.Fatal(err)
		}
		l.dies = livesOn
		l.start(l.after, groups)
		_, err = l.p.Deliver(l.t.Context(), b)
	}
	if err != nil {
		l.t.Fatal(err)
	}
}

// A batch that brings a sample, an up-sample and an end after their checks have settled: whenever
// the process is killed with it, the settled log is the same, and so is a replay's.
func TestKilledWithALateBatch(t *testing.T) {
	groups, err := ruleset.Parse("rules.yml", []byte(`groups:
- {name: g, interval: 1m, rules: [
  {alert: Streaming, expr: a > 5, consecutive: 2, lateness: 2m},
  {alert: Evaluated, expr: sqrt(a) > 2, consecutive: 2, lateness: 2m},
  {alert: Missing, expr: a > 5 and a < 100, consecutive: 1, missing: breach, lateness: 3m},
  {alert: Window, expr: 'max_over_time(a[3m]) > 5', consecutive: 2, lateness: 2m}]}`))
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	src := sample.Source{Customer: "acme", Name: "src/a"}
	series := func(i string) labels.Labels {
		return labels.FromStrings(model.MetricNameLabel, "a", "customer", "acme", "i", i)
	}
	live := func(dies, at int) []string {
		l := &life{t: t, now: begin, lines: map[string]bool{}}
		l.start(t.TempDir(), groups)
		defer func() { _ = l.Close() }()
		for n := range 30 {
			l.now = begin.Add(time.Duration(n)*time.Minute + 10*time.Second)
			ms := func(back int) int64 { return l.now.Add(-time.Duration(back) * time.Minute).UnixMilli() }
			b := sample.Batch{Source: src, Watermark: sample.Current}
			if n%7 != 3 { // there the sample comes late
				b.Samples = append(b.Samples, sample.Sample{Labels: series("x"), T: ms(0), V: float64(n % 5 * 3)})
			}
			if n%11 != 4 { // and there the up-sample
				b.Ups = append(b.Ups, sample.Up{T: ms(0), OK: true})
			}
			if n < 15 {
				b.Samples = append(b.Samples, sample.Sample{Labels: series("y"), T: ms(0), V: 9})
			}
			switch {
			case n%7 == 1 && n > 5:
				b.Samples = append(b.Samples, sample.Sample{Labels: series("x"), T: ms(5), V: 9})
			case n%11 == 9:
				b.Ups = append(b.Ups, sample.Up{T: ms(5), OK: true})
			case n == 21:
				b.Ends = append(b.Ends, sample.End{Labels: series("y"), T: ms(7) + 1000, Reason: "deleted"})
			}
			if n == at {
				l.dies = dies
			}
			l.deliver(b, groups)
			if err := l.p.Tick(t.Context(), l.now); err != nil {
				t.Fatal(err)
			}
		}
		if dies != livesOn && l.after == "" {
			t.Fatalf("it did not die with batch %d", at)
		}
		now := l.now
		entries, err := replay.Settled(t.Context(), groups, l.Store, l.Journal(), replay.Span{From: begin.Add(-time.Hour), To: now, Begin: begin.Add(-time.Hour), Now: now})
		if err != nil {
			t.Fatal(err)
		}
		replayed := map[string]bool{}
		for _, en := range entries {
			replayed[string(replay.AppendLine(nil, en))] = true
		}
		lines := slices.Sorted(maps.Keys(l.lines))
		if diff := cmp.Diff(lines, slices.Sorted(maps.Keys(replayed))); diff != "" {
			t.Errorf("killed at moment %d of batch %d: settled log (-server +replay):\n%s", dies, at, diff)
		}
		return lines
	}
	want := live(livesOn, 0)
	if len(want) < 20 {
		t.Fatalf("%d lines tell too little", len(want))
	}
	for _, at := range []int{8, 9, 15, 20, 21, 22} {
		for dies := diesForeseen; dies <= diesStored; dies++ {
			if diff := cmp.Diff(want, live(dies, at)); diff != "" {
				t.Errorf("killed at moment %d of batch %d: settled log (-not killed +killed):\n%s", dies, at, diff)
			}
		}
	}
}

// waiting is a store in which a batch stays for a while.
type waiting struct {
	taker
	until chan struct{}
	here  chan struct{}
}

func (w waiting) Append(ctx context.Context, b sample.Batch) (storage.Result, error) {
	w.here <- struct{}{}
	<-w.until
	return w.taker.Append(ctx, b)
}

// What is in time when it arrives is so when it is judged, however long it is on its way.
func TestJudgeWaitsForWhatIsOnItsWay(t *testing.T) {
	begin := time.Unix(1_800_000_000, 0)
	now, j := begin, &judge{}
	store := waiting{until: make(chan struct{}), here: make(chan struct{})}
	p := NewPipeline(store, j, func() time.Time { return now }, metrics.NewSet(), slog.New(slog.DiscardHandler))
	delivered := make(chan error, 1)
	go func() {
		_, err := p.Deliver(t.Context(), oneSample(begin))
		delivered <- err
	}()
	<-store.here
	tick := func(what string, after, want time.Duration) {
		t.Helper()
		if err := p.Tick(t.Context(), begin.Add(after)); err != nil && !errors.Is(err, j.broken) {
			t.Fatal(err)
		}
		if got := j.at.Sub(begin); got != want {
			t.Errorf("%s: %s after the start the judge's time is %s, want %s", what, after, got, want)
		}
	}
	tick("a batch is on its way", 4*time.Second, 4*time.Second)
	tick("a batch is on its way", time.Minute, ruleset.TakenWithin)
	j.broken = ruleset.ErrBackpressure
	close(store.until)
	if err := <-delivered; err != nil {
		t.Fatal(err)
	}
	tick("it was not judged", 2*time.Minute, ruleset.TakenWithin)
	j.broken = nil
	tick("it is judged", 3*time.Minute, 3*time.Minute)
	if len(j.judged) != 1 || len(p.inFlight) != 0 {
		t.Errorf("judged %d, on their way %d", len(j.judged), len(p.inFlight))
	}
}

// What may be late is in the hand of the judge while it is stored; where either fails
// nothing is taken, unless it is stored: then both have it.
func TestOldBatches(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	j := &judge{broken: ruleset.ErrBackpressure}
	p := newTestPipeline(j, &now)
	b := oneSample(now.Add(-2 * time.Hour))
	if _, err := p.Deliver(t.Context(), b); !errors.Is(err, ruleset.ErrBackpressure) || p.waiting() != 0 {
		t.Errorf("before it was stored: %v, %d wait", err, p.waiting())
	}
	j.broken = errors.New("sink: disk full")
	if _, err := p.Deliver(t.Context(), b); err != nil || len(j.judged) != 1 || p.waiting() != 0 {
		t.Errorf("after it was stored: %v, %d judged, %d wait", err, len(j.judged), p.waiting())
	}
	j.broken = nil
	if err := p.Tick(t.Context(), now); err != nil || len(j.judged) != 1 {
		t.Errorf("later: %v, %d judged", err, len(j.judged))
	}
	if _, err := p.Deliver(t.Context(), b); err != nil || len(j.judged) != 2 || len(p.inFlight) != 0 {
		t.Errorf("at once: %v, %d judged, %d on their way", err, len(j.judged), len(p.inFlight))
	}
}
