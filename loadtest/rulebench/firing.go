package rulebench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"golang.org/x/sync/errgroup"

	"watchkeeper/internal/alarm"
	"watchkeeper/internal/sample"
	"watchkeeper/internal/storage"
	"watchkeeper/ruleset"
)

// FiringConfig says how much is delivered while the time to firing is measured.
type FiringConfig struct {
	// Series is the number of watched series. Default 1000000.
	Series int
	// Rules that read each series. Default 10.
	Rules int
	// Rate is the number of samples per second. Default 100000.
	Rate float64
	// Interval between checks. Default 1m.
	Interval time.Duration
	// Checks is for how many intervals samples are delivered. Default 8.
	Checks int
	// Alerts is how many series begin to breach at each check, for four checks. Default 600.
	Alerts int
	// Lateness of the rules. Below about ten seconds every batch is taken as one that may
	// come late. Default 30m.
	Lateness time.Duration
	// Backfill is how many samples a second sources bring, around every other check, that
	// were away for hours. Default 0: none.
	Backfill float64
	// BackfillLate has them come too late for their checks, as of sources that nobody waits
	// for; else their checks have waited.
	BackfillLate bool
	// Dir is an empty folder for the store. Default: one in the system's folder for
	// temporary files, removed afterwards.
	Dir string
}

// DefaultFiringConfig returns the documented defaults.
func DefaultFiringConfig() FiringConfig {
	return FiringConfig{Series: 1_000_000, Rules: 10, Rate: 100_000, Interval: time.Minute, Checks: 8, Alerts: 600, Lateness: 30 * time.Minute}
}

// Validate names the first field that cannot be used.
func (c FiringConfig) Validate() error {
	switch {
	case c.Series < 2*perSource || c.Series > 5_000_000:
		return fmt.Errorf("series: want %d to 5000000", 2*perSource)
	case c.Rules < 1 || c.Rules > 64:
		return errors.New("rules: want 1 to 64")
	case c.Rate < 1000 || c.Rate > 1e7:
		return errors.New("rate: want 1000 to 10000000")
	case c.Interval < time.Second || c.Interval%time.Second != 0:
		return errors.New("interval: want whole seconds")
	case float64(c.Series)/c.Rate > c.Interval.Seconds():
		return errors.New("rate: too low for a sample of each series at each check")
	case c.Checks < 5:
		return errors.New("checks: want 5 or more")
	case c.Lateness < time.Second || c.Lateness%time.Second != 0:
		return errors.New("lateness: want whole seconds")
	case c.Backfill < 0 || c.Backfill > 1e7:
		return errors.New("backfill: want 0 to 10000000")
	case c.Alerts < 1 || c.Alerts > c.Series/10:
		return errors.New("alerts: want 1 to a tenth of the series")
	}
	return nil
}

// FiringResult is what a run measured.
type FiringResult struct {
	Config      FiringConfig
	OnTime      []time.Duration // from T of the check to the sink, ascending
	Late        []time.Duration // from the arrival of the batch that completes a check that is past, ascending
	OnTimeOld   []time.Duration // as OnTime, beside a backlog
	LateOld     []time.Duration // as Late, beside a backlog
	Old         []time.Duration // how long a batch of the backlog took, ascending
	Behind      time.Duration   // most that a batch began after its time
	Samples     int64
	CPU         time.Duration // of the whole process, while samples came
	Took        time.Duration
	EngineBytes uint64 // heap of the engine after every series has come
	StoreBytes  uint64 // heap of the store then
	PeakRSS     uint64 // of the process
}

// delay is how much later than measured half of the sources deliver, as cloud
// monitoring does.
const delay = 150 * time.Second

// RunFiring delivers samples through the store to the rule engine in real time and
// measures how long after the moment that completes it an alert is handed over:
// after T of its third check where its samples have come, after the arrival of the
// batch where that is later. Half of the sources deliver late. A batch is taken to
// arrive when it is due, also where the one before holds it up.
func RunFiring(ctx context.Context, cfg FiringConfig, progress io.Writer) (*FiringResult, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Dir == "" {
		dir, err := os.MkdirTemp("", "watchkeeper-firing-")
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(dir)
		cfg.Dir = dir
	}
	w, err := newFiringWorld(cfg)
	if err != nil {
		return nil, err
	}
	say := func(format string, args ...any) { fmt.Fprintf(progress, format+"\n", args...) }
	err = w.run(ctx, say)
	return &w.result, errors.Join(err, w.store.Close())
}

// firingWorld is a store, an engine and who delivers to them.
type firingWorld struct {
	cfg     FiringConfig
	names   []string // of metrics
	store   *storage.Store
	engine  *ruleset.Engine
	batches []firingBatch
	backlog []firingBatch // of those that were away
	began   time.Time
	result  FiringResult

	behind atomic.Int64 // ns
	mu     sync.Mutex   // guards the latencies of result
}

type firingBatch struct {
	sample.Batch
	first   int // number of its first series
	late    bool
	arrival atomic.Int64 // of the last one, Unix ns
}

func newFiringWorld(cfg FiringConfig) (*firingWorld, error) {
	w := &firingWorld{cfg: cfg, result: FiringResult{Config: cfg}}
	shipped := &world{}
	if err := shipped.pickRows(); err != nil {
		return nil, err
	}
	for _, x := range shipped.rows {
		w.names = append(w.names, x.metric)
	}
	groups, err := ruleset.Parse("firing.yml", []byte(w.rules()))
	if err != nil {
		return nil, err
	}
	sc := storage.DefaultConfig()
	sc.Dir = cfg.Dir
	discard := slog.New(slog.DiscardHandler)
	if w.store, err = storage.Open(sc, discard, metrics.NewSet(), time.Now); err != nil {
		return nil, err
	}
	ec := ruleset.DefaultConfig()
	ec.MaxSeriesPerRule, ec.MaxSeriesPerCustomer = 5_000_000, 400_000_000
	w.engine, err = ruleset.New(ec, groups, w.store, past{w.store.Journal()}, w, metrics.NewSet(), discard)
	if err != nil {
		return nil, errors.Join(err, w.store.Close())
	}
	w.makeBatches()
	w.makeBacklog()
	return w, nil
}

// The first rule of each metric is the one that fires; the others are there to be
// judged.
const (
	goodValue, badValue = 50, 100.5
	firstThreshold      = 100
)

func (w *firingWorld) rules() string {
	var b strings.Builder
	fmt.Fprintf(&b, "groups:\n- name: firing\n  interval: %s\n  rules:\n", model.Duration(w.cfg.Interval))
	for _, m := range w.names {
		for i := range w.cfg.Rules {
			fmt.Fprintf(&b, `  - {alert: "%s-%d", expr: "%s >= %d", consecutive: 3, lateness: %s, missing_after: %s, labels: {severity: warning}, annotations: {`+
				`summary: "{{ $labels.instance }}: {{ printf \"%%.1f\" $value }}", description: "{{ with $labels.node }}{{ . }} of {{ end }}{{ $labels.instance }} in {{ $labels.region }}"}}`+"\n",
				m, i, m, firstThreshold+i, model.Duration(w.cfg.Lateness), model.Duration(min(w.cfg.Lateness, w.cfg.Interval)))
		}
	}
	return b.String()
}

func (w *firingWorld) makeBatches() {
	w.batches = make([]firingBatch, w.cfg.Series/perSource)
	for i := range w.batches {
		b := &w.batches[i]
		customer := fmt.Sprintf("customer-%02d", i%customers)
		b.first, b.late = i*perSource, i%2 == 1
		b.Batch = sample.Batch{Source: sample.Source{Customer: customer, Name: fmt.Sprintf("agent/%05d", i)}, Ups: make([]sample.Up, 1)}
		for n := range perSource {
			b.Samples = append(b.Samples, sample.Sample{Labels: labels.FromStrings(model.MetricNameLabel, w.names[n%len(w.names)],
				"customer", customer, "instance", fmt.Sprintf("i-%08d", b.first+n), "product", "ecs", "region", "cn-hangzhou")})
		}
	}
}

func (w *firingWorld) run(ctx context.Context, say func(string, ...any)) error {
	say("%d series, %d rules each: the first sample of every series", w.cfg.Series, w.cfg.Rules)
	if err := w.fill(ctx); err != nil {
		return err
	}
	say("%.0f samples a second for %s", w.cfg.Rate, time.Duration(w.cfg.Checks)*w.cfg.Interval)
	began, cpu := time.Now(), cpuTime()
	w.began = began
	if err := w.deliver(ctx, began, say); err != nil {
		return err
	}
	r := &w.result
	r.Took, r.CPU, r.Behind, r.PeakRSS = time.Since(began), cpuTime()-cpu, time.Duration(w.behind.Load()), peakRSS()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, ds := range [][]time.Duration{r.OnTime, r.Late, r.OnTimeOld, r.LateOld, r.Old} {
		slices.Sort(ds)
	}
	if len(r.OnTime)+len(r.Late) == 0 {
		return errors.New("no alert fired")
	}
	return nil
}

// fill stores the first sample of every series, then shows them to the engine, and
// measures the memory of both.
func (w *firingWorld) fill(ctx context.Context) error {
	before := heap()
	accepted := make([]sample.Batch, 0, len(w.batches))
	for i := range w.batches {
		b := &w.batches[i]
		b.stamp(w.cfg, time.Now())
		res, err := w.store.Append(ctx, b.Batch)
		if err != nil {
			return err
		}
		accepted = append(accepted, res.Accepted)
	}
	for i := range w.backlog {
		b := &w.backlog[i]
		b.stampOld(time.Now().Add(-backlogHours*time.Hour), false)
		res, err := w.store.Append(ctx, b.Batch)
		if err != nil {
			return err
		}
		accepted = append(accepted, res.Accepted)
	}
	stored := heap()
	for _, b := range accepted {
		if err := w.engine.Ingest(ctx, b, time.Now()); err != nil {
			return err
		}
	}
	w.result.StoreBytes, w.result.EngineBytes = stored-before, heap()-stored
	return nil
}

// deliver sends the batches round and round at the rate, while engine time follows
// the clock on the second.
func (w *firingWorld) deliver(ctx context.Context, began time.Time, say func(string, ...any)) error {
	ctx, cancel := context.WithDeadline(ctx, began.Add(time.Duration(w.cfg.Checks)*w.cfg.Interval))
	defer cancel()
	g, ctx := errgroup.WithContext(ctx)
	var next atomic.Int64
	for range 2 {
		g.Go(func() error {
			a, err := alarm.New()
			if err != nil {
				return err
			}
			defer a.Close()
			for {
				n := next.Add(1) - 1
				due := began.Add(time.Duration(float64(n) * perSource / w.cfg.Rate * 1e9))
				if !a.Wait(ctx, time.Until(due)) {
					return nil
				}
				if err := w.send(ctx, &w.batches[n%int64(len(w.batches))], due); err != nil {
					return err
				}
			}
		})
	}
	g.Go(func() error { return w.bringBacklog(ctx) })
	g.Go(func() error {
		a, err := alarm.New()
		if err != nil {
			return err
		}
		defer a.Close()
		for a.Wait(ctx, time.Until(time.Now().Truncate(time.Second).Add(time.Second))) {
			if err := w.engine.Advance(context.WithoutCancel(ctx), time.Now()); err != nil {
				return err
			}
			if now := time.Now(); now.Second()%30 == 0 {
				w.mu.Lock()
				fired := len(w.result.OnTime) + len(w.result.Late) + len(w.result.OnTimeOld) + len(w.result.LateOld)
				w.mu.Unlock()
				left := time.Until(began.Add(time.Duration(w.cfg.Checks) * w.cfg.Interval)).Round(time.Second)
				say("%s left, %d alerts have fired, %s behind at most", left, fired, time.Duration(w.behind.Load()))
			}
		}
		return nil
	})
	return g.Wait()
}

func (w *firingWorld) send(ctx context.Context, b *firingBatch, due time.Time) error {
	ctx = context.WithoutCancel(ctx) // a batch that was begun is finished
	if behind := int64(time.Since(due)); behind > w.behind.Load() {
		w.behind.Store(behind)
	}
	b.arrival.Store(due.UnixNano())
	b.stamp(w.cfg, due)
	atomic.AddInt64(&w.result.Samples, int64(len(b.Samples)))
	return w.take(ctx, b.Batch)
}

// stamp makes the batch that of a moment.
func (b *firingBatch) stamp(cfg FiringConfig, at time.Time) {
	b.Watermark = sample.Current
	if b.late {
		at = at.Add(-delay)
		b.Watermark = at.UnixMilli()
	}
	t := at.UnixMilli()
	b.Ups[0] = sample.Up{T: t, OK: true}
	check := int(t / cfg.Interval.Milliseconds())
	period := cfg.Series / cfg.Alerts
	for i := range b.Samples {
		s := &b.Samples[i]
		s.T, s.V = t, goodValue
		if ((b.first+i)*7919+check)%period < 4 {
			s.V = badValue
		}
	}
}

// Log implements ruleset.Sink: it takes the time to firing.
func (w *firingWorld) Log(_ context.Context, entries []ruleset.Entry) error {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range entries {
		if e.Log != ruleset.LogLive || e.To != ruleset.StateFiring {
			continue
		}
		var series int
		if _, err := fmt.Sscanf(e.Identity.Get("instance"), "i-%d", &series); err != nil {
			return fmt.Errorf("instance %q: %w", e.Identity.Get("instance"), err)
		}
		b := &w.batches[series/perSource]
		since, quiet, beside := time.UnixMilli(e.Check), &w.result.OnTime, &w.result.OnTimeOld
		if b.late {
			since, quiet, beside = time.Unix(0, b.arrival.Load()), &w.result.Late, &w.result.LateOld
		}
		if w.beside(since) {
			quiet = beside
		}
		*quiet = append(*quiet, now.Sub(since))
	}
	return nil
}

// percentile of ascending durations, 0 without any.
func percentile(ds []time.Duration, p float64) time.Duration {
	if len(ds) == 0 {
		return 0
	}
	return ds[min(len(ds)-1, int(p*float64(len(ds))))]
}

// WriteFiring prints the result; its last line is "firing_p99_ms N", the greater of
// the two.
func WriteFiring(out io.Writer, r *FiringResult) error {
	var b strings.Builder
	states := r.Config.Series * r.Config.Rules
	fmt.Fprintf(&b, "%d watched series, %d rules each: %d (rule, series) states; %.0f samples/s for %s\n\n",
		r.Config.Series, r.Config.Rules, states, float64(r.Samples)/r.Took.Seconds(), r.Took.Round(time.Second))
	fmt.Fprintf(&b, "%-52s %8s %10s %10s %10s\n", "time to firing, ms", "alerts", "p50", "p99", "most")
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	for _, x := range []struct {
		name string
		ds   []time.Duration
	}{
		{"on time: after T of the third check", r.OnTime}, {"late: after the batch has arrived", r.Late},
		{"on time, beside a backlog", r.OnTimeOld}, {"late, beside a backlog", r.LateOld}, {"(a batch of the backlog, until it is taken)", r.Old},
	} {
		if r.Config.Backfill == 0 && len(x.ds) == 0 {
			continue
		}
		fmt.Fprintf(&b, "%-52s %8d %10.2f %10.2f %10.2f\n", x.name, len(x.ds), ms(percentile(x.ds, 0.5)), ms(percentile(x.ds, 0.99)), ms(percentile(x.ds, 1)))
	}
	const mib = 1 << 20
	fmt.Fprintf(&b, "\nCPU %.2f cores, store included; a batch began %.1f ms after its time at most\n", r.CPU.Seconds()/r.Took.Seconds(), ms(r.Behind))
	fmt.Fprintf(&b, "memory: rule engine %d MiB (%.0f bytes a series, %.1f a state), store's head %d MiB (%.0f bytes a series), process %d MiB at most\n",
		r.EngineBytes/mib, float64(r.EngineBytes)/float64(r.Config.Series), float64(r.EngineBytes)/float64(states),
		r.StoreBytes/mib, float64(r.StoreBytes)/float64(r.Config.Series), r.PeakRSS/mib)
	fmt.Fprintf(&b, "firing_p99_ms %.2f\n", ms(max(percentile(r.OnTime, 0.99), percentile(r.Late, 0.99))))
	_, err := io.WriteString(out, b.String())
	return err
}

// peakRSS is the most memory that the process has held, in bytes; 0 where the system
// does not say.
func peakRSS() uint64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		var kb uint64
		if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &kb); n == 1 {
			return kb << 10
		}
	}
	return 0
}
