package alertrouter

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/google/uuid"

	"watchkeeper/alertrouter/incident"
	"watchkeeper/alertrouter/notify"
)

const (
	// maxSleep is the longest that the sender sleeps without looking.
	maxSleep = 10 * time.Second
	// minSleep keeps a sender from spinning when a timer stays due, e.g.
	// because a receiver's workers are all busy; their end wakes it anyway.
	minSleep = 50 * time.Millisecond
	// failureSleep is the least that it sleeps after a failure of the store.
	failureSleep = time.Second
	// batch is how many groups or messages one round takes on.
	batch = 256
	// leaseMargin is what a lease lasts beyond the attempt it is for.
	leaseMargin = 15 * time.Second
	// stopGrace is what an attempt under way is given when the sender stops.
	stopGrace = 3 * time.Second
)

// newKey returns a new idempotency key.
func newKey() string { return uuid.Must(uuid.NewV7()).String() }

// sender forms messages and delivers them. Its fields belong to the goroutine
// of run.
type sender struct {
	*Router
	busy map[string]int // attempts under way, by receiver
	done chan string    // the receivers of attempts that ended
	n    int            // attempts under way
}

func newSender(r *Router) *sender {
	return &sender{Router: r, busy: map[string]int{}, done: make(chan string, r.cfg.Workers)}
}

// run works until ctx ends and the attempts under way have ended.
func (s *sender) run(ctx context.Context) {
	defer func() {
		for s.n > 0 {
			s.ended(<-s.done)
		}
	}()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case <-timer.C:
		case receiver := <-s.done:
			s.ended(receiver)
		}
		now := time.Now()
		pause := s.sleep
		if err := s.round(ctx, now); err != nil && ctx.Err() == nil {
			s.metrics.roundFailures.Inc()
			s.log.Error("sender round failed", "err", err)
			pause = s.sleepAfterFailure
		}
		timer.Reset(pause(ctx, now))
	}
}

func (s *sender) ended(receiver string) {
	s.n--
	if s.busy[receiver]--; s.busy[receiver] == 0 {
		delete(s.busy, receiver)
	}
}

// round does what is due at now.
func (s *sender) round(ctx context.Context, now time.Time) error {
	return errors.Join(s.expire(ctx, now), s.form(ctx, now), s.deliver(ctx, now))
}

// sleep returns how long nothing will be due, and publishes the queue.
func (s *sender) sleep(ctx context.Context, now time.Time) time.Duration {
	q, err := s.store.Queue(ctx, now)
	if err != nil {
		if ctx.Err() == nil {
			s.log.Error("outbox not read", "err", err)
		}
		return failureSleep
	}
	s.metrics.queue(q)
	if q.Next.IsZero() {
		return maxSleep
	}
	return min(max(q.Next.Sub(now), minSleep), maxSleep)
}

// sleepAfterFailure keeps a failure that lasts from filling the log.
func (s *sender) sleepAfterFailure(ctx context.Context, now time.Time) time.Duration {
	return max(s.sleep(ctx, now), failureSleep)
}

// expire puts outside alerts that were not pushed anew into no-data.
func (s *sender) expire(ctx context.Context, now time.Time) error {
	events, err := s.store.Expired(ctx, now, batch)
	if err != nil || len(events) == 0 {
		return err
	}
	return s.Handle(ctx, now, events)
}

// form turns the changes that are due into messages.
func (s *sender) form(ctx context.Context, now time.Time) error {
	ids, err := s.store.DueGroups(ctx, now, batch)
	if err != nil || len(ids) == 0 {
		return err
	}
	s.mtx.RLock() // new routes take over between two rounds, not within one
	defer s.mtx.RUnlock()
	world := s.routes.Load()
	muting, err := s.Muting(ctx)
	if err != nil {
		return err
	}
	defer muting.Stop()
	muted := muting.words(ctx)
	var errs error
	for _, id := range ids {
		if err := s.formGroup(ctx, now, world, id, muted); err != nil && !errors.Is(err, incident.ErrGroupMoved) {
			errs = errors.Join(errs, err)
		}
	}
	if len(ids) == batch {
		s.kick()
	}
	return errs
}

func (s *sender) formGroup(ctx context.Context, now time.Time, world *routes, id int64, muted muter) error {
	g, err := s.store.GroupState(ctx, id)
	if err != nil {
		return err
	}
	f, err := world.flush(now, g, muted, time.Duration(s.cfg.MuteRecheck))
	if err != nil {
		return fmt.Errorf("alert group %q: %w", g.GroupKey, err)
	}
	return s.store.CommitFlush(ctx, now, g, f)
}

// deliver starts the attempts that are due, as far as there are workers.
func (s *sender) deliver(ctx context.Context, now time.Time) error {
	if s.n >= s.cfg.Workers {
		return nil // the end of an attempt wakes the sender
	}
	due, err := s.store.Due(ctx, now, s.full(), s.cfg.Workers)
	if err != nil {
		return err
	}
	for _, n := range due {
		receiver := n.Group.Receiver
		if s.n >= s.cfg.Workers {
			return nil
		}
		if s.busy[receiver] >= s.cfg.WorkersPerReceiver {
			continue
		}
		lease := now.Add(time.Duration(s.cfg.AttemptTimeout) + leaseMargin)
		got, err := s.store.Claim(ctx, n.ID, now, lease)
		if err != nil {
			return err
		}
		if !got {
			continue
		}
		s.n++
		s.busy[receiver]++
		go func() {
			s.attempt(ctx, now, n)
			s.done <- receiver
		}()
	}
	return nil
}

// full returns the receivers that have all the workers they may have.
func (s *sender) full() []string {
	var out []string
	for receiver, n := range s.busy {
		if n >= s.cfg.WorkersPerReceiver {
			out = append(out, receiver)
		}
	}
	return out
}

// attempt tries once, from now on, to deliver a notification and writes down what came of it.
// An attempt that is under way when ctx ends gets a little time to end; it is
// written down in any case.
func (s *sender) attempt(ctx context.Context, now time.Time, n incident.Notification) {
	ctx, cancel := linger(ctx, stopGrace)
	defer cancel()
	start := time.Now()
	retry, err := s.send(ctx, now, n)
	took := time.Since(start)
	a := incident.Attempt{At: now.Add(took), Duration: took, Outcome: incident.OutcomeAccepted}
	log := s.log.With("receiver", n.Group.Receiver, "integration", n.Integration, "group", n.Group.GroupKey,
		"idempotency_key", n.IdempotencyKey, "attempt", n.Attempts+1)
	switch {
	case err == nil:
		log.Info("notification accepted", "duration", a.Duration)
	case retry:
		pause := backoff(time.Duration(s.cfg.RetryMin), time.Duration(s.cfg.RetryMax), n.Attempts)
		a.Outcome, a.Answer, a.RetryAt = incident.OutcomeRetry, err.Error(), a.At.Add(pause)
		log.Warn("notification not accepted, tried again later", "pause", pause, "err", err)
	default:
		a.Outcome, a.Answer = incident.OutcomeFailed, err.Error()
		log.Error("notification refused for good", "err", err)
	}
	kind, _, _ := strings.Cut(n.Integration, "[")
	s.metrics.attempt(kind, n, a)
	if err := s.store.Settle(context.WithoutCancel(ctx), n, a); err != nil {
		// The lease runs out and the message is sent again, under the same key.
		log.Error("attempt not written down", "err", err)
	}
}

// send delivers a notification. It tells whether another try can help.
func (s *sender) send(ctx context.Context, now time.Time, n incident.Notification) (retry bool, err error) {
	world := s.routes.Load()
	integration, err := world.integration(n.Group.Receiver, n.Integration)
	if err != nil {
		return false, err
	}
	alerts, err := decodeAlerts(n.Alerts)
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(s.cfg.AttemptTimeout))
	defer cancel()
	ctx = world.context(ctx, now, n.Group, reasonOf(n.Reason), alerts)
	return integration.Notify(notify.WithIdempotencyKey(ctx, n.IdempotencyKey), alerts...)
}

// linger returns a context that ends the given time after ctx does.
func linger(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	out, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		select {
		case <-time.After(d):
			cancel()
		case <-out.Done():
		}
	})
	return out, func() { stop(); cancel() }
}

// backoff is the pause after the n-th failed attempt, counted from 0.
func backoff(lo, hi time.Duration, n int) time.Duration {
	pause := hi
	if n < 30 {
		pause = min(lo<<n, hi)
	}
	return pause - time.Duration(rand.Int64N(int64(pause/2)+1))
}
