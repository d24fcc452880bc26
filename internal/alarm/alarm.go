// Package alarm waits for a moment to come, more precisely than the timers of the Go
// runtime: these are rounded to whole milliseconds while nothing else runs, and may be
// 10 ms late while garbage is collected. On Linux an alarm is a descriptor, which wakes
// who waits as the arrival of data does; elsewhere it is a timer.
package alarm

import (
	"context"
	"time"
)

// sleep waits by a timer of the runtime. It says whether the time has passed; false
// when the context ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return ctx.Err() == nil
	}
}
