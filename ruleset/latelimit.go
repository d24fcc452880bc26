package ruleset

import "time"

// lateLimit bounds the records of late samples of each customer in a day (UTC): every
// one is kept for as long as the samples of its time are.
type lateLimit struct {
	most   int
	day    int64 // the day that is counted, since 1970
	listed map[string]int
}

// take counts a record of that time, unless the customer has as many as it may.
func (l *lateLimit) take(customer string, now int64) bool {
	if day := now / (24 * time.Hour).Milliseconds(); day > l.day {
		l.day = day
		clear(l.listed)
	}
	if l.listed[customer] >= l.most {
		return false
	}
	l.listed[customer]++
	return true
}

// remember counts a record that the journal has.
func (l *lateLimit) remember(customer string, arrive int64) {
	if arrive/(24*time.Hour).Milliseconds() >= l.day {
		l.take(customer, arrive)
	}
}
