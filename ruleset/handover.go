package ruleset

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

const (
	// handOverEvery is how many entries of a step are handed to the sink at once. The
	// first go while the rest is still judged.
	handOverEvery = 32
	// maxHandedOver bounds what the sink is given in one call.
	maxHandedOver = 1000
)

// outbox holds what was judged until the sink has it.
type outbox struct {
	flushing sync.Mutex            // held by who hands over, so that entries stay in order
	words    wording               // guarded by flushing
	reworded atomic.Bool           // the rules have other texts
	failure  atomic.Pointer[error] // why the sink did not take what it was given last; nil when it did

	mu      sync.Mutex
	entries []Entry
}

func (o *outbox) put(entries []Entry) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.entries = append(o.entries, entries...)
}

// reword has what waits told with the texts of the rules in force: told with those that
// were, it would undo what is told of their change meanwhile.
func (o *outbox) reword(inForce []*ruleState) {
	byID := make(map[string]*Rule, len(inForce))
	for _, rs := range inForce {
		byID[rs.rule.ID()] = rs.rule
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := range o.entries {
		if r := byID[o.entries[i].Rule.ID()]; r != nil {
			o.entries[i].Rule = r
		}
	}
	o.reworded.Store(true)
}

func (o *outbox) len() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.entries)
}

// first returns the oldest entries, with their texts. They stay until taken.
func (o *outbox) first(ctx context.Context) []Entry {
	o.mu.Lock()
	batch := slices.Clone(o.entries[:min(len(o.entries), maxHandedOver)])
	o.mu.Unlock()
	if o.reworded.Swap(false) {
		o.words.texts = texts{}
	}
	for i := range batch {
		o.words.complete(ctx, &batch[i])
	}
	return batch
}

func (o *outbox) taken(n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.entries = o.entries[n:]; len(o.entries) == 0 {
		o.entries = nil
	}
}

// waiting is how many entries the sink does not have yet.
func (e *Engine) waiting() int { return e.out.len() + len(e.queue) }

// release puts the entries of a step where flush takes them.
func (e *Engine) release() {
	if len(e.queue) == 0 {
		return
	}
	e.out.put(e.queue)
	clear(e.queue)
	e.queue = e.queue[:0]
}

// handOver releases the entries that a step has so far, if they are at least so many,
// and sends them off while it goes on, unless the journal lacks what they rest on. What
// goes wrong is told by the flush that follows the step.
func (e *Engine) handOver(ctx context.Context, least int) {
	if e.rebuild || len(e.queue) < least || e.unwritten {
		return
	}
	e.release()
	if e.out.failure.Load() != nil {
		return // the flush after the step tries again, or the next one
	}
	if !e.out.flushing.TryLock() {
		return // whoever has it takes these too, or the flush after the step does
	}
	go func() {
		defer e.out.flushing.Unlock()
		if err := e.drain(ctx); err != nil {
			e.logger.Debug("handing over while judging", "err", err)
		}
	}()
	runtime.Gosched() // it goes first, also while the other cores collect garbage
}

// offer is flush, but for a sink that was failing before: Advance tries that again, once for
// all. Whoever brings a batch does not wait for it, which may fail slowly, nor does each of
// them add a try.
func (e *Engine) offer(ctx context.Context, failing bool) error {
	err := e.out.failure.Load()
	if err == nil {
		e.out.flushing.Lock()
		defer e.out.flushing.Unlock()
		err = e.out.failure.Load() // for who was before
	}
	switch {
	case err == nil:
		return e.drain(ctx)
	case failing:
		return nil
	}
	return *err
}

// flush hands the released entries to the sink.
func (e *Engine) flush(ctx context.Context) error {
	e.out.flushing.Lock()
	defer e.out.flushing.Unlock()
	return e.drain(ctx)
}

// drain is flush for who holds out.flushing.
func (e *Engine) drain(ctx context.Context) error {
	for {
		batch := e.out.first(ctx)
		if len(batch) == 0 {
			return nil
		}
		if err := e.sink.Log(ctx, batch); err != nil {
			e.m.sinkFailures.Inc()
			if errors.Is(err, context.Canceled) {
				return err
			}
			err = fmt.Errorf("log entries to sink: %w", err)
			e.out.failure.Store(&err)
			return err
		}
		e.out.failure.Store(nil)
		e.m.entries.Add(len(batch))
		e.out.taken(len(batch))
	}
}
