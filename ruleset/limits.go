package ruleset

import (
	"fmt"
	"slices"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
)

// Refuser says which limit keeps an identity of a rule from being judged; empty: none.
type Refuser func(rule string, identity labels.Labels) string

// Refusing returns who knows what the limits refuse as they stand now; nil while none is
// full. The identity must be one that has samples: what is not judged while a limit is
// full, the limit refuses.
func (e *Engine) Refusing() Refuser {
	e.mu.Lock()
	defer e.mu.Unlock()
	full := map[string]string{} // by rule
	for _, rs := range e.rules {
		if !rs.unlimited && rs.watched >= e.cfg.MaxSeriesPerRule {
			full[rs.rule.ID()] = fmt.Sprintf("the limit of series per rule (%d)", e.cfg.MaxSeriesPerRule)
		}
	}
	fullOf := map[string]string{} // by customer
	for customer, n := range e.customers {
		if n >= e.cfg.MaxSeriesPerCustomer {
			fullOf[customer] = fmt.Sprintf("the limit of series per customer (%d)", e.cfg.MaxSeriesPerCustomer)
		}
	}
	if len(full)+len(fullOf) == 0 {
		return nil
	}
	return func(rule string, id labels.Labels) string {
		limit := full[rule]
		if limit == "" {
			limit = fullOf[id.Get("customer")]
		}
		if limit == "" || !e.passesOver(rule, id) {
			return ""
		}
		return limit
	}
}

// passesOver tells whether limits hold for the rule and it does not watch the identity.
func (e *Engine) passesOver(rule string, id labels.Labels) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	i := slices.IndexFunc(e.rules, func(rs *ruleState) bool { return rs.rule.ID() == rule })
	return i >= 0 && !e.rules[i].unlimited && !e.watches(e.rules[i], id)
}

// watches tells whether an identity of the rule is judged: awake, dozing or asleep.
func (e *Engine) watches(rs *ruleState, id labels.Labels) bool {
	if rs.instance(id) != nil || rs.dozesAs(id) {
		return true
	}
	b := labels.NewBuilder(id)
	for _, metric := range rs.metrics() {
		s := e.series.get(b.Set(model.MetricNameLabel, metric).Labels())
		if s == nil || s.sleep == nil {
			continue
		}
		if i := s.sleep.index(rs); i >= 0 && s.refused>>i&1 == 0 {
			return true
		}
	}
	return false
}

// dozesAs tells whether an identity of the rule dozes: it is found where a carrier's key,
// which is the identity, has it.
func (rs *ruleState) dozesAs(id labels.Labels) bool {
	if len(rs.dozing) == 0 {
		return false
	}
	is := func(d *doze) bool { return labels.Equal(d.id, id) }
	for i, l := range rs.rule.prog.leaves {
		if l.carrier {
			return slices.ContainsFunc(rs.joins[i][id.Hash()], func(j *join) bool { return slices.ContainsFunc(j.dozes, is) })
		}
	}
	return slices.ContainsFunc(rs.dozing, is)
}
