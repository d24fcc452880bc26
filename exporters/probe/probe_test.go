package probe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"pgregory.net/rapid"

	"watchkeeper/internal/property"
	"watchkeeper/internal/sample"
)

// proberFunc is a prober made of a function.
type proberFunc func(ctx context.Context) result

func (f proberFunc) probe(ctx context.Context) result { return f(ctx) }

func good(context.Context) result { return result{code: OK} }

func hang(ctx context.Context) result {
	<-ctx.Done()
	return result{code: Timeout, err: ctx.Err()}
}

// arrival is a batch and when it came after the check's start.
type arrival struct {
	after time.Duration
	batch sample.Batch
}

type recorder struct {
	began    time.Time
	arrivals []arrival
}

func (r *recorder) Append(_ context.Context, b sample.Batch) error {
	r.arrivals = append(r.arrivals, arrival{time.Since(r.began), b})
	return nil
}

// codes returns the delivered codes by target.
func (r *recorder) codes() map[string]float64 {
	m := make(map[string]float64)
	for _, a := range r.arrivals {
		for _, s := range a.batch.Samples {
			if s.Labels.Get("__name__") == metricTCPCode {
				m[s.Labels.Get("instance")] = s.V
			}
		}
	}
	return m
}

// fakeSet is a collector of TCP targets whose probers are replaced.
func fakeSet(t *testing.T, log *slog.Logger, set *metrics.Set, probers map[string]proberFunc) *Collector {
	t.Helper()
	cfg := DefaultConfig()
	for name := range probers {
		cfg.Targets = append(cfg.Targets, Target{Name: name, TCP: "127.0.0.1:1"})
	}
	collectors, err := New("acme", cfg, set, log)
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range collectors[0].targets {
		target.prober = probers[target.name]
	}
	return collectors[0]
}

var checkTime = time.UnixMilli(1_700_000_020_000)

func TestHungTargetHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		probers := map[string]proberFunc{"hung": hang}
		want := map[string]float64{"hung": float64(Timeout)}
		for i := range 99 {
			name := fmt.Sprintf("good-%d", i)
			probers[name], want[name] = good, 0
		}
		c := fakeSet(t, slog.New(slog.DiscardHandler), metrics.NewSet(), probers)
		got := &recorder{began: time.Now()}
		if err := c.Collect(t.Context(), checkTime, got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got.codes()); diff != "" {
			t.Errorf("codes (-want +got):\n%s", diff)
		}
		if len(got.arrivals) != 2 {
			t.Fatalf("%d batches, want the good ones first and then the hung one", len(got.arrivals))
		}
		first, last := got.arrivals[0], got.arrivals[1]
		if len(first.batch.Samples) != 99 || first.after > flushEvery || len(first.batch.Ups) != 0 {
			t.Errorf("first batch of %d samples with %d up-samples after %s", len(first.batch.Samples), len(first.batch.Ups), first.after)
		}
		ups := []sample.Up{{T: checkTime.UnixMilli(), OK: true}}
		if diff := cmp.Diff(ups, last.batch.Ups); diff != "" || last.after != defaultTimeout || last.batch.Watermark != sample.Current {
			t.Errorf("last batch after %s with watermark %d, up-samples (-want +got):\n%s", last.after, last.batch.Watermark, diff)
		}
	})
}

// Even when every target hangs, the set is through before its collection's
// time-out: no target is left unprobed.
func TestAllTargetsHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		probers := make(map[string]proberFunc)
		for i := range 1000 {
			probers[fmt.Sprint(i)] = hang
		}
		c := fakeSet(t, slog.New(slog.DiscardHandler), metrics.NewSet(), probers)
		ctx, cancel := context.WithTimeout(t.Context(), c.Timeout())
		defer cancel()
		got := &recorder{began: time.Now()}
		if err := c.Collect(ctx, checkTime, got); err != nil {
			t.Fatal(err)
		}
		if n := len(got.codes()); n != 1000 {
			t.Errorf("%d of 1000 targets have a code", n)
		}
	})
}

func TestConcurrencyIsEnough(t *testing.T) {
	property.Check(t, func(t *rapid.T) {
		interval := time.Duration(rapid.IntRange(1, 600).Draw(t, "interval")) * time.Second
		most := int(maxTimeout(interval).Milliseconds())
		var targets []Target
		for _, ms := range rapid.SliceOfN(rapid.IntRange(1, most), 1, 500).Draw(t, "timeouts") {
			targets = append(targets, Target{Timeout: model.Duration(time.Duration(ms) * time.Millisecond)})
		}
		n := concurrency(interval, targets)
		if n < 1 {
			t.Fatalf("concurrency %d", n)
		}
		free := make([]time.Duration, n) // when each worker is free
		step := spread(interval, len(targets)) / time.Duration(len(targets))
		var end time.Duration
		for i, target := range targets {
			next := 0
			for w := range free {
				if free[w] < free[next] {
					next = w
				}
			}
			free[next] = max(free[next], time.Duration(i)*step) + target.timeout()
			end = max(end, free[next])
		}
		end += referenceTimeout(interval) // the second look
		if limit := collectionTimeout(interval); end > limit {
			t.Fatalf("%d targets with %d workers take %s, more than %s", len(targets), n, end, limit)
		}
	})
}

func TestConcurrencyIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running, most atomic.Int64
		probers := make(map[string]proberFunc)
		for i := range 250 {
			probers[fmt.Sprint(i)] = func(context.Context) result {
				if n := running.Add(1); n > most.Load() {
					most.Store(n)
				}
				time.Sleep(10 * time.Second)
				running.Add(-1)
				return result{}
			}
		}
		cfg := fakeSet(t, slog.New(slog.DiscardHandler), metrics.NewSet(), probers)
		if err := cfg.Collect(t.Context(), checkTime, &recorder{began: time.Now()}); err != nil {
			t.Fatal(err)
		}
		// A probe of 10 s, begun every 30 ms, would have 250 at once without a bound.
		if want := int64(concurrency(time.Minute, make([]Target, 250))); most.Load() != want {
			t.Errorf("%d probes at once, want %d", most.Load(), want)
		}
	})
}

func TestOurOwnStopIsNotATimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		set := metrics.NewSet()
		c := fakeSet(t, slog.New(slog.DiscardHandler), set, map[string]proberFunc{"a": hang, "b": hang})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		got := &recorder{began: time.Now()}
		if err := c.Collect(ctx, checkTime, got); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Collect: %v, want that its time ran out", err)
		}
		if len(got.arrivals) != 0 || set.GetOrCreateCounter(`watchkeeper_probe_failures_total{kind="tcp",code="timeout"}`).Get() != 0 {
			t.Errorf("probes that we cut short were delivered or counted: %v", got.arrivals)
		}
	})
}

func TestSinkThatRefusesEndsTheCollection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full := errors.New("disk full")
		c := fakeSet(t, slog.New(slog.DiscardHandler), metrics.NewSet(), map[string]proberFunc{"a": good, "b": hang})
		if err := c.Collect(t.Context(), checkTime, refusing{full}); !errors.Is(err, full) {
			t.Errorf("Collect: %v, want %v", err, full)
		}
	})
}

type refusing struct{ err error }

func (r refusing) Append(context.Context, sample.Batch) error { return r.err }

// A probe that could not be made says nothing about its target.
func TestLocalFailureYieldsNoSample(t *testing.T) {
	var logs bytes.Buffer
	set := metrics.NewSet()
	c := fakeSet(t, slog.New(slog.NewTextHandler(&logs, nil)), set, map[string]proberFunc{
		"a": func(context.Context) result { return result{local: errors.New("too many open files")} },
		"b": good,
	})
	for range 2 {
		got := &recorder{began: time.Now()}
		if err := c.Collect(t.Context(), checkTime, got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[string]float64{"b": 0}, got.codes()); diff != "" {
			t.Errorf("codes (-want +got):\n%s", diff)
		}
	}
	if n := set.GetOrCreateCounter(`watchkeeper_probe_local_failures_total{kind="tcp"}`).Get(); n != 2 {
		t.Errorf("%d local failures counted, want 2", n)
	}
	if n := strings.Count(logs.String(), "too many open files"); n != 1 {
		t.Errorf("logged %d times, want once:\n%s", n, &logs)
	}
}

func TestOnlyNewsIsLogged(t *testing.T) {
	var logs bytes.Buffer
	next := result{}
	c := fakeSet(t, slog.New(slog.NewTextHandler(&logs, nil)), metrics.NewSet(), map[string]proberFunc{
		"a": func(context.Context) result { return next },
	})
	f := func(r result, want string) {
		t.Helper()
		logs.Reset()
		next = r
		if err := c.Collect(t.Context(), checkTime, &recorder{began: time.Now()}); err != nil {
			t.Fatal(err)
		}
		if got := logs.String(); (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("logged %q, want %q", got, want)
		}
	}
	f(result{}, "")
	f(result{code: StatusFailed, err: errors.New("status 500")}, `code=status err="status 500"`)
	f(result{code: StatusFailed, err: errors.New("status 500")}, "")
	f(result{code: Timeout}, "code=timeout")
	f(result{}, "probe succeeds again")
}

func TestOneSourcePerInterval(t *testing.T) {
	cfg := Config{Vantage: "hangzhou", Targets: []Target{
		{Name: "a", TCP: "127.0.0.1:1"},
		{Name: "b", TCP: "127.0.0.1:2", Interval: model.Duration(30 * time.Second)},
		{Name: "c", ICMP: "127.0.0.1", Interval: model.Duration(time.Minute)},
	}}
	collectors, err := New("acme", cfg, metrics.NewSet(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]int)
	for _, c := range collectors {
		got[fmt.Sprintf("%s %s %s", c.Source().Customer, c.Source().Name, c.Interval())] = len(c.targets)
	}
	want := map[string]int{"acme probe/hangzhou/30s 30s": 1, "acme probe/hangzhou/1m 1m0s": 2}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("sources (-want +got):\n%s", diff)
	}
}
