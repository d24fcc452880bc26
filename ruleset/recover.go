package ruleset

import (
	"context"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/internal/journal"
	"watchkeeper/internal/sample"
)

// reasonRecovered marks live entries that a start found to be missing.
const reasonRecovered = "recovered"

// Recover rebuilds the state after a start from the store's samples and the
// journal, and tells the sink what the log it has lacks: nothing is lost and
// nothing told twice. Open must list the alerts that stand in the incident
// store and those that opened or closed within Config.RecoverWindow. Settled
// entries of that window are logged again with the IDs they had.
//
// Call it once, before Ingest and Advance.
func (e *Engine) Recover(ctx context.Context, now time.Time, open []OpenAlert) error {
	err := e.recover(ctx, now.UnixMilli(), open)
	if err != nil {
		return fmt.Errorf("recover rule engine: %w", err)
	}
	return e.flush(ctx)
}

func (e *Engine) recover(ctx context.Context, now int64, open []OpenAlert) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	defer e.release()
	e.tick(now)
	past, err := readPast(e.journal)
	if err != nil {
		return err
	}
	past.eachLate(func(r journal.Record) { e.lateLimit.remember(r.Customer, r.Arrive) })
	window := time.Duration(e.cfg.RecoverWindow).Milliseconds()
	if err := e.recoverSources(ctx, past, now-window-e.forceAfter()); err != nil {
		return err
	}
	return e.rebuildRules(ctx, e.rules, past, open, reasonRecovered)
}

// past is what the journal says.
type past struct {
	sources map[sample.Source]*source
	series  map[uint64][]delivery
	ends    map[uint64][]journal.Record
	late    map[uint64][]journal.Record
	lateUps map[sample.Source]map[int64][]journal.Record
	came    map[*ruleState]map[sample.Source]int64 // see cameFor
	first   int64                                  // earliest contact
}

func readPast(j Journal) (*past, error) {
	p := &past{sources: map[sample.Source]*source{}, series: map[uint64][]delivery{}, ends: map[uint64][]journal.Record{}, late: map[uint64][]journal.Record{}, lateUps: map[sample.Source]map[int64][]journal.Record{}, came: map[*ruleState]map[sample.Source]int64{}}
	if err := j.Each(p.take); err != nil {
		return nil, fmt.Errorf("read journal: %w", err)
	}
	return p, nil
}

func (p *past) take(r journal.Record) error {
	id := sample.Source{Customer: r.Customer, Name: r.Source}
	switch r.Kind {
	case journal.KindContact:
		if p.sources[id] == nil { // a contact without an end is a fill-in under way
			p.sources[id] = &source{id: id, contact: r.Arrive, fillIn: true}
		}
		if p.first == 0 || r.Arrive < p.first {
			p.first = r.Arrive
		}
	case journal.KindFillInEnd:
		if s := p.sources[id]; s != nil {
			s.fillIn, s.filled = false, r.Arrive
		}
	case journal.KindForced:
		if s := p.sources[id]; s != nil {
			s.forced = max(s.forced, r.T)
		}
	case journal.KindSeries:
		p.takeSeries(r)
	case journal.KindEnd:
		p.ends[r.Labels.Hash()] = append(p.ends[r.Labels.Hash()], r)
	case journal.KindLate:
		if r.Labels.IsEmpty() {
			p.noteLateUp(r)
			return nil
		}
		p.late[r.Labels.Hash()] = append(p.late[r.Labels.Hash()], r)
	}
	return nil
}

// endOf reads an end mark. A record of the engine's own, which has no source,
// says when a mark for a time that had settled took effect: at no time if at that which
// it is for.
func endOf(r journal.Record) (m endMark, void bool) {
	m = endMark{t: r.T, told: r.T, reason: r.Reason}
	if r.Source == "" && r.V != 0 {
		m.told = int64(r.V)
		void = m.told == m.t
	}
	return m, void
}

// began returns when a series was first delivered, as the journal says.
func (p *past) began(l labels.Labels) (int64, bool) {
	for _, d := range p.series[l.Hash()] {
		if labels.Equal(d.labels, l) {
			return d.t, true
		}
	}
	return 0, false
}

// unsureFor is how much of the beginning of what a rebuild reads is not logged as
// settled: a run that crosses the beginning would be another one. It was logged before,
// unless a source that had been silent for a day met a stop of an hour.
const unsureFor = time.Hour

// rebuildRules builds the state of rules from the samples of the recover window
// and brings the live log, as open has it, to that state.
func (e *Engine) rebuildRules(ctx context.Context, states []*ruleState, p *past, open []OpenAlert, reason string) error {
	e.rebuild = true
	defer func() { e.rebuild = false }()
	e.taking = taking{at: math.MinInt64 / 2, bound: math.MinInt64 / 2}
	defer func() { e.taking, e.unsure = taking{}, 0 }()
	from := e.now - time.Duration(e.cfg.RecoverWindow).Milliseconds()
	if p.first != 0 && p.first < from {
		e.unsure = from + unsureFor.Milliseconds()
	}
	e.recallLateUps(states, p)
	told, loose := e.openByInstance(states, open)
	e.told = told
	defer func() { e.told = nil }()
	for _, rs := range states {
		if rs.eval != nil && e.started != 0 {
			rs.nextCheck = rs.rule.lastCheck(max(e.started, from)-1) + 1
		}
	}
	for _, m := range metricsOf(states) {
		if err := e.rebuildMetric(ctx, m, states, p, from); err != nil {
			return err
		}
	}
	for _, rs := range states { // what the store knows of must be there before standUp
		if err := e.evaluateDue(ctx, rs); err != nil {
			return err
		}
	}
	orphans := orphansOf(loose)
	if reason == reasonRecovered {
		orphans = append(orphans, e.takeUnread(told, p)...)
		e.standUp(told, from, p.first < from)
		if err := e.recallSilent(ctx, states, p, from); err != nil {
			return err
		}
	}
	if err := e.recallOperands(ctx, states, p, from); err != nil {
		return err
	}
	for _, rs := range states {
		for _, in := range rs.all {
			in.markEnds()
		}
	}
	if err := e.step(ctx, false); err != nil {
		return err
	}
	e.rebuild = false
	for _, rs := range states {
		why := reason
		if rs.added {
			why = reasonAdded
		}
		for _, in := range rs.all {
			e.reconcile(ctx, in, told[instanceKey{rs, in.id.Hash()}], why)
		}
	}
	e.endOrphans(orphans)
	return nil
}

type instanceKey struct {
	rs *ruleState
	id uint64
}

// openByInstance sorts alerts by rule and identity; loose are those of no rule.
func (e *Engine) openByInstance(states []*ruleState, open []OpenAlert) (byInstance map[instanceKey][]OpenAlert, loose []OpenAlert) {
	byInstance = map[instanceKey][]OpenAlert{}
	for _, a := range open {
		i := slices.IndexFunc(states, func(rs *ruleState) bool { return rs.rule.ID() == a.RuleID })
		if i < 0 {
			loose = append(loose, a)
			continue
		}
		k := instanceKey{states[i], a.Identity.Hash()}
		byInstance[k] = append(byInstance[k], a)
	}
	// The alert that stands is the last told of, though a sample that amends may
	// have opened it before another.
	place := func(a OpenAlert) int64 {
		if a.State.Open() {
			return math.MaxInt64
		}
		return a.Opened
	}
	for _, as := range byInstance {
		slices.SortFunc(as, func(a, b OpenAlert) int { return compareInt(place(a), place(b)) })
	}
	return byInstance, loose
}

func metricsOf(states []*ruleState) []string {
	var out []string
	for _, rs := range states {
		for _, m := range rs.metrics() {
			if !slices.Contains(out, m) {
				out = append(out, m)
			}
		}
	}
	return out
}

// rebuildMetric feeds the stored samples of one metric to the rules.
func (e *Engine) rebuildMetric(ctx context.Context, metric string, states []*ruleState, p *past, from int64, ms ...*labels.Matcher) error {
	var ser *series
	var read bool
	states = e.readersOf(metric, states)
	ms = append(slices.Clone(ms), labels.MustNewMatcher(labels.MatchEqual, model.MetricNameLabel, metric))
	to := e.now
	if !e.wide { // a sample that came before its time is judged at its check
		to += time.Duration(e.cfg.MaxAhead).Milliseconds()
	}
	return readSeries(ctx, e.store, from, to, ms, func(l labels.Labels, pt point) {
		if ser == nil || !labels.Equal(ser.labels, l) {
			ser, read = e.rebuildSeries(l, states, p, from)
		}
		if !read || ser.marksEnd(pt) {
			return
		}
		e.retake(ser, pt, states)
	})
}

// retake gives a stored point of a series to some of its rules.
func (e *Engine) retake(ser *series, p point, states []*ruleState) {
	if ser.passes(p, e.taking.bound, e.batch) {
		return
	}
	if ser.sleep != nil {
		wake := e.woken(ser.hot, p)
		for m := wake; m != 0; m &= m - 1 {
			if i := bits.TrailingZeros64(m); !slices.Contains(states, ser.sleep.rules[i].rs) {
				wake &^= 1 << i
			}
		}
		e.wake(ser, wake, p)
	}
	ser.note(p, e.batch)
	if ser.has(markRead) {
		ser.add(p)
	} else {
		ser.pass(p)
	}
	for i := range ser.feeds {
		if slices.Contains(states, ser.feeds[i].rs) {
			e.feed(ser, &ser.feeds[i], p, false)
		}
	}
	for i := range ser.evals {
		if slices.Contains(states, ser.evals[i].rs) {
			e.feedEvaluated(ser, &ser.evals[i], p)
		}
	}
}

// rebuildSeries takes up a stored series with what the journal knows of it.
func (e *Engine) rebuildSeries(l labels.Labels, states []*ruleState, p *past, from int64) (ser *series, read bool) {
	ser = e.series.get(l)
	isNew := ser == nil
	if isNew {
		ser = newSeries(l.Copy(), from-1)
	}
	for _, rs := range states {
		if rs.readsSeries(l) {
			e.bind(rs, ser)
			read = true
		}
	}
	if !read {
		return ser, false
	}
	h := l.Hash()
	if isNew {
		e.series.add(ser)
		for _, a := range p.arrivalsOf(l) {
			e.assign(ser, e.source(a.source), a.came)
		}
		for _, r := range p.ends[h] {
			if labels.Equal(r.Labels, l) {
				if m, void := endOf(r); void {
					ser.addVoid(m.told, e.endsFrom())
				} else {
					ser.addEnd(m, e.endsFrom())
				}
			}
		}
	}
	for _, f := range ser.evals {
		ser.eachSource(func(src *source) { f.rs.readsFrom(src, p.cameFor(f.rs)[src.id]) })
	}
	for _, r := range p.late[h] {
		e.recallLate(ser, r, states)
	}
	return ser, true
}

// recallLate keeps a sample out of the checks that had settled when it came.
func (e *Engine) recallLate(ser *series, r journal.Record, states []*ruleState) {
	id, ms, ok := lateThrough(r)
	if !ok || !labels.Equal(r.Labels, ser.labels) {
		return
	}
	for _, rs := range states {
		if rs.rule.ID() == id {
			rs.late[lateKey{ser, r.T}] = rs.rule.settledWhen(r, ms)
		}
	}
}

// standUp gives instances whose alert opened before the samples begin the state
// that the incident store has, those without any sample included. An evaluated identity
// begins with a verdict, which a sample that nobody had judged may have taken away: where
// the samples would show it, they have the last word. older says that there were some
// before them.
func (e *Engine) standUp(told map[instanceKey][]OpenAlert, from int64, older bool) {
	for k, as := range told {
		a := as[len(as)-1]
		if !a.State.Open() {
			continue
		}
		r, in := k.rs.rule, k.rs.instance(a.Identity)
		shown := k.rs.eval != nil && (!older || a.Opened > from && r.Missing != MissingBreach)
		if in != nil && (shown || r.checkOf(a.Opened) >= in.first) {
			continue
		}
		if in == nil {
			begin := from
			if shown { // no check before the first contact is there
				begin = max(from, e.started-1)
			}
			if in = e.newInstance(k.rs, a.Identity, r.lastCheck(begin)+1); in == nil {
				continue
			}
			e.touch(in)
		}
		if shown {
			in.settled.gone = true // it never began
		} else {
			in.settled.phase, in.settled.since = phaseOf(a.State), r.checkOf(a.Check)
		}
		in.live = in.settled
	}
}

// recallSilent takes up the series of alerts that opened before the samples begin: an
// end may still come.
func (e *Engine) recallSilent(ctx context.Context, states []*ruleState, p *past, from int64) error {
	for _, list := range p.series {
		for _, d := range list {
			waits := func(rs *ruleState) bool { return rs.readsSeries(d.labels) && e.stoodUp(rs, d.labels) }
			ser := e.series.get(d.labels)
			if ser != nil && ser.first != math.MaxInt64 || !slices.ContainsFunc(states, waits) {
				continue
			}
			if ser == nil { // else the store has nothing of it but what marks an end
				ser, _ = e.rebuildSeries(d.labels, states, p, from)
			}
			var err error
			ser.first = d.t
			if ser.newest, err = e.newestBefore(ctx, ser, from); err != nil {
				return fmt.Errorf("newest sample of %s: %w", ser.labels, err)
			}
			for _, m := range ser.ends() {
				e.markEnd(ser, m.t)
			}
		}
	}
	return nil
}

// newestBefore reads when a series had its newest stored sample before t. It looks back
// over a day first, and then twice as far each time.
func (e *Engine) newestBefore(ctx context.Context, ser *series, t int64) (newest int64, err error) {
	var ms []*labels.Matcher
	ser.labels.Range(func(l labels.Label) { ms = append(ms, labels.MustNewMatcher(labels.MatchEqual, l.Name, l.Value)) })
	newest = ser.first
	known := t // what there is from then on
	for reach := (24 * time.Hour).Milliseconds(); ; reach *= 2 {
		lo := max(t-reach, ser.first)
		err = readSeries(ctx, e.store, lo, t-1, ms, func(l labels.Labels, pt point) {
			if labels.Equal(l, ser.labels) && !ser.marksEnd(pt) {
				newest = max(newest, pt.t)
			}
		})
		switch {
		case ctx.Err() != nil:
			return newest, err
		case err != nil: // an end from before that had its effect then
			e.logger.Error("samples cannot be read: judging goes on without those of a series with an alert", "err", err, "series", ser.labels.String())
			return max(newest, known-1), nil
		case newest > ser.first || lo == ser.first:
			return newest, nil
		}
		known = lo
	}
}

// stoodUp says whether an alert stands of which the series is an operand.
func (e *Engine) stoodUp(rs *ruleState, series labels.Labels) bool {
	if rs.eval != nil {
		return rs.standsBy(series)
	}
	for i, l := range rs.rule.prog.leaves {
		if !l.matches(series) {
			continue
		}
		key := l.keyOf(e.builder, series)
		for _, j := range rs.joins[i][key.Hash()] {
			if labels.Equal(j.key, key) && slices.ContainsFunc(j.insts, func(in *instance) bool { return in.live.phase.open() }) {
				return true
			}
		}
	}
	return false
}

// reconcile brings the live log, as the incident store has it, to the state
// that was rebuilt.
func (e *Engine) reconcile(ctx context.Context, in *instance, told []OpenAlert, reason string) {
	r := in.rs.rule
	before, since := phaseInactive, int64(0)
	for _, a := range told {
		ep := episode{opened: r.checkOf(a.Opened)}
		if !a.State.Open() {
			ep.closed = max(r.checkOf(a.Check), ep.opened+1)
		}
		in.episodes = append(in.episodes, ep)
		in.told = phaseInactive
		if a.State.Open() {
			in.told = phaseOf(a.State)
		}
		if a.State.Open() && ep.opened < in.first {
			before, since = in.told, ep.opened
		}
	}
	in.silent = false
	if in.inFillIn() {
		in.silent = true
		return
	}
	e.align(ctx, in, episodesOf(in.log, before, since), func(change) string { return reason }, false)
	in.forgetSettled()
}
