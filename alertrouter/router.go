// Package alertrouter turns alerts into incidents and incidents into messages
// that arrive. Handle writes, in one transaction, what happened to an incident
// and who is to be told; Run tells them, through routes, silences, inhibition
// and time intervals in Alertmanager's meaning, until the receiver accepted.
// It knows alerts, not rules.
//
// Incidents, their event logs and the delivery ledger are the record and are
// kept for good. About once an hour Run takes away what is not: that a
// transition was handed over, after incident.HandledRetention, and the full
// text of messages that were accepted or given up, after Config.MessageRetention.
package alertrouter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"
	amconfig "github.com/prometheus/alertmanager/config"
	"github.com/prometheus/alertmanager/silence"
	"github.com/prometheus/client_golang/prometheus"

	"watchkeeper/alertrouter/incident"
)

// Event is what happened to one alert at one check.
type Event = incident.Transition

// Sample is one judged sample of an alert.
type Sample = incident.Sample

// State is the state of an alert.
type State = incident.State

// The states of an alert.
const (
	StateFiring   = incident.Firing
	StateNoData   = incident.NoData
	StateResolved = incident.Resolved
	StateEnded    = incident.Ended
)

// Names of the files in the data folder.
const (
	DatabaseFile = "incidents.db"
	silencesFile = "silences"
)

// Router keeps incidents and sends notifications. Its methods are safe for
// concurrent use.
type Router struct {
	cfg      Config
	log      *slog.Logger
	store    *incident.Store
	silences *silence.Silences
	routes   atomic.Pointer[routes]
	metrics  *routerMetrics
	wake     chan struct{} // holds one token: there may be something to send

	// mtx is held for reading while events or messages are planned by the
	// routes in force and written, and for writing while new routes take over the incidents, so
	// that none is written by routes that are gone.
	mtx         sync.RWMutex
	snapshotMtx sync.Mutex // one writer of the silences file at a time; held during I/O, since that is what it orders
}

// New opens the incident store and the silences in cfg.DataDir and reads the
// routing. It starts nothing; Close gives everything back.
func New(cfg Config, set *metrics.Set, log *slog.Logger) (*Router, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("alertrouter: %w", err)
	}
	world, err := newRoutes(cfg, log)
	if err != nil {
		return nil, fmt.Errorf("alertrouter: %w", err)
	}
	silences, err := silence.New(silence.Options{
		SnapshotFile: filepath.Join(cfg.DataDir, silencesFile),
		Retention:    time.Duration(cfg.SilenceRetention),
		Logger:       log,
		Metrics:      prometheus.NewRegistry(), // Alertmanager's own metrics; ours count what matters
	})
	if err != nil {
		return nil, fmt.Errorf("alertrouter: silences: %w", err)
	}
	store, err := incident.Open(context.Background(), incident.Config{
		Path: filepath.Join(cfg.DataDir, DatabaseFile), ReopenWithin: time.Duration(cfg.ReopenWithin), Instance: cfg.Instance,
	})
	if err != nil {
		return nil, fmt.Errorf("alertrouter: %w", err)
	}
	r := &Router{cfg: cfg, log: log, store: store, silences: silences, wake: make(chan struct{}, 1)}
	r.metrics = newMetrics(set, silences)
	r.routes.Store(world)
	// The configuration may have changed while nobody ran.
	if err := store.Reroute(context.Background(), time.Now(), world.plan); err != nil {
		store.Close()
		return nil, fmt.Errorf("alertrouter: %w", err)
	}
	return r, nil
}

// Close closes the incident store. Call it after Run has returned.
func (r *Router) Close() error { return r.store.Close() }

// Incidents is the incident store, for reading, acknowledging and notes.
func (r *Router) Incidents() *incident.Store { return r.store }

// Silences are the silences. After changing them call SilencesChanged.
func (r *Router) Silences() *silence.Silences { return r.silences }

// Routing is the Alertmanager configuration in force.
func (r *Router) Routing() *amconfig.Config { return r.routes.Load().config }

// Handle makes incidents of events, in their order. now is the wall clock:
// contract clocks start at it. When Handle returns nil, all of it is durable,
// together with who is to be told; on an error nothing was written, and the
// same events may be handed over again. Events that were handed over before
// change nothing. An event that can never be handled is logged, counted and
// left out.
func (r *Router) Handle(ctx context.Context, now time.Time, events []Event) error {
	usable := make([]Event, 0, len(events))
	for _, e := range events {
		if err := e.Validate(); err != nil {
			r.metrics.eventsInvalid.Inc()
			r.log.Error("event left out", "rule", e.RuleID, "alert", e.Alert, "err", err)
			continue
		}
		usable = append(usable, e)
	}
	if len(usable) == 0 {
		return nil
	}
	r.metrics.events.Add(len(usable))
	r.mtx.RLock()
	changes, err := r.store.Apply(ctx, now, usable, r.routes.Load().plan)
	r.mtx.RUnlock()
	if err != nil {
		r.metrics.handleFailures.Inc()
		return fmt.Errorf("alertrouter: %w", err)
	}
	for n := range changes {
		r.note(&changes[n])
	}
	if len(changes) > 0 {
		r.kick()
	}
	return nil
}

// Relabel gives the open incidents the labels that their alerts have today: what a
// change of the rules made of them. Another severity is told. Called again it changes
// nothing; on an error nothing was written.
func (r *Router) Relabel(ctx context.Context, now time.Time, wording incident.Wording) error {
	r.mtx.RLock()
	changes, err := r.store.Relabel(ctx, now, wording, r.routes.Load().plan)
	r.mtx.RUnlock()
	if err != nil {
		return fmt.Errorf("alertrouter: %w", err)
	}
	for n := range changes {
		r.note(&changes[n])
	}
	if len(changes) > 0 {
		r.kick()
	}
	return nil
}

// note logs and counts a change that is durable.
func (r *Router) note(c *incident.Change) {
	inc := &c.Incident
	r.metrics.change(c.Type)
	if c.Type == incident.EntryUpdated {
		return
	}
	r.log.Info("incident "+string(c.Type), "incident", inc.ID, "customer", inc.Customer, "rule", inc.RuleID,
		"alert", inc.Alert, "severity", inc.Severity, "series", inc.Identity.String())
	if c.Type == incident.EntryOpened && !c.Moved {
		r.metrics.detection.Update(inc.DetectionLatency().Seconds())
	}
}

// Acknowledge notes that a person answers for an incident, and returns the
// acknowledgement that counts. Its errors are incident.ErrInvalid,
// incident.ErrNotFound and incident.ErrClosed.
func (r *Router) Acknowledge(ctx context.Context, now time.Time, id int64, user, comment string) (incident.Acknowledgement, error) {
	ack, err := r.store.Acknowledge(ctx, now, id, user, comment)
	if err != nil {
		return ack, err
	}
	r.log.Info("incident acknowledged", "incident", id, "user", user, "already", ack.Already)
	return ack, nil
}

// Reload puts a new routing configuration in force: fully, or not at all if it
// has a mistake. Open incidents move to the new routes; messages that wait
// stay. Of cfg only the routing and the external URL are looked at.
func (r *Router) Reload(cfg Config) error {
	if err := cfg.Validate(); err != nil {
		return fmt.Errorf("alertrouter: %w", err)
	}
	world, err := newRoutes(cfg, r.log)
	if err != nil {
		return fmt.Errorf("alertrouter: %w", err)
	}
	r.mtx.Lock()
	defer r.mtx.Unlock()
	before := r.routes.Swap(world)
	if err := r.store.Reroute(context.Background(), time.Now(), world.plan); err != nil {
		r.routes.Store(before)
		return fmt.Errorf("alertrouter: %w", err)
	}
	r.kick()
	return nil
}

// kick wakes the sender.
func (r *Router) kick() {
	select {
	case r.wake <- struct{}{}:
	default: // it is awake already
	}
}

// Run sends notifications, keeps the silences and prunes the incident store until ctx ends. It returns
// after its goroutines ended; an attempt under way is allowed to finish.
func (r *Router) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { r.maintainSilences(ctx) })
	wg.Go(func() { r.maintainStore(ctx) })
	newSender(r).run(ctx)
	wg.Wait()
	if err := ctx.Err(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}
