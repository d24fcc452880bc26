package demo

import (
	"testing"
	"time"
)

// Whatever the second at which the demo starts, the recovery waits until the alert was
// shown.
func TestTheRecoveryWaits(t *testing.T) {
	for second := range 60 {
		start := time.Date(2026, 11, 30, 23, 59, second, 500_000_000, time.UTC)
		cloud, b, err := newCloud(start)
		if err != nil {
			t.Fatal(err)
		}
		published := func(from, to time.Time) (first, last time.Time, n int) {
			for _, p := range cloud.Published(b.Instance, metric, from, to) {
				if n++; n == 1 || p.PublishedAt.Before(first) {
					first = p.PublishedAt
				}
				if p.PublishedAt.After(last) {
					last = p.PublishedAt
				}
			}
			return first, last, n
		}
		later, soon := start.Add(10*time.Minute), start.Add(20*time.Second)
		if first, _, n := published(b.To, later); n < 10 || first.Before(later) {
			t.Errorf("started at second %d: %d good points, the first is published at %s", second, n, clockSeconds(first))
		}
		s := &simulated{cloud: cloud, breach: b}
		if err := s.publish(b.To.Add(time.Minute), b.To.Add(held), soon); err != nil {
			t.Fatal(err)
		}
		if first, last, n := published(b.To, soon); n < 2 || !first.Equal(soon) || last.After(soon.Add(10*time.Second)) {
			t.Errorf("started at second %d: %d good points, published from %s to %s", second, n, clockSeconds(first), clockSeconds(last))
		}
		if first, _, n := published(b.Late.Add(-time.Minute), b.Late); n != 1 || first.Before(later) {
			t.Errorf("started at second %d: the late point is published at %s", second, clockSeconds(first))
		}
	}
}
