package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"watchkeeper/internal/journal"
	"watchkeeper/internal/sample"
	"watchkeeper/internal/storage"
	"watchkeeper/ruleset"
)

// Store takes batches and says what it took. In production storage.Store.
type Store interface {
	Append(ctx context.Context, b sample.Batch) (storage.Result, error)
	AppendOld(ctx context.Context, b sample.Batch, foresee func(sample.Batch) ([]journal.Record, error)) (storage.Result, error)
}

// Judge judges what the store took. In production ruleset.Engine.
type Judge interface {
	Ingest(ctx context.Context, b sample.Batch, now time.Time) error
	MayBeLate(b sample.Batch, now time.Time) bool
	IngestOld(ctx context.Context, src sample.Source, now time.Time, store func(ruleset.Foresee) (sample.Batch, error)) error
	Advance(ctx context.Context, now time.Time) error
}

// What bounds the batches that are stored and wait to be judged, since the rule
// engine takes none while too much waits to be told. Beyond it nothing more is
// taken, so that nothing stored goes unjudged.
const (
	maxUnjudged        = 1000
	maxUnjudgedSamples = 1_000_000 // about 40 MB; up-samples and ends count, too
)

// errUnjudged is what senders are told then; they deliver again.
var errUnjudged = errors.New("too many stored batches wait to be judged: see the log for what cannot be written")

// Pipeline is the one way of every batch: the store first, then the rule
// engine with exactly what the store took.
type Pipeline struct {
	store Store
	judge Judge
	now   func() time.Time
	log   *slog.Logger

	// SendOn, if set before the first batch, is given every batch before it is
	// stored, so that the death of the process cannot come between the two.
	SendOn func(sample.Batch) error

	refused *metrics.Counter

	mu       sync.Mutex
	sources  map[sample.Source]*SourceStatus
	unjudged []unjudged  // oldest first
	size     int         // of unjudged, in samples
	inFlight []time.Time // arrivals of batches that the judge has not taken, in no order
}

// unjudged is a batch that is stored and that the judge did not take.
type unjudged struct {
	batch   sample.Batch
	arrived time.Time
}

func (u unjudged) size() int { return len(u.batch.Samples) + len(u.batch.Ups) + len(u.batch.Ends) }

// SourceStatus is what is known of one source since the start.
type SourceStatus struct {
	Customer    string    `json:"customer"`
	Source      string    `json:"source"`
	Up          bool      `json:"up"` // the last check looked
	Batches     int64     `json:"batches"`
	Samples     int64     `json:"samples"` // accepted
	Refused     int64     `json:"refused"`
	LastArrival time.Time `json:"last_arrival"`         // wall clock of the last batch
	LastSample  time.Time `json:"last_sample,omitzero"` // event time of the newest sample
	Watermark   time.Time `json:"watermark,omitzero"`   // event time up to which all is delivered; absent while it delivers currently
	Current     bool      `json:"current"`              // it delivers currently
	LastRefusal string    `json:"last_refusal,omitempty"`
}

// NewPipeline joins a store and a judge.
func NewPipeline(store Store, judge Judge, now func() time.Time, set *metrics.Set, log *slog.Logger) *Pipeline {
	p := &Pipeline{store: store, judge: judge, now: now, log: log, sources: map[sample.Source]*SourceStatus{}}
	p.refused = set.NewCounter("watchkeeper_app_samples_refused_total")
	set.NewGauge("watchkeeper_app_unjudged_batches", func() float64 { return float64(p.waiting()) })
	set.NewGauge("watchkeeper_app_sources", func() float64 {
		p.mu.Lock()
		defer p.mu.Unlock()
		return float64(len(p.sources))
	})
	return p
}

// Deliver stores a batch and has it judged. An error means that the sender must
// deliver it again; refused samples are no error.
func (p *Pipeline) Deliver(ctx context.Context, b sample.Batch) (storage.Result, error) {
	// Asked before the store takes anything: what is stored must be judged.
	if p.full() {
		return storage.Result{}, errUnjudged
	}
	if p.SendOn != nil {
		if err := p.SendOn(b); err != nil {
			// What is watched here does not wait for what is sent elsewhere.
			p.log.Error("a batch will not be sent on", "source", b.Source.Name, "customer", b.Source.Customer, "err", err)
		}
	}
	arrived := p.arrive()
	if p.judge.MayBeLate(b, arrived) {
		p.land(arrived)
		return p.deliverOld(ctx, b)
	}
	res, err := p.store.Append(ctx, b)
	if err != nil {
		p.land(arrived)
		return res, err
	}
	p.note(b, res)
	p.judged(unjudged{res.Accepted, arrived}, p.judge.Ingest(context.WithoutCancel(ctx), res.Accepted, p.judgeTime(p.now())))
	return res, nil
}

// deliverOld delivers a batch of which something may come too late to be judged. Whether it does
// is known, and in the journal, before it is stored.
func (p *Pipeline) deliverOld(ctx context.Context, b sample.Batch) (res storage.Result, err error) {
	stored := false
	err = p.judge.IngestOld(context.WithoutCancel(ctx), b.Source, p.judgeTime(p.now()), func(foresee ruleset.Foresee) (sample.Batch, error) {
		var err error
		res, err = p.store.AppendOld(ctx, b, foresee)
		stored = err == nil
		return res.Accepted, err
	})
	if !stored {
		return storage.Result{}, err
	}
	p.note(b, res)
	p.taken(b.Source, err)
	return res, nil
}

// judged notes what became of a stored batch.
func (p *Pipeline) judged(b unjudged, err error) {
	if !errors.Is(err, ruleset.ErrNotTaken) {
		p.land(b.arrived)
		p.taken(b.batch.Source, err)
		return
	}
	p.log.Error("a stored batch waits to be judged", "source", b.batch.Source.Name, "customer", b.batch.Source.Customer, "err", err)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unjudged = append(p.unjudged, b)
	p.size += b.size()
}

// taken tells what went wrong after the judge had taken a batch. It goes on with it in Tick.
func (p *Pipeline) taken(src sample.Source, err error) {
	if err != nil {
		p.log.Error("what a batch changed waits to be told; it is tried again every second", "source", src.Name, "customer", src.Customer, "err", err)
	}
}

// arrive notes a batch that is on its way to the judge.
func (p *Pipeline) arrive() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	p.inFlight = append(p.inFlight, now)
	return now
}

// land notes that a batch which arrived then is on its way no more.
func (p *Pipeline) land(arrived time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.inFlight, arrived); i >= 0 {
		p.inFlight = slices.Delete(p.inFlight, i, i+1)
	}
}

// judgeTime is now, unless a batch is on its way: what was in time when it arrived must still be
// so when the judge takes it, since the process may die before it does, and the next start takes
// what is stored for in time.
func (p *Pipeline) judgeTime(now time.Time) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, arrived := range p.inFlight {
		if last := arrived.Add(ruleset.TakenWithin); last.Before(now) {
			now = last
		}
	}
	return now
}

// currentFor is how long a sender counts as delivering currently after its last
// batch. Beyond it its watermark stands at its newest sample, so that what it
// buffered meanwhile is still judged when it comes back.
const currentFor = 5 * time.Minute

// lapse says of senders that fell silent that they no longer deliver currently.
// Collectors of ours say so themselves.
func (p *Pipeline) lapse(ctx context.Context, now time.Time) error {
	var silent []sample.Batch
	p.mu.Lock()
	for src, s := range p.sources {
		if s.Current && strings.HasPrefix(src.Name, pushPrefix) && now.Sub(s.LastArrival) > currentFor && !s.LastSample.IsZero() {
			silent = append(silent, sample.Batch{Source: src, Watermark: s.LastSample.UnixMilli()})
		}
	}
	p.mu.Unlock()
	for _, b := range silent {
		if _, err := p.Deliver(ctx, b); err != nil {
			return fmt.Errorf("watermark of silent sender %s: %w", b.Source.Name, err)
		}
	}
	return nil
}

// Tick moves the judge's time to now, after handing over again what it did
// not take. Called once a second.
func (p *Pipeline) Tick(ctx context.Context, now time.Time) error {
	if err := p.judgeAgain(ctx, now); err != nil {
		return fmt.Errorf("judge: %w", err)
	}
	if err := p.lapse(ctx, now); err != nil {
		return err
	}
	return p.judge.Advance(ctx, p.judgeTime(now))
}

// judgeAgain hands over what the judge did not take. It takes something once what it
// judged before has been told, which Advance tries.
func (p *Pipeline) judgeAgain(ctx context.Context, now time.Time) error {
	if p.waiting() == 0 {
		return nil
	}
	if err := p.judge.Advance(ctx, p.judgeTime(now)); err != nil {
		return err
	}
	for b, some := p.oldest(); some; b, some = p.oldest() {
		err := p.judge.Ingest(ctx, b.batch, p.judgeTime(now))
		if errors.Is(err, ruleset.ErrNotTaken) {
			return err
		}
		p.land(b.arrived)
		p.mu.Lock()
		p.unjudged[0] = unjudged{}
		p.unjudged, p.size = p.unjudged[1:], p.size-b.size()
		p.mu.Unlock()
		if err != nil {
			return err
		}
	}
	return nil
}

// oldest is the batch that waits first; nobody but judgeAgain takes it away.
func (p *Pipeline) oldest() (b unjudged, some bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.unjudged) == 0 {
		p.unjudged = nil
		return unjudged{}, false
	}
	return p.unjudged[0], true
}

func (p *Pipeline) waiting() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.unjudged)
}

// full says whether no more may wait.
func (p *Pipeline) full() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.unjudged) >= maxUnjudged || p.size >= maxUnjudgedSamples
}

// sink is the pipeline as collectors see it.
type sink struct{ p *Pipeline }

// Append delivers a collector's batch. Refusals are a fault of ours or of the
// source's clock: they are logged, since no sender is there to be told.
func (s sink) Append(ctx context.Context, b sample.Batch) error {
	res, err := s.p.Deliver(ctx, b)
	if err != nil {
		return err
	}
	if res.RefusedTotal > 0 {
		first := res.Refused[0]
		s.p.log.Warn("samples of a collector were refused", "source", b.Source.Name, "customer", b.Source.Customer,
			"count", res.RefusedTotal, "series", first.Labels.String(), "reason", string(first.Reason))
	}
	return nil
}

// writer is the pipeline as remote write sees it.
type writer struct{ p *Pipeline }

// Append delivers a sender's batch and says what was refused.
func (w writer) Append(ctx context.Context, b sample.Batch) (storage.Result, error) {
	return w.p.Deliver(ctx, b)
}

func (p *Pipeline) note(b sample.Batch, res storage.Result) {
	p.refused.Add(res.RefusedTotal)
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.sources[b.Source]
	if s == nil {
		s = &SourceStatus{Customer: b.Source.Customer, Source: b.Source.Name}
		p.sources[b.Source] = s
	}
	s.Batches++
	s.Samples += int64(len(res.Accepted.Samples))
	s.Refused += int64(res.RefusedTotal)
	s.LastArrival = p.now().UTC()
	for _, x := range res.Accepted.Samples {
		if t := time.UnixMilli(x.T).UTC(); t.After(s.LastSample) {
			s.LastSample = t
		}
	}
	var newest int64
	for _, up := range b.Ups {
		if up.T >= newest {
			newest, s.Up = up.T, up.OK
		}
	}
	switch b.Watermark {
	case 0:
	case sample.Current:
		s.Current, s.Watermark = true, time.Time{}
	default:
		s.Current, s.Watermark = false, time.UnixMilli(b.Watermark).UTC()
	}
	if res.RefusedTotal > 0 {
		s.LastRefusal = fmt.Sprintf("%s: %s", res.Refused[0].Labels, res.Refused[0].Reason)
	}
}

// Sources returns the status of every source since the start, by customer and name.
func (p *Pipeline) Sources() []SourceStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]SourceStatus, 0, len(p.sources))
	for _, s := range p.sources {
		out = append(out, *s)
	}
	sort.Slice(out, func(i, j int) bool {
		if out[i].Customer != out[j].Customer {
			return out[i].Customer < out[j].Customer
		}
		return out[i].Source < out[j].Source
	})
	return out
}
