package ruleset

import (
	"math"
	"slices"

	"github.com/prometheus/prometheus/model/labels"
)

// bind makes the series an operand of the rule.
func (e *Engine) bind(rs *ruleState, ser *series) {
	ser.catchUp()
	if rs.rule.prog == nil {
		rs.bindEvaluated(ser)
		return
	}
	if e.bindSleeper(rs, ser) {
		return
	}
	for i, l := range rs.rule.prog.leaves {
		if l.matches(ser.labels) {
			e.bindLeaf(rs, ser, i)
		}
	}
}

func (e *Engine) bindLeaf(rs *ruleState, ser *series, i int) {
	j := rs.join(i, rs.rule.prog.leaves[i].keyOf(e.builder, ser.labels))
	for _, in := range j.insts {
		in.catchUp()
	}
	ser.catchUp()
	j.heed(i)
	j.series = insertSeries(j.series, ser)
	j.readAnew()
	ser.feeds = append(ser.feeds, feed{rs: rs, leaf: i, join: j})
	ser.isRead()
	if l := rs.rule.prog.leaves[i]; l.window != nil {
		ser.own().span = max(ser.own().span, l.offset+l.lookback+2*rs.rule.Interval.Milliseconds())
	}
}

// join finds or makes the meeting place of a leaf's key.
func (rs *ruleState) join(leaf int, key labels.Labels) *join {
	j := rs.joinAt(leaf, key)
	if j == nil {
		h := key.Hash()
		j = &join{key: rs.sameKey(h, key)}
		rs.joins[leaf][h] = append(rs.joins[leaf][h], j)
	}
	return j
}

// joinAt finds the meeting place of a leaf's key; nil where there is none.
func (rs *ruleState) joinAt(leaf int, key labels.Labels) *join {
	for _, j := range rs.joins[leaf][key.Hash()] {
		if labels.Equal(j.key, key) {
			return j
		}
	}
	return nil
}

// keyOf is where an identity meets what it reads at a leaf.
func (e *Engine) keyOf(l *leaf, id labels.Labels) labels.Labels {
	if l.carrier {
		return id
	}
	return l.look.apply(e.builder, id)
}

// meeting lists where an identity would meet what it reads, as far as something is there.
func (e *Engine) meeting(rs *ruleState, id labels.Labels) (joins []*join) {
	for i, l := range rs.rule.prog.leaves {
		if j := rs.joinAt(i, e.keyOf(l, id)); j != nil {
			joins = append(joins, j)
		}
	}
	return joins
}

// sameKey returns the key as another leaf has it, for memory's sake.
func (rs *ruleState) sameKey(h uint64, key labels.Labels) labels.Labels {
	for _, joins := range rs.joins {
		for _, j := range joins[h] {
			if labels.Equal(j.key, key) {
				return j.key
			}
		}
	}
	return key
}

// newInstance starts judging an identity from check first on; nil when a limit bites.
func (e *Engine) newInstance(rs *ruleState, id labels.Labels, first int64) *instance {
	if !e.admit(rs, id) {
		return nil
	}
	in := e.addInstance(rs, id, first)
	e.forgetOperands(in)
	return in
}

// admit counts an identity, unless a limit bites.
func (e *Engine) admit(rs *ruleState, id labels.Labels) bool {
	e.m.newIdentities.Inc()
	customer := id.Get("customer")
	switch {
	case rs.unlimited:
	case rs.watched >= e.cfg.MaxSeriesPerRule:
		e.m.refusedRule.Inc()
		e.refused[Refusal{customer, "rule"}]++
		return false
	case e.customers[customer] >= e.cfg.MaxSeriesPerCustomer:
		e.m.refusedCust.Inc()
		e.refused[Refusal{customer, "customer"}]++
		return false
	}
	rs.watched++
	rs.watchedOf[customer]++
	e.customers[customer]++
	return true
}

// leave counts an identity out.
func (e *Engine) leave(rs *ruleState, id labels.Labels) {
	customer := id.Get("customer")
	rs.watched--
	if rs.watchedOf[customer]--; rs.watchedOf[customer] == 0 {
		delete(rs.watchedOf, customer)
	}
	e.customers[customer]--
}

// addInstance gives an identity that has been counted its instance.
func (e *Engine) addInstance(rs *ruleState, id labels.Labels, first int64) *instance {
	in := &instance{
		rs: rs, id: id, first: first, settledCheck: first - 1, solid: first - 1, nextLog: math.MaxInt64,
		liveCheck: first - 1, judged: math.MinInt64, slept: math.MinInt64, dirtyLo: 1, value: math.NaN(),
	}
	if rs.rule.prog != nil {
		in.joins = make([]*join, len(rs.rule.prog.leaves))
		for i, l := range rs.rule.prog.leaves {
			j := rs.join(i, e.keyOf(l, id))
			j.heed(i)
			j.insts = append(j.insts, in)
			in.joins[i] = j
		}
	}
	if rs.eval != nil {
		in.notes = map[int64]note{}
	}
	h := id.Hash()
	rs.instances[h] = append(rs.instances[h], in)
	in.pos = len(rs.all)
	rs.all = append(rs.all, in)
	return in
}

func (rs *ruleState) instance(id labels.Labels) *instance {
	for _, in := range rs.instances[id.Hash()] {
		if labels.Equal(in.id, id) {
			return in
		}
	}
	return nil
}

// insertSeries keeps the series of a join in the order of their labels.
func insertSeries(list []*series, s *series) []*series {
	i, _ := slices.BinarySearchFunc(list, s, func(a, b *series) int { return labels.Compare(a.labels, b.labels) })
	return slices.Insert(list, i, s)
}
