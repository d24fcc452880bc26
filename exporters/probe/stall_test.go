package probe

import (
	"errors"
	"testing"
	"time"
)

func TestStallMeter(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	m := &stallMeter{last: at}
	after := func(d time.Duration) { at = at.Add(d); m.tick(at) }
	expect := func(what string, now time.Time, want time.Duration) {
		t.Helper()
		if got := m.stalled(now); got != want {
			t.Errorf("%s: stalled for %s, want %s", what, got, want)
		}
	}
	for range 100 {
		after(tickEvery)
		after(2 * tickEvery)
	}
	expect("usual jitter", at, 0)
	after(3 * time.Second)
	expect("a pause", at, 3*time.Second-tickEvery)
	expect("a pause that lasts", at.Add(2*time.Second), 5*time.Second-2*tickEvery)
	after(tickEvery)
	expect("after it", at, 3*time.Second-tickEvery)
}

func TestOwnFault(t *testing.T) {
	f := func(what string, r result, stalled time.Duration, want Code, local bool) {
		t.Helper()
		got := ownFault(r, stalled, 10*time.Second)
		if got.code != want || (got.local != nil) != local {
			t.Errorf("%s: code %s, local %v", what, got.code, got.local)
		}
	}
	timeout := result{code: Timeout, err: errors.New("no answer")}
	f("time-out", timeout, 0, Timeout, false)
	f("time-out with hiccups", timeout, 4*time.Second, Timeout, false)
	f("time-out of a process that did not run", timeout, 5*time.Second, OK, true)
	f("an answer all the same", result{code: StatusFailed}, 9*time.Second, StatusFailed, false)
	f("good", result{}, 9*time.Second, OK, false)
}
