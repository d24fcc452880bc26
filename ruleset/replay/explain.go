package replay

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql/parser"

	"watchkeeper/internal/journal"
	"watchkeeper/ruleset"
)

// MaxExplained bounds the alerts that one call explains.
const MaxExplained = 20

// ErrNoAlert says that no rule has the name, or that it watches nothing that matches.
var ErrNoAlert = errors.New("no such alert")

// Question asks why an alert did or did not fire.
type Question struct {
	Alert  string    // NAME{labels}: a rule's alert or id, and matchers of the identity
	At     time.Time // the last check to be shown stands at or before it; zero: Now
	Checks int       // how many checks are shown; at least 1
	Now    time.Time // engine time, as in Span
	Begin  time.Time // as in Span
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
	State       ruleset.State `json:"state"` // after the last check shown
	Run         int           `json:"run"`
	Checks      []Check       `json:"checks"`
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
	Value   string    `json:"value"`
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
				return nil, fmt.Errorf("%s: more than %d alerts match; add labels", ask.Alert, MaxExplained)
			}
		}
	}
	switch {
	case !known:
		return nil, fmt.Errorf("%w: no rule with consecutive is named %q", ErrNoAlert, name)
	case len(out) == 0:
		return nil, fmt.Errorf("%w: no series of %q matches %s up to %s", ErrNoAlert, name, ask.Alert, ask.At.UTC().Format(time.RFC3339))
	}
	return out, nil
}

// parseAlert reads NAME{labels}. Rule ids may hold more than metric names may.
func parseAlert(s string) (name string, ms []*labels.Matcher, err error) {
	name, rest, found := strings.Cut(s, "{")
	name = strings.TrimSpace(name)
	if name == "" {
		return "", nil, fmt.Errorf("%q: want ALERT{labels}", s)
	}
	if !found || strings.TrimSpace(rest) == "}" {
		return name, nil, nil
	}
	ms, err = parser.NewParser(parser.Options{}).ParseMetricSelector("{" + rest)
	if err != nil {
		return "", nil, fmt.Errorf("%q: %w", s, err)
	}
	return name, ms, nil
}

func explainRule(ctx context.Context, r *ruleset.Rule, q queryable, past Past, ask Question, ms []*labels.Matcher) ([]Explanation, error) {
	judged, err := ruleset.Verdicts(ctx, q, pastJournal{past}, r, ask.Begin.Add(-r.Interval), ask.At)
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
			return nil, fmt.Errorf("%s: more than %d alerts match; add labels", ask.Alert, MaxExplained)
		}
		e, err := explainAlert(ctx, r, q, past, ask, sv)
		if err != nil {
			return nil, fmt.Errorf("explain rule %q: %s: %w", r.ID(), sv.Identity, err)
		}
		out = append(out, e)
	}
	return out, nil
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
	view, err := readView(ctx, r, q, past, sv.Identity)
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
		if i >= shown || ended(sv, i) {
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
			if ended(sv, i) && view.endsWithin(t, c.Samples) {
				c.Why += "; " + f.end(view.reason(t))
			}
		}
		c.Run, c.State = f.run, f.state
		if i >= shown {
			e.Checks = append(e.Checks, c)
		}
	}
	e.State, e.Run = f.state, f.run
	return e, nil
}

// ended says whether check i is the last before the series is gone.
func ended(sv ruleset.SeriesVerdicts, i int) bool {
	return i+1 < len(sv.Verdicts) && sv.Verdicts[i+1] == ruleset.VerdictOpen && sv.Verdicts[i] != ruleset.VerdictOpen
}

// inFlight says whether a check without a verdict is not decided yet.
func inFlight(r *ruleset.Rule, v ruleset.Verdict, t, now int64) bool {
	return (v == ruleset.VerdictMissing || v == ruleset.VerdictUnobserved) && t+r.MissingAfter.Milliseconds() > now
}

// hasNaN says whether the check is missing for a NaN, which is known at once.
func hasNaN(samples []Sample) bool {
	return slices.ContainsFunc(samples, func(s Sample) bool { return s.Value == "NaN" })
}

// view reads the samples that an identity's checks look at.
type view struct {
	r    *ruleset.Rule
	q    queryable
	id   labels.Labels
	sels []operandSelector
	late []journal.Record
	ends []journal.Record
}

// operandSelector is a selector of the expression with its slot.
type operandSelector struct {
	matchers       []*labels.Matcher
	offset, window int64 // ms
}

func readView(_ context.Context, r *ruleset.Rule, q queryable, past Past, id labels.Labels) (*view, error) {
	v := &view{r: r, q: q, id: id}
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(r.Expr)
	if err != nil {
		return nil, err
	}
	parser.Inspect(expr, func(n parser.Node, path []parser.Node) error {
		if vs, ok := n.(*parser.VectorSelector); ok {
			v.sels = append(v.sels, operandOf(r, vs, path))
		}
		return nil
	})
	err = past.Each(func(rec journal.Record) error {
		switch {
		case rec.Kind == journal.KindLate && v.mine(rec.Labels) && strings.HasPrefix(rec.Reason, r.ID()+" "):
			v.late = append(v.late, rec)
		case rec.Kind == journal.KindEnd && v.mine(rec.Labels):
			v.ends = append(v.ends, rec)
		}
		return nil
	})
	return v, err
}

func operandOf(r *ruleset.Rule, vs *parser.VectorSelector, path []parser.Node) operandSelector {
	o := operandSelector{matchers: vs.LabelMatchers, offset: vs.OriginalOffset.Milliseconds()}
	for _, p := range path {
		switch p := p.(type) {
		case *parser.MatrixSelector:
			o.window += p.Range.Milliseconds()
		case *parser.SubqueryExpr:
			o.window += p.Range.Milliseconds()
			o.offset += p.OriginalOffset.Milliseconds()
		}
	}
	if o.window == 0 {
		o.window = r.Interval.Milliseconds()
		for _, m := range vs.LabelMatchers {
			if d, ok := r.Lookback[m.Value]; ok && m.Name == labels.MetricName {
				o.window = d.Milliseconds()
			}
		}
	}
	return o
}

// mine says whether a series is an operand of the identity: they agree in the
// labels that both have.
func (v *view) mine(l labels.Labels) bool {
	ok := true
	v.id.Range(func(own labels.Label) {
		if has := l.Get(own.Name); has != "" && has != own.Value {
			ok = false
		}
	})
	return ok
}

// samples reads what lies in the slot of the check at t, by series and time.
func (v *view) samples(ctx context.Context, t int64) ([]Sample, error) {
	out := []Sample{}
	for _, sel := range v.sels {
		err := readPoints(ctx, v.q, t-sel.offset-sel.window+1, t-sel.offset, sel.matchers, func(l labels.Labels, at int64, val float64) {
			if !v.mine(l) {
				return
			}
			s := Sample{Series: l.String(), Time: time.UnixMilli(at).UTC(), Value: sampleValue(val)}
			for _, rec := range v.late {
				if rec.T == at && labels.Equal(rec.Labels, l) {
					s.Arrived, s.TooLate = time.UnixMilli(rec.Arrive).UTC(), v.tooLate(rec, t)
				}
			}
			if !slices.Contains(out, s) {
				out = append(out, s)
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// tooLate says whether a late sample came after the check at t had settled, which
// the record's reason names.
func (v *view) tooLate(rec journal.Record, t int64) bool {
	i := strings.LastIndexByte(rec.Reason, ' ')
	through, err := strconv.ParseInt(rec.Reason[i+1:], 10, 64)
	return err == nil && t <= through
}

func sampleValue(v float64) string {
	if value.IsStaleNaN(v) {
		return "stale"
	}
	return formatValue(v)
}

// endsWithin says whether the series ended in the slot of the check at t.
func (v *view) endsWithin(t int64, samples []Sample) bool {
	lo := t - v.r.Interval.Milliseconds()
	return slices.ContainsFunc(v.ends, func(r journal.Record) bool { return r.T > lo && r.T <= t }) ||
		slices.ContainsFunc(samples, func(s Sample) bool { return s.Value == "stale" && s.Time.UnixMilli() > lo })
}

// reason is why the series ended at or shortly before the check at t.
func (v *view) reason(t int64) string {
	best := int64(math.MinInt64)
	reason := "stale marker"
	for _, r := range v.ends {
		if r.T <= t && r.T > best && r.T > t-2*v.r.Interval.Milliseconds() {
			best, reason = r.T, r.Reason
		}
	}
	return reason
}
