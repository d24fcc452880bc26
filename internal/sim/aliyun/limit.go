package aliyun

import (
	"net/http"
	"sync"
	"time"
)

// limiter enforces calls per second of each API and the free quota of a calendar
// month, both for the whole account.
type limiter struct {
	mu      sync.Mutex
	rates   map[string]float64
	quota   int
	buckets map[string]*bucket
	month   string
	used    int // metric queries in month
}

// bucket holds at most one second's worth of calls.
type bucket struct {
	tokens float64
	filled time.Time
}

func newLimiter(rates map[string]float64, quota int) *limiter {
	return &limiter{rates: rates, quota: quota, buckets: map[string]*bucket{}}
}

// admit takes one call of the API from its bucket, and from the quota if it is a
// metric query. A call that the bucket refuses does not use the quota.
func (l *limiter) admit(c *call, metricQuery bool, now time.Time) *apiError {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.take(c.api, l.rateOf(c), now) {
		return throttled(userFlowControl)
	}
	if !metricQuery || l.quota < 0 {
		return nil
	}
	if month := now.In(chinaTime).Format("2006-01"); month != l.month {
		l.month, l.used = month, 0
	}
	if l.used >= l.quota {
		// The text is documented, its code is not.
		return errorf(http.StatusBadRequest, "Throttling.User", "user api quota limit")
	}
	l.used++
	return nil
}

func (l *limiter) rateOf(c *call) float64 {
	if rate, ok := l.rates[c.api]; ok {
		return rate
	}
	if rate, ok := l.rates[c.product]; ok {
		return rate
	}
	return -1
}

func (l *limiter) take(api string, perSecond float64, now time.Time) bool {
	if perSecond < 0 {
		return true
	}
	b := l.buckets[api]
	if b == nil {
		b = &bucket{tokens: perSecond, filled: now}
		l.buckets[api] = b
	}
	if passed := now.Sub(b.filled).Seconds(); passed > 0 {
		b.tokens = min(b.tokens+passed*perSecond, max(perSecond, 1))
		b.filled = now
	}
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

func (l *limiter) quotaUsed() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.used
}

// QuotaUsed is the number of metric queries counted in the current month.
func (s *Server) QuotaUsed() int { return s.limits.quotaUsed() }

// chinaTime is the zone of daily curves and of billing months.
var chinaTime = time.FixedZone("UTC+8", 8*60*60)
