// Package exporters turns the world into samples. A Collector reads one source
// (a host, a set of probes, a cloud account's region and product); the
// Scheduler calls every collector at its own stable phase, so that a slow one
// never delays another.
package exporters

import (
	"context"
	"errors"
	"time"

	"watchkeeper/internal/sample"
)

// Sink takes what a collector delivers. When Append returns nil the accepted
// samples are durable; a collector moves its cursor only then.
type Sink interface {
	Append(ctx context.Context, b sample.Batch) error
}

// Collector reads one source. Its methods are called by one goroutine at a time.
type Collector interface {
	// Source names who delivers; the same after a restart.
	Source() sample.Source
	// Collect reads the source for the check at `at` (the scheduled time,
	// interval and phase applied, never "now") and hands one or more batches to
	// sink: samples with their own timestamps, an up-sample for each check it
	// looked at, the watermark, end marks. An error means the source could not
	// be read; the scheduler then records an up-sample of 0 at `at`.
	Collect(ctx context.Context, at time.Time, sink Sink) error
}

// reportedError is an error about which people have been told.
type reportedError struct{ error }

func (e *reportedError) Unwrap() error { return e.error }

// Reported marks an error of a collector that has already told people about it:
// one failure, such as a refused key, that a hundred collectors share. The
// scheduler counts the failure as any other and logs it at the level debug.
func Reported(err error) error { return &reportedError{err} }

// isReported reports whether err or one that it wraps is marked by Reported.
func isReported(err error) bool {
	_, ok := errors.AsType[*reportedError](err)
	return ok
}
