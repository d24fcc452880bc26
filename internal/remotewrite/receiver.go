package remotewrite

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"watchkeeper/internal/sample"
)

// receiver is one receiver with its queue.
type receiver struct {
	key   Key
	queue *queue
	now   func() time.Time
	log   *slog.Logger
	pace
	counters

	cancel context.CancelFunc // nil before start
	loops  sync.WaitGroup

	mu      sync.Mutex
	client  *client
	labels  map[string]string
	current map[string]heldCurrent // sources that deliver currently
}

// heldCurrent is a source that delivers currently.
type heldCurrent struct {
	heard  time.Time // it last delivered something
	marked time.Time // its watermark was last queued
}

// forgetAfter is how long the watermark of a source that delivers nothing more is
// kept current: longer than the receiver's engine remembers a silent source.
const forgetAfter = 72 * time.Hour

func (r *receiver) configure(cfg Config, c *client) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.client, r.labels = c, cfg.Labels
	r.queue.limit(cfg.MaxQueueBytes)
}

// append queues one batch.
func (r *receiver) append(b sample.Batch) error {
	now := r.now()
	r.mu.Lock()
	switch b.Watermark {
	case sample.Current:
		held, known := r.current[b.Source.Name]
		if !known || len(b.Samples)+len(b.Ups)+len(b.Ends) > 0 {
			held.heard = now
		}
		held.marked = now
		r.current[b.Source.Name] = held
	case 0:
	default:
		delete(r.current, b.Source.Name)
	}
	more := r.labels
	r.mu.Unlock()
	raws, counts, err := encode(b, more, now)
	if err != nil {
		return fmt.Errorf("remote write to %q: %w", r.key.Name, err)
	}
	for i, raw := range raws {
		if err := r.queue.add(raw, counts[i]); err != nil {
			for _, n := range counts[i:] {
				r.unqueued.Add(n)
			}
			return fmt.Errorf("remote write to %q: queue: %w", r.key.Name, err)
		}
		r.queued.Add(counts[i])
	}
	return nil
}

// start sends until ctx ends or the receiver is no longer wanted.
func (r *receiver) start(ctx context.Context) {
	ctx, r.cancel = context.WithCancel(ctx)
	r.loops.Go(func() { r.send(ctx) })
	r.loops.Go(func() { r.keepMarks(ctx) })
}

// stop ends the sending and closes the queue.
func (r *receiver) stop() error {
	if r.cancel != nil {
		r.cancel()
	}
	r.loops.Wait()
	return r.queue.end()
}

// keepMarks says of sources that deliver currently, but seldom, that nothing is
// missing up to now, so that the receiver need not wait for them to settle checks.
func (r *receiver) keepMarks(ctx context.Context) {
	t := time.NewTicker(r.mark)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		for _, name := range r.dueMarks(r.now()) {
			b := sample.Batch{Source: sample.Source{Customer: r.key.Customer, Name: name}, Watermark: sample.Current}
			if err := r.append(b); err != nil {
				r.log.Warn("watermark not queued", "err", err)
			}
		}
	}
}

// dueMarks lists the sources whose watermark is due, and forgets those that are gone.
func (r *receiver) dueMarks(now time.Time) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var due []string
	for name, held := range r.current {
		switch {
		case now.Sub(held.heard) >= forgetAfter:
			delete(r.current, name)
		case now.Sub(held.marked) >= r.mark:
			due = append(due, name)
		}
	}
	return due
}

// told is what the log has said of a receiver's trouble.
type told struct {
	err  string // the last error since something was taken
	lost int    // samples lost until now
	once bool   // that samples are lost, since the queue was last empty
}

func (r *receiver) send(ctx context.Context) {
	var said told
	for {
		req, body, ok, err := r.queue.oldest()
		r.tellLost(&said)
		if err != nil && said.err != err.Error() {
			r.log.Error("remote write: the queue cannot be read", "err", err)
			said.err = err.Error()
		}
		switch {
		case ok:
			if !r.deliver(ctx, req, body, &said) {
				return
			}
		case err != nil:
			if !wait(ctx, r.retryMin) {
				return
			}
		default:
			said.once = false
			select {
			case <-ctx.Done():
				return
			case <-r.queue.wake:
			}
			if !wait(ctx, r.gather) {
				return
			}
		}
	}
}

// tellLost warns of the first samples that an outage costs; the rest is counted only.
func (r *receiver) tellLost(said *told) {
	f := r.queue.figures()
	if f.lost > said.lost && !said.once {
		r.log.Warn("remote write: what waits longest is lost: max_queue_bytes is reached, or somebody has removed files of the queue; "+
			"watchkeeper_remotewrite_samples_lost_total counts on", "samples", f.lost-said.lost, "waiting", f.samples)
		said.once = true
	}
	said.lost = f.lost
}

// deliver posts one request until it is taken, refused or given up; false when ctx ended.
func (r *receiver) deliver(ctx context.Context, req request, body []byte, said *told) bool {
	for delay := r.retryMin; ; delay = min(2*delay, r.retryMax) {
		r.mu.Lock()
		c := r.client
		r.mu.Unlock()
		r.requests.Inc()
		err := c.post(ctx, body)
		if ctx.Err() != nil {
			return false
		}
		again, isLater := errors.AsType[*later](err)
		if !isLater {
			r.taken(req, err, said.err != "")
			said.err = ""
			return true
		}
		r.failures[again.reason].Inc()
		if said.err != err.Error() {
			f := r.queue.figures()
			r.log.Warn("remote write failed; samples are kept on the disk and sent again", "reason", again.reason, "err", err, "waiting", f.samples)
			said.err = err.Error()
		}
		// Not all places at the same moment when a receiver is back.
		if !wait(ctx, max(again.wait, delay/2+rand.N(delay/2+1))) {
			return false
		}
		if r.tellLost(said); !r.queue.waits(req) {
			return true // given up meanwhile
		}
	}
}

// taken removes a request that the receiver has.
func (r *receiver) taken(req request, err error, failed bool) {
	if refused, ok := errors.AsType[*refusal](err); ok {
		r.refused.Inc()
		r.log.Warn("remote write: the receiver refuses some samples for good", "answer", refused.message, "samples_in_request", req.samples)
	}
	r.sent.Add(req.samples)
	if failed {
		r.log.Info("remote write works again", "waiting", r.queue.figures().samples)
	}
	if err := r.queue.done(req); err != nil {
		r.log.Warn("remote write: what was sent cannot be removed and will be sent again after a restart", "err", err)
	}
}

// wait returns false when ctx ended first.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// counters are a receiver's own metrics.
type counters struct {
	queued, unqueued, sent, requests, refused *metrics.Counter
	failures                                  map[string]*metrics.Counter
}

// reasons of failed requests.
var reasons = []string{"connect", "auth", "status", "config"}

func (m *Manager) register(r *receiver) {
	name := func(metric string, more ...string) string { return seriesName(metric, r.key, more...) }
	counter := func(metric string, more ...string) *metrics.Counter {
		return m.set.GetOrCreateCounter(name(metric, more...))
	}
	r.counters = counters{
		queued: counter("watchkeeper_remotewrite_samples_total"), unqueued: counter("watchkeeper_remotewrite_samples_not_queued_total"),
		sent: counter("watchkeeper_remotewrite_samples_sent_total"), requests: counter("watchkeeper_remotewrite_requests_total"),
		refused: counter("watchkeeper_remotewrite_requests_refused_total"), failures: map[string]*metrics.Counter{},
	}
	for _, reason := range reasons {
		r.failures[reason] = counter("watchkeeper_remotewrite_request_failures_total", "reason", reason)
	}
	for metric, f := range gauges {
		m.set.GetOrCreateGauge(name(metric), func() float64 { return f(r.queue.figures(), r.now()) })
	}
}

// gauges read the queue.
var gauges = map[string]func(figures, time.Time) float64{
	"watchkeeper_remotewrite_queue_samples":      func(f figures, _ time.Time) float64 { return float64(f.samples) },
	"watchkeeper_remotewrite_queue_bytes":        func(f figures, _ time.Time) float64 { return float64(f.bytes) },
	"watchkeeper_remotewrite_samples_lost_total": func(f figures, _ time.Time) float64 { return float64(f.lost) },
	"watchkeeper_remotewrite_queue_oldest_age_seconds": func(f figures, now time.Time) float64 {
		if f.oldest.IsZero() {
			return 0
		}
		return max(0, now.Sub(f.oldest).Seconds())
	},
}

// unregister forgets the gauges of a receiver; its counters go on should it come back.
func (m *Manager) unregister(key Key) {
	for metric := range gauges {
		m.set.UnregisterMetric(seriesName(metric, key))
	}
}

func seriesName(metric string, key Key, more ...string) string {
	s := fmt.Sprintf("%s{customer=%q,receiver=%q", metric, key.Customer, key.Name)
	for i := 0; i+1 < len(more); i += 2 {
		s += fmt.Sprintf(",%s=%q", more[i], more[i+1])
	}
	return s + "}"
}
