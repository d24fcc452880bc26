package replay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"watchkeeper/ruleset"
)

// MaxExplained bounds the alerts that one call explains.
const MaxExplained = 20

// ErrNoAlert says that no rule has the name, or that it watches nothing that matches.
var ErrNoAlert = errors.New("no such alert")

// ErrQuestion says that the question itself is wrong.
var ErrQuestion = errors.New("cannot be answered")

// Question asks why an alert did or did not fire.
type Question struct {
	Alert  string    // NAME{labels}: a rule's alert or id, and matchers of the identity
	At     time.Time // the last check to be shown stands at or before it; zero: Now
	Checks int       // how many checks are shown; at least 1
	Now    time.Time // engine time, as in Span
	Begin  time.Time // as in Span
	// Refused, unless nil, knows which identities a limit keeps from being judged.
	Refused ruleset.Refuser
}

// Explanation tells the story of one alert, check by check.
type Explanation struct {
	Rule        string        `json:"rule"` // its id
	Alert       string        `json:"alert"`
	Labels      labels.Labels `json:"labels"` // the identity
	Expr        string        `json:"expr"`
	Literal     string        `json:"contract_literal,omitempty"`
	Interval    string        `json:"interval"`
	Consecutive int           `json:"consecutive"`
	Missing     string        `json:"missing"`
	MaxGap      int           `json:"max_gap"`
	// NotJudged says why the server does not judge the alert, which then is inactive. The
	// checks tell what its samples say.
	NotJudged string        `json:"not_judged,omitempty"`
	State     ruleset.State `json:"state"` // after the last check shown
	Run       int           `json:"run"`
	Checks    []Check       `json:"checks"`
}

// Check is one check of an explanation.
type Check struct {
	Check   time.Time     `json:"check"`
	Samples []Sample      `json:"samples"` // of its slot, oldest first; the latest of a series counts
	Verdict string        `json:"verdict"` // breach, good, missing, unobserved, open, or ended: it does not exist
	Run     int           `json:"run"`
	State   ruleset.State `json:"state"`
	Settled bool          `json:"settled"` // final
	Why     string        `json:"why"`
}

// Sample is one stored sample in the slot of a check.
type Sample struct {
	Series  string    `json:"series"`
	Time    time.Time `json:"time"`
	Value   Value     `json:"value"`
	Arrived time.Time `json:"arrived,omitzero"` // where the journal has it: it came too late
	TooLate bool      `json:"too_late,omitempty"`
}

// Explain judges the checks of the alert again from the store and says of each
// what it saw and what came of it. The error is ErrNoAlert when nothing matches.
func Explain(ctx context.Context, groups []ruleset.Group, q queryable, past Past, ask Question) ([]Explanation, error) {
	if past == nil {
		past = noPast{}
	}
	if ask.At.IsZero() || ask.At.After(ask.Now) {
		ask.At = ask.Now
	}
	name, matchers, err := parseAlert(ask.Alert)
	if err != nil {
		return nil, err
	}
	var out []Explanation
	known := false
	for _, g := range groups {
		for _, r := range g.Rules {
			if r.Plain || r.Alert != name && r.ID() != name {
				continue
			}
			known = true
			es, err := explainRule(ctx, r, q, past, ask, matchers)
			if err != nil {
				return nil, err
			}
			if out = append(out, es...); len(out) > MaxExplained {
				return nil, fmt.Errorf("%w: more than %d alerts match %s; add labels", ErrQuestion, MaxExplained, ask.Alert)
			}
		}
	}
	switch {
	case !known:
		return nil, fmt.Errorf("%w: no rule with consecutive is named %q; 'watchkeeper rules list' names them", ErrNoAlert, name)
	case len(out) == 0 && len(matchers) == 0:
		return nil, fmt.Errorf("%w: rule %q watches no series up to %s", ErrNoAlert, name, ask.At.UTC().Format(time.RFC3339))
	case len(out) == 0:
		return nil, fmt.Errorf("%w: rule %q watches no series that matches %s up to %s; without labels all that it watches are explained",
			ErrNoAlert, name, ask.Alert, ask.At.UTC().Format(time.RFC3339))
	}
	return out, nil
}

// parseAlert reads NAME{labels}. Rule ids may hold more than metric names may.
func parseAlert(s string) (name string, ms []*labels.Matcher, err error) {
	name, rest, found := strings.Cut(s, "{")
	name = strings.TrimSpace(name)
	if name == "" {
		return "", nil, fmt.Errorf("%w: %q: want ALERT{labels}", ErrQuestion, s)
	}
	if !found || strings.TrimSpace(rest) == "}" {
		return name, nil, nil
	}
	ms, err = parser.NewParser(parser.Options{}).ParseMetricSelector("{" + rest)
	if err != nil {
		return "", nil, fmt.Errorf("%w: %q: %w", ErrQuestion, s, err)
	}
	return name, ms, nil
}

func explainRule(ctx context.Context, r *ruleset.Rule, q queryable, past Past, ask Question, ms []*labels.Matcher) ([]Explanation, error) {
	narrow, err := narrowing(r, ms)
	if err != nil {
		return nil, err
	}
	judged, err := ruleset.Verdicts(ctx, q, pastJournal{past}, r, ask.Begin.Add(-r.Interval), ask.At, narrow...)
	if err != nil {
		return nil, err
	}
	var out []Explanation
	for _, sv := range judged {
		if slices.ContainsFunc(ms, func(m *labels.Matcher) bool { return !m.Matches(sv.Identity.Get(m.Name)) }) {
			continue
		}
		if !slices.ContainsFunc(sv.Verdicts, func(v ruleset.Verdict) bool { return v != ruleset.VerdictOpen }) {
			continue
		}
		if len(out) == MaxExplained {
			return nil, fmt.Errorf("%w: more than %d alerts match %s; add labels", ErrQuestion, MaxExplained, ask.Alert)
		}
		e, err := explainAlert(ctx, r, q, past, ask, sv)
		if err != nil {
			return nil, fmt.Errorf("explain rule %q: %s: %w", r.ID(), sv.Identity, err)
		}
		out = append(out, e)
	}
	return out, nil
}

// narrowing returns the matchers that every operand of the rule bears, so that only
// series of the alerts in question are read.
func narrowing(r *ruleset.Rule, ms []*labels.Matcher) ([]*labels.Matcher, error) {
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(r.Expr)
	if err != nil {
		return nil, fmt.Errorf("rule %q: %w", r.ID(), err)
	}
	selectors := 0
	parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
		switch n.(type) {
		case *parser.VectorSelector:
			selectors++
		case *parser.AggregateExpr:
			selectors += 2 // its members have labels that the identity lacks, and the other way round
		}
		return nil
	})
	if selectors == 1 {
		return ms, nil
	}
	var shared []*labels.Matcher
	for _, m := range ms {
		if m.Name == "customer" {
			shared = append(shared, m)
		}
	}
	return shared, nil
}

func explainAlert(ctx context.Context, r *ruleset.Rule, q queryable, past Past, ask Question, sv ruleset.SeriesVerdicts) (Explanation, error) {
	e := Explanation{
		Rule: r.ID(), Alert: r.Alert, Labels: sv.Identity, Expr: r.Expr, Interval: durationOf(r.Interval).String(),
		Consecutive: r.Consecutive, Missing: string(r.Missing), MaxGap: r.MaxGap, Checks: []Check{},
	}
	if r.Contract != nil {
		e.Literal = r.Contract.Literal
	}
	shown := max(0, len(sv.Verdicts)-max(1, ask.Checks))
	view, err := newView(r, q, past, sv.Identity)
	if err != nil {
		return e, err
	}
	f := newFold(r)
	begun := false
	for i, v := range sv.Verdicts {
		if begun = begun || v != ruleset.VerdictOpen; !begun {
			continue
		}
		t := sv.First + int64(i)*sv.Interval.Milliseconds()
		c := Check{Check: time.UnixMilli(t).UTC(), Verdict: v.String(), Settled: t+r.Lateness.Milliseconds() <= ask.Now.UnixMilli()}
		if i >= shown {
			if c.Samples, err = view.samples(ctx, t); err != nil {
				return e, err
			}
		}
		switch {
		case v == ruleset.VerdictOpen && i > 0 && sv.Verdicts[i-1] == ruleset.VerdictOpen:
			c.Verdict, c.Why = "ended", "the series had ended: the check does not exist"
		case v == ruleset.VerdictOpen:
			c.Verdict, c.Why = "ended", f.end(view.reason(t))
		case inFlight(r, v, t, ask.Now.UnixMilli()) && !hasNaN(c.Samples):
			c.Verdict, c.Why = ruleset.VerdictOpen.String(), f.step(ruleset.VerdictOpen)
		default:
			c.Why = f.step(v)
			if v == ruleset.VerdictMissing && hasNaN(c.Samples) {
				c.Why = "NaN is no value; " + c.Why
			}
			if sv.Ended[i] {
				c.Why += "; " + f.end(view.reason(t))
			}
		}
		c.Run, c.State = f.run, f.state
		if i >= shown {
			e.Checks = append(e.Checks, c)
		}
	}
	e.State, e.Run = f.state, f.run
	if ask.Refused != nil && seenLately(r, sv, ask.Now) {
		if limit := ask.Refused(e.Rule, e.Labels); limit != "" {
			e.NotJudged, e.State, e.Run = limit+" refused it", ruleset.StateInactive, 0
		}
	}
	return e, nil
}

// inFlight says whether a check without a verdict is not decided yet.
func inFlight(r *ruleset.Rule, v ruleset.Verdict, t, now int64) bool {
	return (v == ruleset.VerdictMissing || v == ruleset.VerdictUnobserved) && t+r.MissingAfter.Milliseconds() > now
}

// hasNaN says whether the check is missing for a NaN, which is known at once.
func hasNaN(samples []Sample) bool {
	return slices.ContainsFunc(samples, func(s Sample) bool { return s.Value.isNaN() })
}

// keptFor is for how long an identity without samples is kept, at the least: one that is
// not judged after it may have been forgotten.
const keptFor = 48 * time.Hour

// seenLately says whether the alert had a sample so lately that it cannot be forgotten.
func seenLately(r *ruleset.Rule, sv ruleset.SeriesVerdicts, now time.Time) bool {
	for i := len(sv.Verdicts) - 1; i >= 0; i-- {
		if v := sv.Verdicts[i]; v == ruleset.VerdictBreach || v == ruleset.VerdictGood {
			return sv.First+int64(i)*r.Interval.Milliseconds() > now.Add(-keptFor).UnixMilli()
		}
	}
	return false
}
