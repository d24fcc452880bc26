// Package lint reads rules for mistakes that parse: conditions that can never
// or always hold, metrics nobody delivers, units that do not go together,
// sources slower than the rule allows, rules that contradict one another.
//
// What it knows of values comes from the declared metrics: a percentage lies
// in 0 to 100, a size or a duration is never negative. Of a metric that is not
// declared it assumes nothing.
package lint

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/strutil"

	"watchkeeper/ruleset"
	"watchkeeper/ruleset/contract"
)

// Severity says whether a finding must be mended.
type Severity string

// An error makes a rule useless or wrong; a warning is for a person to judge.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
)

// Codes of findings.
const (
	CodeUnknownMetric   = "unknown-metric"
	CodeImpossible      = "impossible"
	CodeAlwaysTrue      = "always-true"
	CodeDuplicate       = "duplicate"
	CodeContradiction   = "severity-inverted"
	CodeUnitMismatch    = "unit-mismatch"
	CodeSlowSource      = "slow-source"
	CodeNoSeverity      = "no-severity"
	CodeUnknownSeverity = "unknown-severity"
	CodeNoSummary       = "no-summary"
	CodeNoRunbook       = "no-runbook"
	CodeCustomerLost    = "customer-lost"
	CodeNoGoodReading   = "no-good-reading"
	CodeSameID          = "same-id"
)

// Finding is one mistake.
type Finding struct {
	File     string   `json:"file"`
	Line     int      `json:"line"`
	Rule     string   `json:"rule"`
	Severity Severity `json:"severity"`
	Code     string   `json:"code"`
	Message  string   `json:"message"`
	Fix      string   `json:"fix,omitempty"`
}

// Period is how far apart samples are, and whose.
type Period struct {
	Every  time.Duration
	Source string // who makes them, for a person: the probe "shop" of acme
}

func (p Period) String() string {
	return fmt.Sprintf("%s (%s)", model.Duration(p.Every), p.Source)
}

// Config says what is known besides the declared metrics.
type Config struct {
	// Period tells how far apart a metric's samples are where that is known,
	// such as of a cloud's metrics. Nil: of none.
	Period func(metric string) (Period, bool)
	// Delivered says whether something delivers a metric that the contract
	// package does not declare. Nil: nothing does.
	Delivered func(metric string) bool
	// Shipped says whether a file is part of this program, whose metrics must
	// all be known. Nil: none is.
	Shipped func(file string) bool
}

// Check returns the findings by file and line. The rules must come from
// ruleset.Parse.
func Check(cfg Config, groups []ruleset.Group) []Finding {
	c := checker{cfg: cfg}
	var all []*read
	ids := map[string]*ruleset.Rule{}
	for _, g := range groups {
		for _, r := range g.Rules {
			c.sameID(r, ids)
			if x := c.rule(r); x != nil {
				all = append(all, x)
			}
		}
	}
	c.pairs(all)
	slices.SortStableFunc(c.findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Code, b.Code))
	})
	return c.findings
}

// Errors counts the findings that are errors.
func Errors(findings []Finding) int {
	n := 0
	for _, f := range findings {
		if f.Severity == Error {
			n++
		}
	}
	return n
}

type checker struct {
	cfg      Config
	findings []Finding
}

// read is a rule with what its expression says.
type read struct {
	rule *ruleset.Rule
	cond condition

	place   int    // among all rules; this and the next are set by pairs
	kind    string // what two rules must share to be compared
	urgency int    // index in severities; -1: it is none of them
}

func (c *checker) add(r *ruleset.Rule, s Severity, code, fix, format string, args ...any) {
	c.findings = append(c.findings, Finding{
		File: r.File, Line: r.Line, Rule: r.ID(), Severity: s, Code: code, Message: fmt.Sprintf(format, args...), Fix: fix,
	})
}

// sameID reports a rule whose id is taken: the engine does not load two of an id.
// Prometheus's own rules may share one.
func (c *checker) sameID(r *ruleset.Rule, ids map[string]*ruleset.Rule) {
	if r.Plain {
		return
	}
	if first := ids[r.ID()]; first != nil {
		c.add(r, Error, CodeSameID, "rename its group or alert, or give it another contract.row", "the rule at %s:%d has the same id: the server takes neither", first.File, first.Line)
		return
	}
	ids[r.ID()] = r
}

func (c *checker) rule(r *ruleset.Rule) *read {
	e, err := promParser.ParseExpr(r.Expr)
	if err != nil {
		panic(fmt.Sprintf("BUG: rule %q was parsed and does not parse: %v", r.ID(), err))
	}
	c.metrics(r, e)
	c.units(r, e)
	if r.Record != "" {
		return nil
	}
	c.texts(r)
	if !keeps(e, "customer") {
		c.add(r, Error, CodeCustomerLost, "keep it: by (customer, …), without … or on (customer, …)",
			"the result has no label customer, so its alerts belong to nobody")
	}
	if !r.Plain {
		for _, w := range r.Warnings {
			c.add(r, Warning, CodeNoGoodReading, "compare the value with something: absence is not a good reading", "%s", w)
		}
		c.filters(r, e)
		c.periods(r, e)
	}
	c.truth(r, e)
	return &read{rule: r, cond: conditionOf(e)}
}

// metrics reports selectors of metrics that nobody declares.
func (c *checker) metrics(r *ruleset.Rule, e parser.Expr) {
	for _, name := range metricsOf(e) {
		if _, ok := contract.LookupMetric(name); ok || c.cfg.Delivered != nil && c.cfg.Delivered(name) {
			continue
		}
		severity, fix := Warning, "check the spelling, if it is not a metric of your own"
		if near := nearest(name); near != "" {
			fix = fmt.Sprintf("%s is delivered: check the spelling, if it is not a metric of your own", near)
		}
		if c.cfg.Shipped != nil && c.cfg.Shipped(r.File) {
			severity, fix = Error, "declare it with the contract's metrics"
		}
		c.add(r, severity, CodeUnknownMetric, fix, "nothing here delivers the metric %q", name)
	}
}

// nearest is the declared metric whose name is most like another name; empty when
// none is much like it.
func nearest(name string) (near string) {
	like := strutil.NewJaroWinklerMatcher(name)
	best := 0.95
	for _, m := range contract.Metrics() {
		if d := len(m.Name) - len(name); d < -2 || d > 2 {
			continue // a slip of the pen is shorter
		}
		if score := like.Score(m.Name); score > best {
			near, best = m.Name, score
		}
	}
	return near
}

// severities from the least to the most urgent.
var severities = []string{"warning", "average", "high", "disaster"}

func (c *checker) texts(r *ruleset.Rule) {
	switch s := r.Severity(); {
	case s == "":
		c.add(r, Error, CodeNoSeverity, "labels: {severity: disaster|high|average|warning}", "no label severity: no response clock runs for its incidents")
	case !slices.Contains(severities, s):
		c.add(r, Warning, CodeUnknownSeverity, "use disaster, high, average or warning", "the contract has no severity %q", s)
	}
	if r.Annotations.Get("summary") == "" {
		c.add(r, Warning, CodeNoSummary, "annotations: {summary: …}", "no annotation summary: messages would say nothing but the name")
	}
	if r.Annotations.Get("runbook_url") == "" {
		c.add(r, Warning, CodeNoRunbook, "annotations: {runbook_url: …}", "no annotation runbook_url: nobody is told what to do")
	}
}

// filters reports aggregations of what a comparison lets pass. Where nothing
// passes they have no result: a check without a value, which never resolves.
func (c *checker) filters(r *ruleset.Rule, e parser.Expr) {
	parser.Inspect(e, func(n parser.Node, path []parser.Node) error {
		b, ok := n.(*parser.BinaryExpr)
		if !ok || !b.Op.IsComparisonOperator() || b.ReturnBool {
			return nil
		}
		for _, p := range path {
			if a, ok := p.(*parser.AggregateExpr); ok {
				c.add(r, Warning, CodeNoGoodReading, "let the comparison yield 0 or 1: sum by (…) (x > bool 5) >= 2",
					"%s has no value where nothing passes %s: the check is missing then, not good", a, b)
				return nil
			}
		}
		return nil
	})
}

// periods reports operands whose samples are too far apart for a run.
func (c *checker) periods(r *ruleset.Rule, e parser.Expr) {
	if c.cfg.Period == nil {
		return
	}
	for _, name := range metricsOf(e) {
		period, known := c.cfg.Period(name)
		if _, slow := r.Lookback[name]; slow || !known {
			continue
		}
		bridged := r.Interval * time.Duration(r.MaxGap+1)
		if r.Missing == ruleset.MissingReset {
			bridged = r.Interval
		}
		switch {
		case r.Missing == ruleset.MissingBreach && period.Every > r.Interval:
			c.add(r, Error, CodeSlowSource, "raise the interval to the source's period",
				"%s has a sample every %s: the checks every %s between them count as breaches", name, period, model.Duration(r.Interval))
		case r.Consecutive > 1 && period.Every > bridged:
			c.add(r, Error, CodeSlowSource, "raise max_gap or the interval",
				"%s has a sample every %s; a run bridges %s at most, so %d in a row are never found", name, period, model.Duration(bridged), r.Consecutive)
		case period.Every > r.Interval*time.Duration(r.NoDataAfter):
			c.add(r, Warning, CodeSlowSource, "raise no_data_after or the interval",
				"%s has a sample every %s: a firing alert goes to no-data between two of them", name, period)
		}
	}
}
