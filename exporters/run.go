package exporters

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"watchkeeper/internal/sample"
)

// errCollectionOver answers a collector that delivers after its collection was
// given up: the check has been recorded as failed, and what was read belongs to
// another moment.
var errCollectionOver = errors.New("collection is over")

// panicError is a panic of a collector, kept with its stack.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v", e.value) }

// collection is one call of a collector's Collect in a goroutine of its own.
// It is also the Sink that the collector sees.
type collection struct {
	source sample.Source
	at     time.Time
	sink   Sink
	done   chan struct{} // closed when Collect has returned
	err    error         // Collect's; valid once done is closed

	mu      sync.Mutex
	over    bool  // no more batches are taken
	looked  bool  // an up-sample for at was handed to the sink and not refused
	sinkErr error // the sink's last refusal
}

// collect starts a collection and returns at once. A panic in the collector
// becomes its error.
func collect(ctx context.Context, c Collector, source sample.Source, at time.Time, sink Sink) *collection {
	run := &collection{source: source, at: at, sink: sink, done: make(chan struct{})}
	go func() {
		defer close(run.done)
		defer func() {
			if v := recover(); v != nil {
				run.err = &panicError{value: v, stack: debug.Stack()}
			}
		}()
		run.err = c.Collect(ctx, at, run)
	}()
	return run
}

// Append passes a batch on, and remembers whether the collector has told by
// itself how this check went.
func (c *collection) Append(ctx context.Context, b sample.Batch) error {
	looks := b.Source == c.source && hasUpAt(b, c.at)
	c.mu.Lock()
	if c.over {
		c.mu.Unlock()
		return errCollectionOver
	}
	before := c.looked
	c.looked = c.looked || looks
	c.mu.Unlock()

	err := c.sink.Append(ctx, b) // without the lock: it may wait for a disk

	if err != nil {
		c.mu.Lock()
		c.looked = before
		c.sinkErr = err
		c.mu.Unlock()
	}
	return err
}

// finish closes the sink for this collection and reports whether the collector
// has told how the check went, and the sink's refusal if there was one.
func (c *collection) finish() (looked bool, sinkErr error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	return c.looked, c.sinkErr
}

func hasUpAt(b sample.Batch, at time.Time) bool {
	for _, u := range b.Ups {
		if u.T == at.UnixMilli() {
			return true
		}
	}
	return false
}

// failureOf names why a collection failed, in the closed set of the failures
// counter's label.
func failureOf(err, sinkErr, ctxErr error) string {
	if _, ok := errors.AsType[*panicError](err); ok {
		return failurePanic
	}
	switch {
	case sinkErr != nil && errors.Is(err, sinkErr):
		return failureSink
	case errors.Is(ctxErr, context.DeadlineExceeded):
		return failureTimeout
	default:
		return failureError
	}
}
