//go:build !linux

package rulebench

import (
	"context"
	"time"
)

// alarm is a timer of the runtime where there is nothing better.
type alarm struct{}

func newAlarm() (alarm, error) { return alarm{}, nil }

func (alarm) wait(ctx context.Context, until time.Time) bool { return wait(ctx, until) }

func (alarm) close() {}
