package storage

import (
	"maps"
	"time"

	"watchkeeper/internal/journal"
)

// endLimit bounds the end marks of each customer in a day (UTC): every one is a
// record of the journal for as long as the samples before it are kept. Guarded by
// Store.mu.
type endLimit struct {
	most    int
	day     int64          // the day that is counted, since 1970
	told    map[string]int // on that day, by customer
	refused map[string]int // since the start, by customer
}

func newEndLimit(most int) *endLimit {
	return &endLimit{most: most, told: map[string]int{}, refused: map[string]int{}}
}

// begin turns to the day of now.
func (l *endLimit) begin(nowMs int64) {
	if day := nowMs / (24 * time.Hour).Milliseconds(); day != l.day {
		l.day = day
		clear(l.told)
	}
}

// take counts an end mark, unless the customer has told as many as it may.
func (l *endLimit) take(customer string, nowMs int64) bool {
	l.begin(nowMs)
	if l.told[customer] >= l.most {
		l.refused[customer]++
		return false
	}
	l.told[customer]++
	return true
}

// giveBack counts end marks out that did not reach the journal.
func (l *endLimit) giveBack(customer string, n int) {
	l.told[customer] = max(0, l.told[customer]-n)
}

// remember counts what the journal has, so that a restart forgets nothing. Records
// without a source are the rule engine's.
func (l *endLimit) remember(r journal.Record) {
	if r.Kind == journal.KindEnd && r.Source != "" && r.Arrive/(24*time.Hour).Milliseconds() >= l.day {
		l.begin(r.Arrive)
		l.told[r.Customer]++
	}
}

// RefusedEnds counts by customer, since the start, the end marks that
// Config.MaxEndsPerDay kept out.
func (s *Store) RefusedEnds() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.ends.refused)
}
