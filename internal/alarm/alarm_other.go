//go:build !linux

package alarm

import (
	"context"
	"time"
)

// Alarm is a timer of the runtime where there is nothing better.
type Alarm struct{}

// New never fails.
func New() (*Alarm, error) { return &Alarm{}, nil }

// Wait waits for d. It says whether the time has passed; false when the context ended
// first.
func (*Alarm) Wait(ctx context.Context, d time.Duration) bool { return sleep(ctx, d) }

// Close does nothing.
func (*Alarm) Close() error { return nil }
