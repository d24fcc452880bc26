package promrules_test

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"go.uber.org/goleak"

	"watchkeeper/internal/sample"
	"watchkeeper/internal/storage"
	"watchkeeper/ruleset/promrules"
)

// Whatever a test starts ends with it.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is a Runner over a real store, as the program runs it.
type server struct {
	t      *testing.T
	store  *storage.Store
	runner *promrules.Runner
	set    *metrics.Set
	cfg    promrules.Config
	stop   func()
	full   atomic.Bool // the store takes nothing

	mu     sync.Mutex
	told   []promrules.Alert
	refuse bool // notify fails
}

// Append is the store as the Runner sees it.
func (s *server) Append(ctx context.Context, b sample.Batch) (promrules.Refusals, error) {
	if s.full.Load() {
		return promrules.Refusals{}, storage.ErrDiskFull
	}
	res, err := s.store.Append(ctx, b)
	if err != nil || res.RefusedTotal == 0 {
		return promrules.Refusals{}, err
	}
	return promrules.Refusals{Total: res.RefusedTotal, First: res.Refused[0].String()}, nil
}

func openStore(t *testing.T, dir string) *storage.Store {
	t.Helper()
	cfg := storage.DefaultConfig()
	cfg.Dir = dir
	s, err := storage.Open(cfg, slog.New(slog.DiscardHandler), metrics.NewSet(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// newServer makes a server over store; start runs it.
func newServer(t *testing.T, store *storage.Store, cfg promrules.Config) *server {
	t.Helper()
	s := &server{t: t, store: store, set: metrics.NewSet(), cfg: cfg}
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 100_000, Timeout: 10 * time.Second, Parser: parser.NewParser(parser.Options{})})
	t.Cleanup(func() { engine.Close() })
	var err error
	s.runner, err = promrules.New(cfg, engine, store, s, s.notify, s.set, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *server) start() *server {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.runner.Run(ctx) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Errorf("Run: %v", err)
		}
	})
	s.t.Cleanup(s.stop)
	return s
}

// serve runs one rule file over a fresh store.
func serve(t *testing.T, rules string) *server {
	t.Helper()
	store := openStore(t, t.TempDir())
	t.Cleanup(func() { store.Close() })
	s := newServer(t, store, promrules.DefaultConfig())
	s.update(rules)
	return s.start()
}

func (s *server) notify(_ context.Context, alerts []promrules.Alert) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse {
		return errors.New("incident store is busy")
	}
	s.told = append(s.told, alerts...)
	return nil
}

func (s *server) refuseNotices(refuse bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = refuse
}

// takeTold returns what was told since the last call.
func (s *server) takeTold() []promrules.Alert {
	s.mu.Lock()
	defer s.mu.Unlock()
	told := s.told
	s.told = nil
	return told
}

// update replaces the rules by one file.
func (s *server) update(rules string) {
	s.t.Helper()
	if err := s.runner.Update(s.cfg, []promrules.File{{Name: "rules.yml", Data: []byte(rules)}}); err != nil {
		s.t.Fatal(err)
	}
}

// put writes a sample of now; the labels alternate names and values.
func (s *server) put(customer string, v float64, ls ...string) {
	s.t.Helper()
	res, err := s.store.Append(context.Background(), sample.Batch{
		Source:  sample.Source{Customer: customer, Name: "test"},
		Samples: []sample.Sample{{Labels: labels.FromStrings(ls...), T: time.Now().UnixMilli(), V: v}},
	})
	if err != nil || res.RefusedTotal > 0 {
		s.t.Fatalf("put: %v %v", err, res.Refused)
	}
}

// hold keeps a series at v for d: a sample every 30 s, with the evaluations of
// the rules between them.
func (s *server) hold(d time.Duration, customer string, v float64, ls ...string) {
	s.t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(30 * time.Second) {
		s.put(customer, v, ls...)
	}
}

type stored struct {
	at    time.Time
	v     float64
	stale bool
}

// read returns the stored samples of the one series that has all of ls.
func (s *server) read(ls ...string) []stored {
	s.t.Helper()
	q, err := s.store.Querier(0, math.MaxInt64)
	if err != nil {
		s.t.Fatal(err)
	}
	defer q.Close()
	var ms []*labels.Matcher
	for i := 0; i < len(ls); i += 2 {
		ms = append(ms, labels.MustNewMatcher(labels.MatchEqual, ls[i], ls[i+1]))
	}
	var out []stored
	set, n := q.Select(context.Background(), true, nil, ms...), 0
	for set.Next() {
		if n++; n > 1 {
			s.t.Fatalf("more than one series: %s", set.At().Labels())
		}
		it := set.At().Iterator(nil)
		for it.Next() == chunkenc.ValFloat {
			t, v := it.At()
			x := stored{at: time.UnixMilli(t), v: v, stale: value.IsStaleNaN(v)}
			if x.stale {
				x.v = 0
			}
			out = append(out, x)
		}
		if it.Err() != nil {
			s.t.Fatal(it.Err())
		}
	}
	if set.Err() != nil {
		s.t.Fatal(set.Err())
	}
	return out
}

// last returns the newest of samples.
func (s *server) last(ls ...string) stored {
	s.t.Helper()
	all := s.read(ls...)
	if len(all) == 0 {
		s.t.Fatalf("no samples of %v", ls)
	}
	return all[len(all)-1]
}

// states lists what was told without repetitions.
func states(alerts []promrules.Alert) []promrules.State {
	var out []promrules.State
	var before promrules.Alert
	for _, a := range alerts {
		if a.State != before.State || !a.Check.Equal(before.Check) {
			out = append(out, a.State)
		}
		before = a
	}
	return out
}
