// Package remotewrite sends what is collected here to other servers by
// Prometheus remote write 1.0: from a vantage point to the server that judges,
// or to any other receiver.
//
// What is to be sent is written to a queue on the disk first, one for each
// receiver, and removed when the receiver has it: a restart and an outage of the
// receiver lose nothing, up to max_queue_bytes. Samples keep their timestamps.
// Requests are made of sections (sample.Flatten), so that another watchkeeper
// learns who delivered the samples, whether somebody looked, and up to which time
// all is delivered: it judges as if the source were its own. Others see two more series.
//
// Memory is bounded: one request of a receiver is in it at a time.
package remotewrite

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"watchkeeper/internal/sample"
)

// Key identifies a receiver of a customer's samples.
type Key struct{ Customer, Name string }

// Manager sends to all receivers of all customers.
type Manager struct {
	dir string
	set *metrics.Set
	now func() time.Time
	log *slog.Logger
	pace

	mu      sync.Mutex
	to      map[Key]*receiver
	running context.Context // Run's, for receivers that come later; nil before
}

// pace are the waits; tests shorten them.
type pace struct {
	gather   time.Duration // how long a sample may wait for others, when the receiver keeps up
	retryMin time.Duration
	retryMax time.Duration
	mark     time.Duration // how often a silent source's watermark is sent
}

// New returns a manager without receivers. What waits is kept in dir; nothing is
// opened or started before Apply.
func New(dir string, set *metrics.Set, now func() time.Time, log *slog.Logger) *Manager {
	return &Manager{
		dir: dir, set: set, now: now, log: log, to: map[Key]*receiver{},
		pace: pace{gather: time.Second, retryMin: time.Second, retryMax: 30 * time.Second, mark: time.Minute},
	}
}

// Check tries what a configuration names without opening a queue.
func Check(cfgs map[Key]Config) error {
	for key, cfg := range cfgs {
		if _, err := newClient(&cfg); err != nil {
			return fmt.Errorf("remote_write %q of customer %q: %w", key.Name, key.Customer, err)
		}
	}
	return nil
}

// Apply makes cfgs the receivers: all of them, or with an error none is changed.
// What waits for one that is no longer there stays on the disk and is sent when it
// is there again.
func (m *Manager) Apply(cfgs map[Key]Config) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	next := make(map[Key]*receiver, len(cfgs))
	clients := make(map[Key]*client, len(cfgs))
	var opened []*receiver
	for key, cfg := range cfgs {
		c, err := newClient(&cfg)
		r := m.to[key]
		if err == nil && r == nil {
			if r, err = m.open(key, cfg); err == nil {
				opened = append(opened, r)
			}
		}
		if err != nil {
			for _, r := range opened {
				err = errors.Join(err, r.queue.end())
			}
			return fmt.Errorf("remote_write %q of customer %q: %w", key.Name, key.Customer, err)
		}
		next[key], clients[key] = r, c
	}
	var errs []error
	for key, r := range m.to {
		if next[key] == nil {
			errs = append(errs, r.stop())
			m.unregister(key)
		}
	}
	for key, r := range next {
		r.configure(cfgs[key], clients[key])
	}
	m.to = next
	for _, r := range opened {
		m.register(r)
		if m.running != nil {
			r.start(m.running)
		}
	}
	if len(errs) > 0 {
		m.log.Warn("remote write: a receiver's queue was not closed", "err", errors.Join(errs...))
	}
	return nil
}

func (m *Manager) open(key Key, cfg Config) (*receiver, error) {
	q, err := openQueue(filepath.Join(m.dir, key.Customer, key.Name), cfg.MaxQueueBytes, m.now)
	if err != nil {
		return nil, err
	}
	if f := q.figures(); f.samples > 0 {
		m.log.Info("remote write goes on with what waits", "customer", key.Customer, "receiver", key.Name, "samples", f.samples, "bytes", f.bytes)
	}
	return &receiver{
		key: key, queue: q, now: m.now, pace: m.pace, log: m.log.With("customer", key.Customer, "receiver", key.Name),
		current: map[string]heldCurrent{},
	}, nil
}

// Run sends until ctx ends. What then waits is sent after the next start.
func (m *Manager) Run(ctx context.Context) error {
	m.mu.Lock()
	m.running = ctx
	for _, r := range m.to {
		r.start(ctx)
	}
	m.mu.Unlock()
	<-ctx.Done()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.to {
		r.loops.Wait()
	}
	return nil
}

// Close ends the queues. What is appended later is refused.
func (m *Manager) Close() error { return m.Apply(nil) }

// Append queues a batch for every receiver of its customer; when it returns nil
// the batch survives the death of the process. Batches of what others have sent
// here in sections, and of rules, are not sent on.
func (m *Manager) Append(b sample.Batch) error {
	if relayed(b.Source) {
		return nil
	}
	m.mu.Lock()
	var to []*receiver
	for key, r := range m.to {
		if key.Customer == b.Source.Customer {
			to = append(to, r)
		}
	}
	m.mu.Unlock()
	var errs []error
	for _, r := range to {
		errs = append(errs, r.append(b))
	}
	return errors.Join(errs...)
}

// relayed tells sources whose samples came from another server (push/SENDER/…),
// which might be the one that these would be sent to, and those of rules, which the
// receiver judges itself.
func relayed(src sample.Source) bool {
	kind, rest, _ := strings.Cut(src.Name, "/")
	return kind == "rules" || kind == "push" && strings.Contains(rest, "/")
}

// Receivers lists the receivers in order.
func (m *Manager) Receivers() []Key {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.SortedFunc(maps.Keys(m.to), func(a, b Key) int {
		return strings.Compare(a.Customer+"\x00"+a.Name, b.Customer+"\x00"+b.Name)
	})
}
