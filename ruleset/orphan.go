package ruleset

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
)

// orphan is an alert that stands in the incident store and that no rule judges any more:
// the rules were changed while nobody ran. It ends as at a reload.
type orphan struct {
	OpenAlert
	rule   *Rule
	reason string
}

// orphansOf are those of the alerts that stand and belong to no rule.
func orphansOf(loose []OpenAlert) (out []orphan) {
	for _, a := range loose {
		if a.State.Open() {
			out = append(out, orphan{a, a.lostRule(), ReasonRemoved})
		}
	}
	return out
}

// lostRule stands for the alert's rule, of which no more is left than id, name and labels.
func (a OpenAlert) lostRule() *Rule {
	if g, ok := strings.CutSuffix(a.RuleID, "/"+a.Alert); ok {
		return &Rule{Group: g, Alert: a.Alert, Labels: a.ruleLabels()}
	}
	return &Rule{Alert: a.Alert, Labels: a.ruleLabels(), Contract: &Contract{Row: a.RuleID}}
}

// ruleLabels are those that the alert had of its rule.
func (a OpenAlert) ruleLabels() labels.Labels {
	b := labels.NewBuilder(a.Labels).Del(labels.AlertName)
	a.Identity.Range(func(l labels.Label) {
		if a.Labels.Get(l.Name) == l.Value {
			b.Del(l.Name)
		}
	})
	return b.Labels()
}

// takeUnread takes out of told the alerts that stand of series which their rule does not
// read any more: series with the alert's labels are known, and it reads none of them, nor
// of those that opened the alert.
func (e *Engine) takeUnread(told map[instanceKey][]OpenAlert, p *past) []orphan {
	type candidate struct {
		key         instanceKey
		alert       OpenAlert
		known, read bool
	}
	var names [][]string // of the labels that tell them apart, each set once
	found := map[string][]*candidate{}
	var all []*candidate
	for k, as := range told {
		a := as[len(as)-1]
		if !a.State.Open() || k.rs.instance(a.Identity) != nil {
			continue
		}
		// The journal forgets a series with its last sample; what opened the alert is told with it.
		reads := func(series labels.Labels) bool { return e.reads(k.rs, a.Identity, series) }
		c := &candidate{key: k, alert: a, read: slices.ContainsFunc(a.Series, reads)}
		all = append(all, c)
		own := k.rs.ends.namesOf(a.Identity)
		if !slices.ContainsFunc(names, func(o []string) bool { return slices.Equal(o, own) }) {
			names = append(names, own)
		}
		at := string(a.Identity.BytesWithLabels(nil, own...))
		found[at] = append(found[at], c)
	}
	if len(all) == 0 {
		return nil
	}
	var buf []byte
	for _, list := range p.series {
		for _, d := range list {
			for _, own := range names {
				buf = d.labels.BytesWithLabels(buf[:0], own...)
				for _, c := range found[string(buf)] {
					c.known = true
					c.read = c.read || e.reads(c.key.rs, c.alert.Identity, d.labels)
				}
			}
		}
	}
	var out []orphan
	for _, c := range all {
		if c.known && !c.read {
			was := *c.key.rs.rule
			was.Labels = c.alert.ruleLabels()
			out = append(out, orphan{c.alert, &was, reasonEdited})
			delete(told, c.key)
		}
	}
	slices.SortFunc(out, func(a, b orphan) int {
		return cmp.Or(strings.Compare(a.RuleID, b.RuleID), labels.Compare(a.Identity, b.Identity))
	})
	return out
}

// reads says whether a series is one of those that give the identity its labels.
func (e *Engine) reads(rs *ruleState, id, series labels.Labels) bool {
	if rs.rule.prog == nil {
		return rs.readsSeries(series) && rs.ends.member(id, series)
	}
	return slices.ContainsFunc(rs.rule.prog.leaves, func(l *leaf) bool {
		return l.carrier && l.matches(series) && labels.Equal(l.keyOf(e.builder, series), id)
	})
}

// endOrphans tells that alerts have ended which no rule judges any more: now, since
// nobody knows when their rules were changed. Their incidents keep their annotations.
func (e *Engine) endOrphans(orphans []orphan) {
	for _, o := range orphans {
		e.logger.Info("an alert ends: the rules were changed while nobody judged", "rule", o.RuleID, "series", o.Identity.String(), "reason", o.reason)
		check := e.now
		if o.rule.Interval > 0 {
			check = o.rule.timeOf(o.rule.lastCheck(e.now))
		}
		e.lines++
		e.queue = append(e.queue, Entry{
			Log: LogLive, At: e.now, Check: check, Rule: o.rule, Identity: o.Identity, From: o.State, To: StateEnded,
			Value: math.NaN(), Reason: o.reason, unworded: unworded{now: e.now, line: e.lines},
		})
	}
}
