package aliyun

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"golang.org/x/time/rate"

	"watchkeeper/internal/sample"
	"watchkeeper/internal/statefile"
)

// saveInterval is how often changed counts are written; a crash loses the calls
// of this time.
const saveInterval = 10 * time.Second

// Budgets holds the call budget of every account in the process. The cloud
// limits an account, not a client, so whoever calls for an account shares one
// budget: all regions and collectors, the ones before a reload and after it.
// What was called in the month survives a restart when Open names a file.
type Budgets struct {
	set *metrics.Set

	mu       sync.Mutex
	accounts map[accountKey]*budget // guarded by mu
	file     string                 // guarded by mu; "" before Open
	saved    monthFile              // guarded by mu; what the file holds
}

type accountKey struct{ customer, account string }

// NewBudgets has no accounts yet; its metrics go to set.
func NewBudgets(set *metrics.Set) *Budgets {
	return &Budgets{set: set, accounts: map[accountKey]*budget{}}
}

// monthFile is the state file: the calls of the month by account.
type monthFile struct {
	Accounts []monthEntry `json:"accounts"`
}

type monthEntry struct {
	Customer string `json:"customer"`
	Account  string `json:"account"`
	Month    string `json:"month"` // 2026-11, in the provider's zone
	Calls    int64  `json:"calls"`
}

// Open adds the counts of earlier runs from a file, which Save and Run then
// keep. A file that cannot be read is told of and replaced: without it the
// counts start at 0, which must not keep anybody from watching.
func (b *Budgets) Open(file string, log *slog.Logger) {
	var f monthFile
	if _, err := statefile.Load(file, &f); err != nil {
		log.Warn("calls of the month are counted from 0", "err", err)
		f = monthFile{}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.file, b.saved = file, f
	for _, have := range b.accounts {
		have.restore(f)
	}
}

// Run writes changed counts until ctx ends. Call Save when the collectors have
// stopped.
func (b *Budgets) Run(ctx context.Context, log *slog.Logger) error {
	t := time.NewTicker(saveInterval)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
			if err := b.Save(); err != nil {
				log.Warn("calls of the month not saved", "err", err)
			}
		}
	}
}

// Save writes the counts if they changed since they were written.
func (b *Budgets) Save() error {
	b.mu.Lock() // held across the write: there is one file
	defer b.mu.Unlock()
	f, changed := b.saved.with(b.accounts)
	if b.file == "" || !changed {
		return nil
	}
	if err := statefile.Save(b.file, f); err != nil {
		return fmt.Errorf("aliyun: calls of the month: %w", err)
	}
	b.saved = f
	return nil
}

// with returns the file with the accounts' counts. Entries of accounts that are
// no longer configured stay: they may come back within the month.
func (f monthFile) with(accounts map[accountKey]*budget) (out monthFile, changed bool) {
	rest := map[accountKey]monthCount{}
	for key, b := range accounts {
		b.mu.Lock()
		rest[key] = b.month
		b.mu.Unlock()
	}
	for _, e := range f.Accounts {
		key := accountKey{e.Customer, e.Account}
		if m, ok := rest[key]; ok && m.month != "" {
			changed = changed || m.month != e.Month || m.calls != e.Calls
			e.Month, e.Calls = m.month, m.calls
		}
		delete(rest, key)
		out.Accounts = append(out.Accounts, e)
	}
	for key, m := range rest {
		if m.month != "" {
			out.Accounts = append(out.Accounts, monthEntry{key.customer, key.account, m.month, m.calls})
			changed = true
		}
	}
	return out, changed
}

// of returns the account's budget and sets its limits.
func (b *Budgets) of(customer string, cfg AccountConfig) *budget {
	b.mu.Lock()
	defer b.mu.Unlock()
	key := accountKey{customer, cfg.Name}
	have := b.accounts[key]
	if have == nil {
		have = newBudget(key, b.set)
		have.restore(b.saved)
		b.accounts[key] = have
	}
	have.configure(cfg)
	return have
}

// budget is one account's: calls per second for each API, calls in the month.
type budget struct {
	key accountKey
	set *metrics.Set

	mu        sync.Mutex
	cfg       AccountConfig // its limits
	limiters  map[api]*rate.Limiter
	pausedTo  map[api]time.Time
	month     monthCount
	pollers   map[sample.Source]*poller // of those who count for the month
	refusedTo time.Time                 // the provider refused metric queries
}

func newBudget(key accountKey, set *metrics.Set) *budget {
	b := &budget{
		key: key, set: set, limiters: map[api]*rate.Limiter{}, pausedTo: map[api]time.Time{}, pollers: map[sample.Source]*poller{},
	}
	for name, value := range map[string]func(now time.Time) float64{
		"watchkeeper_aliyun_month_calls":          func(now time.Time) float64 { return float64(b.month.count(now)) },
		"watchkeeper_aliyun_month_calls_forecast": b.forecast,
		"watchkeeper_aliyun_month_calls_limit":    func(time.Time) float64 { return float64(b.cfg.CallsPerMonth) },
		"watchkeeper_aliyun_degrade_level":        func(now time.Time) float64 { return float64(b.level(now)) },
	} {
		set.GetOrCreateGauge(name+b.labels(), func() float64 {
			b.mu.Lock()
			defer b.mu.Unlock()
			return value(time.Now())
		})
	}
	return b
}

// monthState is what the account's month looks like.
type monthState struct {
	calls, limit int64
	forecast     float64
	level        DegradeLevel
}

func (b *budget) state(now time.Time) monthState {
	b.mu.Lock()
	defer b.mu.Unlock()
	return monthState{calls: b.month.count(now), limit: b.cfg.CallsPerMonth, forecast: b.forecast(now), level: b.level(now)}
}

func (b *budget) labels(more ...string) string {
	text := fmt.Sprintf("{customer=%q,account=%q", b.key.customer, b.key.account)
	for i := 0; i+1 < len(more); i += 2 {
		text += fmt.Sprintf(",%s=%q", more[i], more[i+1])
	}
	return text + "}"
}

func (b *budget) configure(cfg AccountConfig) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cfg = cfg
	for a, l := range b.limiters {
		l.SetLimit(rate.Limit(cfg.rate(a)))
	}
}

// restore adds the calls of an earlier run to those already counted.
func (b *budget) restore(f monthFile) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range f.Accounts {
		if (accountKey{e.Customer, e.Account}) != b.key {
			continue
		}
		if b.month.month == "" || b.month.month == e.Month {
			b.month = monthCount{month: e.Month, calls: b.month.calls + e.Calls}
		}
	}
}

// wait returns when a may be called, and counts the call; with an error when
// ctx ends first.
func (b *budget) wait(ctx context.Context, a api) error {
	started := time.Now()
	limiter, pause := b.limiter(a, started)
	if pause > 0 {
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
	if err := limiter.Wait(ctx); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("no call allowed before the time-out: %w", context.DeadlineExceeded)
	}
	b.set.GetOrCreateFloatCounter("watchkeeper_aliyun_limiter_wait_seconds_total" + b.labels("api", string(a))).Add(time.Since(started).Seconds())
	b.set.GetOrCreateCounter("watchkeeper_aliyun_calls_total" + b.labels("api", string(a))).Inc()
	if a.countsForMonth() {
		b.mu.Lock()
		b.month.add(time.Now(), 1)
		b.mu.Unlock()
	}
	return nil
}

func (b *budget) limiter(a api, now time.Time) (*rate.Limiter, time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.limiters[a]
	if l == nil {
		l = rate.NewLimiter(rate.Limit(b.cfg.rate(a)), 1)
		b.limiters[a] = l
	}
	return l, b.pausedTo[a].Sub(now)
}

// throttled makes everybody who calls a for this account wait.
func (b *budget) throttled(a api, pause time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if until := time.Now().Add(pause); until.After(b.pausedTo[a]) {
		b.pausedTo[a] = until
	}
}

// refused notes that the provider takes no more metric queries this month.
func (b *budget) refused() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refusedTo = time.Now().Add(refusedPause)
}

func (b *budget) failed(a api, err error) {
	b.set.GetOrCreateCounter("watchkeeper_aliyun_call_failures_total" + b.labels("api", string(a), "reason", kindWord(err))).Inc()
}

// sleep waits for d or the context's end.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
