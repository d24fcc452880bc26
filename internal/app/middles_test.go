package app

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// Whenever the process begins, every slot has its turn, away from its edges.
func TestInMiddles(t *testing.T) {
	const every = time.Minute
	for second := range 60 {
		synctest.Test(t, func(t *testing.T) {
			time.Sleep(time.Duration(second)*time.Second + 990*time.Millisecond)
			ctx, cancel := context.WithTimeout(t.Context(), 10*every)
			defer cancel()
			began, slots := time.Now(), []time.Time{}
			inMiddles(ctx, every, func(now time.Time) {
				if offset := now.Sub(now.Truncate(every)); offset < every/4 || offset > every*3/4 {
					t.Errorf("began at second %d: %s into the slot", second, offset)
				}
				slots = append(slots, now.Truncate(every))
				time.Sleep(every / 8) // do takes its time
			})
			if len(slots) < 9 || slots[0].Sub(began) > every {
				t.Fatalf("began at second %d: turns %v", second, slots)
			}
			for i, slot := range slots[1:] {
				if slot.Sub(slots[i]) != every {
					t.Errorf("began at second %d: %s after %s", second, slot, slots[i])
				}
			}
		})
	}
}
