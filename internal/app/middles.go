package app

import (
	"context"
	"time"
)

// inMiddles calls do once in every slot of the wall clock, near its middle, until ctx
// ends; the first time after half a slot to one and a half. Rules look at slots: what is
// written near their edges, because the process began there, changes slots with every
// hiccup, and leaves one empty and its neighbour with two.
func inMiddles(ctx context.Context, every time.Duration, do func(now time.Time)) {
	for {
		timer := time.NewTimer(toMiddle(time.Now(), every))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
			do(time.Now())
		}
	}
}

// toMiddle is how long it is to the middle of a slot that is half a slot away, or more.
func toMiddle(now time.Time, every time.Duration) time.Duration {
	left := now.Truncate(every).Add(every / 2).Sub(now)
	if left < every/2 {
		left += every
	}
	return left
}
