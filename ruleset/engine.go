package ruleset

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"

	"watchkeeper/internal/journal"
	"watchkeeper/internal/sample"
)

// Engine judges samples by rules. Its methods may be called by any goroutine.
type Engine struct {
	cfg     Config
	store   storage.Queryable
	journal Journal
	sink    Sink
	logger  *slog.Logger
	promql  *promql.Engine
	m       *engineMetrics

	out outbox // what the sink shall have

	// mu guards everything below. It is held while the store and the journal
	// are read and written: judging is a function of both, in order. What time
	// brings for many alerts at once gives way to batches; see step.go.
	mu            gate
	now           int64 // engine time, Unix ms
	started       int64 // first contact of any source, 0 before; evaluated rules, absent() among them, are judged from it
	forgotten     int64 // engine time at which idle identities were last looked for
	forgetShard   int   // of the series: the next to be looked through
	rules         []*ruleState
	byMetric      map[string][]*ruleState
	series        index
	sources       map[sample.Source]*source
	customers     map[string]int  // (rule, identity) pairs
	refused       map[Refusal]int // since the start
	lateLimit     lateLimit
	unlisted      map[string]int // late samples beyond it since the start, by customer
	unread        map[string]int // identities of streaming rules that could not be read, by customer
	touched       []*instance
	due           []*ruleState                // those of which time calls for judging instances
	stepping      bool                        // somebody is at it, and gives way
	giveWay       func()                      // lets in who waits for mu
	looksAtOnce   int                         // before it does
	leastLateness int64                       // ms, of the rules
	deadlines     atomic.Pointer[deadlines]   // of the rules; mu is not needed to read it
	reached       atomic.Int64                // now for those who do not hold mu
	sleepers      *sleepers                   // of no rule; the root of all
	wide          bool                        // nobody sleeps: every identity has its instance
	told          map[instanceKey][]OpenAlert // while state is rebuilt: what the live log said
	batch         uint32
	given         []sample.Sample  // of the batch that is being judged
	fresh         map[lateKey]bool // the same as a set, once somebody asks
	failures      readFailures
	lines         int     // of the live log; each start counts from a number of its own
	taking        taking  // while a batch is taken
	queue         []Entry // of this step, in order
	settledN      []Entry // settled entries of this step, to be sorted
	records       []journal.Record
	unwritten     bool // the journal did not take those of the batch
	builder       *labels.Builder
	words         wording // of those who ask; what is told has that of the outbox
	ops           []operand
	vals          []float64 // as ops, where numbers do
	scratch       span
	rebuild       bool  // state is being rebuilt: nothing is journaled
	unsure        int64 // what a rebuild settles up to here is not logged
}

// ruleState is a loaded rule with all its identities.
type ruleState struct {
	rule      *Rule
	index     int // order in the files
	instances map[uint64][]*instance
	all       []*instance // those that have an instance
	watched   int         // identities, those without an instance included
	added     bool        // by a reload
	sleeps    bool        // its identities can sleep
	dozes     bool        // its identities can doze
	needsAll  bool        // a check has no verdict unless every operand is there
	begins    bool        // its checks are asked what began anew
	unlimited bool        // no limit keeps its identities from being judged
	computes  *node       // the root where it compares what arithmetic makes of all operands; else nil
	inputs    []input     // by leaf
	dozing    []*doze     // those that do
	slot      slot        // that of the sample which came last to an alert that stands
	lateness  int64       // ms
	memory    int64       // ms after which a silent operand is none
	selectors []selector
	joins     []map[uint64][]*join // by leaf, by hash of the key
	maxCheck  int64                // last check that has come
	missCheck int64                // last check whose missing_after has come
	lateCheck int64                // last check whose lateness has come
	isDue     bool                 // in Engine.due
	looked    int                  // then: how many of all have been looked at
	ripens    bool                 // then: those of ripe are to be judged
	ripe      []*instance          // those whose next check may make them fire
	late      map[lateKey]int64    // samples that count for no check up to this one
	lateUps   map[upKey]int64      // up-samples that do not
	watchedOf map[string]int       // watched, by customer

	// evaluated rules only
	eval      *evaluation
	ends      endings
	unread    *unread // what could not be read; nil for nothing
	waiting   int     // identities that are counted as unread for that
	dirty     map[int64]bool
	sources   map[*source]int64 // to when each first delivered something that the rule reads
	started   *int64            // Engine.started
	nextCheck int64             // next check to evaluate for the first time; 0 before any
	newest    int64             // newest check evaluated
	err       error             // why PromQL refused that one
}

// taking is a batch on its way into the state.
type taking struct {
	src    *source // nil while state is rebuilt
	before int64   // engine time when the last batch was judged
	at     int64   // engine time just before the batch
	bound  int64   // event time up to which src had settled then

	isFirst bool // src was never heard of before

	bounds    map[*ruleState]int64 // those of src's series, for the rules that read some, once somebody asks
	evaluated map[ofCustomer]int64 // those of evaluated rules, once somebody asks

	foresees bool                    // it is not taken yet: what of it is late is listed
	ends     map[lateKey]foreseenEnd // of the batch, where that was done
}

// settledBefore is the last check of the instance that was final before the
// batch that is being taken.
func (e *Engine) settledBefore(in *instance) int64 {
	r := in.rs.rule
	if in.finalIn != e.batch+1 {
		in.finalIn = e.batch + 1
		in.finalThrough = r.lastCheck(in.bound(e.taking.at, e.takingBound) - r.Lateness.Milliseconds())
	}
	if in.anySettled() {
		return max(in.finalThrough, in.settledCheck)
	}
	return in.finalThrough
}

// final is the last check of the instance that a batch cannot change any more.
// One that rests may not have settled it yet.
func (e *Engine) final(in *instance) int64 {
	if !in.rs.sleeps || e.rebuild {
		return in.settledCheck
	}
	return max(in.settledCheck, e.settledBefore(in))
}

type lateKey struct {
	series *series
	t      int64
}

// New builds an engine for the groups. It reads nothing and starts nothing.
func New(cfg Config, groups []Group, store storage.Queryable, j Journal, sink Sink, set *metrics.Set, logger *slog.Logger) (*Engine, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("rule engine: %w", err)
	}
	e := &Engine{
		cfg: cfg, store: store, journal: j, sink: sink, logger: logger,
		promql: newPromQL(logger), series: newIndex(), sources: map[sample.Source]*source{},
		customers: map[string]int{}, refused: map[Refusal]int{}, unlisted: map[string]int{}, unread: map[string]int{}, lateLimit: lateLimit{most: cfg.MaxLatePerDay, listed: map[string]int{}}, sleepers: &sleepers{next: map[*ruleState]*sleepers{}}, builder: labels.NewBuilder(labels.EmptyLabels()),
	}
	e.looksAtOnce, e.lines = looksAtOnce, rand.Int()
	e.giveWay, e.words, e.out.words = e.mu.giveWay, newWording(), newWording()
	e.m = newEngineMetrics(set, e)
	states, err := e.load(groups)
	if err != nil {
		return nil, fmt.Errorf("rule engine: %w", err)
	}
	e.use(states)
	return e, nil
}

// load builds the state of each rule, empty.
func (e *Engine) load(groups []Group) ([]*ruleState, error) {
	var out []*ruleState
	ids := map[string]*Rule{}
	for _, g := range groups {
		for _, r := range g.Rules {
			if r.Plain {
				return nil, fmt.Errorf("%s:%d: rule group %q: rule %q: has no field consecutive; give it one, or leave this file to Prometheus",
					r.File, r.Line, r.Group, r.Alert+r.Record)
			}
			if other := ids[r.ID()]; other != nil {
				return nil, fmt.Errorf("%s:%d: rule %q: the same id as the rule at %s:%d", r.File, r.Line, r.ID(), other.File, other.Line)
			}
			ids[r.ID()] = r
			rs, err := e.newState(r, len(out))
			if err != nil {
				return nil, fmt.Errorf("%s:%d: rule %q: %w", r.File, r.Line, r.ID(), err)
			}
			out = append(out, rs)
		}
	}
	return out, nil
}

func (e *Engine) newState(r *Rule, index int) (*ruleState, error) {
	rs := &ruleState{
		rule: r, index: index, instances: map[uint64][]*instance{}, late: map[lateKey]int64{}, lateUps: map[upKey]int64{}, watchedOf: map[string]int{},
		maxCheck: math.MinInt64, missCheck: math.MinInt64, lateCheck: math.MinInt64,
		selectors: selectors(r.expr), unlimited: r.readsJudgingAlone(), memory: 2 * e.forceAfter(),
	}
	if r.prog != nil {
		rs.sleeps, rs.dozes, rs.needsAll = r.prog.sleeps(r), r.prog.dozes(r), r.prog.root.needsAll()
		if rs.dozes {
			rs.inputs, rs.lateness = inputsOf(r.prog), r.Lateness.Milliseconds()
			if r.prog.root.computes() {
				rs.computes = r.prog.root
			}
		}
		rs.begins = r.asksEnds()
		rs.joins = make([]map[uint64][]*join, len(r.prog.leaves))
		for i := range rs.joins {
			rs.joins[i] = map[uint64][]*join{}
		}
		return rs, nil
	}
	rs.dirty, rs.sources, rs.started = map[int64]bool{}, map[*source]int64{}, &e.started
	var err error
	rs.eval, err = newEvaluation(r)
	rs.ends = newEndings(rs)
	return rs, err
}

// use makes states the loaded rules.
func (e *Engine) use(states []*ruleState) {
	e.rules = states
	e.deadlines.Store(deadlinesOf(states))
	e.byMetric = map[string][]*ruleState{}
	leaves := 1
	e.leastLateness = math.MaxInt64 / 4
	for i, rs := range states {
		rs.index = i
		e.leastLateness = min(e.leastLateness, rs.rule.Lateness.Milliseconds())
		for _, m := range rs.metrics() {
			e.byMetric[m] = append(e.byMetric[m], rs)
		}
		if rs.rule.prog != nil {
			leaves = max(leaves, len(rs.rule.prog.leaves))
		}
	}
	e.ops, e.vals = make([]operand, leaves+1), make([]float64, leaves) // one more for time()
}

// metrics lists the metric names that the rule reads, each once.
func (rs *ruleState) metrics() []string {
	var out []string
	seen := map[string]bool{}
	for _, s := range rs.selectors {
		if m := metricOf(s.sel); !seen[m] {
			seen[m] = true
			out = append(out, m)
		}
	}
	return out
}

// Ingest takes an accepted batch at engine time now: first all of it, then its
// checks are judged. ErrNotTaken means that nothing was taken. After any other
// error, which comes from the journal or the sink, all was, and Advance goes on
// with it; handed over again the batch would count as late once its checks have
// settled. A sink that has failed is left to Advance, too, and is no error then.
func (e *Engine) Ingest(ctx context.Context, b sample.Batch, now time.Time) error {
	failing := e.out.failure.Load() != nil
	return e.ingested(ctx, e.ingest(ctx, b, now.UnixMilli()), failing)
}

// ingested counts a batch and hands over what was judged with it; failing is what the sink
// was before.
func (e *Engine) ingested(ctx context.Context, err error, failing bool) error {
	e.m.batches.Inc()
	if !errors.Is(err, ErrNotTaken) { // what was judged before an error is on its way
		if ferr := e.offer(ctx, failing); err == nil {
			err = ferr
		}
	}
	if err != nil {
		e.m.batchFailures.Inc()
	}
	return err
}

func (e *Engine) ingest(ctx context.Context, b sample.Batch, now int64) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.waiting() >= e.cfg.MaxQueuedEntries {
		return ErrBackpressure
	}
	if err := e.catchUpFor(ctx, b); err != nil {
		return fmt.Errorf("%w: %w", ErrNotTaken, err)
	}
	e.begin(b.Source, b.FillIn, now)
	return e.takeBatch(ctx, b)
}

// begin opens the taking of a batch.
func (e *Engine) begin(id sample.Source, fillIn bool, now int64) {
	before := e.tick(now)
	src := e.source(id)
	// A check that settles at this very moment still takes this batch.
	e.taking = taking{src: src, before: before, at: max(before, e.now-1)}
	e.batch++
	e.taking.bound = src.bound(e.taking.at, e.forceAfter())
	if e.taking.isFirst = src.contact == 0; e.taking.isFirst {
		e.taking.bound = math.MinInt64 / 2
	}
	e.contact(src, fillIn)
}

// takeBatch takes a batch whose taking has begun, and judges what it touched.
func (e *Engine) takeBatch(ctx context.Context, b sample.Batch) error {
	src := e.taking.src
	e.apply(src, b)
	e.endFillIn(src, b.FillIn)
	e.taking = taking{}
	e.given, e.fresh = b.Samples, nil
	defer func() { e.given, e.fresh = nil, nil }()
	return e.step(ctx, true)
}

// Advance moves engine time to now and judges what has become due.
func (e *Engine) Advance(ctx context.Context, now time.Time) error {
	err := e.advance(ctx, now.UnixMilli())
	if ferr := e.flush(ctx); err == nil {
		err = ferr
	}
	return err
}

func (e *Engine) advance(ctx context.Context, now int64) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.tick(now)
	if e.waiting() >= e.cfg.MaxQueuedEntries {
		return nil // judge on when the sink takes entries again
	}
	return e.step(ctx, true)
}

func (e *Engine) forceAfter() int64 { return time.Duration(e.cfg.ForceAfter).Milliseconds() }

// tick moves engine time, never back, and returns what it was.
func (e *Engine) tick(now int64) int64 {
	before := e.now
	e.now = max(e.now, now)
	e.reached.Store(e.now)
	return before
}

func (e *Engine) record(r journal.Record) {
	if !e.rebuild {
		e.records = append(e.records, r)
	}
}

func (e *Engine) writeRecords(ctx context.Context) error {
	if len(e.records) == 0 {
		return nil
	}
	if err := e.journal.Record(ctx, e.records...); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	e.records = e.records[:0]
	return nil
}
