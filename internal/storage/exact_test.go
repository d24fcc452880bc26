package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"pgregory.net/rapid"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"watchkeeper/internal/property"
	"watchkeeper/internal/sample"
)

// The store against a map: whatever the order, the batching, compactions and
// restarts, the first value of a (series, timestamp) stays, the same one again
// is a duplicate, another one a conflict, and Accepted is what is stored.
func TestStoreIsAMapOfFirstValues(t *testing.T) {
	pool := []float64{0, 1, 2, math.Copysign(0, -1), math.NaN(), math.Inf(1), math.Float64frombits(value.StaleNaN)}
	property.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			rt.Fatal(err)
		}
		s := openAt(t, dir, clock)
		defer func() { _ = s.Close() }()
		model := map[string]map[int64]uint64{"a": {}, "b": {}, "c": {}}
		for range rapid.IntRange(1, 8).Draw(rt, "batches") {
			switch rapid.IntRange(0, 9).Draw(rt, "between") {
			case 0:
				if err := s.Close(); err != nil {
					rt.Fatal(err)
				}
				s = openAt(t, dir, clock)
			case 1:
				if err := s.db.CompactOOOHead(context.Background()); err != nil {
					rt.Fatal(err)
				}
			}
			var b sample.Batch
			var dups, conflicts int
			for range rapid.IntRange(1, 8).Draw(rt, "samples") {
				inst := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "instance")
				ts := base - int64(rapid.IntRange(0, 9).Draw(rt, "slot"))*20*minute
				b.Samples = append(b.Samples, at(inst, ts, rapid.SampledFrom(pool).Draw(rt, "value")))
			}
			for _, x := range b.Samples {
				m, bits := model[x.Labels.Get("instance")], math.Float64bits(canonical(x.V))
				old, ok := m[x.T]
				switch {
				case !ok:
					m[x.T] = bits
				case old == bits:
					dups++
				default:
					conflicts++
				}
			}
			res := mustAppend(t, s, b)
			if res.Duplicates != dups || res.RefusedTotal != conflicts || len(res.Accepted.Samples) != len(b.Samples)-dups-conflicts {
				rt.Fatalf("%d duplicates, %d conflicts, %d accepted of %v; want %d and %d", res.Duplicates, res.RefusedTotal, len(res.Accepted.Samples), b.Samples, dups, conflicts)
			}
		}
		for inst, want := range model {
			if got := dump(t, s, cpu(inst)); fmt.Sprint(got) != fmt.Sprint(want) {
				rt.Fatalf("%s: stored %v, want %v", inst, got, want)
			}
		}
	})
}

// Many senders send different values for the same timestamps, in and out of
// order: each timestamp is accepted once, and what was accepted is stored.
func TestConcurrentSendersGetOneValueEach(t *testing.T) {
	s := open(t)
	const senders, slots = 8, 40
	accepted := make([][]sample.Sample, senders)
	var wg sync.WaitGroup
	for i := range senders {
		wg.Go(func() {
			src := sample.Source{Customer: "acme", Name: fmt.Sprint("sender-", i)}
			for k := range int64(slots) {
				slot := (k*7 + int64(i)*3) % slots
				res, err := s.Append(context.Background(), sample.Batch{
					Source:  src,
					Samples: []sample.Sample{at("a", base-slot*minute, float64(i)), at("b", base-slot*minute, float64(i))},
				})
				if err != nil {
					t.Error(err)
				}
				accepted[i] = append(accepted[i], res.Accepted.Samples...)
			}
		})
	}
	wg.Wait()
	got := map[string]map[int64]uint64{"a": {}, "b": {}}
	for _, xs := range accepted {
		for _, x := range xs {
			m := got[x.Labels.Get("instance")]
			if _, ok := m[x.T]; ok {
				t.Errorf("%s at %d accepted twice", x.Labels, x.T)
			}
			m[x.T] = math.Float64bits(x.V)
		}
	}
	for _, inst := range []string{"a", "b"} {
		if len(got[inst]) != slots {
			t.Errorf("%s: %d accepted, want %d", inst, len(got[inst]), slots)
		}
		diff(t, inst, got[inst], dump(t, s, cpu(inst)))
	}
}

// childEnv makes the test binary append until it is killed.
const childEnv = "WATCHKEEPER_STORAGE_TEST_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		appendUntilKilled(dir)
		return
	}
	os.Exit(m.Run())
}

// appendUntilKilled prints the slot of every acknowledged batch.
func appendUntilKilled(dir string) {
	s, err := Open(testConfig(dir), discard, newSet(), func() time.Time { return time.UnixMilli(clock) })
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	for k := int64(0); ; k++ {
		// Every third one out of order. All within the block that is being
		// written: a kill amid a compaction is another matter (see
		// docs/ARCHITECTURE.md, what is guaranteed).
		ts := base - 1000*minute + k*1000
		if k%3 == 0 {
			ts -= 60 * minute
		}
		b := sample.Batch{Source: acme, Samples: []sample.Sample{at("a", ts, float64(k)), at(fmt.Sprint("new-", k%50), ts, float64(k))}}
		if _, err := s.Append(context.Background(), b); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(ts, k)
	}
}

func TestAcknowledgedSamplesSurviveKill(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var acked strings.Builder
	if _, err := io.CopyN(&acked, out, 20_000); err != nil {
		t.Fatal(err, acked.String())
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(&acked, out); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed

	s := openAt(t, dir, clock)
	stored := dump(t, s, cpu("a"))
	lines := strings.Split(acked.String(), "\n")
	for _, line := range lines[:len(lines)-1] {
		var ts int64
		var k float64
		if _, err := fmt.Sscan(line, &ts, &k); err != nil {
			t.Fatal(line, err)
		}
		if bits, ok := stored[ts]; !ok || bits != math.Float64bits(k) {
			t.Fatalf("acknowledged %v at %d is lost", k, ts)
		}
		l := cpu(fmt.Sprint("new-", int(k)%50))
		if src, ok := s.SourceOf(l); !ok || src != acme {
			t.Fatalf("source of %s is lost", l)
		}
	}
	if len(lines) < 500 {
		t.Fatalf("only %d acknowledged", len(lines))
	}
}

func TestLittleSpaceRefusesAndRecovers(t *testing.T) {
	s := open(t)
	free := int64(50)
	s.space = &spaceGuard{min: 100, free: func() (int64, error) { return free, nil }}
	b := samples(at("a", base, 1))
	b.Source = acme
	if _, err := s.Append(context.Background(), b); !errors.Is(err, ErrDiskFull) {
		t.Fatalf("error %v", err)
	}
	free = 100
	s.space.checked.Store(0) // as if a second later
	if res := mustAppend(t, s, b); len(res.Accepted.Samples) != 1 {
		t.Errorf("refused after space was freed: %+v", res)
	}
	free = 50
	s.space.checked.Store(time.Now().Add(time.Hour).UnixNano()) // as if the clock was set back
	if _, err := s.Append(context.Background(), b); !errors.Is(err, ErrDiskFull) {
		t.Errorf("after the clock was set back: error %v", err)
	}
}

// The TSDB only counts a failed write of out-of-order samples to their log.
func TestLateSamplesAreSecuredWhenTheirLogFails(t *testing.T) {
	s := open(t)
	if s.wbl.counter == nil {
		t.Fatalf("the TSDB has no metric %s", wblFailures)
	}
	failures := prometheus.NewCounter(prometheus.CounterOpts{Name: "failures"})
	s.wbl.counter = failures
	mustAppend(t, s, samples(at("a", base, 1)))
	mustAppend(t, s, samples(at("a", base-minute, 2)))
	if n := len(s.db.Blocks()); n != 0 {
		t.Fatalf("%d blocks without a failure", n)
	}
	failures.Inc()
	mustAppend(t, s, samples(at("a", base-2*minute, 3)))
	if n := len(s.db.Blocks()); n == 0 {
		t.Error("late samples were not written out")
	}
	res := mustAppend(t, s, samples(at("a", base-minute, 9)))
	diff(t, "reasons", []Reason{ReasonConflict}, reasons(res))
}

func TestReadersOfTheWebAPI(t *testing.T) {
	s := open(t)
	mustAppend(t, s, samples(at("a", base, 1)))
	if s.MinTime() != base || s.MaxTime() != base {
		t.Errorf("times %d to %d, want %d", s.MinTime(), s.MaxTime(), base)
	}
	q, err := s.ExemplarQuerier(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := q.Select(0, math.MaxInt64, []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "__name__", "x")}); err != nil || len(got) > 0 {
		t.Errorf("exemplars %v, %v", got, err)
	}
	stats, err := s.Admin().Stats("__name__", 10)
	if err != nil || stats.NumSeries != 1 {
		t.Errorf("stats %+v, %v", stats, err)
	}
	if _, err := s.Admin().WALReplayStatus(); err != nil {
		t.Error(err)
	}
	if err := s.Admin().Snapshot(t.TempDir(), true); err != nil {
		t.Error(err)
	}
}

func TestConfigNamesWhatIsWrong(t *testing.T) {
	for field, spoil := range map[string]func(*Config){
		"retention":             func(c *Config) { c.Retention = 0 },
		"out_of_order_window":   func(c *Config) { c.OutOfOrderWindow = 0 },
		"max_future":            func(c *Config) { c.MaxFuture = -1 },
		"max_series":            func(c *Config) { c.MaxSeries = 0 },
		"max_labels":            func(c *Config) { c.MaxLabels = 1 },
		"max_label_name_bytes":  func(c *Config) { c.MaxLabelNameBytes = 1 },
		"max_label_value_bytes": func(c *Config) { c.MaxLabelValueBytes = 0 },
		"min_free_bytes":        func(c *Config) { c.MinFreeBytes = -1 },
	} {
		c := DefaultConfig()
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
		spoil(&c)
		if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), field+":") {
			t.Errorf("%s: %v", field, err)
		}
	}
}
