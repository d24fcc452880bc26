package ruleset

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/internal/journal"
	"watchkeeper/internal/sample"
)

// What comes after its check has settled is kept from it, and only the journal knows that.
// Were it written down after the store has the sample, a process that dies in between would
// find the sample at its start and take it for one that came in time. So the journal has it
// first: the engine is held while the store takes such a batch, says what of it will be late,
// and takes the batch as it said. What the journal says of a sample that never reaches the
// store does no harm: whenever it comes after all, it is late for those checks.

// TakenWithin is how far engine time may go on between the arrival of a batch of which
// MayBeLate says no and Ingest: what is in time at its arrival by more than that is in time
// when it is taken.
const TakenWithin = 10 * time.Second

// Foresee is told what a store is about to take and says what the journal must have before.
type Foresee func(accepted sample.Batch) ([]journal.Record, error)

// deadlines tell whether something old may come after its check has settled.
type deadlines struct {
	least int64 // ms; what is younger comes in time for all
	rules []deadline
}

// deadline is that of the checks of some rules. All in ms.
type deadline struct{ interval, phase, lateness, ahead int64 }

func deadlinesOf(states []*ruleState) *deadlines {
	d := &deadlines{least: math.MaxInt64 / 4}
	for _, rs := range states {
		r := rs.rule
		one := deadline{interval: r.Interval.Milliseconds(), phase: r.Phase.Milliseconds(), lateness: r.Lateness.Milliseconds()}
		for _, s := range rs.selectors {
			one.ahead = max(one.ahead, -s.offset.Milliseconds()) // its samples count for checks before them
		}
		if d.least = min(d.least, one.lateness-one.ahead); !slices.Contains(d.rules, one) {
			d.rules = append(d.rules, one)
		}
	}
	return d
}

// passed says whether a check for which something at t counts has settled by engine time now,
// if all sources deliver currently.
func (d *deadlines) passed(t, now int64) bool {
	return t <= now-d.least && slices.ContainsFunc(d.rules, func(o deadline) bool {
		return ceilDiv(t-o.ahead-o.phase, o.interval)*o.interval+o.phase <= now-o.lateness
	})
}

// oldest returns the earliest time of what a batch holds.
func oldest(b *sample.Batch) int64 {
	t := int64(math.MaxInt64)
	for i := range b.Samples {
		t = min(t, b.Samples[i].T)
	}
	for _, u := range b.Ups {
		t = min(t, u.T)
	}
	for _, end := range b.Ends {
		t = min(t, end.T)
	}
	return t
}

// MayBeLate says whether something of a batch that arrives now may come after a check has
// settled. Then IngestOld must take it; else Ingest may, as long as engine time does not go on
// by more than TakenWithin before it does. It waits for nothing.
func (e *Engine) MayBeLate(b sample.Batch, now time.Time) bool {
	return e.deadlines.Load().passed(oldest(&b), max(now.UnixMilli(), e.reached.Load())+TakenWithin.Milliseconds())
}

// IngestOld has store take a batch of the source and takes it at engine time now, as Ingest does,
// without anything coming in between. The store must call Foresee once, with what it will
// take, make the records durable that it returns, and only then take the batch; it must not
// wait for another call of the engine. Where it fails it must have taken nothing; its
// error is returned, and the engine has taken nothing either. ErrNotTaken, too, means that
// nothing was taken or stored. After any other error both have the batch, as with Ingest.
func (e *Engine) IngestOld(ctx context.Context, src sample.Source, now time.Time, store func(Foresee) (sample.Batch, error)) error {
	failing := e.out.failure.Load() != nil
	stored, err := e.ingestOld(ctx, src, now.UnixMilli(), store)
	if !stored {
		return err
	}
	return e.ingested(ctx, err, failing)
}

func (e *Engine) ingestOld(ctx context.Context, id sample.Source, now int64, store func(Foresee) (sample.Batch, error)) (stored bool, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.waiting() >= e.cfg.MaxQueuedEntries {
		return false, ErrBackpressure
	}
	listed := 0
	b, err := store(func(b sample.Batch) ([]journal.Record, error) {
		if err := e.catchUpFor(ctx, b); err != nil {
			return nil, err
		}
		e.begin(id, b.FillIn, now)
		e.foresee(&b)
		listed = len(e.records)
		return slices.Clone(e.records), nil
	})
	if err != nil {
		if src := e.taking.src; e.taking.isFirst { // its first batch is still to come
			src.contact, src.filled, src.fillIn = 0, 0, false
		}
		e.taking = taking{} // what was to be listed is listed with the next step
		return false, err
	}
	e.records = e.records[:copy(e.records, e.records[listed:])]
	return true, e.takeBatch(ctx, b)
}

// foresee lists what of a batch comes after a check has settled, and keeps it from that check.
func (e *Engine) foresee(b *sample.Batch) {
	e.taking.foresees, e.taking.ends = true, map[lateKey]foreseenEnd{}
	src, d := e.taking.src, e.deadlines.Load()
	newest := map[*series]int64{} // of the batch's samples with a value
	for i := range b.Samples {
		s := &b.Samples[i]
		p := point{s.T, s.V}
		h := e.series.ofRef(s.Ref)
		if h == nil {
			h = e.lookUp(src, s)
		}
		if h != nil {
			h = e.meet(src, h, p)
		}
		if h == nil {
			continue
		}
		if len(b.Ends) > 0 && !isStale(p.v) {
			newest[h.of] = max(newest[h.of], p.t)
		}
		if d.passed(p.t, e.taking.at) {
			e.foreseeSample(h, p)
		}
	}
	for _, u := range b.Ups {
		if src.isNews(u) {
			e.lateUp(src, u)
		}
	}
	for _, end := range b.Ends {
		e.foreseeEnd(end, newest)
	}
	e.taking.foresees = false
}

// foreseeSample keeps a sample that its series has not been given yet from the checks that had
// settled before the batch, as feed will.
func (e *Engine) foreseeSample(h *hot, p point) {
	if h.has(markWaiting) {
		e.readmit(h.of)
	}
	ser := h.of
	e.eachAsleep(ser, func(rs *ruleState) {
		k := rs.rule.checkOf(p.t)
		e.late(rs, ser, p, k, rs.settledBy(e.lateBound(h)))
	})
	for i := range ser.feeds {
		f := &ser.feeds[i]
		lo, _, _ := f.checks(p)
		e.late(f.rs, ser, p, lo, e.settledFor(f, lo))
	}
	for i := range ser.evals {
		e.lateForEvaluated(ser, &ser.evals[i], p)
	}
}

// settledFor is the last check that had settled before the batch for one of the identities
// that read a sample there which counts from check lo on, or for the one that would begin.
func (e *Engine) settledFor(f *feed, lo int64) int64 {
	through := int64(math.MinInt64)
	if len(f.join.insts)+len(f.join.dozes) == 0 && f.rs.rule.prog.leaves[f.leaf].carrier {
		return f.rs.settledBy(f.rs.boundOf(e.meeting(f.rs, f.join.key), e.taking.at, e.takingBound))
	}
	for _, in := range f.join.insts {
		e.expand(in, lo)
		through = max(through, e.settledBefore(in))
	}
	for _, d := range f.join.dozes {
		through = max(through, f.rs.settledBy(d.bound(e.taking.at, e.takingBound)))
	}
	return through
}

// settledBy is the last check that has settled for what is complete up to bound.
func (rs *ruleState) settledBy(bound int64) int64 {
	return rs.rule.lastCheck(bound - rs.rule.Lateness.Milliseconds())
}

// foreseenEnd is how an end mark of the batch takes effect.
type foreseenEnd struct {
	t    int64
	void bool
}

// foreseeEnd finds how an end mark takes effect; newest are the batch's own samples.
func (e *Engine) foreseeEnd(end sample.End, newest map[*series]int64) {
	ser := e.series.get(end.Labels)
	if ser == nil || ser.knowsEnd(end.T) {
		return
	}
	key := lateKey{ser, end.T}
	if _, twice := e.taking.ends[key]; twice {
		return
	}
	ser.catchUp()
	f := e.effectOf(ser, end.T, newest[ser] > end.T)
	e.taking.ends[key] = f
	e.listEnd(ser.labels, end, f)
}

// effectOf says how an end mark for t that comes now takes effect; goesOn says whether a later
// sample comes with it.
func (e *Engine) effectOf(ser *series, t int64, goesOn bool) foreseenEnd {
	if f, foreseen := e.taking.ends[lateKey{ser, t}]; foreseen {
		return f
	}
	f := foreseenEnd{t: e.effective(ser, t)}
	if f.void = f.t != t && (goesOn || ser.sampledAfter(t)); f.void {
		f.t = t
	}
	return f
}

// listEnd journals an end mark that does not take effect when its source says.
func (e *Engine) listEnd(l labels.Labels, end sample.End, f foreseenEnd) {
	if f.void || f.t != end.T {
		e.record(journal.Record{Kind: journal.KindEnd, Labels: l, T: f.t, V: float64(end.T), Arrive: e.now, Reason: end.Reason})
	}
}
