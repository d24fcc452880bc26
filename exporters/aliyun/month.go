package aliyun

import "time"

// monthZone is the zone in which the provider counts a month.
var monthZone = time.FixedZone("UTC+8", 8*60*60)

// monthCount counts an account's metric queries in a calendar month.
type monthCount struct {
	month string // 2026-11; "" before the first call
	calls int64
}

// monthOf names the month of a time.
func monthOf(t time.Time) string { return t.In(monthZone).Format("2006-01") }

// monthEnd is when the month of a time ends.
func monthEnd(t time.Time) time.Time {
	y, m, _ := t.In(monthZone).Date()
	return time.Date(y, m+1, 1, 0, 0, 0, 0, monthZone)
}

func (m *monthCount) add(now time.Time, n int64) {
	if month := monthOf(now); month != m.month {
		*m = monthCount{month: month}
	}
	m.calls += n
}

// count is the number of calls in the month of now.
func (m *monthCount) count(now time.Time) int64 {
	if m.month != monthOf(now) {
		return 0
	}
	return m.calls
}
