package lint

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"watchkeeper/internal/property"
	"watchkeeper/ruleset"
)

// pairwise is what pairs must find, by its definition: each rule is compared with
// each. Of what a rule repeats and of what it contradicts the first counts.
func pairwise(all []*read) []Finding {
	within := func(s, t set) bool { return len(s.intersect(t.complement())) == 0 }
	implies := func(a, b condition) bool {
		if len(a.parts) == 0 || len(b.parts) == 0 || !slices.Equal(a.guards, b.guards) {
			return false
		}
		return !slices.ContainsFunc(b.parts, func(p part) bool {
			mine, ok := a.of(p.term)
			return !ok || !within(mine, p.passed)
		})
	}
	var c checker
	inverted := func(strict, lax *ruleset.Rule) {
		s, l := slices.Index(severities, strict.Severity()), slices.Index(severities, lax.Severity())
		if s >= 0 && l > s && strict.Consecutive >= lax.Consecutive && strict.For >= lax.For {
			c.add(strict, Error, CodeContradiction, "", "%s", lax.ID())
		}
	}
	for i, a := range all {
		for _, b := range all[i+1:] {
			if a.rule.Interval != b.rule.Interval || a.rule.Plain != b.rule.Plain {
				continue
			}
			ab, ba := implies(a.cond, b.cond), implies(b.cond, a.cond)
			switch {
			case ab && ba && a.rule.Consecutive == b.rule.Consecutive && a.rule.For == b.rule.For:
				c.add(b.rule, Warning, CodeDuplicate, "", "%s", a.rule.ID())
			case ab && !ba:
				inverted(a.rule, b.rule)
			case ba && !ab:
				inverted(b.rule, a.rule)
			}
		}
	}
	sortFindings(c.findings)
	return slices.CompactFunc(c.findings, func(a, b Finding) bool { return a.Rule == b.Rule && a.Code == b.Code })
}

// sortFindings brings the findings of one rule together, in their order.
func sortFindings(fs []Finding) {
	slices.SortStableFunc(fs, func(a, b Finding) int { return cmp.Or(cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Code, b.Code)) })
}

// drawRules draws rules that have much in common.
func drawRules(t *rapid.T) string {
	pick := func(name string, of ...string) string { return rapid.SampledFrom(of).Draw(t, name) }
	comparison := func() string {
		term := pick("term", "a", "b", `a{x="1"}`, "sum by (customer) (a)", "a / b")
		value := pick("value", "-1", "0", "-0", "1", "2", "Inf", "-Inf", "NaN")
		op := pick("op", "<", "<=", ">", ">=", "==", "!=")
		if rapid.Bool().Draw(t, "flip") {
			return value + " " + op + " " + term
		}
		return term + " " + op + " " + value
	}
	expr := func() string {
		e := comparison()
		for range rapid.IntRange(0, 2).Draw(t, "more") {
			e += " and " + comparison()
		}
		return e + pick("guard", "", "", "", " unless on (customer) c", " and on (customer) c", " and a")
	}
	var b strings.Builder
	b.WriteString("groups:\n")
	for g, interval := range []string{"1m", "5m"} {
		fmt.Fprintf(&b, "- name: g%d\n  interval: %s\n  rules:\n", g, interval)
		for i := range rapid.IntRange(1, 12).Draw(t, "rules") {
			kind := pick("kind", "consecutive: 1", "consecutive: 2", "for: 1m", "for: 0s")
			fmt.Fprintf(&b, "  - {alert: A%d, expr: '%s', %s, labels: {severity: %s}}\n", i, expr(), kind, pick("severity", append([]string{"page", "''"}, severities...)...))
		}
	}
	return b.String()
}

func TestPairsEqualPairwise(t *testing.T) {
	property.Check(t, func(t *rapid.T) {
		text := drawRules(t)
		gs, err := ruleset.Parse("r.yml", []byte(text))
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		var all []*read
		for _, g := range gs {
			for _, r := range g.Rules {
				all = append(all, (&checker{}).rule(r))
			}
		}
		var c checker
		c.pairs(all)
		sortFindings(c.findings)
		for i, f := range c.findings { // of the texts, the rule that is named
			_, name, _ := strings.Cut(f.Message, `rule "`)
			c.findings[i].Message, _, _ = strings.Cut(name, `"`)
			c.findings[i].Fix = ""
		}
		if d := gocmp.Diff(pairwise(all), c.findings); d != "" {
			t.Fatalf("(-want +got)\n%s of\n%s", d, text)
		}
	})
}

// A rule that is there a thousand times is reported a thousand times, and not
// half a million times.
func TestOneFindingForEachRepeatedRule(t *testing.T) {
	var rules []string
	for i := range 1000 {
		rules = append(rules, fmt.Sprintf(whole, i, "host_load5 >= 5", "high"))
	}
	found := Check(Config{}, parse(t, "own.yml", rules...))
	if len(found) != 999 || !strings.Contains(found[998].Message, `rule "g/A0" (own.yml:1)`) {
		t.Errorf("%d findings, the last %+v", len(found), found[len(found)-1])
	}
}
