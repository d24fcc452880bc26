package ruleset

import (
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"watchkeeper/internal/journal"
	"watchkeeper/internal/sample"
)

// A source that begins to deliver what others deliver already is asked whether it looked
// at the checks alone that had not settled when it came, by engine time: the verdicts of the
// others are final. The journal knows when that was, so a start asks it of the same ones.

// deliverer is a source beside the first one.
type deliverer struct {
	src  *source
	came int64 // engine time of what it delivered first
}

// goneSeries is series.came of one that was taken from the index.
const goneSeries = math.MaxInt64

// asks says whether a source that came then is asked about check k.
func (r *Rule) asks(came, k int64) bool { return r.timeOf(k)+r.Lateness.Milliseconds() > came }

// assign notes that src delivers the series since it came.
func (e *Engine) assign(ser *series, src *source, came int64) {
	src.series, src.changed = append(src.series, ser), true
	shared := ser.source != nil
	if !shared {
		ser.source, ser.came = src, came
	} else {
		ser.catchUp()
		ser.own().others = append(ser.own().others, deliverer{src, came})
		ser.mark(markShared, true)
		for _, f := range ser.feeds {
			f.join.readAnew()
			e.askAnew(f.rs, f.join.insts, came)
		}
	}
	for _, f := range ser.evals {
		_, known := f.rs.sources[src]
		f.rs.readsFrom(src, came)
		if shared || !known {
			e.askAnew(f.rs, f.rs.all, came)
		}
	}
}

// askAnew decides the checks anew about which a source is asked that has just come.
func (e *Engine) askAnew(rs *ruleState, ins []*instance, came int64) {
	if e.rebuild {
		return
	}
	lo := rs.rule.lastCheck(came-rs.rule.Lateness.Milliseconds()) + 1
	for _, in := range ins {
		for k := max(lo, in.first, e.final(in)+1); k <= rs.maxCheck; k++ {
			e.undecide(in, k)
		}
	}
}

// A series that comes later than others of an identity holds back the checks alone that
// had not settled by then, by engine time: what has settled without it is final. Nothing has
// while the first one is filled in.

// opening is when something of an identity came first, and from when on its checks settle.
type opening struct{ came, settles int64 }

// with takes up another one that came then; src may be nil.
func (o *opening) with(src *source, came, forceAfter int64) {
	if came > o.came {
		return
	}
	settles := came
	if src != nil {
		settles = src.contact + forceAfter
		if src.filled != 0 {
			settles = min(settles, src.filled-1) // with that very millisecond
		}
		settles = max(settles, came)
	}
	if came == o.came {
		settles = max(settles, o.settles)
	}
	*o = opening{came, settles}
}

// holdsBack is the event time up to which something is complete, or need not be.
func (o opening) holdsBack(bound, came int64) int64 {
	if came > o.settles {
		return max(bound, came)
	}
	return bound
}

// noOpening is that of nothing.
var noOpening = opening{came: math.MaxInt64}

// openingOf is that of an identity which reads what meets there.
func (rs *ruleState) openingOf(joins []*join) opening {
	o := noOpening
	for _, j := range joins {
		for _, s := range j.series {
			src := s.source
			if s.has(markShared) { // another one may settle it meanwhile
				src = nil
			}
			o.with(src, s.came, rs.memory/2)
		}
	}
	return o
}

// opening is that of an identity of an evaluated rule. One that needs no sample to have a verdict is judged
// from the first contact of any source, and its checks settle from then on.
func (rs *ruleState) opening(id labels.Labels) opening {
	o := noOpening
	if rs.eval.unfed {
		o = opening{*rs.started, *rs.started}
	}
	for src, came := range rs.sources {
		if rs.sameCustomer(src, id) {
			o.with(src, came, rs.memory/2)
		}
	}
	return o
}

// readsFrom notes that the source has delivered for an evaluated rule since it came.
func (rs *ruleState) readsFrom(src *source, came int64) {
	if known, there := rs.sources[src]; !there || came < known {
		rs.sources[src] = came
	}
}

// observed says whether any of those who deliver the series looked in the slot of check k.
func (s *series) observed(rs *ruleState, k int64) bool {
	if s.source.observed(rs, k) {
		return true
	}
	return slices.ContainsFunc(s.others(), func(o deliverer) bool { return rs.rule.asks(o.came, k) && o.src.observed(rs, k) })
}

// observed says whether all sources of an evaluated rule that may deliver for
// the identity looked in the slot of check k.
func (rs *ruleState) observed(id labels.Labels, k int64) bool {
	first := rs.opening(id).came
	for src, came := range rs.sources {
		if rs.sameCustomer(src, id) && (came == first || rs.rule.asks(came, k)) && !src.observed(rs, k) {
			return false
		}
	}
	return true
}

// delivery says who delivers a series.
type delivery struct {
	labels labels.Labels
	by     []arrival
	t      int64 // first sample delivered by any of them
}

// arrival says when a source delivered a series first.
type arrival struct {
	source sample.Source
	came   int64
}

// takeSeries notes who delivers a series.
func (p *past) takeSeries(r journal.Record) {
	h, a := r.Labels.Hash(), arrival{sample.Source{Customer: r.Customer, Name: r.Source}, r.Arrive}
	i := slices.IndexFunc(p.series[h], func(d delivery) bool { return labels.Equal(d.labels, r.Labels) })
	if i < 0 {
		p.series[h] = append(p.series[h], delivery{r.Labels, []arrival{a}, r.T})
		return
	}
	d := &p.series[h][i]
	d.t = min(d.t, r.T)
	if !slices.ContainsFunc(d.by, func(o arrival) bool { return o.source == a.source }) {
		d.by = append(d.by, a)
	}
}

// arrivalsOf returns who delivers a series, as the journal says.
func (p *past) arrivalsOf(l labels.Labels) []arrival {
	for _, d := range p.series[l.Hash()] {
		if labels.Equal(d.labels, l) {
			return d.by
		}
	}
	return []arrival{{source: sample.Source{Customer: l.Get("customer")}}}
}

// cameFor is when each source first delivered something that an evaluated rule reads, be it
// gone by now.
func (p *past) cameFor(rs *ruleState) map[sample.Source]int64 {
	if out := p.came[rs]; out != nil {
		return out
	}
	out := map[sample.Source]int64{}
	p.came[rs] = out
	for _, list := range p.series {
		for _, d := range list {
			if !rs.readsSeries(d.labels) {
				continue
			}
			for _, a := range d.by {
				if came, there := out[a.source]; !there || a.came < came {
					out[a.source] = a.came
				}
			}
		}
	}
	return out
}
