package alarm

import (
	"context"
	"testing"
	"time"
)

func newAlarm(t *testing.T) *Alarm {
	t.Helper()
	a, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

func TestWaitsForTheWholeTime(t *testing.T) {
	a := newAlarm(t)
	for _, d := range []time.Duration{-time.Second, 0, time.Nanosecond, 300 * time.Microsecond, 20 * time.Millisecond} {
		began := time.Now()
		if !a.Wait(t.Context(), d) {
			t.Errorf("waiting for %s ended before", d)
		}
		if took := time.Since(began); took < d {
			t.Errorf("waiting for %s took %s", d, took)
		}
	}
}

func TestTheContextEndsIt(t *testing.T) {
	a := newAlarm(t)
	ended, end := context.WithCancel(t.Context())
	end()
	for _, d := range []time.Duration{0, time.Hour} {
		if a.Wait(ended, d) {
			t.Errorf("waiting for %s went on after the context's end", d)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	go cancel()
	if a.Wait(ctx, time.Hour) {
		t.Error("an hour has passed")
	}
	// One whose last wait was broken off waits again.
	if began := time.Now(); !a.Wait(t.Context(), 5*time.Millisecond) || time.Since(began) < 5*time.Millisecond {
		t.Error("the alarm does not wait after one that was broken off")
	}
}
