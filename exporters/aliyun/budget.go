package aliyun

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"
	"golang.org/x/time/rate"
)

// api names one action of the cloud, as the budget counts it.
type api string

const (
	apiMetricList api = "DescribeMetricList"
	apiInstances  api = "DescribeInstances"
)

// Budgets holds the call budget of every account in the process. The cloud
// limits an account, not a client, so whoever calls for an account shares one
// budget: all regions and collectors, the ones before a reload and after it.
type Budgets struct {
	set *metrics.Set

	mu       sync.Mutex
	accounts map[accountKey]*budget // guarded by mu
}

type accountKey struct{ customer, account string }

// NewBudgets has no accounts yet; its metrics go to set.
func NewBudgets(set *metrics.Set) *Budgets {
	return &Budgets{set: set, accounts: map[accountKey]*budget{}}
}

// of returns the account's budget and sets its limits.
func (b *Budgets) of(customer string, cfg AccountConfig) *budget {
	b.mu.Lock()
	defer b.mu.Unlock()
	key := accountKey{customer, cfg.Name}
	have := b.accounts[key]
	if have == nil {
		have = newBudget(key, b.set)
		b.accounts[key] = have
	}
	have.configure(cfg.CallsPerSecond)
	return have
}

// budget is one account's: calls per second for each API, calls in the month.
type budget struct {
	key accountKey
	set *metrics.Set

	mu        sync.Mutex
	perSecond rate.Limit
	limiters  map[api]*rate.Limiter
	pausedTo  map[api]time.Time
	month     monthCount
}

func newBudget(key accountKey, set *metrics.Set) *budget {
	b := &budget{key: key, set: set, limiters: map[api]*rate.Limiter{}, pausedTo: map[api]time.Time{}}
	set.GetOrCreateGauge("watchkeeper_aliyun_month_calls"+b.labels(), func() float64 {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.month.count(time.Now())
	})
	set.GetOrCreateGauge("watchkeeper_aliyun_month_calls_forecast"+b.labels(), func() float64 {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.month.forecast(time.Now())
	})
	return b
}

func (b *budget) labels(more ...string) string {
	text := fmt.Sprintf("{customer=%q,account=%q", b.key.customer, b.key.account)
	for i := 0; i+1 < len(more); i += 2 {
		text += fmt.Sprintf(",%s=%q", more[i], more[i+1])
	}
	return text + "}"
}

func (b *budget) configure(perSecond float64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.perSecond = rate.Limit(perSecond)
	for _, l := range b.limiters {
		l.SetLimit(b.perSecond)
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
	if a == apiMetricList {
		b.mu.Lock()
		b.month.add(time.Now())
		b.mu.Unlock()
	}
	return nil
}

func (b *budget) limiter(a api, now time.Time) (*rate.Limiter, time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.limiters[a]
	if l == nil {
		l = rate.NewLimiter(b.perSecond, 1)
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

func (b *budget) failed(a api, err error) {
	b.set.GetOrCreateCounter("watchkeeper_aliyun_call_failures_total" + b.labels("api", string(a), "reason", kindWord(err))).Inc()
}

// monthZone is the zone in which the provider counts a month.
var monthZone = time.FixedZone("UTC+8", 8*60*60)

// minForecastSpan keeps the burst of the first fill-in from becoming a forecast of millions.
const minForecastSpan = time.Hour

// monthCount counts this process's metric queries in the running month. It
// starts anew with the process: calls of earlier runs are in the stored history
// of watchkeeper_aliyun_calls_total.
type monthCount struct {
	since time.Time // first call counted in this month
	calls float64
}

func (m *monthCount) add(now time.Time) {
	if m.since.IsZero() || !sameMonth(m.since, now) {
		*m = monthCount{since: now}
	}
	m.calls++
}

func (m *monthCount) count(now time.Time) float64 {
	if m.since.IsZero() || !sameMonth(m.since, now) {
		return 0
	}
	return m.calls
}

// forecast is the month's count at its end if the rate so far goes on.
func (m *monthCount) forecast(now time.Time) float64 {
	calls := m.count(now)
	if calls == 0 {
		return 0
	}
	y, month, _ := now.In(monthZone).Date()
	end := time.Date(y, month+1, 1, 0, 0, 0, 0, monthZone)
	span := max(now.Sub(m.since), minForecastSpan)
	return calls + calls*end.Sub(now).Seconds()/span.Seconds()
}

func sameMonth(a, b time.Time) bool {
	ay, am, _ := a.In(monthZone).Date()
	by, bm, _ := b.In(monthZone).Date()
	return ay == by && am == bm
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
