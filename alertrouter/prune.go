package alertrouter

import (
	"context"
	"time"
)

const (
	// pruneInterval is how often the incident store is pruned.
	pruneInterval = time.Hour
	// pruneChunk bounds one transaction, in rows: events wait no longer than
	// that takes.
	pruneChunk = 500
)

// maintainStore prunes the incident store now and every so often, until ctx ends.
func (r *Router) maintainStore(ctx context.Context) {
	tick := time.NewTicker(pruneInterval)
	defer tick.Stop()
	for {
		if err := r.prune(ctx, time.Now()); err != nil && ctx.Err() == nil {
			r.log.Error("incident store not pruned", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// prune takes away what is too old at now, chunk by chunk.
func (r *Router) prune(ctx context.Context, now time.Time) error {
	var handled, messages int
	for {
		p, err := r.store.Prune(ctx, now, time.Duration(r.cfg.MessageRetention), pruneChunk)
		if err != nil {
			return err
		}
		handled, messages = handled+p.Handled, messages+p.Messages
		if p.Handled < pruneChunk && p.Messages < pruneChunk {
			break
		}
	}
	if handled+messages > 0 {
		r.log.Info("incident store pruned", "handled_transitions", handled, "messages", messages)
	}
	return nil
}
