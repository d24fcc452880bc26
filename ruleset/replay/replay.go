// Package replay judges recorded samples again by the rules: from a file of
// samples with their arrivals (Samples), or from a store (Settled). It holds the
// JSON-line form of the logs (AppendLine), explains an alert check by check
// (Explain), and tells which alerts two sets of rules judge differently (Compare).
//
// Nothing here reads a clock: the same input gives the same bytes.
package replay

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"slices"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"watchkeeper/internal/journal"
	"watchkeeper/internal/sample"
	"watchkeeper/ruleset"
)

// Logs says which logs are written.
type Logs string

// The choices of Logs.
const (
	LogsBoth    Logs = "both"
	LogsLive    Logs = "live"
	LogsSettled Logs = "settled"
)

func (l Logs) has(log ruleset.Log) bool { return l == LogsBoth || string(l) == string(log) }

// Options of Samples. The zero value writes both logs and cannot reload.
type Options struct {
	Logs Logs
	// Customer, unless empty, is the only one whose alerts are written. All are judged.
	Customer string
	// Load returns the rules of the file that a reload line names.
	Load func(file string) ([]ruleset.Group, error)
	// Progress is told how many lines were read, every 10000 lines.
	Progress func(lines int)
}

// Stats count what Samples read.
type Stats struct {
	Lines   int // read, empty ones left out
	Samples int // handed to the engine
	// Refused samples were more than 10 minutes ahead of engine time, or
	// another value for a series' timestamp; equal ones are dropped, not refused.
	Refused int
	Down    int // lines that arrived while the engine was down
}

// farFuture is how far ahead of engine time the product's store takes samples, ms.
const farFuture = 10 * 60 * 1000

// maxChecks bounds the checks between the first and the last time of an input, at
// a check a minute nearly two years.
const maxChecks = 1_000_000

// Samples replays the lines of r and writes the log lines to w: live ones as
// they happen, the settled ones after them, in their order. Lines that follow one
// another at the same engine time are one batch of each source. The end of r
// settles nothing more. An error in a line names the line.
func Samples(ctx context.Context, groups []ruleset.Group, r io.Reader, w io.Writer, opt Options) (Stats, error) {
	if opt.Logs == "" {
		opt.Logs = LogsBoth
	}
	p := &player{groups: groups, opt: opt, world: newWorld(w, opt.Logs, opt.Customer), now: never, down: never}
	var err error
	if p.engine, err = p.world.engine(groups); err != nil {
		return p.stats, err
	}
	if err := p.play(ctx, r); err != nil {
		return p.stats, err
	}
	return p.stats, p.world.finish()
}

// player carries a replay from line to line.
type player struct {
	groups  []ruleset.Group
	opt     Options
	world   *world
	engine  *ruleset.Engine
	stats   Stats
	now     int64 // engine time, Unix ms; never before any
	down    int64 // what arrives before is lost: the engine was down
	lo, hi  int64 // earliest and latest time read
	any     bool
	pending []sample.Batch // of engine time now, one a source
}

func (p *player) play(ctx context.Context, r io.Reader) error {
	in := newDecoder(r)
	for {
		ev, err := in.next()
		if err == io.EOF {
			return p.flush(ctx)
		}
		if err != nil {
			return err
		}
		if p.stats.Lines++; p.stats.Lines%10_000 == 0 && p.opt.Progress != nil {
			p.opt.Progress(p.stats.Lines)
		}
		if err := p.take(ctx, ev); err != nil {
			return fmt.Errorf("line %d: %w", in.line, err)
		}
	}
}

// take plays one line.
func (p *player) take(ctx context.Context, ev event) error {
	if err := p.bound(ev); err != nil {
		return err
	}
	if ev.kind == eventRestart || ev.kind == eventReload || ev.kind == eventAdvance {
		return p.control(ctx, ev)
	}
	at := max(ev.arrive, p.now)
	if at == never {
		return errors.New("needs arrive: no line before it names a time")
	}
	if ev.arrive != never && ev.arrive < p.down {
		p.stats.Down++
		return nil
	}
	if at > p.now {
		if err := p.flush(ctx); err != nil {
			return err
		}
		p.now = at
	}
	p.add(ev)
	return nil
}

// bound refuses times so far apart that the checks between them could not be held.
func (p *player) bound(ev event) error {
	interval := time.Duration(math.MaxInt64)
	for _, g := range p.groups {
		for _, r := range g.Rules {
			interval = min(interval, r.Interval)
		}
	}
	for _, t := range []int64{ev.t, ev.arrive, ev.until} {
		if t == never {
			continue
		}
		if !p.any {
			p.lo, p.hi, p.any = t, t, true
		}
		p.lo, p.hi = min(p.lo, t), max(p.hi, t)
	}
	if (p.hi-p.lo)/max(1, interval.Milliseconds()) > maxChecks {
		return fmt.Errorf("time lies more than %d checks from the others of the input", maxChecks)
	}
	return nil
}

func (p *player) control(ctx context.Context, ev event) error {
	if err := p.flush(ctx); err != nil {
		return err
	}
	if p.now = max(p.now, ev.t); p.now == never {
		return errors.New("needs arrive: no line before it names a time")
	}
	switch ev.kind {
	case eventReload:
		if p.opt.Load == nil {
			return fmt.Errorf("reload: no rule files can be read here")
		}
		groups, err := p.opt.Load(ev.file)
		if err != nil {
			return fmt.Errorf("reload: %w", err)
		}
		p.groups = groups
		return p.engine.Reload(ctx, groups, time.UnixMilli(p.now))
	case eventRestart:
		if err := p.engine.Advance(ctx, time.UnixMilli(p.now)); err != nil {
			return err
		}
		var err error
		if p.engine, err = p.world.engine(p.groups); err != nil {
			return err
		}
		p.now = max(p.now, ev.until)
		p.down = p.now
		return p.engine.Recover(ctx, time.UnixMilli(p.now), p.world.alerts())
	}
	return p.engine.Advance(ctx, time.UnixMilli(p.now))
}

// add puts a line into the batch of its source.
func (p *player) add(ev event) {
	i := slices.IndexFunc(p.pending, func(b sample.Batch) bool { return b.Source == ev.source })
	if i < 0 {
		i = len(p.pending)
		p.pending = append(p.pending, sample.Batch{Source: ev.source})
	}
	b := &p.pending[i]
	switch ev.kind {
	case eventSample:
		b.FillIn = b.FillIn || ev.fillIn
		b.Samples = append(b.Samples, sample.Sample{Labels: ev.labels, T: ev.t, V: ev.v})
	case eventUp:
		b.Ups = append(b.Ups, sample.Up{T: ev.t, OK: ev.ok})
	case eventEnd:
		b.Ends = append(b.Ends, sample.End{Labels: ev.labels, T: ev.t, Reason: ev.reason})
	case eventWatermark:
		b.Watermark = ev.t
		if ev.current {
			b.Watermark = sample.Current
		}
	}
}

// flush hands what has arrived at engine time now to the engine.
func (p *player) flush(ctx context.Context) error {
	for _, b := range p.pending {
		accepted, refused := p.world.accept(b, p.now)
		p.stats.Samples += len(accepted.Samples)
		p.stats.Refused += refused
		if err := p.engine.Ingest(ctx, accepted, time.UnixMilli(p.now)); err != nil {
			return err
		}
	}
	p.pending = p.pending[:0]
	return nil
}

// newEngine builds an engine without limits on series: a replay must not leave
// out what the live engine judged.
func newEngine(groups []ruleset.Group, window time.Duration, q queryable, j ruleset.Journal, sink ruleset.Sink) (*ruleset.Engine, error) {
	cfg := ruleset.DefaultConfig()
	cfg.MaxSeriesPerRule, cfg.MaxSeriesPerCustomer, cfg.MaxLatePerDay, cfg.MaxQueuedEntries = math.MaxInt, math.MaxInt, math.MaxInt, math.MaxInt
	cfg.RecoverWindow = max(cfg.RecoverWindow, durationOf(window))
	return ruleset.New(cfg, groups, q, j, sink, metrics.NewSet(), slog.New(slog.DiscardHandler))
}

// Counting returns the groups with the rules that count checks; plain says how
// many rules of Prometheus's meaning were left out.
func Counting(groups []ruleset.Group) (counting []ruleset.Group, plain int) {
	for _, g := range groups {
		c := g
		c.Rules = nil
		for _, r := range g.Rules {
			if r.Plain {
				plain++
				continue
			}
			c.Rules = append(c.Rules, r)
		}
		if len(c.Rules) > 0 {
			counting = append(counting, c)
		}
	}
	return counting, plain
}

// pastJournal reads a journal and keeps nothing.
type pastJournal struct{ Past }

// Past hands out the journal's records, oldest first. In production
// *journal.Journal.
type Past interface {
	Each(fn func(journal.Record) error) error
}

// Record drops records: a replay learns nothing new.
func (pastJournal) Record(context.Context, ...journal.Record) error { return nil }

// noPast is the journal of those who have none.
type noPast struct{}

func (noPast) Each(func(journal.Record) error) error { return nil }

// lineWriter writes log lines.
type lineWriter struct {
	out *bufio.Writer
	buf []byte
}

func (w *lineWriter) write(e ruleset.Entry) error {
	w.buf = AppendLine(w.buf[:0], e)
	_, err := w.out.Write(w.buf)
	return err
}
