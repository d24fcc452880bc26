package lint

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"watchkeeper/ruleset"
)

// pairs reports rules that say the same, and rules that contradict one another:
// the stricter of two with the lower severity, which then adds nothing. A rule is
// reported beside the first rule that it repeats and the first that it contradicts.
//
// Nothing is compared with everything: a map finds what is said twice, and a rule
// is compared only with those of whose condition it has the rarest term. Among
// different rules that all speak of one term alone the comparisons are pairwise.
func (c *checker) pairs(all []*read) {
	all = slices.DeleteFunc(slices.Clone(all), func(x *read) bool { return len(x.cond.parts) == 0 })
	said := map[string]*ruleset.Rule{}
	count := map[string]int{} // rules by kind and term
	for i, x := range all {
		x.place, x.kind, x.urgency = i, kindOf(x), slices.Index(severities, x.rule.Severity())
		for _, p := range x.cond.parts {
			count[x.kind+p.term]++
		}
		key := x.says()
		if first := said[key]; first != nil {
			c.add(x.rule, Warning, CodeDuplicate, "remove one of them", "it says the same as rule %q (%s:%d)", first.ID(), first.File, first.Line)
		} else {
			said[key] = x.rule
		}
	}
	lax := laxRules(all, count)
	for _, x := range all {
		if x.urgency >= 0 {
			c.inverted(x, lax)
		}
	}
}

// laxRules are the rules by the rarest term of their condition; of those that say
// the same with one severity the first.
func laxRules(all []*read, count map[string]int) map[laxKey][]*read {
	lax := map[laxKey][]*read{}
	known := map[string]bool{}
	for _, x := range all {
		key := x.says() + x.rule.Severity()
		if known[key] {
			continue
		}
		known[key] = true
		rarest := slices.MinFunc(x.cond.parts, func(a, b part) int { return cmp.Compare(count[x.kind+a.term], count[x.kind+b.term]) })
		k := laxKey{x.kind, rarest.term, x.urgency}
		lax[k] = append(lax[k], x)
	}
	return lax
}

// laxKey finds the rules that could be laxer than another one: of its kind, with
// a condition with one of its terms, and with a given urgency.
type laxKey struct {
	kind, term string
	urgency    int
}

// inverted reports a strict rule that is less urgent than a lax one, which
// fires whenever the strict one does.
func (c *checker) inverted(strict *read, lax map[laxKey][]*read) {
	var first *read
	for _, p := range strict.cond.parts {
		for urgency := strict.urgency + 1; urgency < len(severities); urgency++ {
			of := lax[laxKey{strict.kind, p.term, urgency}]
			i := slices.IndexFunc(of, strict.stricterThan)
			if i >= 0 && (first == nil || of[i].place < first.place) {
				first = of[i]
			}
		}
	}
	if first == nil {
		return
	}
	c.add(strict.rule, Error, CodeContradiction, "exchange the severities or the thresholds",
		"it is %s, while rule %q (%s:%d) is %s for a condition that holds whenever this one does",
		strict.rule.Severity(), first.rule.ID(), first.rule.File, first.rule.Line, first.rule.Severity())
}

// stricterThan says whether a rule of the same kind fires whenever x does, and
// at other times, too.
func (x *read) stricterThan(lax *read) bool {
	return x.rule.Consecutive >= lax.rule.Consecutive && x.rule.For >= lax.rule.For && x.cond.implies(&lax.cond) && !lax.cond.implies(&x.cond)
}

// says is equal for rules that fire at the same checks.
func (x *read) says() string {
	return fmt.Sprintf("%s%s%d %s ", x.kind, x.cond.key(), x.rule.Consecutive, x.rule.For)
}

// kindOf is what two rules must share to be compared.
func kindOf(x *read) string {
	return fmt.Sprintf("%s %v %s\x00", x.rule.Interval, x.rule.Plain, strings.Join(x.cond.guards, "\x00"))
}
