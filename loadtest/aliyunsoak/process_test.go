//go:build unix

package aliyunsoak

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/prometheus/common/model"

	"watchkeeper/exporters"
	"watchkeeper/exporters/aliyun"
	"watchkeeper/exporters/aliyun/plan"
	"watchkeeper/exporters/aliyun/sdk"
	"watchkeeper/internal/app"
	"watchkeeper/internal/sample"
	"watchkeeper/internal/storage"
	"watchkeeper/ruleset"
)

// customer is one with a simulated account.
type customer struct {
	name    string
	cloud   *cloud
	cfg     aliyun.AccountConfig
	catalog []string        // catalogue files
	account *aliyun.Account // of the running process

	plan    plan.Plan
	quiet   map[string]int // calls when a quiet window began
	planned []string       // what quiet windows cost
}

// process is the part of the program that collects: what 'serve' builds, without
// rules and listeners.
type process struct {
	t         *testing.T
	dir       string
	customers []*customer
	ledger    *ledger

	set       *metrics.Set
	store     *storage.Store
	budgets   *aliyun.Budgets
	scheduler *exporters.Scheduler
	pipeline  *app.Pipeline
	stop      func() // ends the collectors
	closed    sync.Once

	mu    sync.Mutex
	dead  bool                        // after a crash nothing is taken any more
	first map[sample.Source]time.Time // first samples of this run
}

// noJudge takes what was stored and judges nothing.
type noJudge struct{}

func (noJudge) Ingest(context.Context, sample.Batch, time.Time) error { return nil }
func (noJudge) MayBeLate(sample.Batch, time.Time) bool                { return false }
func (noJudge) IngestOld(context.Context, sample.Source, time.Time, func(ruleset.Foresee) (sample.Batch, error)) error {
	return nil
}
func (noJudge) Advance(context.Context, time.Time) error { return nil }

// start opens the folder and begins to collect.
func start(t *testing.T, dir string, customers []*customer, ledger *ledger) *process {
	t.Helper()
	p := &process{t: t, dir: dir, customers: customers, ledger: ledger, set: metrics.NewSet(), first: map[sample.Source]time.Time{}}
	log := slog.New(slog.DiscardHandler)
	cfg := storage.DefaultConfig()
	cfg.Dir = dir
	var err error
	if p.store, err = storage.Open(cfg, log, p.set, time.Now); err != nil {
		t.Fatal(err)
	}
	p.pipeline = app.NewPipeline(p.store, noJudge{}, time.Now, p.set, log)
	p.budgets = aliyun.NewBudgets(p.set)
	p.budgets.Open(filepath.Join(dir, "aliyun-calls.json"), log)
	p.scheduler = exporters.NewScheduler(p, p.set, log)
	var jobs []exporters.Job
	memory := app.Memory{Store: p.store, Now: time.Now}
	for _, c := range customers {
		accounts, err := aliyun.New(aliyun.Config{CatalogFiles: c.catalog, Accounts: []aliyun.AccountConfig{c.cfg}}, c.name, aliyun.Deps{
			NewClient: func(cc aliyun.ClientConfig) (aliyun.Client, error) {
				cc.Dial = c.cloud.network.Dial
				return sdk.New(cc)
			},
			Budgets: p.budgets, Resume: memory.Resume, Newest: memory.Newest, Metrics: p.set, Log: log,
		})
		if err != nil {
			t.Fatal(err)
		}
		c.account = accounts[0]
		js, err := app.AccountJobs(c.account, memory.Recall)
		if err != nil {
			t.Fatal(err)
		}
		jobs = append(jobs, js...)
	}
	if err := p.scheduler.Apply(jobs); err != nil {
		t.Fatal(err)
	}
	p.run()
	t.Cleanup(func() { // when the test gives up; else it has ended
		p.stop()
		p.close()
	})
	return p
}

func (p *process) run() {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := p.scheduler.Run(ctx); err != nil {
			p.t.Errorf("scheduler: %v", err)
		}
	})
	wg.Go(func() {
		if err := p.budgets.Run(ctx, slog.New(slog.DiscardHandler)); err != nil {
			p.t.Errorf("budgets: %v", err)
		}
	})
	p.stop = sync.OnceFunc(func() {
		cancel()
		wg.Wait()
	})
}

// Append implements exporters.Sink.
func (p *process) Append(ctx context.Context, b sample.Batch) error {
	p.mu.Lock()
	dead := p.dead
	p.mu.Unlock()
	if dead {
		return errors.New("the process is dead")
	}
	res, err := p.pipeline.Deliver(ctx, b)
	if err != nil {
		return err
	}
	p.ledger.note(b.Source, res, p.age(b))
	return nil
}

// age is how long ago a source delivered its first samples in this run.
func (p *process) age(b sample.Batch) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.first[b.Source].IsZero() && len(b.Samples) > 0 {
		p.first[b.Source] = time.Now()
	}
	return time.Since(p.first[b.Source])
}

// end stops as on SIGTERM.
func (p *process) end() {
	p.stop()
	if err := p.budgets.Save(); err != nil {
		p.t.Error(err)
	}
	p.close()
}

func (p *process) close() {
	p.closed.Do(func() {
		if err := p.store.Close(); err != nil {
			p.t.Errorf("store: %v", err)
		}
		p.set.UnregisterAllMetrics()
	})
}

// crash ends as by kill -9 in the middle of whatever is going on, and returns a
// folder with what the files held at that moment.
func (p *process) crash(to string) {
	p.t.Helper()
	synctest.Wait() // nobody writes while we copy
	if err := os.CopyFS(to, os.DirFS(p.dir)); err != nil {
		p.t.Fatal(err)
	}
	p.mu.Lock()
	p.dead = true
	p.mu.Unlock()
	p.stop()
	p.close()
}

// ledger keeps what stores took, over all runs.
type ledger struct {
	mu       sync.Mutex
	accepted map[string]map[string]int // samples by customer and metric
	refused  int
	// again is what the store dropped as delivered before, settled how much of it
	// came later than a source's catch-up after a start.
	again, settled int
	twice          []string // what was settled, by source
	example        string
}

// settling is how long after its first samples since a start a source may deliver
// what it had delivered before.
const settling = 2 * time.Minute

func (l *ledger) note(source sample.Source, res storage.Result, age time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.accepted[source.Customer] == nil {
		l.accepted[source.Customer] = map[string]int{}
	}
	for _, s := range res.Accepted.Samples {
		l.accepted[source.Customer][s.Labels.Get(model.MetricNameLabel)]++
	}
	l.refused += res.RefusedTotal
	if res.RefusedTotal > 0 && l.example == "" {
		l.example = res.Refused[0].Labels.String() + " " + string(res.Refused[0].Reason) + " " + res.Refused[0].Detail
	}
	l.again += res.Duplicates
	if age > settling && res.Duplicates > 0 {
		l.settled += res.Duplicates
		l.twice = append(l.twice, fmt.Sprintf("%s %s: %d at %s", source.Customer, source.Name, res.Duplicates, time.Now().UTC().Format("15:04:05")))
	}
}

func (l *ledger) total() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, metrics := range l.accepted {
		for _, count := range metrics {
			n += count
		}
	}
	return n
}
